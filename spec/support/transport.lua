-- The transport layer for specs: declares src/transport/*.h through the FFI, and has a TLS
-- client made of OpenSSL that talks through memory: a spec says which bytes the server gets when.

local ffi = require "ffi"
local shell = require "spec.support.shell"
local core = require "spec.support.cdef"

local M = { C = core.C }

ffi.cdef [[
typedef long off_t;
typedef unsigned socklen_t;
struct iovec { void *iov_base; size_t iov_len; };
struct sockaddr { unsigned short sa_family; char sa_data[14]; };
struct mw_any_address { unsigned short family; uint8_t rest[126]; };
struct mw_pollfd { int fd; short events; short revents; };
int poll(struct mw_pollfd *fds, unsigned long count, int timeout);
ssize_t send(int fd, const void *data, size_t len, int flags);
ssize_t recv(int fd, void *into, size_t len, int flags);
int getsockname(int fd, struct mw_any_address *out, socklen_t *len);
int getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int shutdown(int fd, int how);
int close(int fd);
int fileno(void *file);
int fcntl(int fd, int command, ...);
]]

for _, name in ipairs { "transport", "tcp", "tls", "dev_cert" } do
    local file = assert(io.open("src/transport/" .. name .. ".h"))
    local text = ("\n" .. file:read "*a"):gsub("\n#[^\n]*", "\n")
    file:close()
    ffi.cdef(text)
end

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
int SSL_read(SSL *ssl, void *into, int len);
int SSL_write(SSL *ssl, const void *data, int len);
int SSL_shutdown(SSL *ssl);
int SSL_get_shutdown(const SSL *ssl);
int SSL_key_update(SSL *ssl, int kind);
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
]]

local C, ssl = M.C, ffi.load "libssl.so.3"
M.ssl = ssl
local AGAIN = C.ERR_AGAIN
local POLLIN, POLLOUT = 1, 4
local MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
local SOL_SOCKET, SO_SNDBUF, SO_RCVBUF = 1, 7, 8
local CTRL_SERVERNAME, CTRL_MIN_VERSION, CTRL_MAX_VERSION = 55, 123, 124
local versions = { ["TLSv1.1"] = 0x302, ["TLSv1.2"] = 0x303, ["TLSv1.3"] = 0x304 }

-- Waits until fd is readable (or writable); the wait is bounded, and its end is the spec's failure.
function M.wait(fd, for_write)
    local p = ffi.new("struct mw_pollfd[1]", { { fd, for_write and POLLOUT or POLLIN, 0 } })
    assert(ffi.C.poll(p, 1, 5000) == 1, "nothing happened on the socket for 5 s")
end

-- tcp_listen as Lua likes it: the sockets and the port, or nil, the code and the text.
function M.listen(host, port, reuse_port)
    local options = ffi.new "struct tcp_listen_options"
    options.host, options.port, options.reuse_port = host, port or 0, reuse_port or false
    local fds, got = ffi.new("int[?]", C.TCP_LISTENERS_MAX), ffi.new "uint16_t[1]"
    local why = ffi.new("char[?]", C.TCP_WHY_BYTES)
    local n = C.tcp_listen(options, fds, got, why)
    if n < 0 then
        return nil, n, ffi.string(why)
    end
    local list = {}
    for i = 0, n - 1 do
        list[#list + 1] = fds[i]
    end
    return list, got[0]
end

-- A blocking-enough connection to where fd listens.
function M.connect(fd)
    local at, len = ffi.new "struct mw_any_address", ffi.new "socklen_t[1]"
    len[0] = ffi.sizeof(at)
    assert(ffi.C.getsockname(fd, at, len) == 0)
    local client = C.tcp_connect(ffi.cast("const struct sockaddr *", at), len[0])
    assert(client >= 0, "cannot connect")
    M.wait(client, true)
    return client, C.tcp_connected(client)
end

function M.accept(fd)
    local peer = ffi.new "struct address"
    M.wait(fd)
    return C.tcp_accept(fd, peer), peer
end

function M.address(peer)
    return ffi.string(C.address_format(peer, ffi.new("char[?]", C.ADDRESS_TEXT_BYTES)))
end

-- A context of { cert, key } pairs: it, or nil; and the text. It is freed with the last reference.
function M.context(pairs_of_paths, options)
    options = options or {}
    local list = ffi.new("struct tls_certificate[?]", math.max(#pairs_of_paths, 1))
    for i, pair in ipairs(pairs_of_paths) do
        list[i - 1].cert_path, list[i - 1].key_path = pair[1], pair[2]
    end
    local o = ffi.new "struct tls_options"
    o.certificates, o.certificate_count = list, #pairs_of_paths
    o.min_version = options.min_version or C.TLS_VERSION_1_2
    o.previous = options.previous
    local why = ffi.new("char[?]", C.TLS_WHY_BYTES)
    local context = C.tls_context_new(o, why)
    if context == nil then
        return nil, ffi.string(why)
    end
    return ffi.gc(context, C.tls_context_unref), ffi.string(why)
end

-- The two ends of one connection: link.server (struct transport), link.fd (the client's socket),
-- link.ssl (the client's TLS). Options: buffer (bytes of the socket's buffers), alpn, name,
-- version (the client's only one), session.
local Link = {}
Link.__index = Link

local function set_buffer(fd, name, bytes)
    local value = ffi.new("int[1]", bytes)
    assert(ffi.C.setsockopt(fd, SOL_SOCKET, name, value, 4) == 0)
end

local function new_client(o)
    local ctx = ffi.gc(ssl.SSL_CTX_new(ssl.TLS_client_method()), ssl.SSL_CTX_free)
    local s = ffi.gc(ssl.SSL_new(ctx), ssl.SSL_free)
    if o.version then
        -- OpenSSL's own client says nothing in TLS 1.1 at its usual level.
        ssl.SSL_set_cipher_list(s, "ALL:@SECLEVEL=0")
        ssl.SSL_ctrl(s, CTRL_MIN_VERSION, versions[o.version], nil)
        ssl.SSL_ctrl(s, CTRL_MAX_VERSION, versions[o.version], nil)
    end
    if o.name then
        ssl.SSL_ctrl(s, CTRL_SERVERNAME, 0, ffi.cast("char *", o.name))
    end
    if o.alpn then
        assert(ssl.SSL_set_alpn_protos(s, o.alpn, #o.alpn) == 0)
    end
    if o.session then
        assert(ssl.SSL_set_session(s, o.session) == 1)
    end
    local input, output = ssl.BIO_new(ssl.BIO_s_mem()), ssl.BIO_new(ssl.BIO_s_mem())
    ssl.SSL_set_bio(s, input, output)
    ssl.SSL_set_connect_state(s)
    return s, input, output
end

-- A connection to context (nil: plain TCP), not yet shaken hands.
function M.link(context, o)
    o = o or {}
    local listeners = assert(M.listen "127.0.0.1")
    local self = setmetatable({ open = true }, Link)
    self.fd = M.connect(listeners[1])
    local fd = M.accept(listeners[1])
    C.tcp_listen_close(listeners[1])
    if o.buffer then
        set_buffer(fd, SO_SNDBUF, o.buffer)
        set_buffer(self.fd, SO_RCVBUF, o.buffer)
    end
    self.server = ffi.new("struct transport", { fd = fd })
    if context then
        self.server.tls = C.tls_accept(context, fd)
        assert(self.server.tls ~= nil)
        self.ssl, self.input, self.output = new_client(o)
    end
    self.scratch = ffi.new("uint8_t[?]", 65536)
    return self
end

-- What the client's TLS wants to send, without sending it.
function Link:outgoing()
    local parts = {}
    repeat
        local n = ssl.BIO_read(self.output, self.scratch, 65536)
        parts[#parts + 1] = n > 0 and ffi.string(self.scratch, n) or nil
    until n <= 0
    return table.concat(parts)
end

function Link:send_raw(bytes)
    assert(ffi.C.send(self.fd, bytes, #bytes, MSG_NOSIGNAL) == #bytes)
end

-- Gives the client's TLS at most len bytes of what has come. Returns how many, 0 at the end.
function Link:fetch(len)
    local n = tonumber(ffi.C.recv(self.fd, self.scratch, len or 65536, MSG_DONTWAIT))
    if n > 0 then
        ssl.BIO_write(self.input, self.scratch, n)
    end
    return n
end

-- Both ends until the server is done or has failed: its result.
function Link:handshake()
    while true do
        ssl.ERR_clear_error()
        ssl.SSL_do_handshake(self.ssl)
        local bytes = self:outgoing()
        if #bytes > 0 then
            self:send_raw(bytes)
        end
        local status = C.transport_handshake(self.server)
        if status ~= AGAIN then
            self:fetch()
            ssl.SSL_do_handshake(self.ssl)
            return status
        end
        if C.transport_wants_write(self.server) then
            self:fetch()
        elseif self:fetch() <= 0 then
            M.wait(self.server.fd)
        end
    end
end

-- Encrypts, for send_raw.
function Link:encrypt(text)
    assert(ssl.SSL_write(self.ssl, text, #text) == #text)
    return self:outgoing()
end

-- All the client can decrypt now.
function Link:decrypted()
    local parts = {}
    while true do
        local n = ssl.SSL_read(self.ssl, self.scratch, 65536)
        if n <= 0 then
            ssl.ERR_clear_error()
            return table.concat(parts)
        end
        parts[#parts + 1] = ffi.string(self.scratch, n)
    end
end

-- One transport_read: the bytes, or nil and the result.
function Link:read(room)
    room = room or 524288
    self.arena = self.arena or ffi.new("uint8_t[?]", 524288)
    local n = tonumber(C.transport_read(self.server, self.arena, room))
    if n > 0 then
        return ffi.string(self.arena, n)
    end
    return nil, n
end

-- Reads until len bytes have come.
function Link:read_all(len, room)
    local parts, have = {}, 0
    while have < len do
        local text, code = self:read(room)
        if text then
            parts[#parts + 1] = text
            have = have + #text
        else
            assert(code == AGAIN, "the connection ended early")
            M.wait(self.server.fd)
        end
    end
    return table.concat(parts)
end

function Link:write(text)
    return tonumber(C.transport_write(self.server, text, #text))
end

function Link:why()
    return ffi.string(C.transport_error(self.server))
end

-- The session for M.link's option, to be had after the first bytes were read (RFC 8446 §4.6.1).
function Link:session()
    return ffi.gc(ssl.SSL_get1_session(self.ssl), ssl.SSL_SESSION_free)
end

-- Whether the certificate that the server showed is for a name.
function Link:shown(name)
    local certificate = ssl.SSL_get1_peer_certificate(self.ssl)
    local matches = ssl.X509_check_host(certificate, name, 0, 0, nil) == 1
    ssl.X509_free(certificate)
    return matches
end

function Link:close()
    if self.open then
        self.open = false
        C.transport_close(self.server)
        ffi.C.close(self.fd)
    end
end

-- A folder that is removed by the function returned with it.
function M.folder()
    local pipe = assert(io.popen "mktemp -d")
    local path = pipe:read "*l"
    pipe:close()
    return path, function()
        os.execute("rm -rf '" .. path .. "'")
    end
end

function M.run(command)
    shell(command .. " >/dev/null 2>&1")
end

-- Makes folder/name.pem and folder/name.key; names is a subjectAltName, or nil for none.
function M.certificate(folder, name, names)
    local base = folder .. "/" .. name
    M.run(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10"
        .. " -subj /CN=%s.test %s -out %s.pem -keyout %s.key"):format(
        name, names and "-addext subjectAltName=" .. names or "", base, base))
    return { base .. ".pem", base .. ".key" }
end

function M.write_file(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

function M.read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

return M
