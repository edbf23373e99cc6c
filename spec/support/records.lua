-- Records of TLS 1.3 for specs, through the FFI (src/transport/tls_record.h, tls_traffic.h): both
-- ends of a connection whose handshake is done, in memory.

local ffi = require "ffi"
local transport = require "spec.support.transport"

local C, ssl = transport.C, transport.ssl

local M = {
    C = C,
    AES_128 = 0x1301, AES_256 = 0x1302, CHACHA20 = 0x1303,
    names = { [0x1301] = "AES-128-GCM", [0x1302] = "AES-256-GCM", [0x1303] = "ChaCha20-Poly1305" },
}

function M.hex(text)
    return (text:gsub("%s", ""):gsub("%x%x", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

-- What is to be cleared before its ciphers are freed: functions.
local users = setmetatable({}, { __mode = "k" })

-- contexts: how many keys may have one at a time.
function M.ciphers(contexts)
    local clear = {}
    local ciphers = ffi.gc(C.tls_ciphers_new(contexts or 8), function(c)
        for _, fn in ipairs(clear) do
            fn(c)
        end
        C.tls_ciphers_free(c)
    end)
    users[ciphers] = clear
    return ciphers
end

-- A secret that fits the suite, another one for each name.
function M.secret(suite, name)
    return (name .. ("-"):rep(48)):sub(1, tonumber(C.tls_suite_secret_bytes(suite)))
end

-- struct tls_keys of one direction, which end with ciphers.
function M.keys(ciphers, suite, seals, secret)
    local keys = ffi.new "struct tls_keys"
    assert(C.tls_keys_init(keys, ciphers, suite, seals, secret) == 0)
    table.insert(users[ciphers], function(c)
        C.tls_keys_deinit(keys, c)
    end)
    return keys
end

-- struct tls_pieces over some texts, which must live as long.
function M.pieces(texts)
    local list = ffi.new("struct iovec[?]", math.max(#texts, 1))
    for i, text in ipairs(texts) do
        list[i - 1].iov_base, list[i - 1].iov_len = ffi.cast("void *", text), #text
    end
    return ffi.new("struct tls_pieces", { piece = list, left = #texts }), { list, texts }
end

local function block(bytes)
    return ffi.gc(ffi.cast("uint8_t *", ffi.C.malloc(math.max(bytes, 1))), ffi.C.free)
end

-- The record that holds a text, of any type.
function M.seal(keys, ciphers, text, kind)
    local out = block(#text + C.TLS_RECORD_EXTRA)
    local n = tonumber(C.tls_record_seal_bytes(keys, ciphers, kind or C.TLS_CONTENT_DATA, text,
        #text, out))
    assert(n == #text + C.TLS_RECORD_EXTRA)
    return ffi.string(out, n)
end

-- What a record holds and its type; or nil and the alert.
function M.open(keys, ciphers, record)
    local copy = block(#record)
    ffi.copy(copy, record, #record)
    local body = C.tls_record_body(copy)
    if body < 0 then
        return nil, -body
    end
    assert(#record == 5 + body, "not one whole record")
    local into, out = block(C.TLS_RECORD_BODY_MAX), ffi.new "struct tls_record"
    ffi.fill(into, C.TLS_RECORD_BODY_MAX, 0x55)
    local status = C.tls_record_open(keys, ciphers, copy, body, into, out)
    ssl.ERR_clear_error()
    if status ~= 0 then
        return nil, -status, ffi.string(into, math.max(body - 16, 0))
    end
    return ffi.string(into, out.len), out.type
end

-- Both ends: t (struct tls_traffic of the server), and the keys of its peer: peer.out, peer.in_.
local Ends = {}
Ends.__index = Ends

function M.ends(suite, contexts)
    suite = suite or M.AES_128
    local ciphers = M.ciphers(contexts or 4)
    local from_peer, to_peer = M.secret(suite, "peer"), M.secret(suite, "server")
    local t = ffi.new "struct tls_traffic"
    assert(C.tls_traffic_init(t, ciphers, suite, from_peer, to_peer) == 0)
    table.insert(users[ciphers], function()
        C.tls_traffic_deinit(t)
    end)
    return setmetatable({
        ciphers = ciphers,
        t = t,
        peer = {
            out = M.keys(ciphers, suite, true, from_peer),
            in_ = M.keys(ciphers, suite, false, to_peer),
        },
    }, Ends)
end

-- A record of the peer.
function Ends:say(text, kind)
    return M.seal(self.peer.out, self.ciphers, text, kind)
end

-- What the server said: a list of { text, type }, following its KeyUpdates.
function Ends:hear(bytes)
    local list, at = {}, 1
    while at <= #bytes do
        local len = 5 + bytes:byte(at + 3) * 256 + bytes:byte(at + 4)
        local text, kind = M.open(self.peer.in_, self.ciphers, bytes:sub(at, at + len - 1))
        assert(text, "the peer cannot open this record")
        if kind == C.TLS_CONTENT_HANDSHAKE then
            assert(C.tls_keys_update(self.peer.in_, self.ciphers) == 0)
        end
        list[#list + 1] = { text, kind }
        at = at + len
    end
    return list
end

-- The server opens bytes: the data, struct tls_opened.
function Ends:open(bytes)
    local memory = block(C.TLS_RECORD_BODY_MAX + #bytes)
    local out = ffi.new "struct tls_opened"
    local input = memory + C.TLS_RECORD_BODY_MAX
    ffi.copy(input, bytes, #bytes)
    C.tls_traffic_open(self.t, input, #bytes, memory, out)
    ssl.ERR_clear_error()
    return ffi.string(memory, out.len), out
end

-- The server seals texts: the bytes and how many of the texts' are in them; or nil and the failure.
function Ends:seal(...)
    local at, held = M.pieces { ... }
    local out = block(C.TLS_SEALED_MAX)
    local n = tonumber(C.tls_traffic_seal(self.t, at, out))
    assert(held)
    if n < 0 then
        return nil, n
    end
    return ffi.string(out, n), tonumber(at.taken)
end

function Ends:alert(which)
    local out = block(C.TLS_ALERT_SEALED_BYTES)
    local n = tonumber(C.tls_traffic_alert(self.t, which, out))
    if n < 0 then
        return nil, n
    end
    return ffi.string(out, n)
end

return M
