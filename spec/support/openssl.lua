-- OpenSSL's client between two memory buffers, through the FFI: what it says goes nowhere before a
-- spec sends it. tls.lua puts it over a socket, transport.lua before the transport layer.

local ffi = require "ffi"

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
int SSL_set_ciphersuites(SSL *ssl, const char *text);
int SSL_set_alpn_protos(SSL *ssl, const char *protos, unsigned len);
int SSL_set_tlsext_max_fragment_length(SSL *ssl, uint8_t mode);
int SSL_do_handshake(SSL *ssl);
int SSL_renegotiate(SSL *ssl);
int SSL_read(SSL *ssl, void *into, int len);
int SSL_write(SSL *ssl, const void *data, int len);
int SSL_shutdown(SSL *ssl);
int SSL_get_shutdown(const SSL *ssl);
int SSL_key_update(SSL *ssl, int kind);
int SSL_get_error(const SSL *ssl, int result);
int SSL_session_reused(const SSL *ssl);
const char *SSL_get_version(const SSL *ssl);
void SSL_get0_alpn_selected(const SSL *ssl, const char **out, unsigned *len);
SSL_SESSION *SSL_get1_session(SSL *ssl);
int SSL_SESSION_is_resumable(const SSL_SESSION *session);
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
M.C = C
M.scratch_bytes = 65536
local CTRL_SERVERNAME, CTRL_MIN_VERSION, CTRL_MAX_VERSION = 55, 123, 124
local versions = { ["TLSv1.1"] = 0x302, ["TLSv1.2"] = 0x303, ["TLSv1.3"] = 0x304 }

local Client = {}
M.Client = Client

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
    if o.suites then
        assert(C.SSL_set_ciphersuites(ssl, o.suites) == 1)
    end
    if o.name then
        C.SSL_ctrl(ssl, CTRL_SERVERNAME, 0, ffi.cast("char *", o.name))
    end
    if o.alpn then
        local bytes = alpn_bytes(o.alpn)
        assert(C.SSL_set_alpn_protos(ssl, bytes, #bytes) == 0)
    end
    if o.max_fragment then
        assert(C.SSL_set_tlsext_max_fragment_length(ssl, o.max_fragment) == 1)
    end
    if o.session then
        assert(C.SSL_set_session(ssl, o.session) == 1)
    end
    return ssl
end

-- A client that has said nothing yet. options: name (SNI), alpn (a list), version (the only one),
-- suites (of TLS 1.3), session (of an earlier one), max_fragment (1: 512 bytes, to 4: 4096;
-- RFC 6066 §4). Fields: ssl; input and output (BIO *), what
-- came and what is to be sent; scratch, scratch_bytes to work in. Methods: those of M.Client.
function M.client(options)
    local self = {
        ssl = new_ssl(options),
        input = C.BIO_new(C.BIO_s_mem()),
        output = C.BIO_new(C.BIO_s_mem()),
        scratch = ffi.new("uint8_t[?]", M.scratch_bytes),
    }
    C.SSL_set_bio(self.ssl, self.input, self.output)
    C.SSL_set_connect_state(self.ssl)
    return setmetatable(self, { __index = Client })
end

-- What the client wants to send, without sending it.
function Client:outgoing()
    local parts = {}
    repeat
        local n = C.BIO_read(self.output, self.scratch, M.scratch_bytes)
        parts[#parts + 1] = n > 0 and ffi.string(self.scratch, n) or nil
    until n <= 0
    return table.concat(parts)
end

function Client:version()
    return ffi.string(C.SSL_get_version(self.ssl))
end

function Client:protocol()
    local out, len = ffi.new "const char *[1]", ffi.new "unsigned[1]"
    C.SSL_get0_alpn_selected(self.ssl, out, len)
    return len[0] > 0 and ffi.string(out[0], len[0]) or nil
end

-- For the session option. TLS 1.3 has one when the first bytes were read (RFC 8446 §4.6.1).
function Client:session()
    return ffi.gc(C.SSL_get1_session(self.ssl), C.SSL_SESSION_free)
end

function Client:was_resumed()
    return C.SSL_session_reused(self.ssl) == 1
end

-- Is the certificate that the server showed for this name?
function Client:shows(name)
    local certificate = C.SSL_get1_peer_certificate(self.ssl)
    local matches = C.X509_check_host(certificate, name, 0, 0, nil) == 1
    C.X509_free(certificate)
    return matches
end

return M
