local ffi = require "ffi"
local core = require "spec.support.cdef"
local big_endian = require("spec.support.frame").big_endian
local C = core.C

-- Decodes what is there, and checks that each shorter input asks for more or shows the same fault.
-- Returns the frame and the bytes used, or the failure and after how many bytes it was seen.
local function decode(header)
    local frame = ffi.new "struct frame"
    for len = 0, #header do
        local before = ffi.string(frame, ffi.sizeof(frame))
        local data = core.copy(header:sub(1, len))
        local rc = C.frame_decode(frame, data, len)
        assert.are.equal(rc == C.ERR_PROTOCOL, C.frame_fault(data, len) ~= nil)
        if rc < 0 then
            assert.are.equal(before, ffi.string(frame, ffi.sizeof(frame)), "written on failure")
            assert.are.equal(rc, C.frame_decode(frame, core.copy(header), #header))
            return core.name(rc), len
        end
        if rc > 0 then
            assert.are.equal(len, rc)
            local all = ffi.new "struct frame"
            local more = header .. "payload"
            assert.are.equal(rc, C.frame_decode(all, core.copy(more), #more))
            return frame, rc
        end
        assert.are.equal(before, ffi.string(frame, ffi.sizeof(frame)), "written too early")
    end
    return "more", #header
end

local function fault(header)
    local text = C.frame_fault(core.copy(header), #header)
    return text ~= nil and ffi.string(text) or nil
end

describe("frame", function()
    it("§5.7 reads the examples", function()
        local frame, used = decode "\129\5"
        assert.are.equal(2, used)
        assert.is_true(frame.fin and not frame.rsv1 and not frame.masked)
        assert.are.equal(C.FRAME_TEXT, frame.opcode)
        assert.are.equal(5, tonumber(frame.len))

        frame, used = decode "\129\133\55\250\33\61"
        assert.are.equal(6, used)
        assert.is_true(frame.masked)
        assert.are.equal("\55\250\33\61", ffi.string(frame.key, 4))

        frame = decode "\1\3"
        assert.is_false(frame.fin)
        assert.are.equal(256, tonumber((decode "\130\126\1\0").len))
        assert.are.equal(65536, tonumber((decode "\130\127\0\0\0\0\0\1\0\0").len))
    end)

    for _, case in ipairs {
        { 0, "\130\0" }, { 1, "\130\1" }, { 125, "\130\125" }, { 126, "\130\126\0\126" },
        { 127, "\130\126\0\127" }, { 65535, "\130\126\255\255" },
        { 65536, "\130\127" .. big_endian(65536, 8) },
        { 2 ^ 40 + 7, "\130\127" .. big_endian(2 ^ 40 + 7, 8) },
    } do
        it("§5.2 reads a length of " .. case[1], function()
            local frame, used = decode(case[2])
            assert.are.equal(#case[2], used)
            assert.are.equal(case[1], tonumber(frame.len))
        end)
    end

    it("§5.2 reads the longest length, of 63 bits", function()
        local frame = decode("\130\127\127" .. ("\255"):rep(7))
        assert.are.equal(0x7fffffffffffffffULL, frame.len)
    end)

    it("§5.2 refuses a length of 64 bits with its top bit set, at that byte", function()
        local result, at = decode("\130\127\128" .. ("\0"):rep(7))
        assert.are.equal("ERR_PROTOCOL", result)
        assert.are.equal(3, at)
    end)

    it("§5.2 refuses a length that is not in the fewest bytes, as soon as that shows", function()
        for _, case in ipairs {
            { "\130\126\0\125", 4 }, { "\130\126\0\0", 4 },
            { "\130\127" .. big_endian(65535, 8), 8 }, { "\130\127" .. big_endian(125, 8), 8 },
            { "\130\127" .. big_endian(0, 8), 8 },
            { "\130\254\0\1\55\250\33\61", 4 },
        } do
            local result, at = decode(case[1])
            assert.are.equal("ERR_PROTOCOL", result)
            assert.are.equal(case[2], at)
        end
        assert.are.equal("a frame's length is not encoded in the fewest bytes",
            fault "\130\126\0\1")
    end)

    it("§5.2 refuses every reserved opcode after its first byte", function()
        for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
            for _, fin in ipairs { 0, 128 } do
                local result, at = decode(string.char(fin + opcode) .. "\0")
                assert.are.equal("ERR_PROTOCOL", result)
                assert.are.equal(1, at)
            end
        end
        assert.are.equal("a frame has a reserved opcode", fault "\131")
    end)

    it("§5.2 takes every opcode that is defined", function()
        for _, opcode in ipairs { 0, 1, 2, 8, 9, 10 } do
            assert.are.equal(opcode, decode(string.char(128 + opcode) .. "\0").opcode)
        end
    end)

    it("§5.2 refuses RSV2 and RSV3 after the first byte", function()
        for _, bits in ipairs { 0x20, 0x10, 0x30, 0x70 } do
            for _, opcode in ipairs { 0, 1, 2, 8, 9, 10 } do
                local result, at = decode(string.char(128 + bits + opcode) .. "\0")
                assert.are.equal("ERR_PROTOCOL", result)
                assert.are.equal(1, at)
            end
        end
    end)

    it("RFC 7692 §6 reads RSV1 of data frames", function()
        assert.is_true(decode("\193\0").rsv1)
        assert.is_true(decode("\66\0").rsv1)
    end)

    it("RFC 7692 §6.1 refuses RSV1 on control frames", function()
        for _, opcode in ipairs { 8, 9, 10 } do
            local result, at = decode(string.char(192 + opcode) .. "\0")
            assert.are.equal("ERR_PROTOCOL", result)
            assert.are.equal(1, at)
        end
    end)

    it("§5.5 refuses a fragmented control frame after its first byte", function()
        for _, opcode in ipairs { 8, 9, 10 } do
            local result, at = decode(string.char(opcode) .. "\0")
            assert.are.equal("ERR_PROTOCOL", result)
            assert.are.equal(1, at)
        end
        assert.are.equal("a control frame is fragmented", fault "\9")
    end)

    it("§5.5 refuses a control frame longer than 125 bytes after its second byte", function()
        for _, opcode in ipairs { 136, 137, 138 } do
            for _, form in ipairs { 126, 127, 254, 255 } do
                local result, at = decode(string.char(opcode, form) .. big_endian(126, 8))
                assert.are.equal("ERR_PROTOCOL", result)
                assert.are.equal(2, at)
            end
            assert.are.equal(125, tonumber(decode(string.char(opcode, 125)).len))
        end
    end)

    it("§5.2 writes headers that it reads again, in the fewest bytes", function()
        local sizes = { [0] = 2, [125] = 2, [126] = 4, [65535] = 4, [65536] = 10, [2 ^ 33] = 10 }
        for len, size in pairs(sizes) do
            for _, masked in ipairs { false, true } do
                local out = ffi.new "uint8_t[14]"
                local frame = ffi.new("struct frame", { len = len, opcode = 2, fin = true,
                    masked = masked, key = { 1, 2, 3, 4 } })
                local used = tonumber(C.frame_encode(out, frame))
                assert.are.equal(size + (masked and 4 or 0), used)
                assert.are.equal(used, tonumber(C.frame_header_bytes(frame)))
                local again = decode(ffi.string(out, used))
                assert.are.equal(len, tonumber(again.len))
                assert.are.equal(masked, again.masked)
                assert.are.equal(masked and "\1\2\3\4" or "\0\0\0\0", ffi.string(again.key, 4))
            end
        end
    end)

    it("§5.2 writes opcode, FIN and RSV1", function()
        local out = ffi.new "uint8_t[14]"
        for _, case in ipairs { { 1, true, false, 0x81 }, { 1, true, true, 0xc1 },
            { 2, false, false, 0x02 }, { 0, true, false, 0x80 }, { 9, true, false, 0x89 } } do
            C.frame_encode(out, ffi.new("struct frame",
                { opcode = case[1], fin = case[2], rsv1 = case[3] }))
            assert.are.equal(case[4], out[0])
        end
    end)

    it("§5.2 writes short headers as all others", function()
        for len = 0, C.FRAME_SHORT_MAX do
            for _, opcode in ipairs { C.FRAME_TEXT, C.FRAME_BINARY } do
                local long, short = ffi.new "uint8_t[14]", ffi.new "uint8_t[14]"
                assert.are.equal(C.FRAME_SHORT_HEADER, tonumber(C.frame_encode(long,
                    ffi.new("struct frame", { opcode = opcode, fin = true, len = len }))))
                C.frame_encode_short(short, opcode, len)
                assert.are.equal(ffi.string(long, 14), ffi.string(short, 14))
            end
        end
    end)
end)
