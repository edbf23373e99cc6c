-- A peer that sends what it is told, byte for byte, and reads frames: for specs that look at the
-- process. What a real client would do is shown with real clients.

local bit = require "bit"
local socket = require "socket"
local unix = require "socket.unix"

local M = {}

local Peer = {}
Peer.__index = Peer

local deadline_seconds = tonumber(os.getenv "MOONWIRE_SPEC_SECONDS" or 20)

-- To a port of 127.0.0.1, or to the path of a unix socket. nil, why when it is refused.
function M.connect(to, address)
    local s = type(to) == "number" and socket.tcp() or unix()
    s:settimeout(deadline_seconds)
    local ok, why
    if type(to) == "number" then
        ok, why = s:connect(address or "127.0.0.1", to)
    else
        ok, why = s:connect(to)
    end
    if not ok then
        s:close()
        return nil, why
    end
    return setmetatable({ socket = s }, Peer)
end

function Peer:send(bytes)
    return assert(self.socket:send(bytes))
end

-- Exactly n bytes, or nil, "closed" when the peer ended its side first.
function Peer:bytes(n)
    return self.socket:receive(n)
end

-- All up to the peer's end.
function Peer:rest()
    local text, why, part = self.socket:receive "*a"
    return text or (why == "closed" and part) or error(why)
end

-- A response's head, with its status.
function Peer:head()
    local lines = {}
    repeat
        local line, why = self.socket:receive "*l"
        if not line then
            return nil, why
        end
        lines[#lines + 1] = line
    until line == ""
    return table.concat(lines, "\n"), tonumber(lines[1]:match "^HTTP/1%.1 (%d+)")
end

-- The body of an answer to GET, on a connection of its own.
function M.get(to, path)
    local peer = assert(M.connect(to))
    peer:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path))
    local _, status = peer:head()
    local body = peer:rest()
    peer:close()
    return body, status
end

-- A WebSocket; nil, status when it is refused.
function M.websocket(to, path, address)
    local peer = assert(M.connect(to, address))
    peer:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        :format(path))
    local _, status = peer:head()
    if status ~= 101 then
        peer:close()
        return nil, status
    end
    return peer
end

-- One frame, masked with zeros (RFC 6455 §5.3 allows any key); up to 125 bytes.
function Peer:frame(opcode, payload)
    self:send(string.char(0x80 + opcode, 0x80 + #payload, 0, 0, 0, 0) .. payload)
end

-- The next frame of up to 65,535 bytes: opcode, payload; or nil, why.
function Peer:read_frame()
    local first, why = self:bytes(2)
    if not first then
        return nil, why
    end
    local len = bit.band(first:byte(2), 0x7f)
    if len == 126 then
        local long = assert(self:bytes(2))
        len = long:byte(1) * 256 + long:byte(2)
    end
    return bit.band(first:byte(1), 0x0f), len > 0 and assert(self:bytes(len)) or ""
end

function Peer:close()
    self.socket:close()
end

return M
