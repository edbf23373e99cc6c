-- A peer that sends what it is told, byte for byte, and reads what comes: for what no real client
-- would send. What a real client would do is shown with real clients.

local socket = require "socket"
local unix = require "socket.unix"
local frame = require "spec.support.frame"

local M = {}

local Peer = {}
Peer.__index = Peer

local deadline_seconds = tonumber(os.getenv "MOONWIRE_SPEC_SECONDS" or 60)

-- ---- bytes ----------------------------------------------------------------------------------

local function new_socket(to, options)
    if type(to) ~= "number" then
        return unix()
    elseif options.address then
        return socket.tcp()
    end
    local s = assert(socket.tcp4())
    if options.from then
        assert(s:bind(options.from, 0))
    end
    if options.receive_buffer then
        assert(s:setoption("recv-buffer-size", options.receive_buffer))
    end
    return s
end

-- To a port of 127.0.0.1, or to the path of a unix socket; nil, why when it is refused. options:
-- another address (a table with it, or it alone); from, its own address; receive_buffer, so that
-- the peer's system takes little before it stops the server; first, bytes that it sends before all
-- else; tls, the options of tls.wrap.
function M.connect(to, options)
    options = type(options) == "string" and { address = options } or options or {}
    local s = new_socket(to, options)
    s:settimeout(deadline_seconds)
    local ok, why
    if type(to) == "number" then
        ok, why = s:connect(options.address or "127.0.0.1", to)
    else
        ok, why = s:connect(to)
    end
    if not ok then
        s:close()
        return nil, why
    end
    if type(to) == "number" then
        s:setoption("tcp-nodelay", true)
    end
    if options.first then
        assert(s:send(options.first))
    end
    if options.tls then
        local tcp = s
        s, why = require("spec.support.tls").wrap(tcp, options.tls, deadline_seconds)
        if not s then
            tcp:close()
            return nil, why
        end
    end
    return setmetatable({ socket = s }, Peer)
end

local function in_vain()
    error(("nothing came for %d s"):format(deadline_seconds), 0)
end

-- How a stream ended: a peer that goes on being silent fails the spec.
local function ended(why)
    if why == "timeout" then
        in_vain()
    end
    return nil, why
end

-- The same over a socket that is connected already, of either side (acceptor.lua).
function M.over(s)
    return setmetatable({ socket = s }, Peer)
end

-- All of it; nil, why when the server has ended the connection.
function Peer:try_send(bytes)
    local ok, why = self.socket:send(bytes)
    if not ok then
        return ended(why)
    end
    return ok
end

function Peer:send(bytes)
    return assert(self:try_send(bytes))
end

-- One byte at a time, each in a packet of its own.
function Peer:trickle(bytes)
    for i = 1, #bytes do
        self:send(bytes:sub(i, i))
    end
end

-- Exactly n bytes, or nil, "closed" when the peer ended its side first.
function Peer:bytes(n)
    local bytes, why = self.socket:receive(n)
    if not bytes then
        return ended(why)
    end
    return bytes
end

-- All up to the peer's end.
function Peer:rest()
    local text, why, part = self.socket:receive "*a"
    return text or (why == "closed" and part) or error(why, 0)
end

-- What is there already, without waiting; "" for nothing.
function Peer:available()
    self.socket:settimeout(0)
    local text, _, part = self.socket:receive(1048576)
    self.socket:settimeout(deadline_seconds)
    return text or part or ""
end

-- Ends this side; the other can go on.
function Peer:shutdown()
    self.socket:shutdown "send"
end

function Peer:close()
    self.socket:close()
end

-- Ends the connection with a TCP reset.
function Peer:reset()
    self.socket:setoption("linger", { on = true, timeout = 0 })
    self.socket:close()
end

-- ---- HTTP -----------------------------------------------------------------------------------

-- A response's head, with its status.
function Peer:head()
    local lines = {}
    repeat
        local line, why = self.socket:receive "*l"
        if not line then
            return ended(why)
        end
        lines[#lines + 1] = line
    until line == ""
    return table.concat(lines, "\n"), tonumber(lines[1]:match "^HTTP/1%.1 (%d+)")
end

-- Names in lower case; a field that comes more than once as its lines joined by newlines.
local function fields_of(head)
    local fields = {}
    for name, value in head:gmatch "\n([^:\n]+):[ \t]*([^\n]*)" do
        name = name:lower()
        fields[name] = fields[name] and fields[name] .. "\n" .. value or value
    end
    return fields
end

function Peer:chunked_body()
    local parts = {}
    while true do
        local line = assert(self.socket:receive "*l")
        local n = tonumber(line:match "^%x+", 16)
        if n == 0 then
            repeat
                line = assert(self.socket:receive "*l")
            until line == ""
            return table.concat(parts)
        end
        parts[#parts + 1] = assert(self:bytes(n))
        assert(self:bytes(2) == "\r\n", "a chunk does not end with CRLF")
    end
end

-- One response: { status, headers, body, head }; nil, why when none came. bodiless: it answers a
-- HEAD.
function Peer:response(bodiless)
    local head, status = self:head()
    if not head then
        return nil, status
    end
    local r = { head = head, status = status, headers = fields_of(head), body = "" }
    local length = tonumber(r.headers["content-length"])
    if bodiless or status < 200 or status == 204 or status == 304 then
        return r
    elseif r.headers["transfer-encoding"] == "chunked" then
        r.body = self:chunked_body()
    elseif length then
        r.body = length > 0 and assert(self:bytes(length)) or ""
    else
        r.body = self:rest()
    end
    return r
end

-- The body of an answer to GET, on a connection of its own; its status, the response. options: as
-- in connect.
function M.get(to, path, options)
    local peer = assert(M.connect(to, options))
    peer:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path))
    local r = assert(peer:response())
    peer:close()
    return r.body, r.status, r
end

-- ---- WebSocket ------------------------------------------------------------------------------

local names = { "Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key" }
local values = {
    ["Host"] = "localhost",
    ["Upgrade"] = "websocket",
    ["Connection"] = "Upgrade",
    ["Sec-WebSocket-Version"] = "13",
    ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ==",
}
-- What the server must answer to that key (RFC 6455 §1.3).
M.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

-- The bytes of an opening handshake. fields: other values of these fields (false: without it) and
-- more fields; a list for one that comes more than once. line: another request line.
function M.upgrade_request(path, fields, line)
    fields = fields or {}
    local lines = { line or ("GET %s HTTP/1.1"):format(path) }
    local function add(name, value)
        for _, one in ipairs(type(value) == "table" and value or { value }) do
            lines[#lines + 1] = name .. ": " .. one
        end
    end
    for _, name in ipairs(names) do
        local value = fields[name]
        if value == nil then
            value = values[name]
        end
        if value then
            add(name, value)
        end
    end
    local others = {}
    for name in pairs(fields) do
        if values[name] == nil then
            others[#others + 1] = name
        end
    end
    table.sort(others)
    for _, name in ipairs(others) do
        add(name, fields[name])
    end
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- A WebSocket, with its response_101; nil, status, response when it is refused, nil, "closed" when
-- nothing is answered. options: an address, or those of connect with fields as in upgrade_request.
function M.websocket(to, path, options)
    options = type(options) == "string" and { address = options } or options or {}
    local peer = assert(M.connect(to, options))
    peer:send(M.upgrade_request(path, options.fields))
    local r, why = peer:response()
    if not r or r.status ~= 101 then
        peer:close()
        return nil, r and r.status or why, r
    end
    peer.response_101 = r
    return peer
end

-- Sends one frame; options as in frame.build.
function Peer:frame(opcode, payload, options)
    self:send(frame.build(opcode, payload, options))
end

function Peer:text(payload)
    self:frame(frame.TEXT, payload)
end

-- The next frame: opcode, payload, all of it (frame.read); or nil, why.
function Peer:read_frame()
    local f, why = frame.read(function(n)
        return self:bytes(n)
    end)
    if not f then
        return nil, why
    end
    return f.opcode, f.payload, f
end

-- The payload of the next frame, which must be a whole text.
function Peer:read_text()
    local opcode, payload, f = self:read_frame()
    if opcode ~= frame.TEXT or not f.fin or f.rsv1 then
        error(("expected a text, got opcode %s: %s"):format(tostring(opcode), tostring(payload)), 2)
    end
    return payload
end

-- Sends a text; the text that answers it.
function Peer:ask(text)
    self:text(text)
    return self:read_text()
end

-- Code and reason of the next frame, which must be a Close; "none" for one that holds no code.
function Peer:read_close()
    local opcode, payload = self:read_frame()
    if opcode ~= frame.CLOSE then
        error(("expected a Close, got opcode %s: %s"):format(tostring(opcode), tostring(payload)),
            2)
    end
    local code, reason = frame.parse_close(payload)
    return code or "none", reason
end

-- The server has ended its side, with nothing before.
function Peer:is_ended()
    local byte, why = self:bytes(1)
    return byte == nil and why == "closed"
end

-- The closing handshake, begun by this side.
function Peer:close_cleanly(code, reason)
    self:frame(frame.CLOSE, frame.close(code, reason))
    repeat
        local opcode, why = self:read_frame()
        assert(opcode, why)
    until opcode == frame.CLOSE
    assert(self:is_ended(), "not ended after the closing handshake")
    self:close()
end

return M
