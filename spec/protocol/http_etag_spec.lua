local core = require "spec.support.cdef"
local C = core.C

local function match(value, etag)
    return C.http_etag_match(core.copy(value, "char *"), #value, etag or '"abc"')
end

describe("If-None-Match (RFC 9110 §13.1.2)", function()
    it("matches a tag of its list", function()
        assert.is_true(match '"abc"')
        assert.is_true(match '"x", "abc"')
        assert.is_true(match ' ,"x","y" , "abc",')
        assert.is_false(match '"x", "y"')
    end)

    it("compares whole tags", function()
        assert.is_false(match '"ab"')
        assert.is_false(match '"abcd"')
        assert.is_false(match '"ABC"')
        assert.is_false(match 'abc')
        assert.is_true(match('""', '""'))
    end)

    it("compares weakly: W/ makes no difference (§8.8.3.2)", function()
        assert.is_true(match 'W/"abc"')
        assert.is_true(match('"abc"', 'W/"abc"'))
        assert.is_true(match('W/"abc"', 'W/"abc"'))
        assert.is_false(match 'w/"abc"')
    end)

    it("matches anything with an asterisk, which stands alone", function()
        assert.is_true(match "*")
        assert.is_true(match " * ")
        assert.is_false(match '*, "x"')
    end)

    it("does not end a tag at a comma inside it", function()
        assert.is_true(match('"a,b"', '"a,b"'))
        assert.is_false(match('"x,"abc"', '"abc"'))
    end)

    it("ends its list at what is not a tag", function()
        assert.is_true(match '"abc", junk')
        assert.is_false(match 'junk, "abc"')
        for _, value in ipairs { "", '"', '"abc', 'W/', 'W/"', 'W/"abc', "abc" } do
            assert.is_false(match(value), value)
        end
    end)
end)
