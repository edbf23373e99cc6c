-- src/base/log_fields.c: the fields of a log line as people read them.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function text_of(members)
    local out = ffi.new "struct buffer"
    assert.equal(0, C.log_fields_text(out, core.copy(members, "char *"), #members))
    local text = ffi.string(out.data, out.len)
    C.buffer_deinit(out)
    return text
end

describe("The fields of a line of text", function()
    it("are written as name=value", function()
        assert.equal('a=1 b="x,y" c=word', text_of '"a":1,"b":"x,y","c":"word"')
        assert.equal("n=1.5 yes=true", text_of '"n":1.5,"yes":true')
        assert.equal("path=/a/b:1", text_of '"path":"/a/b:1"')
    end)

    it("keep the quotes of a name or a string that is no single word", function()
        assert.equal('"a b"="c d"', text_of '"a b":"c d"')
        assert.equal('empty="" e="é" x="a=b"', text_of '"empty":"","e":"é","x":"a=b"')
        assert.equal([[quote="\"" slash="\\"]], text_of [["quote":"\"","slash":"\\"]])
    end)

    it("keep the quotes of a string that looks like another value", function()
        assert.equal('n="1.5" t="true" f="false" z="null" e="1e5"',
            text_of '"n":"1.5","t":"true","f":"false","z":"null","e":"1e5"')
    end)

    it("leave tables as JSON, whatever their strings hold", function()
        assert.equal('t={"x":["a,]}\\"",1]} u=2', text_of '"t":{"x":["a,]}\\"",1]},"u":2')
    end)

    it("escape what may not stand in a line", function()
        assert.equal([[x="\ufffd" y="\u009b" z="\u007f"]],
            text_of '"x":"\255","y":"\194\155","z":"\127"')
    end)
end)
