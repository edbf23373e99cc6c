-- The reader of messages (src/protocol/message.h) for specs: frames as a peer makes them, and what
-- is read from them, whole and in pieces.
--
--   message.expect({ { TEXT, "Hel", fin = false }, { CONTINUATION, "lo" } }, { "text:Hello" })

local ffi = require "ffi"
local assert = require "luassert"
local core = require "spec.support.cdef"
local frames = require "spec.support.frame"
local C = core.C

local M = {}

M.kinds = { [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong" }
M.deflate = { compressed = true } -- options of a reader

-- ---- what a peer sends --------------------------------------------------------------------------

-- The bytes of "f2 48 cd".
function M.hex(text)
    return (text:gsub("%x%x%s*", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

-- One frame: { opcode, payload, fin = false, rsv1 = true, len = announced }.
function M.encode(frame, masked)
    local options = { fin = frame.fin, rsv1 = frame.rsv1, claims = frame.len }
    if not masked then
        options.key = false
    end
    return frames.build(frame[1], frame[2] or "", options)
end

-- Several; one that is a string goes as it is.
function M.encode_all(list, masked)
    local out = {}
    for i, frame in ipairs(list) do
        out[i] = type(frame) == "string" and frame or M.encode(frame, masked)
    end
    return table.concat(out)
end

local deflaters = {}

-- A payload as a peer that keeps no context compresses it; with a name, one that keeps it.
function M.compress(text, name)
    local d = name and deflaters[name] or ffi.gc(C.deflater_new(15, 6, 8), C.deflater_free)
    if name then
        deflaters[name] = d
    end
    local out = core.new("struct buffer", C.buffer_deinit)
    assert.are.equal(0, C.deflater_message(d, core.copy(text), #text, name ~= nil, out))
    return core.string(out)
end

-- ---- reading ------------------------------------------------------------------------------------

-- What a connection agreed on, and its limits. from_client: whose messages they are (a client's).
function M.rules(options)
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

-- With rules of these options. Its c is the struct message_reader, its messages are described as
-- "text:Hello" and "close 1000:bye", its fed counts bytes.
function M.reader(options)
    return setmetatable({
        rules = M.rules(options),
        c = core.new("struct message_reader", C.message_reader_deinit),
        messages = {},
        fed = 0,
    }, Reader)
end

local function describe_message(m)
    local text = core.string(m.data, tonumber(m.len))
    if m.kind == frames.CLOSE then
        return ("close %d:%s"):format(m.close_code, text)
    end
    return M.kinds[m.kind] .. ":" .. text
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
        ffi.C.free(m.block)
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
function M.read_pieces(pieces, options)
    local reader = M.reader(options)
    local failure, why
    for _, piece in ipairs(pieces) do
        failure, why = reader:feed(piece)
        if failure then
            break
        end
    end
    return reader, failure, why
end

-- A copy of options with one changed.
function M.with(options, key, value)
    local copy = {}
    for k, v in pairs(options) do
        copy[k] = v
    end
    copy[key] = value
    return copy
end

-- Cuts long input in a few places only.
function M.split(bytes, fn)
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
function M.expect(list, messages, failure, why, options)
    for _, from_client in ipairs { true, false } do
        local role = from_client and "client" or "server"
        M.split(M.encode_all(list, from_client), function(pieces, how)
            local reader, got, text =
                M.read_pieces(pieces, M.with(options or {}, "from_client", from_client))
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
function M.seen_after(bytes, options)
    local pieces = {}
    for i = 1, #bytes do
        pieces[i] = bytes:sub(i, i)
    end
    local reader, failure = M.read_pieces(pieces, options)
    return failure and reader.fed, failure
end

return M
