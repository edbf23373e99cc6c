local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

-- An empty array of uint64_t, as a caller's struct would hold it.
local function array()
    local a = { items = ffi.new "void *[1]", cap = ffi.new "uint32_t[1]" }
    a.guard = ffi.gc(ffi.new "char[1]", function()
        ffi.C.free(a.items[0])
    end)
    return a
end

local function grow(a, first, item_bytes)
    return C.array_grow(a.items, a.cap, item_bytes or 8, first or 4)
end

describe("array", function()
    it("begins with room for the first items", function()
        local a = array()
        assert.are.equal(0, grow(a, 3))
        assert.are.equal(3, a.cap[0])
        local items = ffi.cast("uint64_t *", a.items[0])
        for i = 0, 2 do
            items[i] = i
        end
    end)

    it("doubles its room and keeps the items", function()
        local a, count = array(), 0
        for i = 1, 1000 do
            if count == a.cap[0] then
                assert.are.equal(0, grow(a))
                assert.are.equal(count == 0 and 4 or count * 2, a.cap[0])
            end
            ffi.cast("uint64_t *", a.items[0])[count] = i
            count = count + 1
        end
        for i = 1, 1000 do
            assert.are.equal(i, tonumber(ffi.cast("uint64_t *", a.items[0])[i - 1]))
        end
    end)

    it("stays as it was when the capacity or its bytes are more than a number holds", function()
        local a = array()
        assert.are.equal(0, grow(a))
        local before = a.items[0]
        -- Eight items of this size come to 8 bytes modulo 2^64.
        assert.are.equal("ERR_MEMORY", core.name(grow(a, 4, 0x2000000000000001ULL)))
        assert.are.equal(4, a.cap[0])
        a.cap[0] = 0x80000000
        assert.are.equal("ERR_MEMORY", core.name(grow(a)))
        assert.are.equal(0x80000000, a.cap[0])
        assert.is_true(a.items[0] == before)
    end)
end)
