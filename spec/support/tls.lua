-- A TLS client for peers: OpenSSL's (openssl.lua) over a socket, so that a spec decides which bytes
-- go out when. wrap() gives an object with the methods of a LuaSocket that peer.lua uses.
--
--   local peer = peers.connect(port, { tls = { name = "a.test" } })
--   assert.equal("TLSv1.3", peer.socket:version())

local ffi = require "ffi"
local openssl = require "spec.support.openssl"
local socket = require "socket"

local M = {}

local C, scratch_bytes = openssl.C, openssl.scratch_bytes
local REASON_OF_ALERT = 1000
local ERROR_WANT_READ, ERROR_ZERO_RETURN = 2, 6

local Tls = setmetatable({}, { __index = openssl.Client })
Tls.__index = Tls

function Tls:flush()
    local bytes = self:outgoing()
    if #bytes == 0 then
        return true
    end
    return self.raw:send(bytes)
end

-- Takes what has come, waiting until something has. nil, why: "timeout", "closed".
function Tls:fetch()
    if #socket.select({ self.raw }, nil, self.timeout) == 0 then
        return nil, "timeout"
    end
    self.raw:settimeout(0)
    local whole, why, part = self.raw:receive(scratch_bytes)
    self.raw:settimeout(self.timeout)
    local bytes = whole or part
    if #bytes == 0 then
        return nil, why
    end
    C.BIO_write(self.input, bytes, #bytes)
    return true
end

-- "tlsv1 alert protocol version", and the like. Some OpenSSLs have no such text for newer alerts.
local function reason()
    local code = C.ERR_peek_error()
    local text = C.ERR_reason_error_string(code)
    if text == nil then
        text = C.SSL_alert_desc_string_long(tonumber(code % 0x800000) - REASON_OF_ALERT)
    end
    return ffi.string(text)
end

-- One call of OpenSSL, again and again until it is done: its result, or nil, why: "closed" for a
-- close_notify (RFC 8446 §6.1), "truncated" for an end without one, "timeout", OpenSSL's reason.
function Tls:drive(call)
    while true do
        C.ERR_clear_error()
        local result = call()
        if result > 0 then
            return result
        end
        local kind = C.SSL_get_error(self.ssl, result)
        local failed = kind ~= ERROR_WANT_READ
        local why = kind == ERROR_ZERO_RETURN and "closed" or failed and reason()
        self:flush()
        if failed then
            return nil, why
        end
        local ok
        ok, why = self:fetch()
        if not ok then
            return nil, why == "closed" and "truncated" or why
        end
    end
end

-- A TLS session over a connected socket. options: name (SNI), alpn (a list), version (the only
-- one), session (of an earlier one), early (bytes that go out together with the handshake's last
-- message, which must be the client's). timeout: seconds for each wait. nil, why when the handshake
-- fails.
function M.wrap(raw, options, timeout)
    local self = setmetatable(openssl.client(options), Tls)
    self.raw, self.plain = raw, ""
    self:settimeout(timeout)
    local ok, why = self:handshake()
    if not ok then
        return nil, why
    end
    if options.early then
        self:encrypt(options.early)
    end
    ok, why = self:flush()
    return ok and self, why
end

function Tls:handshake()
    return self:drive(function()
        return C.SSL_do_handshake(self.ssl)
    end)
end

-- Asks for new keys as TLS 1.2 could: nil, why when the server will not.
function Tls:renegotiate()
    C.SSL_renegotiate(self.ssl)
    return self:handshake()
end

-- ---- what peer.lua calls ----------------------------------------------------------------------

function Tls:settimeout(seconds)
    self.timeout = seconds
    self.raw:settimeout(seconds)
end

function Tls:setoption(...)
    return self.raw:setoption(...)
end

-- Into the output, not yet sent.
function Tls:encrypt(text)
    assert(#text == 0 or C.SSL_write(self.ssl, text, #text) == #text)
end

function Tls:send(text)
    self:encrypt(text)
    local ok, why = self:flush()
    return ok and #text, why
end

-- Puts what comes next behind what is there.
function Tls:more()
    local n, why = self:drive(function()
        return C.SSL_read(self.ssl, self.scratch, scratch_bytes)
    end)
    if not n then
        return nil, why
    end
    self.plain = self.plain .. ffi.string(self.scratch, n)
    return true
end

function Tls:take(n, skip)
    local text = self.plain:sub(1, n)
    self.plain = self.plain:sub(n + (skip or 0) + 1)
    return text
end

local function receive_all(self)
    local parts = { self.plain }
    self.plain = ""
    while true do
        local ok, why = self:more()
        if not ok then
            local text = table.concat(parts)
            if why == "closed" and #text > 0 then
                return text
            end
            return nil, why, text
        end
        parts[#parts + 1] = self:take(#self.plain)
    end
end

-- As LuaSocket: a number of bytes, "*l" or "*a".
function Tls:receive(pattern)
    if pattern == "*a" then
        return receive_all(self)
    elseif pattern == "*l" then
        while not self.plain:find("\n", 1, true) do
            local ok, why = self:more()
            if not ok then
                return nil, why, self:take(#self.plain)
            end
        end
        local line = self:take(self.plain:find("\n", 1, true) - 1, 1)
        return (line:gsub("\r$", ""))
    end
    local parts, have = {}, 0
    repeat
        if #self.plain > 0 then
            parts[#parts + 1] = self:take(pattern - have)
            have = have + #parts[#parts]
        end
        local ok, why = true, nil
        if have < pattern then
            ok, why = self:more()
        end
        if not ok then
            return nil, why, table.concat(parts)
        end
    until have == pattern
    return table.concat(parts)
end

-- Says close_notify and ends this side.
function Tls:shutdown()
    C.SSL_shutdown(self.ssl)
    self:flush()
    self.raw:shutdown "send"
end

-- Says close_notify, later.
function Tls:encrypt_end()
    C.SSL_shutdown(self.ssl)
end

function Tls:close()
    self.raw:close()
end

return M
