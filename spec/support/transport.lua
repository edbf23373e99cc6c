-- The transport layer for specs: declares src/transport/*.h through the FFI, and has both ends
-- of a connection, the client's of OpenSSL (openssl.lua): a spec says which bytes the server gets
-- when.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local openssl = require "spec.support.openssl"
local shell = require "spec.support.shell"

local M = { C = core.C }

ffi.cdef [[
typedef long off_t;
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

for _, name in ipairs { "address", "tcp", "listening", "tcp_listen", "transport", "tls_pieces",
    "tls_ciphers", "tls_record", "tls_traffic", "tls_tickets", "tls_context", "tls_session", "tls",
    "dev_cert" } do
    core.declare("src/transport/" .. name .. ".h")
end

local C, ssl = M.C, openssl.C
M.ssl = ssl
local AGAIN = C.ERR_AGAIN
local POLLIN, POLLOUT = 1, 4
local MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
local SOL_SOCKET, SO_SNDBUF, SO_RCVBUF = 1, 7, 8

-- Waits until fd is readable (or writable); the wait is bounded, and its end is the spec's failure.
function M.wait(fd, for_write)
    local p = ffi.new("struct mw_pollfd[1]", { { fd, for_write and POLLOUT or POLLIN, 0 } })
    assert(ffi.C.poll(p, 1, 5000) == 1, "nothing happened on the socket for 5 s")
end

-- tcp_listen as Lua likes it: the descriptors, the port and what tcp_listen_close wants of each; or
-- nil, the code and the text.
function M.listen(host, port, peer_first, leaves)
    local options = ffi.new "struct tcp_listen_options"
    options.host, options.port, options.peer_first = host, port or 0, peer_first or false
    options.leaves = leaves
    local sockets = ffi.new("struct listening[?]", C.TCP_LISTENERS_MAX)
    local got = ffi.new "uint16_t[1]"
    local why = ffi.new("char[?]", C.LISTENING_WHY_BYTES)
    local n = C.tcp_listen(options, sockets, got, why)
    if n < 0 then
        return nil, n, ffi.string(why)
    end
    local list, listening = {}, {}
    for i = 0, n - 1 do
        list[#list + 1] = sockets[i].fd
        listening[#listening + 1] = ffi.new("struct listening", sockets[i])
    end
    return list, got[0], listening
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
-- and with TLS the client of openssl.lua. Options: buffer (bytes of the socket's buffers), ciphers
-- (as tls_accept) and those of that client.
local Link = setmetatable({}, { __index = openssl.Client })
Link.__index = Link

local function set_buffer(fd, name, bytes)
    local value = ffi.new("int[1]", bytes)
    assert(ffi.C.setsockopt(fd, SOL_SOCKET, name, value, 4) == 0)
end

-- A connection to context (nil: plain TCP), not yet shaken hands.
function M.link(context, o)
    o = o or {}
    local listeners = assert(M.listen "127.0.0.1")
    local self = setmetatable(context and openssl.client(o) or {}, Link)
    self.open = true
    self.fd = M.connect(listeners[1])
    local fd = M.accept(listeners[1])
    ffi.C.close(listeners[1])
    if o.buffer then
        set_buffer(fd, SO_SNDBUF, o.buffer)
        set_buffer(self.fd, SO_RCVBUF, o.buffer)
    end
    self.server = ffi.new("struct transport", { fd = fd })
    if context then
        self.server.tls = C.tls_accept(context, fd, o.ciphers)
        assert(self.server.tls ~= nil)
    end
    return self
end

function Link:send_raw(bytes)
    assert(ffi.C.send(self.fd, bytes, #bytes, MSG_NOSIGNAL) == #bytes)
end

-- Gives the client's TLS at most len bytes of what has come. Returns how many, 0 at the end.
function Link:fetch(len)
    len = len or openssl.scratch_bytes
    local n = tonumber(ffi.C.recv(self.fd, self.scratch, len, MSG_DONTWAIT))
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
        local n = ssl.SSL_read(self.ssl, self.scratch, openssl.scratch_bytes)
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

return M
