local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
local kinds = { [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong" }
local KEY = { 0x37, 0xfa, 0x21, 0x3d }

local function hex(text)
    return (text:gsub("%x%x%s*", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

-- --- Frames as a peer makes them, written here so that the C code does not judge itself ---

local function number(bytes, n)
    local out = {}
    for i = bytes, 1, -1 do
        out[i] = string.char(n % 256)
        n = math.floor(n / 256)
    end
    return table.concat(out)
end

local function xor(payload)
    local out = {}
    for i = 1, #payload do
        out[i] = string.char(bit.bxor(payload:byte(i), KEY[(i - 1) % 4 + 1]))
    end
    return table.concat(out)
end

-- One frame: { opcode, payload, fin = false, rsv1 = true, len = announced }.
local function encode(frame, masked)
    local payload = frame[2] or ""
    local len = frame.len or #payload
    local first = (frame.fin == false and 0 or 128) + (frame.rsv1 and 64 or 0) + frame[1]
    local form = len < 126 and len or len < 65536 and 126 or 127
    local extended = form == 126 and number(2, len) or form == 127 and number(8, len) or ""
    local head = string.char(first, form + (masked and 128 or 0)) .. extended
    if masked then
        return head .. string.char(unpack(KEY)) .. xor(payload)
    end
    return head .. payload
end

local function encode_all(frames, masked)
    local out = {}
    for i, frame in ipairs(frames) do
        out[i] = type(frame) == "string" and frame or encode(frame, masked)
    end
    return table.concat(out)
end

local deflaters = {}

-- A payload as a peer that keeps no context compresses it; with a name, one that keeps it.
local function compress(text, name)
    local d = name and deflaters[name] or ffi.gc(C.deflater_new(15, 6, 8), C.deflater_free)
    if name then
        deflaters[name] = d
    end
    local out = core.new("struct buffer", C.buffer_deinit)
    assert.are.equal(0, C.deflater_message(d, core.copy(text), #text, name ~= nil, out))
    return core.string(out)
end

local function code(n, reason)
    return number(2, n) .. (reason or "")
end

-- --- Reading ---

local function new_rules(options)
    options = options or {}
    return ffi.new("struct message_rules", {
        from_client = options.from_client ~= false,
        compressed = options.compressed or false,
        inflate_context = options.inflate_context ~= false,
        inflate_bits = options.inflate_bits or 15,
        message_bytes = options.message_bytes or 1048576,
        inflated_bytes = options.inflated_bytes or 0,
    })
end

local Reader = {}
Reader.__index = Reader

local function new_reader(options)
    return setmetatable({
        rules = new_rules(options),
        c = core.new("struct message_reader", C.message_reader_deinit),
        messages = {},
        fed = 0,
    }, Reader)
end

local function describe_message(m)
    local text = core.string(m.data, tonumber(m.len))
    if m.kind == CLOSE then
        return ("close %d:%s"):format(m.close_code, text)
    end
    return kinds[m.kind] .. ":" .. text
end

-- Reads what the input holds. Nothing, or the failure and its text.
function Reader:read(data, len)
    local at = ffi.new("uint8_t *[1]", { data })
    local left = ffi.new("size_t[1]", len)
    local m = ffi.new "struct message"
    local why = ffi.new "const char *[1]"
    while true do
        local rc = C.message_read(self.c, self.rules, at, left, m, why)
        if rc < 0 then
            return core.name(rc), ffi.string(why[0])
        end
        if rc == 0 then
            assert.are.equal(0, tonumber(left[0]))
            assert.is_true(at[0] == (data and data + len))
            return
        end
        self.messages[#self.messages + 1] = describe_message(m)
        if m.owned then
            ffi.C.free(m.data)
        end
    end
end

-- In a block of exactly its size.
function Reader:feed(piece)
    self.fed = self.fed + #piece
    local data = core.copy(piece)
    return self:read(data, #piece)
end

function Reader:held()
    return tonumber(C.message_held(self.c))
end

-- Reads pieces until one is refused.
local function read_pieces(pieces, options)
    local reader = new_reader(options)
    local failure, why
    for _, piece in ipairs(pieces) do
        failure, why = reader:feed(piece)
        if failure then
            break
        end
    end
    return reader, failure, why
end

local function with(options, key, value)
    local copy = {}
    for k, v in pairs(options) do
        copy[k] = v
    end
    copy[key] = value
    return copy
end

-- Cuts long input in a few places only.
local function split(bytes, fn)
    if #bytes <= 400 then
        return core.split(bytes, fn)
    end
    fn({ bytes }, "whole")
    for _, size in ipairs { 1000, 4096, 65537 } do
        local pieces = {}
        for at = 1, #bytes, size do
            pieces[#pieces + 1] = bytes:sub(at, at + size - 1)
        end
        fn(pieces, "in pieces of " .. size)
    end
    for _, at in ipairs { 1, 2, 3, 4, 9, 10, 13, 14, 15, 140, #bytes - 1 } do
        fn({ bytes:sub(1, at), bytes:sub(at + 1) }, "cut after byte " .. at)
    end
end

local function same(expected, got, how)
    assert.are.equal(#expected, #got, how)
    for i = 1, #expected do
        if expected[i] ~= got[i] then
            error(("%s: message %d is %q, not %q"):format(how, i, got[i]:sub(1, 200),
                expected[i]:sub(1, 200)), 2)
        end
    end
end

-- The frames give these messages and then this failure (nil: none), in both roles, whole, byte by
-- byte and cut at each place.
local function expect(frames, messages, failure, why, options)
    for _, from_client in ipairs { true, false } do
        local role = from_client and "client" or "server"
        split(encode_all(frames, from_client), function(pieces, how)
            local reader, got, text =
                read_pieces(pieces, with(options or {}, "from_client", from_client))
            how = "from the " .. role .. ", " .. how
            same(messages, reader.messages, how)
            assert.are.equal(failure, got, how)
            if why then
                assert.are.equal(why, text, how)
            end
            local last = messages[#messages]
            if not failure and not (last and last:find "^close") then
                assert.is_true(reader.c.partial == nil, how)
                assert.are.equal(0, reader:held(), how)
            end
        end)
    end
end

-- After how many bytes, fed one by one, the failure is reported.
local function seen_after(bytes, options)
    local pieces = {}
    for i = 1, #bytes do
        pieces[i] = bytes:sub(i, i)
    end
    local reader, failure = read_pieces(pieces, options)
    return failure and reader.fed, failure
end

local deflate = { compressed = true }

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
                    "\129" .. string.char(mask + 127) .. number(8, 65535) } do
                    split(head .. "\0\0\0\0", function(pieces)
                        local _, failure, why = read_pieces(pieces, { from_client = from_client })
                        assert.are.equal("ERR_PROTOCOL", failure)
                        assert.are.equal("a frame's length is not encoded in the fewest bytes", why)
                    end)
                end
            end
        end)

        it("§5.2 refuses a length with its top bit set before all of it came", function()
            assert.are.equal(3, (seen_after("\130\255" .. number(8, 2 ^ 63))))
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
            expect({ { CLOSE, code(1000) } }, { "close 1000:" })
            expect({ { TEXT, "a" }, { CLOSE, code(4999, "tschüß") } },
                { "text:a", "close 4999:tschüß" })
            expect({ { CLOSE, code(1001, ("é"):rep(61) .. "!") } },
                { "close 1001:" .. ("é"):rep(61) .. "!" })
        end)

        it("§5.5.1 is the last: what follows is consumed, whatever it is", function()
            for _, rest in ipairs { { TEXT, "late" }, { CLOSE, code(1000) }, { PING, "" },
                "\255\255\255", "GET / HTTP/1.1" } do
                expect({ { CLOSE, code(1000, "bye") }, rest, rest }, { "close 1000:bye" })
            end
        end)

        it("§5.5.1 ends a message under way and lets its memory go", function()
            expect({ { TEXT, "never whole", fin = false }, { CLOSE, code(1001) },
                { CONTINUATION, "late" } }, { "close 1001:" })
            local reader = read_pieces({ encode_all({ { BINARY, ("x"):rep(50000), fin = false },
                { CLOSE, code(1000) } }, true) })
            assert.is_true(reader:held() < 500)
            reader = read_pieces({ encode_all({ { TEXT, compress "Hello", rsv1 = true },
                { CLOSE, code(1000) } }, true) }, { compressed = true })
            assert.is_true(reader.c.inflater == nil)
        end)

        it("§5.5.1 refuses a payload of one byte at its header", function()
            expect({ { CLOSE, "\3" } }, {}, "ERR_PROTOCOL",
                "a close frame holds one byte, which is no code")
            assert.are.equal(2, (seen_after(encode({ CLOSE, "\3" }, true))))
        end)

        it("§7.4 refuses codes that must not be sent, as soon as they are there", function()
            for _, n in ipairs { 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535 } do
                expect({ { CLOSE, code(n, "reason") } }, {}, "ERR_PROTOCOL",
                    "a close frame has a code that must not be sent")
                assert.are.equal(8, (seen_after(encode({ CLOSE, code(n, "reason") }, true))))
            end
        end)

        it("§7.4 takes every code that may be sent", function()
            for _, n in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                1014, 3000, 3999, 4000, 4999 } do
                expect({ { CLOSE, code(n) } }, { ("close %d:"):format(n) })
            end
        end)

        it("§8.1 refuses a reason that is not UTF-8, at its first bad byte", function()
            local frame = { CLOSE, code(1000, "ab\237\160\128cd") }
            expect({ frame }, {}, "ERR_UTF8", "a close reason is not UTF-8")
            assert.are.equal(6 + 2 + 4, (seen_after(encode(frame, true))))
            expect({ { CLOSE, code(1000, "ab\226\130") } }, {}, "ERR_UTF8")
        end)
    end)

    describe("of text", function()
        local texts = { "κόσμε", "日本語", "🌙🧵", "\0", hex "f48fbfbf", hex "ed9fbf ee8080",
            hex "efbfbe efbfbf", ("aé日🌙"):rep(30) }

        it("§5.6 and §8.1 may be cut within a character, by fragments too", function()
            for _, text in ipairs(texts) do
                expect({ { TEXT, text } }, { "text:" .. text })
                for at = 0, math.min(#text, 12) do
                    expect({ { TEXT, text:sub(1, at), fin = false }, { PING, "p" },
                        { CONTINUATION, text:sub(at + 1) } }, { "ping:p", "text:" .. text })
                end
            end
        end)

        -- The last byte of each is the first bad one.
        local bad = { "80", "bf", "c0", "c1", "ce4a", "e080", "e09f", "eda0", "edbf", "e282ff",
            "f080", "f08f", "f490", "f5", "f8", "fc", "fe", "ff", "f09f98c3",
            "ceba e1bdb9 cf83 cebc ceb5 eda0", "ceba e1bdb9 cf83 cebc ceb5 f490" }

        for _, case in ipairs(bad) do
            it("§8.1 refuses " .. case .. " at its last byte", function()
                local text = hex(case)
                for _, before in ipairs { "", ("a"):rep(33), ("é"):rep(60) } do
                    local whole = { TEXT, before .. text .. "edited" }
                    expect({ whole }, {}, "ERR_UTF8", "a text message is not UTF-8")
                    local bytes = encode(whole, true)
                    local head = #bytes - #whole[2]
                    assert.are.equal(head + #before + #text, (seen_after(bytes)))
                    -- The bad byte is the last of its piece, and the message is not whole.
                    local reader = new_reader()
                    local at = head + #before + #text
                    assert.is_nil(reader:feed(bytes:sub(1, at - 1)))
                    assert.are.equal("ERR_UTF8", (reader:feed(bytes:sub(at, at))))
                    local _, failure = read_pieces { bytes:sub(1, at) }
                    assert.are.equal("ERR_UTF8", failure)
                end
                expect({ { TEXT, text:sub(1, -2), fin = false }, { CONTINUATION, text:sub(-1) } },
                    {}, "ERR_UTF8")
                expect({ { TEXT, "a", fin = false }, { PING, "" },
                    { CONTINUATION, text .. "b", fin = false }, { PING, "" } }, { "ping:" },
                    "ERR_UTF8")
            end)
        end

        it("§8.1 refuses a message that ends within a character", function()
            for _, text in ipairs { "\206", "ab\226\130", "\240\159\146" } do
                local why = "a text message ends within a character"
                expect({ { TEXT, text } }, {}, "ERR_UTF8", why)
                expect({ { TEXT, text, fin = false }, { CONTINUATION, "" } }, {}, "ERR_UTF8", why)
            end
        end)

        it("§8.1 starts anew with each message", function()
            expect({ { TEXT, "é" }, { TEXT, "\169" } }, { "text:é" }, "ERR_UTF8")
        end)

        it("§5.6 leaves binary messages alone", function()
            local all = {}
            for i = 0, 255 do
                all[i + 1] = string.char(i)
            end
            all = table.concat(all)
            expect({ { BINARY, all }, { BINARY, "\255", fin = false }, { CONTINUATION, "\192" } },
                { "binary:" .. all, "binary:\255\192" })
        end)
    end)

    describe("with limits", function()
        it("§10.4 takes a message of the limit, not one byte more", function()
            local limit = { message_bytes = 200 }
            local why = "a message is longer than the limit"
            expect({ { BINARY, ("a"):rep(200) } }, { "binary:" .. ("a"):rep(200) }, nil, nil, limit)
            expect({ { BINARY, ("a"):rep(201) } }, {}, "ERR_TOO_BIG", why, limit)
        end)

        it("§10.4 refuses by the header alone", function()
            local bytes = encode({ BINARY, "", len = 2 ^ 40 }, true)
            assert.are.same({ #bytes, "ERR_TOO_BIG" }, { seen_after(bytes) })
            bytes = "\130\255\127" .. ("\255"):rep(7) .. "\1\2\3\4"
            assert.are.same({ #bytes, "ERR_TOO_BIG" }, { seen_after(bytes) })
        end)

        it("§10.4 counts all fragments, and not the control frames between them", function()
            local limit = { message_bytes = 100 }
            local fragment = ("a"):rep(50)
            expect({ { TEXT, fragment, fin = false }, { PING, ("p"):rep(125) },
                { CONTINUATION, fragment }, { TEXT, fragment } },
                { "ping:" .. ("p"):rep(125), "text:" .. fragment .. fragment, "text:" .. fragment },
                nil, nil, limit)
            expect({ { TEXT, fragment, fin = false }, { CONTINUATION, fragment, fin = false },
                { CONTINUATION, "a" } }, {}, "ERR_TOO_BIG", nil, limit)
        end)

        it("takes no memory for a length that is only announced", function()
            local options = { message_bytes = 2 ^ 31, from_client = false }
            local reader = new_reader(options)
            assert.is_nil(reader:feed(encode({ BINARY, "", len = 2 ^ 30 }, false)))
            assert.is_true(reader:held() < 1000)
            for i = 1, 12 do
                assert.is_nil(reader:feed(("x"):rep(2 ^ (i + 6))))
                assert.is_true(reader:held() <= math.max(66000, 4 * reader.fed + 1000))
            end
        end)

        it("holds a frame that comes in pieces in a block of its own size", function()
            local reader = new_reader()
            local bytes = encode({ TEXT, ("x"):rep(16384) }, true)
            reader:feed(bytes:sub(1, 100))
            local first = reader:held()
            assert.is_true(first < 16384 + 400)
            reader:feed(bytes:sub(101, 16000))
            assert.are.equal(first, reader:held())
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
                local payload = opcode == CLOSE and code(1000, "bye") or "Hello"
                local bytes = encode({ opcode, payload }, true)
                local m, data, reader, at = read_one(bytes .. bytes)
                assert.is_false(m.owned)
                assert.is_true(m.data == data + 6 + (opcode == CLOSE and 2 or 0))
                assert.is_true(at == data + #bytes)
                assert.are.equal(opcode == CLOSE, reader.partial ~= nil)
                assert.is_true(reader.inflater == nil)
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
            local frame = encode({ TEXT, stored, rsv1 = true }, true)
            assert.are.equal(6 + 7, (seen_after(frame, deflate)))
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

    describe("and its reader", function()
        it("owns nothing when it is idle, and may be deinited twice", function()
            local reader = core.new "struct message_reader"
            assert.are.equal(2 * ffi.sizeof "void *", ffi.sizeof(reader))
            assert.are.equal(0, tonumber(C.message_held(reader)))
            C.message_reader_deinit(reader)
            C.message_reader_deinit(reader)
        end)

        it("may be deinited in the middle of anything", function()
            local bytes = encode_all({ { TEXT, "abc", fin = false }, { PING, "payload" },
                { CONTINUATION, "d" }, { BINARY, compress "squeezed", rsv1 = true },
                { CLOSE, code(1000, "bye") } }, true)
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
