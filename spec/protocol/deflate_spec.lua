local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function hex(text)
    return (text:gsub("%x%x%s*", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

local function deflater(bits, level, memory)
    return ffi.gc(C.deflater_new(bits or 15, level or 6, memory or 8), C.deflater_free)
end

local function inflater(bits)
    return ffi.gc(C.inflater_new(bits or 15), C.inflater_free)
end

local function compress(d, text, keep_context)
    local out = core.new("struct buffer", C.buffer_deinit)
    assert.are.equal(0, C.deflater_message(d, core.copy(text), #text, keep_context or false, out))
    return core.string(out)
end

-- Inflates a message that comes in pieces. What came out, and the failure, or 0.
local function inflate_pieces(i, pieces, max_len)
    local out = core.new("struct buffer", C.buffer_deinit)
    local rc = 0
    for n, piece in ipairs(pieces) do
        rc = C.inflater_push(i, core.copy(piece), #piece, n == #pieces, max_len or 2 ^ 30, out)
        assert.is_true(tonumber(out.len) <= (max_len or 2 ^ 30))
        if rc ~= 0 then
            break
        end
    end
    return core.string(out), core.name(rc)
end

-- The same however the payload is cut, on an inflater of its own each time.
local function assert_inflates(payload, expected, result, max_len)
    if payload == "" then
        local text, rc = inflate_pieces(inflater(), { "" }, max_len)
        assert.are.same({ expected, result or 0 }, { text, rc })
    end
    core.split(payload, function(pieces, how)
        local text, rc = inflate_pieces(inflater(), pieces, max_len)
        assert.are.equal(result or 0, rc, how)
        if expected then
            assert.are.equal(expected, text, how)
        end
    end)
end

local function noise(len, seed)
    math.randomseed(seed)
    local bytes = {}
    for i = 1, len do
        bytes[i] = string.char(math.random(0, 255))
    end
    return table.concat(bytes)
end

describe("inflater", function()
    it("RFC 7692 §7.2.3.1 reads a message of one block", function()
        assert_inflates(hex "f2 48 cd c9 c9 07 00", "Hello")
    end)

    it("RFC 7692 §7.2.3.2 reads a message that refers to the one before", function()
        local i = inflater()
        assert.are.equal("Hello", (inflate_pieces(i, { hex "f2 48 cd c9 c9 07 00" })))
        assert.are.equal("Hello", (inflate_pieces(i, { hex "f2 00 11 00 00" })))
    end)

    it("RFC 7692 §7.2.3.2 refuses that message when the window was forgotten", function()
        local i = inflater()
        assert.are.equal("Hello", (inflate_pieces(i, { hex "f2 48 cd c9 c9 07 00" })))
        C.inflater_reset(i)
        assert.are.equal("ERR_PROTOCOL", select(2, inflate_pieces(i, { hex "f2 00 11 00 00" })))
    end)

    it("RFC 7692 §7.2.3.3 reads a block that is not compressed", function()
        assert_inflates(hex "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello")
    end)

    it("RFC 7692 §7.2.3.4 reads a block with BFINAL set", function()
        assert_inflates(hex "f3 48 cd c9 c9 07 00 00", "Hello")
    end)

    it("RFC 7692 §7.2.1 reads blocks after one with BFINAL set, with the same window", function()
        assert_inflates(hex "f3 48 cd c9 c9 07 00" .. hex "f2 00 11 00 00", "HelloHello")
        assert_inflates((hex "f3 48 cd c9 c9 07 00"):rep(3) .. "\0", "HelloHelloHello")
    end)

    it("RFC 7692 §7.2.3.4 takes a message that ends with its final block", function()
        assert_inflates(hex "f3 48 cd c9 c9 07 00", "Hello")
        local i = inflater()
        inflate_pieces(i, { hex "f3 48 cd c9 c9 07 00" })
        assert.are.equal("Hello", (inflate_pieces(i, { hex "f2 00 11 00 00" })))
    end)

    it("RFC 7692 §7.2.3.5 reads two blocks, an empty one between them", function()
        assert_inflates(hex "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello")
    end)

    it("RFC 7692 §7.2.3.6 reads the empty message", function()
        assert_inflates("\0", "")
        assert_inflates(hex "02 00", "")
        assert_inflates("", "")
    end)

    it("RFC 7692 §7.2.2 reads a message whose tail was left on", function()
        assert_inflates(hex "f2 48 cd c9 c9 07 00 00 00 ff ff", "Hello")
    end)

    it("RFC 7692 §7.2.2 reads trailing empty blocks", function()
        local empty = hex "00 00 00 ff ff"
        assert_inflates(hex "f2 48 cd c9 c9 07 00 00 00 ff ff" .. empty:rep(5) .. "\0", "Hello")
    end)

    for name, payload in pairs {
        ["a reserved block type"] = hex "07 00",
        ["a stored length without its complement"] = hex "00 05 00 fa fe 48 65 6c 6c 6f 00",
        ["a distance before the first byte"] = hex "f2 00 11 00 00",
        ["bytes that are no block at all"] = ("\255"):rep(10),
        ["text that was never compressed"] = "Hello, World!",
    } do
        it("RFC 7692 §7.2.2 refuses " .. name, function()
            assert_inflates(payload, nil, "ERR_PROTOCOL")
        end)
    end

    it("RFC 7692 §7.2.2 refuses a message that ends within a block", function()
        local payload = compress(deflater(), ("What ends too early, is not whole. "):rep(20))
        for len = 1, #payload - 1 do
            local _, rc = inflate_pieces(inflater(), { payload:sub(1, len) })
            assert.are.equal("ERR_PROTOCOL", rc, len)
        end
        assert_inflates(hex "00 05 00 fa ff 48 65", nil, "ERR_PROTOCOL")
    end)

    it("RFC 6455 §10.4 lets a message of max_len through and not one byte more", function()
        for _, len in ipairs { 1, 2, 511, 512, 513, 4000 } do
            local text = ("ab"):rep(len / 2) .. ("c"):rep(len % 2)
            local payload = compress(deflater(), text)
            assert_inflates(payload, text, 0, len)
            assert_inflates(payload, text:sub(1, len - 1), "ERR_TOO_BIG", len - 1)
        end
    end)

    it("RFC 6455 §10.4 takes no memory for what a bomb would become", function()
        local out = core.new("struct buffer", C.buffer_deinit)
        local bomb = compress(deflater(), ("\0"):rep(2 ^ 24))
        assert.is_true(#bomb < 20000)
        local rc = C.inflater_push(inflater(), core.copy(bomb), #bomb, true, 100000, out)
        assert.are.equal("ERR_TOO_BIG", core.name(rc))
        assert.is_true(tonumber(out.cap) <= 150000)
    end)

    it("RFC 7692 §7.2.2 lets out all that a piece holds, whatever room there was", function()
        for before = 0, 40 do
            local payload = compress(deflater(), noise(before * 7, 1) .. ("a"):rep(2000))
            for cut = #payload - 12, #payload do
                local outs = {}
                for way, room in ipairs { 0, 100000 } do
                    local out = core.new("struct buffer", C.buffer_deinit)
                    assert.are.equal(0, C.buffer_reserve(out, room))
                    local rc = C.inflater_push(inflater(), core.copy(payload:sub(1, cut)), cut,
                        false, 100000, out)
                    assert.are.equal(0, rc)
                    outs[way] = core.string(out)
                end
                assert.is_true(#outs[1] > before * 7)
                assert.are.equal(#outs[2], #outs[1])
            end
        end
    end)

    it("appends to what the buffer holds", function()
        local out = core.new("struct buffer", C.buffer_deinit)
        local i = inflater()
        for _ = 1, 3 do
            local payload = hex "f2 48 cd c9 c9 07 00"
            assert.are.equal(0, C.inflater_push(i, core.copy(payload), #payload, true, 100, out))
        end
        assert.are.equal("HelloHelloHello", core.string(out))
    end)
end)

describe("deflater", function()
    it("RFC 7692 §7.2.1 removes the tail: the example of §7.2.3.1", function()
        assert.are.equal(hex "f2 48 cd c9 c9 07 00", compress(deflater(), "Hello"))
    end)

    it("RFC 7692 §7.2.3.2 refers to the message before, if it may", function()
        local d = deflater()
        compress(d, "Hello", true)
        assert.are.equal(hex "f2 00 11 00 00", compress(d, "Hello", true))
    end)

    it("RFC 7692 §7.1.1.1 starts from an empty window, if it must", function()
        local d = deflater()
        compress(d, "Hello", true)
        assert.are.equal(hex "f2 48 cd c9 c9 07 00", compress(d, "Hello", false))
        C.deflater_reset(d)
        assert.are.equal(hex "f2 48 cd c9 c9 07 00", compress(d, "Hello", true))
    end)

    it("RFC 7692 §7.2.3.6 writes the empty message as one octet, again and again", function()
        local d = deflater()
        for _ = 1, 3 do
            assert.are.equal("\0", compress(d, "", true))
        end
        assert.are.equal(hex "f2 48 cd c9 c9 07 00", compress(d, "Hello", true))
        assert.are.equal("\0", compress(d, "", true))
        assert.are.equal("\0", compress(d, "", false))
    end)

    for bits = 9, 15 do
        it("RFC 7692 §7.1.2 keeps to a window of " .. bits .. " bits", function()
            -- The same block of noise returns just within the window and just beyond it.
            local block = noise(200, bits)
            local far = block .. noise(2 ^ bits, bits + 1) .. block
            for _, keep in ipairs { true, false } do
                local d, i = deflater(bits), inflater(bits)
                for _, text in ipairs { far, block, "", far:sub(1, 3000), ("x"):rep(100000) } do
                    if not keep then
                        C.inflater_reset(i)
                    end
                    local payload = compress(d, text, keep)
                    local back, rc = inflate_pieces(i, { payload:sub(1, 7), payload:sub(8) })
                    assert.are.equal(0, rc)
                    assert.is_true(back == text)
                end
            end
            -- No distance is longer than the window: a fresh inflater that has seen only the last
            -- window's bytes reads on.
            local d, i = deflater(bits), inflater()
            compress(d, noise(2 ^ 15, 7) .. block, true)
            local seen = noise(2 ^ 15, 7):sub(-(2 ^ bits - #block)) .. block
            inflate_pieces(i, { compress(deflater(), seen) })
            local back, rc = inflate_pieces(i, { compress(d, block .. far, true) })
            assert.are.equal(0, rc)
            assert.is_true(back == block .. far)
        end)
    end

    it("RFC 7692 §7.1.2 does a window of 8 bits with the next larger", function()
        local text = ("abc"):rep(300)
        local back = inflate_pieces(inflater(8), { compress(deflater(8), text) })
        assert.are.equal(text, back)
    end)

    it("RFC 7692 §7.2.1 compresses at every level and memory level", function()
        local text = ("The moon is a wire. "):rep(500) .. noise(5000, 1)
        for level = 1, 9 do
            local payload = compress(deflater(15, level, 10 - level), text)
            assert.is_true(#payload < #text)
            assert.is_true(text == inflate_pieces(inflater(), { payload }))
        end
    end)

    it("RFC 7692 §7.2.1 compresses messages whose output fills the buffer to the byte", function()
        for len = 480, 540 do
            local text = noise(len, len)
            local back, rc = inflate_pieces(inflater(), { compress(deflater(), text) })
            assert.are.equal(0, rc)
            assert.is_true(back == text)
        end
    end)

    it("RFC 7692 §7.2.1 compresses a large message that does not shrink", function()
        local text = noise(700000, 5)
        local back = inflate_pieces(inflater(), { compress(deflater(), text) })
        assert.is_true(back == text)
    end)

    it("says about how much memory it holds", function()
        assert.are.equal(2 ^ 17 + 2 ^ 17 + 8192, tonumber(C.deflater_memory(15, 8)))
        assert.are.equal(2 ^ 11 + 2 ^ 10 + 8192, tonumber(C.deflater_memory(9, 1)))
        assert.are.equal(C.deflater_memory(9, 1), C.deflater_memory(8, 1))
        assert.are.equal(2 ^ 15 + 8192, tonumber(C.inflater_memory(15)))
        assert.are.equal(2 ^ 9 + 8192, tonumber(C.inflater_memory(9)))
        assert.are.equal(2 ^ 9 + 8192, tonumber(C.inflater_memory(8)))
    end)
end)

describe("deflaters", function()
    local all

    before_each(function()
        all = core.new("struct deflaters", C.deflaters_deinit)
    end)

    local function pack(text, bits, level, memory)
        local out = core.new("struct buffer", C.buffer_deinit)
        assert.are.equal(0, C.deflaters_message(all, bits or 15, level or 6, memory or 8,
            core.copy(text), #text, out))
        return core.string(out)
    end

    -- Words of a small vocabulary: much repeats, nothing regularly.
    local function chatter(len, seed)
        local words = {}
        math.randomseed(seed)
        for i = 1, len / 4 do
            words[i] = ("%c%c%c "):format(97 + math.random(0, 9), 97 + math.random(0, 3), 97)
        end
        return table.concat(words):sub(1, len)
    end

    local sizes = { 1, 2, 10, 63, 64, 300, 1024, 4095, 4096, 4097, 5000, 20000, 32768, 32769,
        70000 }

    it("RFC 7692 §7.2.1 compress messages of every kind, at every level", function()
        for level = 1, 9 do
            for _, len in ipairs(sizes) do
                for kind, text in ipairs { chatter(len, level), noise(len, len), ("x"):rep(len) } do
                    local payload = pack(text, 15, level)
                    for at = 1, 3 do
                        local pieces = { payload:sub(1, at * 2), payload:sub(at * 2 + 1) }
                        local back, rc = inflate_pieces(inflater(), pieces)
                        assert.are.equal(0, rc, level .. " " .. len .. " " .. kind)
                        assert.is_true(back == text)
                    end
                end
            end
        end
    end)

    it("RFC 7692 §7.2.1 end in a block that is not final, so that others can go on", function()
        for _, len in ipairs(sizes) do
            -- One inflater that is never reset, and the window of which is not ours.
            local i = inflater()
            for round = 1, 3 do
                local text = chatter(len, round)
                local payload = pack(text, 15, round)
                assert.are.equal(0, payload:byte() % 2)
                local back, rc = inflate_pieces(i, { payload })
                assert.are.equal(0, rc)
                assert.is_true(back == text)
            end
        end
    end)

    it("RFC 7692 §7.1.1.1 know nothing of the message before", function()
        for _, len in ipairs(sizes) do
            local first = pack(chatter(len, 1))
            pack(chatter(len, 2))
            assert.is_true(first == pack(chatter(len, 1)))
        end
    end)

    it("RFC 7692 §7.1.2 keep to the window", function()
        for bits = 9, 15 do
            local block = noise(100, bits)
            for _, between in ipairs { 2 ^ bits - 200, 2 ^ bits - 99, 2 ^ bits, 2 ^ 12, 33000 } do
                local text = block .. noise(between, bits + 1) .. block
                local payload = pack(text, bits, 1)
                -- The last match comes when no more than the window is left of what was before.
                local back, rc = inflate_pieces(inflater(bits), { payload:sub(1, -9),
                    payload:sub(-8) })
                assert.are.equal(0, rc)
                assert.is_true(back == text)
            end
        end
    end)

    it("RFC 7692 §7.2.3.6 write the empty message as one octet", function()
        assert.are.equal("\0", pack "")
        assert.are.equal("\0", pack "")
    end)

    it("append to what the buffer holds", function()
        local out = core.new("struct buffer", C.buffer_deinit)
        assert.are.equal(0, C.buffer_append(out, core.copy "before", 6))
        for _, text in ipairs { chatter(500, 1), chatter(50000, 1) } do
            out.len = 6
            assert.are.equal(0, C.deflaters_message(all, 15, 1, 8, core.copy(text), #text, out))
            assert.are.equal("before" .. pack(text, 15, 1), core.string(out))
        end
    end)

    it("make room for those that are asked for", function()
        for round = 1, 3 do
            for bits = 9, 15 do
                local text = chatter(2 ^ bits + 1, round)
                local payload = pack(text, bits, 1 + round, 9 - round)
                assert.is_true(text == inflate_pieces(inflater(bits), { payload }))
            end
        end
    end)
end)

describe("inflater_message", function()
    -- As inflater_push makes of it, and the data as it was.
    local function assert_same(payload, max_len)
        local expected, result = inflate_pieces(inflater(), { payload }, max_len)
        local out = core.new("struct buffer", C.buffer_deinit)
        local i, data = inflater(), core.copy(payload)
        for _ = 1, result == 0 and 2 or 1 do
            out.len = 0
            local rc = C.inflater_message(i, data, #payload, max_len or 2 ^ 30, out)
            assert.are.equal(result, core.name(rc))
            assert.is_true(expected == core.string(out))
            assert.is_true(payload == core.string(data, #payload))
            C.inflater_reset(i)
        end
        return result
    end

    local text = ("The moon is a wire; %d. "):rep(100):gsub("%%d", function()
        return tostring(math.random(1000))
    end)

    it("RFC 7692 §7.2.3 inflates every kind of block, and several", function()
        for _, payload in ipairs { "", "\0", hex "02 00", hex "f2 48 cd c9 c9 07 00",
            hex "00 05 00 fa ff 48 65 6c 6c 6f 00", hex "f3 48 cd c9 c9 07 00 00",
            hex "f3 48 cd c9 c9 07 00", hex "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
            hex "f2 48 cd c9 c9 07 00 00 00 ff ff", hex "f3 48 cd c9 c9 07 00 f2 00 11 00 00",
            compress(deflater(), text), compress(deflater(), noise(3000, 1)),
            compress(deflater(15, 6, 1), text:rep(20)),
            compress(deflater(), text) .. hex "00 00 ff ff" .. compress(deflater(), text) } do
            assert.are.equal(0, assert_same(payload))
        end
    end)

    it("RFC 7692 §7.2.2 refuses what is cut, or longer than it should be", function()
        local payload = compress(deflater(), text)
        local d = deflater()
        local two = compress(d, text, true) .. hex "00 00 ff ff" .. compress(d, text, true)
        for _, whole in ipairs { payload, two } do
            for len = 1, #whole - 1 do
                assert_same(whole:sub(1, len))
            end
        end
        assert.are.equal("ERR_PROTOCOL", assert_same(payload:sub(1, -2)))
        for _, more in ipairs { "\0", "\1", "\255", "\0\0" } do
            assert.are.equal("ERR_PROTOCOL", assert_same(payload .. more))
        end
    end)

    it("RFC 7692 §7.2.2 refuses what inflater_push refuses, wherever a bit is wrong", function()
        for len = 60, 70 do -- the block ends at another bit each time
            local payload = compress(deflater(), text:sub(1, len * 5))
            for at = 1, #payload do
                local byte = payload:byte(at)
                for n = 0, 7 do
                    local wrong = string.char(bit.bxor(byte, 2 ^ n))
                    assert_same(payload:sub(1, at - 1) .. wrong .. payload:sub(at + 1))
                end
            end
        end
    end)

    it("RFC 7692 §8 lets a message of max_len through and not one byte more", function()
        for _, data in ipairs { text, ("x"):rep(100000) .. text } do
            local payload = compress(deflater(), data)
            assert.are.equal(0, assert_same(payload, #data))
            for _, less in ipairs { 1, 2, #data - 1, #data } do
                assert.are.equal("ERR_TOO_BIG", assert_same(payload, #data - less))
            end
        end
    end)
end)
