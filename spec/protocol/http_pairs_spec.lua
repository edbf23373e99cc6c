local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

-- "name=value|…", from a block of exactly the text's size.
local function pairs_of(kind, text)
    local block = core.copy(text, "char *")
    local at, pair, out = ffi.new "uint32_t[1]", ffi.new "struct http_pair", {}
    while C.http_pairs_next(kind, block, #text, at, pair) do
        assert.is_true(pair.name.at + pair.name.len <= #text)
        assert.is_true(pair.value.at + pair.value.len <= #text)
        out[#out + 1] = ffi.string(block + pair.name.at, pair.name.len) .. "="
            .. ffi.string(block + pair.value.at, pair.value.len)
    end
    assert.equal(#text, at[0])
    return table.concat(out, "|")
end

describe("lists of pairs", function()
    it("are cookies, without blanks and quotes (RFC 6265 §5.4)", function()
        for text, expected in pairs {
            ['a=1;  b = x=y ;c="q"; junk; =v; a b=1; a=2'] = "a=1|b=x=y|c=q|a=2",
            ['a="'] = 'a="', ['a=""'] = "a=", ['a="b'] = 'a="b', ['a= "b" '] = "a=b",
            [";;;"] = "", [""] = "", ["   "] = "", ["a="] = "a=", ["="] = "",
            ["\ta\t=\tb c\t"] = "a=b c",
        } do
            assert.equal(expected, pairs_of(C.HTTP_PAIRS_COOKIES, text), text)
        end
    end)

    it("are queries, still encoded", function()
        for text, expected in pairs {
            ["a=1&b%20c=x+y"] = "a=1|b%20c=x+y", ["a&b=&c=1=2&&=x"] = "a=|b=|c=1=2|=x",
            ["&"] = "", [" a = b "] = " a = b ",
        } do
            assert.equal(expected, pairs_of(C.HTTP_PAIRS_QUERY, text), text)
        end
    end)

    it("are the header lines that we keep", function()
        assert.equal("host=a:1|x=|y=  z", pairs_of(C.HTTP_PAIRS_LINES,
            "host: a:1\nx: \ny:   z\n\nnone\n: v\n"))
    end)

    it("are the members of comma lists (RFC 9110 §5.6.1)", function()
        assert.equal("a=|b c=|d=", pairs_of(C.HTTP_PAIRS_LIST, " a,, b c\t,d,"))
    end)
end)
