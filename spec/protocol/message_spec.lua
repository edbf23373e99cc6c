-- Messages from frames: their sequence, fragments and control frames (RFC 6455 §5), and the reader.
-- What they hold: message_content_spec.lua; compressed ones: message_deflate_spec.lua.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local frame = require "spec.support.frame"
local message = require "spec.support.message"
local C = core.C

local TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG =
    frame.TEXT, frame.BINARY, frame.CONTINUATION, frame.CLOSE, frame.PING, frame.PONG
local encode, encode_all, compress, new_rules =
    message.encode, message.encode_all, message.compress, message.rules
local new_reader, read_pieces, split, expect =
    message.reader, message.read_pieces, message.split, message.expect
local seen_after, big_endian, close, kinds =
    message.seen_after, frame.big_endian, frame.close, message.kinds
local deflate = message.deflate

describe("message", function()
    describe("in frames", function()
        it("§5.7 reads a text, whole and in two fragments", function()
            expect({ { TEXT, "Hello" } }, { "text:Hello" })
            expect({ { TEXT, "Hel", fin = false }, { CONTINUATION, "lo" } }, { "text:Hello" })
        end)

        for _, len in ipairs { 0, 1, 125, 126, 127, 65535, 65536, 200000 } do
            it("§5.2 reads messages of " .. len .. " bytes", function()
                expect({ { BINARY, ("\254"):rep(len) } }, { "binary:" .. ("\254"):rep(len) })
                expect({ { TEXT, ("x"):rep(len) }, { TEXT, "y" } },
                    { "text:" .. ("x"):rep(len), "text:y" })
            end)
        end

        it("§5.2 reads several messages from one input", function()
            local frames, messages = {}, {}
            for i = 1, 20 do
                frames[i] = { i % 2 + 1, tostring(i) }
                messages[i] = kinds[i % 2 + 1] .. ":" .. i
            end
            expect(frames, messages)
        end)

        it("§5.1 refuses a client's frame that is not masked, at its second byte", function()
            for _, opcode in ipairs { TEXT, BINARY, CLOSE, PING, PONG } do
                local bytes = encode({ opcode, "Hello" }, false)
                core.split(bytes, function(pieces)
                    local _, failure, why = read_pieces(pieces)
                    assert.are.equal("ERR_PROTOCOL", failure)
                    assert.are.equal("a client's frame is not masked", why)
                end)
                assert.are.equal(2, (seen_after(bytes)))
            end
        end)

        it("§5.1 refuses a server's frame that is masked, at its second byte", function()
            for _, opcode in ipairs { TEXT, BINARY, CLOSE, PING, PONG } do
                local bytes = encode({ opcode, "Hello" }, true)
                core.split(bytes, function(pieces)
                    local _, failure, why = read_pieces(pieces, { from_client = false })
                    assert.are.equal("ERR_PROTOCOL", failure)
                    assert.are.equal("a server's frame is masked", why)
                end)
                assert.are.equal(2, (seen_after(bytes, { from_client = false })))
            end
        end)

        it("§5.2 refuses RSV1 when no compression was agreed, at the first byte", function()
            expect({ { TEXT, "a" }, { TEXT, "Hello", rsv1 = true } }, { "text:a" }, "ERR_PROTOCOL",
                "RSV1 is set, but no compression was agreed")
            assert.are.equal(1, (seen_after "\193"))
        end)

        it("§5.2 refuses RSV2 and RSV3, also when compression was agreed", function()
            for _, first in ipairs { 0xa1, 0x91, 0xb1, 0xe1, 0xa9, 0x90 } do
                expect({ string.char(first) }, {}, "ERR_PROTOCOL",
                    "a reserved bit (RSV2 or RSV3) is set", deflate)
            end
        end)

        it("§5.2 refuses every reserved opcode at the first byte", function()
            for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
                expect({ { TEXT, "a" }, { opcode, "b" } }, { "text:a" }, "ERR_PROTOCOL",
                    "a frame has a reserved opcode")
                assert.are.equal(1, (seen_after(string.char(128 + opcode))))
            end
        end)

        it("§5.2 refuses such a length of a whole message too", function()
            for _, from_client in ipairs { true, false } do
                for len = 0, 126 do
                    local reader = new_reader { from_client = from_client }
                    local failure = reader:feed("\130" .. (from_client and "\254" or "\126") .. "\0"
                        .. string.char(len) .. (from_client and "\0\0\0\0" or "") .. ("a"):rep(len))
                    assert.are.equal(len < 126 and "ERR_PROTOCOL" or nil, failure)
                    assert.are.equal(len < 126 and 0 or 1, #reader.messages)
                end
            end
        end)

        it("§5.2 refuses a length that is not in the fewest bytes", function()
            for _, from_client in ipairs { true, false } do
                local mask = from_client and 128 or 0
                for _, head in ipairs { "\129" .. string.char(mask + 126) .. "\0\125",
                    "\129" .. string.char(mask + 127) .. big_endian(65535, 8) } do
                    split(head .. "\0\0\0\0", function(pieces)
                        local _, failure, why = read_pieces(pieces, { from_client = from_client })
                        assert.are.equal("ERR_PROTOCOL", failure)
                        assert.are.equal("a frame's length is not encoded in the fewest bytes", why)
                    end)
                end
            end
        end)

        it("§5.2 refuses a length with its top bit set before all of it came", function()
            assert.are.equal(3, (seen_after("\130\255" .. big_endian(2 ^ 63, 8))))
        end)

        it("§5.2 reports the fault of the earlier byte when a header has two", function()
            -- Not masked and not minimal: the mask bit comes first.
            split("\129\126\0\1aaaa", function(pieces)
                local _, _, why = read_pieces(pieces)
                assert.are.equal("a client's frame is not masked", why)
            end)
            -- A continuation of nothing, and not masked.
            split("\128\1a", function(pieces)
                local _, _, why = read_pieces(pieces)
                assert.are.equal("a continuation frame without a message to continue", why)
            end)
        end)
    end)

    describe("in fragments", function()
        it("§5.4 joins any number, empty ones too", function()
            expect({ { TEXT, "", fin = false }, { CONTINUATION, "" } }, { "text:" })
            expect({ { BINARY, "", fin = false }, { CONTINUATION, "ab", fin = false },
                { CONTINUATION, "", fin = false }, { CONTINUATION, "cd", fin = false },
                { CONTINUATION, "" } }, { "binary:abcd" })
            expect({ { TEXT, "", fin = false }, { CONTINUATION, "", fin = false },
                { CONTINUATION, "ab" }, { TEXT, "c" } }, { "text:ab", "text:c" })
        end)

        it("§5.4 joins fragments of one byte", function()
            local frames = { { TEXT, "k", fin = false } }
            for c in ("αβγδ"):gmatch "." do
                frames[#frames + 1] = { CONTINUATION, c, fin = false }
            end
            frames[#frames + 1] = { CONTINUATION, "!" }
            expect(frames, { "text:kαβγδ!" })
        end)

        it("§5.4 joins long fragments", function()
            expect({ { BINARY, ("a"):rep(70000), fin = false }, { CONTINUATION, ("b"):rep(300),
                fin = false }, { CONTINUATION, ("c"):rep(70000) } },
                { "binary:" .. ("a"):rep(70000) .. ("b"):rep(300) .. ("c"):rep(70000) })
        end)

        it("§5.4 returns control frames between fragments at once, in order", function()
            expect({ { TEXT, "a", fin = false }, { PING, "1" }, { CONTINUATION, "b", fin = false },
                { PONG, "" }, { PING, "" }, { CONTINUATION, "c" }, { PING, "2" } },
                { "ping:1", "pong:", "ping:", "text:abc", "ping:2" })
        end)

        it("§5.4 refuses a continuation of nothing, at its first byte", function()
            local why = "a continuation frame without a message to continue"
            expect({ { CONTINUATION, "a" } }, {}, "ERR_PROTOCOL", why)
            expect({ { CONTINUATION, "a", fin = false } }, {}, "ERR_PROTOCOL", why)
            expect({ { TEXT, "a" }, { CONTINUATION, "b" } }, { "text:a" }, "ERR_PROTOCOL", why)
            expect({ { TEXT, "a", fin = false }, { CONTINUATION, "b" }, { CONTINUATION, "c" } },
                { "text:ab" }, "ERR_PROTOCOL", why)
            assert.are.equal(1, (seen_after "\128"))
        end)

        it("§5.4 refuses a new message before the last one ended, at its first byte", function()
            local why = "a new message begins before the last one ended"
            for _, opcode in ipairs { TEXT, BINARY } do
                expect({ { TEXT, "a", fin = false }, { opcode, "b" } }, {}, "ERR_PROTOCOL", why)
                expect({ { BINARY, "", fin = false }, { PING, "" }, { opcode, "b", fin = false } },
                    { "ping:" }, "ERR_PROTOCOL", why)
            end
            assert.are.equal(8, (seen_after(encode({ TEXT, "a", fin = false }, true) .. "\129")))
        end)
    end)

    describe("in control frames", function()
        it("§5.5.2 and §5.5.3 return pings and pongs with their payloads", function()
            for _, len in ipairs { 0, 1, 124, 125 } do
                local payload = ("\255"):rep(len)
                expect({ { PING, payload }, { PONG, payload } },
                    { "ping:" .. payload, "pong:" .. payload })
            end
        end)

        it("§5.5 refuses a fragmented control frame at its first byte", function()
            for _, opcode in ipairs { CLOSE, PING, PONG } do
                expect({ { opcode, "", fin = false } }, {}, "ERR_PROTOCOL",
                    "a control frame is fragmented")
                assert.are.equal(1, (seen_after(string.char(opcode))))
            end
        end)

        it("§5.5 refuses a control frame longer than 125 bytes at its second byte", function()
            for _, opcode in ipairs { CLOSE, PING, PONG } do
                expect({ { opcode, ("a"):rep(126) } }, {}, "ERR_PROTOCOL",
                    "a control frame is longer than 125 bytes")
                assert.are.equal(2, (seen_after(encode({ opcode, ("a"):rep(126) }, true))))
            end
        end)

        it("RFC 7692 §6.1 refuses a compressed control frame", function()
            for _, opcode in ipairs { CLOSE, PING, PONG } do
                expect({ { opcode, "", rsv1 = true } }, {}, "ERR_PROTOCOL",
                    "a control frame has RSV1 set", deflate)
            end
        end)
    end)

    describe("that closes", function()
        it("§5.5.1 is returned with its code and reason", function()
            expect({ { CLOSE, "" } }, { "close 1005:" })
            expect({ { CLOSE, close(1000) } }, { "close 1000:" })
            expect({ { TEXT, "a" }, { CLOSE, close(4999, "tschüß") } },
                { "text:a", "close 4999:tschüß" })
            expect({ { CLOSE, close(1001, ("é"):rep(61) .. "!") } },
                { "close 1001:" .. ("é"):rep(61) .. "!" })
        end)

        it("§5.5.1 is the last: what follows is consumed, whatever it is", function()
            for _, rest in ipairs { { TEXT, "late" }, { CLOSE, close(1000) }, { PING, "" },
                "\255\255\255", "GET / HTTP/1.1" } do
                expect({ { CLOSE, close(1000, "bye") }, rest, rest }, { "close 1000:bye" })
            end
        end)

        it("§5.5.1 ends a message under way and lets its memory go", function()
            expect({ { TEXT, "never whole", fin = false }, { CLOSE, close(1001) },
                { CONTINUATION, "late" } }, { "close 1001:" })
            local reader = read_pieces({ encode_all({ { BINARY, ("x"):rep(50000), fin = false },
                { CLOSE, close(1000) } }, true) })
            assert.is_true(reader:held() < 500)
            reader = read_pieces({ encode_all({ { TEXT, compress "Hello", rsv1 = true },
                { CLOSE, close(1000) } }, true) }, { compressed = true })
            assert.is_true(reader.c.inflater == nil)
        end)

        it("§5.5.1 refuses a payload of one byte at its header", function()
            expect({ { CLOSE, "\3" } }, {}, "ERR_PROTOCOL",
                "a close frame holds one byte, which is no code")
            assert.are.equal(2, (seen_after(encode({ CLOSE, "\3" }, true))))
        end)

        it("§7.4 refuses codes that must not be sent, as soon as they are there", function()
            for _, n in ipairs { 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535 } do
                expect({ { CLOSE, close(n, "reason") } }, {}, "ERR_PROTOCOL",
                    "a close frame has a code that must not be sent")
                assert.are.equal(8, (seen_after(encode({ CLOSE, close(n, "reason") }, true))))
            end
        end)

        it("§7.4 takes every code that may be sent", function()
            for _, n in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                1014, 3000, 3999, 4000, 4999 } do
                expect({ { CLOSE, close(n) } }, { ("close %d:"):format(n) })
            end
        end)

        it("§8.1 refuses a reason that is not UTF-8, at its first bad byte", function()
            local bad = { CLOSE, close(1000, "ab\237\160\128cd") }
            expect({ bad }, {}, "ERR_UTF8", "a close reason is not UTF-8")
            assert.are.equal(6 + 2 + 4, (seen_after(encode(bad, true))))
            expect({ { CLOSE, close(1000, "ab\226\130") } }, {}, "ERR_UTF8")
        end)
    end)

    describe("in place", function()
        local function read_one(bytes, options)
            local data = core.copy(bytes)
            local reader = core.new("struct message_reader", C.message_reader_deinit)
            local at, left = ffi.new("uint8_t *[1]", { data }), ffi.new("size_t[1]", #bytes)
            local m, why = ffi.new "struct message", ffi.new "const char *[1]"
            assert.are.equal(1, C.message_read(reader, new_rules(options), at, left, m, why))
            return m, data, reader, at[0]
        end

        it("returns a whole frame's payload inside the input, and stops after it", function()
            for _, opcode in ipairs { TEXT, BINARY, PING, CLOSE } do
                local payload = opcode == CLOSE and close(1000, "bye") or "Hello"
                local bytes = encode({ opcode, payload }, true)
                local m, data, reader, at = read_one(bytes .. bytes)
                assert.is_true(m.block == nil)
                assert.is_true(m.data == data + 6 + (opcode == CLOSE and 2 or 0))
                assert.is_true(at == data + #bytes)
                assert.are.equal(opcode == CLOSE, reader.partial ~= nil)
                assert.is_true(reader.inflater == nil)
            end
        end)

        it("or else returns it in a block of its own, which is the caller's", function()
            for _, list in ipairs {
                { { TEXT, "Hel", fin = false }, { CONTINUATION, "lo" } },
                { { TEXT, compress "Hello", rsv1 = true } },
            } do
                local m = read_one(encode_all(list, true), deflate)
                assert.is_true(m.block ~= nil and m.data == m.block + C.MESSAGE_HEAD_ROOM)
                assert.are.equal("Hello", ffi.string(m.data, m.len))
                ffi.C.free(m.block)
            end
        end)

        it("leaves the bytes of the next frame as they came", function()
            local bytes = encode({ TEXT, "Hello" }, true)
            local _, data = read_one(bytes .. bytes)
            assert.are.equal(bytes, ffi.string(data + #bytes, #bytes))
        end)
    end)

    describe("read straight from the socket", function()
        -- Feeds the rest of a message into the reader's own memory.
        local function fill(reader, rest, most)
            local into = ffi.new "uint8_t *[1]"
            local direct = 0
            while #rest > 0 do
                local room = tonumber(C.message_space(reader.c, into))
                local n = math.min(room, most, #rest)
                if n > 0 then
                    ffi.copy(into[0], rest, n)
                    C.message_filled(reader.c, n)
                    direct = direct + n
                    local failure, why = reader:read(nil, 0)
                    if failure then
                        return direct, failure, why
                    end
                else
                    n = math.min(#rest, most)
                    reader:feed(rest:sub(1, n))
                end
                rest = rest:sub(n + 1)
            end
            return direct
        end

        it("gives the same message, from any place and in any portion", function()
            local text = ("aé日🌙"):rep(20000)
            for _, from_client in ipairs { true, false } do
                local bytes = encode({ TEXT, text }, from_client)
                for _, start in ipairs { 14, 15, 1000, 50001, 65536, 190000 } do
                    for _, most in ipairs { 1013, 16384, 1e6 } do
                        local reader = new_reader { from_client = from_client }
                        reader:feed(bytes:sub(1, start))
                        local direct = fill(reader, bytes:sub(start + 1), most)
                        assert.is_true(direct > #bytes - start - 2 * 16384 - most)
                        assert.are.equal(1, #reader.messages)
                        assert.is_true(reader.messages[1] == "text:" .. text)
                        assert.are.equal(0, reader:held())
                    end
                end
            end
        end)

        it("§8.1 refuses bad UTF-8 with the portion in which it comes", function()
            local bytes = encode({ TEXT, ("a"):rep(50000) .. "\255" .. ("a"):rep(50000) }, true)
            local reader = new_reader()
            reader:feed(bytes:sub(1, 20))
            local direct, failure = fill(reader, bytes:sub(21), 4096)
            assert.are.equal("ERR_UTF8", failure)
            assert.is_true(direct > 50000 - 4096 and direct < 50000 + 4096)
        end)

        it("takes two portions before they are looked at", function()
            local bytes = encode({ BINARY, ("abcde"):rep(10000) }, true)
            local reader = new_reader()
            reader:feed(bytes:sub(1, 9))
            local into = ffi.new "uint8_t *[1]"
            for _, cut in ipairs { { 10, 21 }, { 22, 34 } } do
                assert.are.equal(#bytes - cut[1] + 1, tonumber(C.message_space(reader.c, into)))
                local part = bytes:sub(unpack(cut))
                ffi.copy(into[0], part, #part)
                C.message_filled(reader.c, #part)
            end
            reader:feed(bytes:sub(35))
            assert.is_true(reader.messages[1] == "binary:" .. ("abcde"):rep(10000))
        end)

        it("offers no more room than the frame has left, also when there is more", function()
            local reader = read_pieces({ encode_all({ { BINARY, ("a"):rep(70000), fin = false },
                { CONTINUATION, "b", len = 20000 } }, true) })
            local into = ffi.new "uint8_t *[1]"
            for left = 19999, 17000, -1000 do
                assert.are.equal(left, tonumber(C.message_space(reader.c, into)))
                C.message_filled(reader.c, 1000)
            end
        end)

        it("offers no room but for a long data frame under way that is not compressed", function()
            local into = ffi.new "uint8_t *[1]"
            local function room(frames, options)
                local reader = read_pieces({ encode_all(frames, true) }, options)
                return tonumber(C.message_space(reader.c, into))
            end
            assert.are.equal(0, room {})
            assert.are.equal(0, room { { TEXT, "a", fin = false } })
            assert.are.equal(0, room { { TEXT, "a", len = 16384 } })
            assert.are.equal(16384, room { { TEXT, "a", len = 16385 } })
            assert.are.equal(0, room { { TEXT, "a", fin = false }, { PING, "a", len = 100 } })
            assert.are.equal(0, room { { CLOSE, "" }, { TEXT, "a", len = 20000 } })
            assert.are.equal(0,
                room({ { BINARY, compress "a", len = 20000, rsv1 = true } }, deflate))
        end)
    end)

    describe("and its reader", function()
        it("owns nothing when it is idle, and may be deinited twice", function()
            local reader = core.new "struct message_reader"
            assert.are.equal(2 * ffi.sizeof "void *", ffi.sizeof(reader))
            assert.are.equal(0, tonumber(C.message_held(reader)))
            C.message_reader_deinit(reader)
            C.message_reader_deinit(reader)
        end)

        it("has a word of the caller's for the message under way, and for no other", function()
            local reader = read_pieces {}
            local function mark()
                local word = C.message_mark(reader.c)
                return word ~= nil and word or nil
            end
            assert.is_nil(mark())
            local bytes = encode_all({ { TEXT, "abc", fin = false }, { PING, "payload" },
                { CONTINUATION, "d" } }, true)
            reader:feed(bytes:sub(1, 1))
            assert.are.equal(0, mark()[0])
            mark()[0] = 7
            reader:feed(bytes:sub(2, 12)) -- the Ping in the middle of it begins
            assert.are.equal(7, mark()[0])
            reader:feed(bytes:sub(13, -2))
            assert.are.equal(7, mark()[0])
            reader:feed(bytes:sub(-1) .. bytes:sub(1, 1)) -- the end, and the next one's beginning
            assert.are.equal(0, mark()[0])
        end)

        it("may be deinited in the middle of anything", function()
            local bytes = encode_all({ { TEXT, "abc", fin = false }, { PING, "payload" },
                { CONTINUATION, "d" }, { BINARY, compress "squeezed", rsv1 = true },
                { CLOSE, close(1000, "bye") } }, true)
            for len = 0, #bytes do
                local reader = read_pieces({ bytes:sub(1, len) }, deflate)
                C.message_reader_deinit(ffi.gc(reader.c, nil))
                assert.is_true(reader.c.partial == nil and reader.c.inflater == nil)
            end
        end)

        it("takes an empty input at any time", function()
            local reader = new_reader()
            assert.is_nil(reader:read(nil, 0))
            local frames = { { TEXT, "ab", fin = false }, { CONTINUATION, "" }, { PING, "x" } }
            for c in encode_all(frames, true):gmatch "." do
                assert.is_nil(reader:feed(c))
                assert.is_nil(reader:read(nil, 0))
            end
            assert.are.same({ "text:ab", "ping:x" }, reader.messages)
        end)
    end)
end)
