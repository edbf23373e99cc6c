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

describe("origins of URLs", function()
    it("have scheme, host and port, without user and password", function()
        assert.equal("ws://h:1", text.origin "ws://h:1/x@y?z")
        assert.equal("wss://h", text.origin "wss://u:p@q@h")
        assert.equal("", text.origin "")
    end)
end)

-- What a client may send is as long as head_bytes allows, and read before anybody has logged in.
describe("time", function()
    local SHORT, TIMES_LONGER = 4096, 16

    -- Seconds of processor time of n calls, the least of some tries.
    local function seconds(fn, argument, n, tries)
        local least = math.huge
        for _ = 1, tries do
            local from = os.clock()
            for _ = 1, n do
                fn(argument)
            end
            least = math.min(least, (os.clock() - from) / n)
        end
        return least
    end

    local fills = { blanks = " ", tabs = "\t", quotes = '"', equals = "=", semicolons = ";",
        commas = ",", ampersands = "&", colons = ":", newlines = "\n", escapes = "%41",
        broken = "%", pluses = "+", at = "@", cookies = "a=b; ", slashes = "/", letters = "x" }

    for _, name in ipairs { "cookies", "list", "query", "header_lines", "decode", "origin" } do
        it("of text." .. name .. " grows as the length of its text, whatever is in it", function()
            for what, fill in pairs(fills) do
                for _, form in ipairs { "%s", "a=%sx", "a,%sx", '"%s', "ws://%sx@y", "a: %sb" } do
                    local function of(length)
                        local middle = fill:rep(length / #fill)
                        return (form:gsub("%%s", function() return middle end))
                    end
                    local short = seconds(text[name], of(SHORT), 20, 5)
                    local long = seconds(text[name], of(SHORT * TIMES_LONGER), 1, 3)
                    -- 16 times as long takes 256 times as long where it is quadratic.
                    assert.is_true(long < 5 * TIMES_LONGER * short + 0.001,
                        ("%s of %s in %q: %g s, %d times as long %g s"):format(name, what, form,
                            short, TIMES_LONGER, long))
                end
            end
        end)
    end

    it("of joining a field that comes again grows as their number", function()
        local function lines(n)
            return ("x: " .. ("v"):rep(100) .. "\n"):rep(n)
        end
        local short = seconds(text.header_lines, lines(50), 20, 5)
        local long = seconds(text.header_lines, lines(50 * TIMES_LONGER), 1, 3)
        assert.is_true(long < 5 * TIMES_LONGER * short + 0.001)
    end)
end)
