require("spec.lua.fake").new()
local text = require "moonwire.base.text"

describe("query strings", function()
    it("are decoded, a plus being a blank", function()
        assert.same({ a = "1", ["b c"] = "x y+" }, text.query "a=1&b%20c=x+y%2B")
    end)

    it("have empty values for names alone, and keep = in values", function()
        assert.same({ a = "", b = "", c = "1=2", [""] = "x" }, text.query "a&b=&c=1=2&&=x")
        assert.same({}, text.query "")
    end)

    it("keep the first value of a name that comes twice", function()
        assert.same({ a = "1" }, text.query "a=1&a=2")
    end)

    it("leave a broken escape as it came", function()
        assert.same({ a = "100%", b = "%zz" }, text.query "a=100%&b=%zz")
    end)

    it("may be longer than any buffer", function()
        local long = ("%41"):rep(5000)
        assert.equal(("A"):rep(5000), text.query("a=" .. long).a)
    end)
end)

describe("header lines", function()
    it("are joined where a field comes again, cookies in their own way", function()
        assert.same({ accept = "a, b", cookie = "x=1; y=2", host = "h:80", empty = "" },
            text.header_lines("accept: a\nhost: h:80\ncookie: x=1\nempty: \naccept: b\n"
                .. "cookie: y=2\n"))
    end)
end)

describe("cookies", function()
    it("are split, trimmed and taken out of their quotes; the first of a name counts", function()
        assert.same({ a = "1", b = "x=y", c = "q" }, text.cookies 'a=1;  b = x=y ;c="q"; a=2; junk')
    end)
end)

describe("comma lists", function()
    it("lose blanks and empty members", function()
        assert.same({ "a", "b c" }, text.list " a,, b c\t,")
    end)
end)
