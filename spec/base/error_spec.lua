local ffi = require "ffi"
local core = require "spec.support.cdef"

describe("error", function()
    it("has a text of its own for every code", function()
        local seen = {}
        for code = -11, -1 do
            local text = ffi.string(core.C.error_text(code))
            assert.is_nil(seen[text], text)
            assert.are_not.equal("unknown error", text)
            seen[text] = true
        end
        assert.are.equal("out of memory", ffi.string(core.C.error_text(core.C.ERR_MEMORY)))
    end)

    it("has a text for numbers that are no code", function()
        assert.are.equal("no error", ffi.string(core.C.error_text(0)))
        assert.are.equal("unknown error", ffi.string(core.C.error_text(-12)))
    end)

    it("is named in the specs as in C", function()
        for code = -11, -1 do
            assert.are.equal(code, tonumber(ffi.cast("int", core.C[core.name(code)])))
        end
        assert.are.equal(3, core.name(3))
    end)
end)
