local core = require "spec.support.cdef"
local C = core.C

local function hex(text)
    return (text:gsub("%x%x%s*", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

local function bits_of(text)
    return tonumber(C.deflate_block_end(core.copy(text), #text))
end

local function is_flushed(payload, block_bytes)
    return C.deflate_block_is_flushed(core.copy(payload), #payload, block_bytes)
end

-- Bits in the order of RFC 1951 §3.1.1: { number, bits } its lowest first, "0101" as it stands.
local function pack(...)
    local bits, out = {}, {}
    for _, item in ipairs { ... } do
        if type(item) == "string" then
            for bit in item:gmatch "[01]" do
                bits[#bits + 1] = tonumber(bit)
            end
        else
            for i = 0, item[2] - 1 do
                bits[#bits + 1] = math.floor(item[1] / 2 ^ i) % 2
            end
        end
    end
    for at = 1, #bits, 8 do
        local byte = 0
        for i = 0, 7 do
            byte = byte + (bits[at + i] or 0) * 2 ^ i
        end
        out[#out + 1] = string.char(byte)
    end
    return table.concat(out), #bits
end

-- A block of codes for "a" (97), "b" (98), the end (256) and two distances, of the given lengths (0
-- to 4), and what follows. Lengths are sent with two bits for 4 and 18, with three for 0 to 3.
local function dynamic(options)
    local order = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1 }
    local meta = { [4] = 2, [18] = 2, [0] = 3, [1] = 3, [2] = 3, [3] = 3 }
    local codes = { [4] = "00", [18] = "01", [0] = "100", [1] = "101", [2] = "110", [3] = "111" }
    if options.incomplete_meta then
        meta[4] = nil
        codes = { [18] = "00", [0] = "010", [1] = "011", [2] = "100", [3] = "101" }
    end
    local out = { { options.final and 1 or 0, 1 }, { 2, 2 }, { 0, 5 },
        { (options.distances or 2) - 1, 5 }, { #order - 4, 4 } }
    for _, symbol in ipairs(order) do
        out[#out + 1] = { meta[symbol] or 0, 3 }
    end
    local function zeros(n)
        out[#out + 1] = codes[18]
        out[#out + 1] = { n - 11, 7 }
    end
    zeros(97)
    out[#out + 1] = codes[options.a]
    out[#out + 1] = codes[options.b]
    zeros(138)
    zeros(256 - 99 - 138)
    out[#out + 1] = codes[options.stop]
    for _ = 1, options.distances or 2 do
        out[#out + 1] = codes[options.distance or 1]
    end
    for _, code in ipairs(options.data) do
        out[#out + 1] = code
    end
    return out
end

local function block(options)
    return pack(unpack(dynamic(options)))
end

describe("deflate_block_end", function()
    it("RFC 1951 §3.2.6 finds the end of a block with fixed codes", function()
        assert.are.equal(3 + 5 * 8 + 7, bits_of(hex "f3 48 cd c9 c9 07 00")) -- "Hello"
        assert.are.equal(3 + 7, bits_of(hex "03 00"))
        assert.are.equal(3 + 9 + 7, bits_of((pack("1", "10", "111111111", "0000000"))))
        -- "a", then the length 258 (code 285, no more bits) or the length 11 (code 265, one more),
        -- with the distance 1 (code 0).
        assert.are.equal(3 + 8 + 8 + 5 + 7, bits_of((pack("1", "10", "10010001", "11000101",
            "00000", "0000000"))))
        assert.are.equal(3 + 8 + 8 + 5 + 7, bits_of((pack("1", "10", "10010001", "0001001", "1",
            "00000", "0000000"))))
        -- The distance 5 (code 4, one more bit).
        assert.are.equal(3 + 8 + 7 + 6 + 7, bits_of((pack("1", "10", "10010001", "0000001", "00100",
            "1", "0000000"))))
    end)

    it("RFC 1951 §3.2.7 finds the end of a block with dynamic codes", function()
        for _, lengths in ipairs { { 1, 2, 2, a = "0", b = "10", stop = "11" },
            { 2, 1, 2, a = "10", b = "0", stop = "11" } } do
            for n = 0, 20 do
                local data = {}
                for i = 1, n do
                    data[i] = i % 3 == 0 and lengths.b or lengths.a
                end
                data[#data + 1] = lengths.stop
                local bytes, bits = block { final = true, a = lengths[1], b = lengths[2],
                    stop = lengths[3], data = data }
                assert.are.equal(bits, bits_of(bytes))
            end
        end
    end)

    it("RFC 1951 §3.2.7 finds an end whose code has zeros at its end", function()
        -- a is 00, b is 01, and the end 10.
        for n = 0, 20 do
            local data = {}
            for i = 1, n do
                data[i] = i % 2 == 0 and "00" or "01"
            end
            data[#data + 1] = "10"
            local bytes, bits = block { final = true, a = 2, b = 2, stop = 2, data = data }
            assert.are.equal(bits, bits_of(bytes))
        end
    end)

    it("RFC 1951 §3.2.7 cannot tell an end that is zeros only", function()
        assert.are.equal(0, bits_of((block { final = true, a = 2, b = 2, stop = 1,
            data = { "10", "11", "0" } })))
    end)

    it("RFC 1951 §3.2.4 finds the end of a stored block", function()
        assert.are.equal(80, bits_of(hex "01 05 00 fa ff 48 65 6c 6c 6f"))
        assert.are.equal(0, bits_of(hex "01 05 00 fa ff 48 65 6c 6c"))
        assert.are.equal(0, bits_of(hex "01 05 00"))
    end)

    it("RFC 1951 §3.2.3 knows nothing of a block that is not the last, or of none", function()
        for _, bytes in ipairs { hex "f2 48 cd c9 c9 07 00", hex "00 05 00 fa ff 48 65 6c 6c 6f",
            hex "07 00", "", hex "f3 48 cd", hex "f3 48 cd c9 c9 07 00 00" } do
            assert.are.equal(0, bits_of(bytes))
        end
    end)

    it("RFC 1951 §3.2.7 reads no further than a head that is cut", function()
        local bytes = block { final = true, a = 2, b = 2, stop = 2, data = { "00", "10" } }
        for len = 0, #bytes - 2 do
            assert.are.equal(0, bits_of(bytes:sub(1, len)))
        end
    end)
end)

describe("deflate_block_is_flushed", function()
    local usual = { a = 1, b = 2, stop = 2 }
    local stop = "11"

    local function with(changes, data)
        local out = { data = data }
        for _, from in ipairs { usual, changes } do
            for k, v in pairs(from) do
                out[k] = v
            end
        end
        return out
    end

    it("RFC 7692 §7.2.1 finds the first bits of an empty stored block, and no more", function()
        for n = 0, 16 do
            local data = {}
            for i = 1, n do
                data[i] = "0"
            end
            data[#data + 1] = stop
            local items = dynamic(with({}, data))
            local _, bits = pack(unpack(items))
            local block_bytes = math.ceil(bits / 8)
            items[#items + 1] = "000"
            local payload = pack(unpack(items))
            assert.is_true(is_flushed(payload, block_bytes))
            assert.is_false(is_flushed(payload .. "\0", block_bytes))
            if #payload > block_bytes then
                assert.is_false(is_flushed(payload:sub(1, -2), block_bytes))
            end
            for _, other in ipairs { "100", "010", "001" } do
                items[#items] = other
                assert.is_false(is_flushed((pack(unpack(items))), block_bytes))
            end
        end
    end)

    it("cannot tell where the code for the end is in two places", function()
        -- Both end in the same byte, if the block's last bits are 1111.
        local items = dynamic(with({}, { "0", "11", "11", "000" }))
        local ambiguous = 0
        for n = 1, 8 do
            items[#items - 3] = ("0"):rep(n)
            local payload = pack(unpack(items))
            ambiguous = ambiguous + (is_flushed(payload, #payload) and 0 or 1)
        end
        assert.is_true(ambiguous > 0)
    end)

    it("leaves codes that are not complete to another", function()
        for _, changes in ipairs { { b = 3, code = "10" }, { distances = 1 }, { distance = 2 },
            { distance = 0 }, { incomplete_meta = true } } do
            local data = { "0", changes.code or stop, "000" }
            local payload, bits = block(with(changes, data))
            assert.is_false(is_flushed(payload, math.ceil((bits - 3) / 8)))
        end
    end)
end)
