local bit = require "bit"
local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function map()
    local m = core.new("struct map", C.map_deinit)
    C.map_init(m)
    return m
end

-- Values are numbers in place of pointers: the map never follows them.
local function put(m, key, value)
    return C.map_put(m, core.copy(key), #key, ffi.cast("void *", value))
end
local function number(pointer)
    return pointer ~= nil and tonumber(ffi.cast("uintptr_t", pointer)) or nil
end
local function get(m, key)
    return number(C.map_get(m, core.copy(key), #key))
end
local function remove(m, key)
    return number(C.map_remove(m, core.copy(key), #key))
end
local function contents(m)
    local found, at, entry = {}, ffi.new "size_t[1]", ffi.new "struct map_entry"
    while C.map_next(m, at, entry) do
        local key = ffi.string(entry.key, entry.key_len)
        assert.is_nil(found[key], "seen twice")
        found[key] = number(entry.value)
    end
    return found
end

-- SipHash-1-3 after its paper, for keys of up to 15 bytes; the key's second half as in map.c.
local function siphash(seed, text)
    local rol, bxor = bit.rol, bit.bxor
    local second = rol(seed * 0x9e3779b97f4a7c15ULL, 29)
    local a, b = bxor(seed, 0x736f6d6570736575ULL), bxor(second, 0x646f72616e646f6dULL)
    local c, d = bxor(seed, 0x6c7967656e657261ULL), bxor(second, 0x7465646279746573ULL)
    local function round()
        a, c = a + b, c + d
        b, d = bxor(rol(b, 13), a), bxor(rol(d, 16), c)
        a = rol(a, 32)
        c, a = c + b, a + d
        b, d = bxor(rol(b, 17), c), bxor(rol(d, 21), a)
        c = rol(c, 32)
    end
    local padded = text .. ("\0"):rep(7 - #text % 8) .. string.char(#text)
    for at = 1, #padded, 8 do
        local word = 0ULL
        for i = 7, 0, -1 do
            word = word * 256 + padded:byte(at + i)
        end
        d = bxor(d, word)
        round()
        a = bxor(a, word)
    end
    c = bxor(c, 0xff)
    for _ = 1, 3 do
        round()
    end
    local hash = bxor(a, b, c, d)
    return tonumber(bit.band(bxor(hash, bit.rshift(hash, 32)), 0xffffffffULL))
end

describe("map", function()
    it("hashes with SipHash-1-3", function()
        for _, text in ipairs { "", "a", "ab", "1234567", "12345678", "123456789", "\255\0\254" } do
            local m = map()
            put(m, text, 1)
            local at, entry = ffi.new "size_t[1]", ffi.new "struct map_entry"
            C.map_next(m, at, entry)
            assert.are.equal(siphash(m.seed, text), entry.hash, text)
        end
    end)

    it("owns nothing while it is empty, and holds nothing", function()
        local m = map()
        assert.is_nil(get(m, "a"))
        assert.is_nil(remove(m, "a"))
        assert.are.same({}, contents(m))
        assert.is_true(m.entries == nil)
    end)

    it("gives back what was put, and replaces it", function()
        local m = map()
        assert.are.equal(0, put(m, "room/a", 1))
        put(m, "room/b", 2)
        put(m, "room/a", 3)
        assert.are.equal(3, get(m, "room/a"))
        assert.are.equal(2, get(m, "room/b"))
        assert.is_nil(get(m, "room/"))
        assert.are.equal(2, tonumber(m.count))
    end)

    it("takes any bytes for a key, also none, and NUL", function()
        local m = map()
        local keys = { "", "\0", "\0\0", "a\0b", "a\0c", "a", ("k"):rep(1000) }
        for i, key in ipairs(keys) do
            put(m, key, i)
        end
        for i, key in ipairs(keys) do
            assert.are.equal(i, get(m, key))
        end
        assert.are.equal(#keys, tonumber(m.count))
    end)

    it("tells keys of every length apart that differ in one byte", function()
        local m = map()
        for len = 1, 40 do
            for at = 1, len do
                put(m, ("x"):rep(at - 1) .. "y" .. ("x"):rep(len - at), len * 100 + at)
            end
        end
        for len = 1, 40 do
            for at = 1, len do
                local key = ("x"):rep(at - 1) .. "y" .. ("x"):rep(len - at)
                assert.are.equal(len * 100 + at, get(m, key))
            end
        end
    end)

    it("copies its keys", function()
        local m = map()
        local key = core.copy "before"
        assert.are.equal(0, C.map_put(m, key, 6, ffi.cast("void *", 1)))
        ffi.copy(key, "after!", 6)
        assert.are.equal(1, get(m, "before"))
        assert.is_nil(get(m, "after!"))
    end)

    it("agrees with a Lua table over a long random life", function()
        local m, model, count = map(), {}, 0
        math.randomseed(20261122)
        for step = 1, 60000 do
            local key = ("key %d"):format(math.random(700))
            -- Times of growth and of shrinking alternate.
            if math.random() < (step % 10000 < 5000 and 0.7 or 0.3) then
                assert.are.equal(0, put(m, key, step))
                count = count + (model[key] and 0 or 1)
                model[key] = step
            else
                local removed = remove(m, key)
                if removed ~= model[key] then
                    assert.are.equal(model[key], removed)
                end
                count = count - (model[key] and 1 or 0)
                model[key] = nil
            end
            if step % 1000 == 0 then
                assert.are.same(model, contents(m))
                assert.are.equal(count, tonumber(m.count))
                for i = 1, 700 do
                    local each = ("key %d"):format(i)
                    assert.are.equal(model[each], get(m, each))
                end
            end
        end
    end)

    it("is never more than three quarters full", function()
        local m = map()
        for i = 1, 1000 do
            put(m, "k" .. i, i)
            assert.is_true(m.count * 4 <= m.cap * 3)
        end
    end)

    it("does not grow while keys come and go", function()
        local m = map()
        for i = 1, 20000 do
            put(m, "k" .. i, i)
            assert.are.equal(i, remove(m, "k" .. i))
        end
        assert.are.equal(8, tonumber(m.cap))
    end)

    it("has a seed of its own, which decides the hashes", function()
        local function hashes(m)
            put(m, "same key", 1)
            local at, entry = ffi.new "size_t[1]", ffi.new "struct map_entry"
            C.map_next(m, at, entry)
            return entry.hash
        end
        local a, b = map(), map()
        assert.is_true(a.seed ~= b.seed)
        assert.are_not.equal(hashes(a), hashes(b))
        local c = map()
        c.seed = a.seed
        assert.are.equal(hashes(a), hashes(c))
    end)

    it("spreads keys: no run of filled places is long", function()
        local m = map()
        for i = 1, 6000 do
            put(m, ("room/%d"):format(i), i)
        end
        local longest, run = 0, 0
        for i = 0, tonumber(m.cap) - 1 do
            run = m.entries[i].key ~= nil and run + 1 or 0
            longest = math.max(longest, run)
        end
        assert.is_true(longest < 300, longest)
    end)
end)
