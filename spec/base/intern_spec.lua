local core = require "spec.support.cdef"
local ffi = require "ffi"
local C = core.C

local function table_of_strings()
    local t = core.new("struct intern", C.intern_deinit)
    C.intern_init(t)
    return t
end

local function take(t, text)
    return C.intern_take(t, core.copy(text), #text)
end

local function address(pointer)
    return tonumber(ffi.cast("uintptr_t", pointer))
end

describe("intern", function()
    it("keeps equal strings once", function()
        local t = table_of_strings()
        local one, other = take(t, "a page"), take(t, "a page")
        assert.are.equal(address(one), address(other))
        assert.are.equal("a page", ffi.string(one, 6))
        assert.are.equal(1, t.count)
        C.intern_give(t, one)
        C.intern_give(t, other)
    end)

    it("tells strings apart by every byte and by their length", function()
        local t = table_of_strings()
        local texts, seen, copies = { "", "a", "ab", "ba", "a\0", "a\0b", "\0" }, {}, {}
        for i, text in ipairs(texts) do
            copies[i] = take(t, text)
            assert.is_nil(seen[address(copies[i])], "two strings are one")
            seen[address(copies[i])] = true
        end
        for i, text in ipairs(texts) do
            assert.are.equal(text, ffi.string(copies[i], #text))
            C.intern_give(t, copies[i])
        end
    end)

    it("keeps a string until it was given back as often as it was taken", function()
        local t = table_of_strings()
        local copy = take(t, "kept")
        take(t, "kept")
        C.intern_give(t, copy)
        assert.are.equal(1, t.count)
        assert.are.equal("kept", ffi.string(copy, 4))
        C.intern_give(t, copy)
        assert.are.equal(0, t.count)
    end)

    it("finds and frees each of many", function()
        local t = table_of_strings()
        local copies = {}
        for i = 1, 5000 do
            copies[i] = take(t, "text " .. i)
        end
        assert.are.equal(5000, t.count)
        for i = 1, 5000 do
            assert.are.equal(address(copies[i]), address(take(t, "text " .. i)))
            C.intern_give(t, copies[i])
        end
        for i = 1, 5000, 2 do
            C.intern_give(t, copies[i])
        end
        assert.are.equal(2500, t.count)
        for i = 2, 5000, 2 do
            assert.are.equal("text " .. i, ffi.string(copies[i], #("text " .. i)))
            C.intern_give(t, copies[i])
        end
        assert.are.equal(0, t.count)
    end)

    it("takes NULL for nothing to give back", function()
        C.intern_give(table_of_strings(), nil)
    end)
end)
