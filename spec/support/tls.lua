-- A TLS client for peers: OpenSSL between two memory buffers, so that a spec decides which bytes go
-- out when. wrap() gives an object with the methods of a LuaSocket that peer.lua uses.
--
--   local peer = peers.connect(port, { tls = { name = "a.test" } })
--   assert.equal("TLSv1.3", peer.socket:version())

local ffi = require "ffi"
local shell = require "spec.support.shell"
local socket = require "socket"

local M = {}

ffi.cdef [[
typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct bio_st BIO;
typedef struct ssl_session_st SSL_SESSION;
const void *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const void *method);
void SSL_CTX_free(SSL_CTX *ctx);
SSL *SSL_new(SSL_CTX *ctx);
void SSL_free(SSL *ssl);
void SSL_set_connect_state(SSL *ssl);
void SSL_set_bio(SSL *ssl, BIO *r, BIO *w);
long SSL_ctrl(SSL *ssl, int command, long number, void *pointer);
int SSL_set_cipher_list(SSL *ssl, const char *text);
int SSL_set_alpn_protos(SSL *ssl, const char *protos, unsigned len);
int SSL_do_handshake(SSL *ssl);
int SSL_renegotiate(SSL *ssl);
int SSL_read(SSL *ssl, void *into, int len);
int SSL_write(SSL *ssl, const void *data, int len);
int SSL_shutdown(SSL *ssl);
int SSL_get_error(const SSL *ssl, int result);
int SSL_session_reused(const SSL *ssl);
const char *SSL_get_version(const SSL *ssl);
void SSL_get0_alpn_selected(const SSL *ssl, const char **out, unsigned *len);
SSL_SESSION *SSL_get1_session(SSL *ssl);
int SSL_set_session(SSL *ssl, SSL_SESSION *session);
void SSL_SESSION_free(SSL_SESSION *session);
void *SSL_get1_peer_certificate(const SSL *ssl);
void X509_free(void *certificate);
int X509_check_host(void *certificate, const char *name, size_t len, unsigned flags, char **peer);
BIO *BIO_new(const void *method);
const void *BIO_s_mem(void);
int BIO_read(BIO *bio, void *into, int len);
int BIO_write(BIO *bio, const void *data, int len);
void ERR_clear_error(void);
unsigned long ERR_peek_error(void);
const char *ERR_reason_error_string(unsigned long code);
const char *SSL_alert_desc_string_long(int alert);
]]

local C = ffi.load "libssl.so.3"
local CTRL_SERVERNAME, CTRL_MIN_VERSION, CTRL_MAX_VERSION = 55, 123, 124
local REASON_OF_ALERT = 1000
local ERROR_WANT_READ, ERROR_ZERO_RETURN = 2, 6
local versions = { ["TLSv1.1"] = 0x302, ["TLSv1.2"] = 0x303, ["TLSv1.3"] = 0x304 }
local scratch_bytes = 65536

local Tls = {}
Tls.__index = Tls

-- A list of protocols as RFC 7301 §3.1 writes it.
local function alpn_bytes(list)
    local out = {}
    for i, name in ipairs(list) do
        out[i] = string.char(#name) .. name
    end
    return table.concat(out)
end

local function new_ssl(o)
    local ctx = ffi.gc(C.SSL_CTX_new(C.TLS_client_method()), C.SSL_CTX_free)
    local ssl = ffi.gc(C.SSL_new(ctx), C.SSL_free)
    if o.version then
        -- OpenSSL's own client says nothing in TLS 1.1 at its usual level.
        C.SSL_set_cipher_list(ssl, "ALL:@SECLEVEL=0")
        C.SSL_ctrl(ssl, CTRL_MIN_VERSION, versions[o.version], nil)
        C.SSL_ctrl(ssl, CTRL_MAX_VERSION, versions[o.version], nil)
    end
    if o.name then
        C.SSL_ctrl(ssl, CTRL_SERVERNAME, 0, ffi.cast("char *", o.name))
    end
    if o.alpn then
        local bytes = alpn_bytes(o.alpn)
        assert(C.SSL_set_alpn_protos(ssl, bytes, #bytes) == 0)
    end
    if o.session then
        assert(C.SSL_set_session(ssl, o.session) == 1)
    end
    return ssl
end

-- What the client wants to send, without sending it.
function Tls:outgoing()
    local parts = {}
    repeat
        local n = C.BIO_read(self.output, self.scratch, scratch_bytes)
        parts[#parts + 1] = n > 0 and ffi.string(self.scratch, n) or nil
    until n <= 0
    return table.concat(parts)
end

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
    local self = setmetatable({ raw = raw, plain = "" }, Tls)
    self.ssl = new_ssl(options)
    self.input, self.output = C.BIO_new(C.BIO_s_mem()), C.BIO_new(C.BIO_s_mem())
    self.scratch = ffi.new("uint8_t[?]", scratch_bytes)
    C.SSL_set_bio(self.ssl, self.input, self.output)
    C.SSL_set_connect_state(self.ssl)
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

-- ---- what specs ask -----------------------------------------------------------------------------

function Tls:version()
    return ffi.string(C.SSL_get_version(self.ssl))
end

function Tls:protocol()
    local out, len = ffi.new "const char *[1]", ffi.new "unsigned[1]"
    C.SSL_get0_alpn_selected(self.ssl, out, len)
    return len[0] > 0 and ffi.string(out[0], len[0]) or nil
end

-- For the session option. TLS 1.3 has one when the first bytes were read (RFC 8446 §4.6.1).
function Tls:session()
    return ffi.gc(C.SSL_get1_session(self.ssl), C.SSL_SESSION_free)
end

function Tls:was_resumed()
    return C.SSL_session_reused(self.ssl) == 1
end

-- Is the certificate that the server showed for this name?
function Tls:shows(name)
    local certificate = C.SSL_get1_peer_certificate(self.ssl)
    local matches = C.X509_check_host(certificate, name, 0, 0, nil) == 1
    C.X509_free(certificate)
    return matches
end

-- ---- certificates -------------------------------------------------------------------------------

-- Makes folder/name.pem and folder/name.key (or with the key of another: key), for the names of a
-- subjectAltName: certificate("/tmp/x", "a", { "a.test", "*.a.test" }). Returns their paths.
function M.certificate(folder, name, names, options)
    options = options or {}
    local list = {}
    for i, one in ipairs(names) do
        list[i] = "DNS:" .. one
    end
    local base = folder .. "/" .. name
    local command = ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days %d"
        .. " -subj /CN=%s -addext subjectAltName=%s -out %s.pem -keyout %s.key 2>/dev/null"):format(
        options.days or 2, names[1], table.concat(list, ","), base, base)
    shell(command)
    return base .. ".pem", base .. ".key"
end

return M
