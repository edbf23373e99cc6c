local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local key = core.copy "\55\250\33\61"

-- The bytes masked one at a time, in Lua: neither C form is its own judge.
local function expected(text, offset)
    local bytes = {}
    for i = 1, #text do
        bytes[i] = string.char(bit.bxor(text:byte(i), key[(offset + i - 1) % 4]))
    end
    return table.concat(bytes)
end

-- Text masked in place, at a distance from its block's start, between two guard bytes.
local function masked(form, text, offset, alignment)
    local block = core.copy(("#"):rep(alignment + 1) .. text .. "#")
    C.mask_apply_as(form, block + alignment + 1, #text, key, offset)
    local result = ffi.string(block, alignment + #text + 2)
    assert.are.equal(("#"):rep(alignment + 1), result:sub(1, alignment + 1))
    assert.are.equal("#", result:sub(-1))
    return result:sub(alignment + 2, -2)
end

local forms = {}
for _, name in ipairs { "MASK_SCALAR", "MASK_WORDS", "MASK_SSE2", "MASK_AVX2" } do
    if C[name] <= C.mask_form_best() then
        forms[#forms + 1] = name
    end
end

local sample = {}
math.randomseed(6455)
for i = 1, 1000 do
    sample[i] = string.char(math.random(0, 255))
end
sample = table.concat(sample)

describe("mask", function()
    it("§5.3 masks the example of §5.7", function()
        local hello = core.copy "Hello"
        C.mask_apply(hello, 5, key, 0)
        assert.are.equal("\127\159\77\81\88", core.string(hello, 5))
    end)

    it("§5.3 is its own inverse", function()
        local data = core.copy(sample)
        C.mask_apply(data, #sample, key, 3)
        assert.are_not.equal(sample, core.string(data, #sample))
        C.mask_apply(data, #sample, key, 3)
        assert.are.equal(sample, core.string(data, #sample))
    end)

    for _, form in ipairs(forms) do
        it("§5.3 gives the same for every length and alignment as " .. form, function()
            for len = 0, 200 do
                local text = sample:sub(len + 1, 2 * len)
                local alignment = len % 67
                local offset = len % 5
                assert.are.equal(expected(text, offset), masked(C[form], text, offset, alignment))
            end
            for alignment = 0, 63 do
                local text = sample:sub(alignment + 1, alignment + 197)
                assert.are.equal(expected(text, 2), masked(C[form], text, 2, alignment))
            end
        end)

        it("§8.1 tells ASCII from the rest, wherever it is, as " .. form, function()
            for len = 0, 200, 3 do
                local text = ("a\127\0"):rep(67):sub(1, len)
                local on_wire = expected(text, 1)
                local data = core.copy(on_wire)
                assert.is_true(C.mask_apply_as(C[form], data, len, key, 1))
                for at = 0, len - 1 do
                    data = core.copy(on_wire)
                    data[at] = bit.bxor(data[at], 0x80)
                    assert.is_false(C.mask_apply_as(C[form], data, len, key, 1))
                end
            end
        end)

        it("§5.3 begins at every byte of the key as " .. form, function()
            for offset = 0, 8 do
                assert.are.equal(expected(sample, offset), masked(C[form], sample, offset, 1))
            end
        end)
    end

    it("§5.3 masks pieces as it masks the whole", function()
        for cut = 0, 300 do
            local data = core.copy(sample:sub(1, 300))
            C.mask_apply(data, cut, key, 0)
            C.mask_apply(data + cut, 300 - cut, key, cut)
            assert.are.equal(expected(sample:sub(1, 300), 0), core.string(data, 300))
        end
    end)

    it("§5.3 masks every short length from every byte of the key, and nothing beside it", function()
        for len = 0, 140 do
            for offset = 0, 4 do
                local text = sample:sub(len + 1, 2 * len)
                local block = core.copy("#" .. text .. "#")
                C.mask_apply(block + 1, len, key, offset)
                assert.are.equal("#" .. expected(text, offset) .. "#", core.string(block, len + 2))
            end
        end
    end)

    it("§8.1 never takes for ASCII what is not", function()
        for len = 1, 300 do
            local data = core.copy(expected(("a"):rep(len - 1) .. "\255", 0))
            assert.is_false(C.mask_apply(data, len, key, 0))
        end
    end)

    it("§5.3 leaves an empty payload alone", function()
        C.mask_apply(nil, 0, key, 0)
        C.mask_apply_scalar(nil, 0, key, 3)
    end)
end)
