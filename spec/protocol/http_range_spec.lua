local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

-- first, last; or 0 (to be ignored), or ERR_INVALID.
local function range(value, size)
    local first, last = ffi.new "uint64_t[1]", ffi.new "uint64_t[1]"
    local result = C.http_range_parse(core.copy(value, "char *"), #value, size, first, last)
    if result ~= 1 then
        return result
    end
    return tonumber(first[0]), tonumber(last[0])
end

local function is(wanted, value, size)
    assert.are.same(wanted, { range(value, size or 1000) }, value)
end

describe("a range (RFC 9110 §14)", function()
    it("§14.1.2 has a first and a last byte", function()
        is({ 0, 499 }, "bytes=0-499")
        is({ 500, 999 }, "bytes=500-999")
        is({ 0, 0 }, "bytes=0-0")
        is({ 999, 999 }, "bytes=999-999")
        is({ 1, 2 }, "bytes= 1-2 ")
    end)

    it("§14.1.2 ends with the representation", function()
        is({ 500, 999 }, "bytes=500-")
        is({ 500, 999 }, "bytes=500-1000")
        is({ 500, 999 }, "bytes=500-99999999999999999999999999")
        is({ 500, 999 }, "bytes=500-18446744073709551616")
    end)

    it("§14.1.2 may count from the end", function()
        is({ 500, 999 }, "bytes=-500")
        is({ 999, 999 }, "bytes=-1")
        is({ 0, 999 }, "bytes=-1000")
        is({ 0, 999 }, "bytes=-99999999999999999999999999")
    end)

    it("§14.1.2 cannot be satisfied beyond the end, or when it is empty", function()
        is({ C.ERR_INVALID }, "bytes=1000-")
        is({ C.ERR_INVALID }, "bytes=1000-1001")
        is({ C.ERR_INVALID }, "bytes=18446744073709551616-")
        is({ C.ERR_INVALID }, "bytes=-0")
        is({ C.ERR_INVALID }, "bytes=0-", 0)
        is({ C.ERR_INVALID }, "bytes=-5", 0)
    end)

    it("§14.1 names its unit without regard to case", function()
        is({ 0, 1 }, "Bytes=0-1")
        is({ 0 }, "items=0-1")
        is({ 0 }, "=0-1")
        is({ 0 }, "bytes =0-1")
    end)

    it("§14.2 is ignored when it is malformed or one of several", function()
        for _, value in ipairs { "", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=5-4",
            "bytes=a-5", "bytes=5-a", "bytes=0-1,3-4", "bytes=0-1,", "bytes=--5", "bytes=1-2-3",
            "bytes=0 - 1", "bytes=+1-2", "bytes=0x1-2", "bytes=-a" } do
            is({ 0 }, value)
        end
    end)
end)
