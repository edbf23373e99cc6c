-- Compressed messages (RFC 7692), read from frames.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local frame = require "spec.support.frame"
local message = require "spec.support.message"
local C = core.C

local TEXT, BINARY, CONTINUATION, PING = frame.TEXT, frame.BINARY, frame.CONTINUATION, frame.PING
local encode, compress, new_reader, read_pieces =
    message.encode, message.compress, message.reader, message.read_pieces
local split, expect, seen_after, with =
    message.split, message.expect, message.seen_after, message.with
local hex, deflate = message.hex, message.deflate

describe("message", function()
    describe("compressed", function()
        local hello = hex "f2 48 cd c9 c9 07 00"

        it("RFC 7692 §6.2 is inflated, whole and in fragments", function()
            expect({ { TEXT, hello, rsv1 = true } }, { "text:Hello" }, nil, nil, deflate)
            for at = 0, #hello do
                expect({ { TEXT, hello:sub(1, at), fin = false, rsv1 = true }, { PING, "" },
                    { CONTINUATION, hello:sub(at + 1) } }, { "ping:", "text:Hello" }, nil, nil,
                    deflate)
            end
        end)

        it("RFC 7692 §6 goes with messages that are not compressed", function()
            expect({ { TEXT, "plain" }, { TEXT, hello, rsv1 = true }, { BINARY, "\255" } },
                { "text:plain", "text:Hello", "binary:\255" }, nil, nil, deflate)
        end)

        it("RFC 7692 §6.1 refuses RSV1 on a continuation, at its first byte", function()
            for _, first in ipairs { { TEXT, hello:sub(1, 2), fin = false, rsv1 = true },
                { TEXT, "a", fin = false } } do
                expect({ first, { CONTINUATION, hello:sub(3), rsv1 = true } }, {}, "ERR_PROTOCOL",
                    "RSV1 is set on a continuation frame", deflate)
            end
        end)

        it("RFC 7692 §7.1.1 may refer to messages before, if the peer keeps its window", function()
            local back = hex "f2 00 11 00 00"
            local frames =
                { { TEXT, hello, rsv1 = true }, { TEXT, "x" }, { TEXT, back, rsv1 = true } }
            expect(frames, { "text:Hello", "text:x", "text:Hello" }, nil, nil, deflate)
            expect(frames, { "text:Hello", "text:x" }, "ERR_PROTOCOL",
                "a compressed message is not valid DEFLATE data",
                with(deflate, "inflate_context", false))
        end)

        it("RFC 7692 §7.1.1 holds no window between messages, if the peer keeps none", function()
            for _, keeps in ipairs { true, false } do
                split(encode({ TEXT, hello, rsv1 = true }, true), function(pieces)
                    local reader =
                        read_pieces(pieces, { compressed = true, inflate_context = keeps })
                    assert.are.equal(keeps, reader.c.inflater ~= nil)
                    assert.is_true(reader.c.partial == nil)
                end)
            end
        end)

        describe("without a context", function()
            local texts = { "first", ("second "):rep(50), "", ("third, third; "):rep(300) }
            local spare

            before_each(function()
                spare = ffi.new "struct inflater *[1]"
            end)

            after_each(function()
                C.inflater_free(spare[0])
            end)

            local function reader_that_borrows()
                local reader = new_reader { compressed = true, inflate_context = false }
                reader.rules.spare = spare
                return reader
            end

            -- Half of one's message each, the other halves, and so on.
            local function pieces_of(text, cut)
                local bytes = encode({ TEXT, compress(text), rsv1 = true }, true)
                cut = math.min(cut, #bytes)
                return { bytes:sub(1, cut), bytes:sub(cut + 1) }
            end

            it("RFC 7692 §7.1.1 leaves its inflater for the next reader", function()
                local used
                for _, text in ipairs(texts) do
                    local reader = reader_that_borrows()
                    assert.is_nil((reader:feed(pieces_of(text, 1000)[1])))
                    assert.are.same({ "text:" .. text }, reader.messages)
                    assert.is_true(reader.c.inflater == nil)
                    assert.is_true(spare[0] ~= nil and (used == nil or used == spare[0]))
                    used = spare[0]
                end
            end)

            it("RFC 7692 §7.1.1 keeps it for an incomplete message, and others go on", function()
                for cut = 7, 12 do
                    local readers, rest = {}, {}
                    for i, text in ipairs { texts[1], texts[2], texts[4] } do
                        readers[i] = reader_that_borrows()
                        local pieces = pieces_of(text, cut)
                        rest[i] = pieces[2]
                        assert.is_nil((readers[i]:feed(pieces[1])))
                        assert.is_true(readers[i].c.inflater ~= nil)
                        assert.is_true(spare[0] == nil)
                    end
                    local whole = reader_that_borrows()
                    assert.is_nil((whole:feed(pieces_of("whole", 1000)[1])))
                    assert.are.same({ "text:whole" }, whole.messages)
                    for i, text in ipairs { texts[1], texts[2], texts[4] } do
                        assert.is_nil((readers[i]:feed(rest[i])))
                        assert.are.same({ "text:" .. text }, readers[i].messages)
                        assert.is_true(readers[i].c.inflater == nil)
                    end
                    C.inflater_free(spare[0])
                    spare[0] = nil
                end
            end)

            it("RFC 7692 §7.1.1 spoils nobody's by bad data", function()
                local bad = reader_that_borrows()
                assert.are.equal("ERR_PROTOCOL", (bad:feed(
                    encode({ TEXT, "\255\255\255\255", rsv1 = true }, true))))
                for _ = 1, 2 do
                    local good = reader_that_borrows()
                    assert.is_nil((good:feed(pieces_of("good", 1000)[1])))
                    assert.are.same({ "text:good" }, good.messages)
                end
                -- Nor does a window remain in what was left.
                local peeks = reader_that_borrows()
                local name = {}
                compress("good", name)
                assert.are.equal("ERR_PROTOCOL", (peeks:feed(
                    encode({ TEXT, compress("good", name), rsv1 = true }, true))))
            end)

            it("RFC 7692 §7.1.1 takes none where a context is kept", function()
                local reader = reader_that_borrows()
                reader.rules.inflate_context = true
                assert.is_nil((reader:feed(pieces_of("kept", 1000)[1])))
                assert.is_true(spare[0] == nil and reader.c.inflater ~= nil)
            end)
        end)

        it("RFC 7692 §7.2.2 is the same inflated at once and in pieces", function()
            local words = {}
            for i = 1, 3000 do
                words[i] = ("%x"):format(i * i * 7919 % 65521)
            end
            local long = table.concat(words, " ")
            local payload = compress(long)
            assert.is_true(#payload > 2000)
            for _, options in ipairs { deflate, with(deflate, "inflate_context", false) } do
                expect({ { TEXT, payload, rsv1 = true } }, { "text:" .. long }, nil, nil, options)
                expect({ { TEXT, payload:sub(1, -2), rsv1 = true } }, {}, "ERR_PROTOCOL",
                    "a compressed message is not valid DEFLATE data", options)
                expect({ { TEXT, payload, rsv1 = true } }, {}, "ERR_TOO_BIG",
                    "a compressed message is longer than the limit when inflated",
                    with(options, "message_bytes", #long - 1))
            end
        end)

        it("RFC 7692 §7.2.3 takes every kind of block", function()
            for _, payload in ipairs { hex "00 05 00 fa ff 48 65 6c 6c 6f 00",
                hex "f3 48 cd c9 c9 07 00 00", hex "f3 48 cd c9 c9 07 00",
                hex "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
                hex "f2 48 cd c9 c9 07 00 00 00 ff ff 00 00 00 ff ff 00" } do
                expect({ { TEXT, payload, rsv1 = true }, { TEXT, hello, rsv1 = true } },
                    { "text:Hello", "text:Hello" }, nil, nil, deflate)
            end
        end)

        it("RFC 7692 §7.2.3.6 may be empty", function()
            expect({ { TEXT, "\0", rsv1 = true }, { BINARY, "\0", rsv1 = true } },
                { "text:", "binary:" }, nil, nil, deflate)
            expect({ { TEXT, "", rsv1 = true, fin = false }, { CONTINUATION, "\0" } }, { "text:" },
                nil, nil, deflate)
            expect({ { TEXT, hello .. hex "00 00 ff ff", rsv1 = true, fin = false },
                { CONTINUATION, "" } }, { "text:Hello" }, nil, nil, deflate)
        end)

        it("RFC 7692 §7.2.2 refuses what is not DEFLATE, as soon as it shows", function()
            local why = "a compressed message is not valid DEFLATE data"
            expect({ { TEXT, "\255\255\255\255", rsv1 = true } }, {}, "ERR_PROTOCOL", why, deflate)
            expect({ { TEXT, hello:sub(1, 4), rsv1 = true } }, {}, "ERR_PROTOCOL", why, deflate)
            expect({ { TEXT, hello, rsv1 = true }, { TEXT, "Hello", rsv1 = true } },
                { "text:Hello" }, "ERR_PROTOCOL", why, deflate)
            assert.are.equal(7, (seen_after(encode({ TEXT, ("\255"):rep(50), rsv1 = true }, true),
                deflate)))
        end)

        it("§8.1 is checked for UTF-8 as it is inflated", function()
            for _, text in ipairs { "a\255b", "\237\160\128",
                ("é"):rep(50) .. "\192" .. ("a"):rep(50) } do
                expect({ { TEXT, compress(text), rsv1 = true } }, {}, "ERR_UTF8",
                    "a text message is not UTF-8", deflate)
                expect({ { BINARY, compress(text), rsv1 = true } }, { "binary:" .. text }, nil, nil,
                    deflate)
            end
            expect({ { TEXT, compress "ab\226\130", rsv1 = true } }, {}, "ERR_UTF8",
                "a text message ends within a character", deflate)
            -- A stored block shows its bytes as they come; the message is far from whole.
            local stored = hex "00 05 00 fa ff" .. "a\255bcd\0"
            local bytes = encode({ TEXT, stored, rsv1 = true }, true)
            assert.are.equal(6 + 7, (seen_after(bytes, deflate)))
            -- Bad text before bad DEFLATE is bad text, however it comes.
            expect({ { TEXT, stored:sub(1, 10) .. "\255\255", rsv1 = true } }, {}, "ERR_UTF8", nil,
                deflate)
        end)

        it("§8.1 may be cut within a character by its blocks", function()
            local text = ("日本🌙é"):rep(15)
            local payload = compress(text)
            expect({ { TEXT, payload, rsv1 = true } }, { "text:" .. text }, nil, nil, deflate)
        end)

        it("RFC 6455 §10.4 is limited while it is inflated", function()
            local why = "a compressed message is longer than the limit when inflated"
            for _, limit in ipairs { { compressed = true, message_bytes = 1000 },
                { compressed = true, message_bytes = 2 ^ 20, inflated_bytes = 1000 },
                { compressed = true, message_bytes = 10, inflated_bytes = 1000 } } do
                for _, len in ipairs { 999, 1000 } do
                    expect({ { BINARY, compress(("a"):rep(len)), rsv1 = true } },
                        { "binary:" .. ("a"):rep(len) }, nil, nil, limit)
                end
                for _, len in ipairs { 1001, 100000 } do
                    expect({ { BINARY, compress(("a"):rep(len)), rsv1 = true } }, {}, "ERR_TOO_BIG",
                        why, limit)
                end
            end
        end)

        it("RFC 6455 §10.4 may be as long as the limit, also where it hardly shrinks", function()
            local digits, x = {}, 1
            for i = 1, 4096 do
                x = x * 16807 % 2147483647
                digits[i] = ("%x"):format(x / 1000 % 16)
            end
            local text = table.concat(digits)
            expect({ { BINARY, compress(text), rsv1 = true } }, { "binary:" .. text }, nil, nil,
                { compressed = true, message_bytes = #text })
        end)

        it("RFC 6455 §10.4 is limited over all its fragments", function()
            local payload = compress(("ab"):rep(501))
            expect({ { BINARY, payload:sub(1, 3), rsv1 = true, fin = false },
                { CONTINUATION, payload:sub(4) } }, {}, "ERR_TOO_BIG", nil,
                { compressed = true, message_bytes = 1000 })
        end)

        it("RFC 6455 §10.4 takes little memory for a bomb", function()
            local bomb = compress(("\0"):rep(2 ^ 22))
            local reader = new_reader { compressed = true, message_bytes = 100000 }
            local bytes = encode({ BINARY, bomb, rsv1 = true }, true)
            for at = 1, #bytes, 20 do
                local failure = reader:feed(bytes:sub(at, at + 19))
                assert.is_true(reader:held() < 151000)
                if failure then
                    assert.are.equal("ERR_TOO_BIG", failure)
                    return
                end
            end
            error "not refused"
        end)

        it("is limited on the wire too: empty blocks do not go on for ever", function()
            local options = { compressed = true, message_bytes = 100, from_client = false }
            local reader = new_reader(options)
            local empty = hex "00 00 00 ff ff"
            local failure = reader:feed(encode({ TEXT, empty, rsv1 = true, fin = false }, false))
            local fragment = encode({ CONTINUATION, empty:rep(20), fin = false }, false)
            while not failure do
                failure = reader:feed(fragment)
                assert.is_true(reader.fed < 8 * 100 + 1024 + 300)
            end
            assert.are.equal("ERR_TOO_BIG", failure)
            assert.is_true(reader.fed > 8 * 100)
        end)

        it("takes a sender that flushes after every byte", function()
            local parts = {}
            for i = 1, 100 do
                parts[i] = compress(string.char(64 + i % 60), "flush") .. hex "00 00 ff ff"
            end
            local payload = table.concat(parts)
            local reader, failure = read_pieces({ encode({ BINARY, payload, rsv1 = true }, true) },
                { compressed = true, message_bytes = 100 })
            assert.is_nil(failure)
            assert.are.equal(1, #reader.messages)
        end)

        it("RFC 7692 §7.1.2 is inflated with the peer's window", function()
            for bits = 8, 15 do
                local text = ("window " .. bits .. "; "):rep(40)
                local d = ffi.gc(C.deflater_new(bits, 9, 9), C.deflater_free)
                local frames, messages = {}, {}
                for i = 1, 3 do
                    local out = core.new("struct buffer", C.buffer_deinit)
                    assert.are.equal(0, C.deflater_message(d, core.copy(text), #text, true, out))
                    frames[i] = { TEXT, core.string(out), rsv1 = true }
                    messages[i] = "text:" .. text
                end
                expect(frames, messages, nil, nil, with(deflate, "inflate_bits", bits))
            end
        end)
    end)
end)
