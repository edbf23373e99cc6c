-- A server that does what it is told, byte for byte, for specs of moonwire as a client; and that
-- client: the real binary, which prints what happens.
--
--   local acceptor = acceptors.new()
--   local client = acceptor:client("/chat", "{ compress = true }")
--   local peer = acceptor:accept()          -- as of peer.lua
--   local head, key = peer:request()
--   peer:switch(key)                        -- 101
--   client:printed "^open"
--   client:ended()                          -- status 0
--
-- In a describe, local acceptor = acceptors.fresh() has one for each spec.

local assert = require "luassert"
local busted = require "busted"
local frame = require "spec.support.frame"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local mime = require "mime"
local socket = require "socket"
local ssl = require "ssl"

local ffi = require "ffi"

pcall(ffi.cdef, "unsigned char *SHA1(const unsigned char *data, size_t len, unsigned char *out);")
local crypto = ffi.load "libcrypto.so.3"

local M = {}

local deadline_seconds = tonumber(os.getenv "MOONWIRE_SPEC_SECONDS" or 20)

-- ---- the server's side ----------------------------------------------------------------------

-- RFC 6455 §4.2.2, item 5.4.
function M.accept_of(key)
    local text = key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    local out = ffi.new "unsigned char[20]"
    crypto.SHA1(text, #text, out)
    return (mime.b64(ffi.string(out, 20)))
end

-- The bytes of a 101. fields: other values (false: without the field; a list: several), and more.
function M.response_101(key, fields)
    local values = {
        ["Upgrade"] = "websocket",
        ["Connection"] = "Upgrade",
        ["Sec-WebSocket-Accept"] = M.accept_of(key),
    }
    for name, value in pairs(fields or {}) do
        values[name] = value
    end
    local lines = { "HTTP/1.1 101 Switching Protocols" }
    for name, value in pairs(values) do
        for _, one in ipairs(type(value) == "table" and value or { value or nil }) do
            lines[#lines + 1] = name .. ": " .. one
        end
    end
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local Served = {} -- beside the methods of peers

-- The request's head and its key.
function Served:request()
    local lines = {}
    repeat
        local line = assert(self.socket:receive "*l")
        lines[#lines + 1] = line
    until line == ""
    local head = table.concat(lines, "\n")
    return head, head:match "\nSec%-WebSocket%-Key: ([^\n]+)\n"
end

function Served:switch(key, fields)
    self:send(M.response_101(key, fields))
end

-- A server's frame.
function Served:say(opcode, payload, options)
    self:send(frame.from_server(opcode, payload, options))
end

-- The next frame, which must be masked.
function Served:hear()
    local opcode, payload, f = self:read_frame()
    assert.is_truthy(opcode, payload)
    assert.is_true(f.masked)
    return opcode, payload, f
end

local function served(s)
    local one = peer.over(s)
    for name, method in pairs(Served) do
        one[name] = method
    end
    return one
end

local Acceptor = {}
Acceptor.__index = Acceptor

local function listen(self, options)
    local listener = assert((options.address == "::1" and socket.tcp6 or socket.tcp4)())
    assert(listener:setoption("reuseaddr", true))
    assert(listener:bind(options.address or "127.0.0.1", options.port or 0))
    assert(listener:listen(options.backlog or 64))
    listener:settimeout(deadline_seconds)
    local _, port = listener:getsockname()
    self.listener = listener
    self.port = tonumber(port)
    self.tls = options.tls
    self.opened, self.clients = {}, {} -- to close
end

-- Listens on a free port of 127.0.0.1. options: address; port; backlog; tls: parameters of LuaSec
-- (certificate, key, …).
function M.new(options)
    local self = setmetatable({}, Acceptor)
    listen(self, options or {})
    return self
end

-- Within describe: the same, another before each of its specs, which is closed after it.
function M.fresh(options)
    local self = setmetatable({}, Acceptor)
    busted.before_each(function()
        listen(self, options or {})
    end)
    busted.after_each(function()
        self:close()
    end)
    return self
end

-- The next connection, before TLS.
function Acceptor:accept_tcp()
    local s = assert(self.listener:accept())
    s:settimeout(deadline_seconds)
    s:setoption("tcp-nodelay", true)
    self.opened[#self.opened + 1] = s
    return served(s)
end

-- The next connection; nil, why when TLS fails.
function Acceptor:accept()
    local one = self:accept_tcp()
    if not self.tls then
        return one
    end
    local parameters = { mode = "server", protocol = "any", options = "all" }
    for name, value in pairs(self.tls) do
        parameters[name] = value
    end
    local wrapped = assert(ssl.wrap(one.socket, parameters))
    wrapped:settimeout(deadline_seconds)
    self.opened[#self.opened] = wrapped
    local ok, why = wrapped:dohandshake()
    if not ok then
        return nil, why
    end
    return served(wrapped)
end

-- Accepts and opens the WebSocket: the peer, the request's head.
function Acceptor:open(fields)
    local one = assert(self:accept())
    local head, key = one:request()
    one:switch(key, fields)
    return one, head
end

-- ---- the client -----------------------------------------------------------------------------

local Client = {}
Client.__index = Client

local prologue = [[
local mw = require "moonwire"
local WebSocket = require "moonwire.websocket"
local ws = WebSocket.new(%q, %s, %s)
ws.onopen = function() print(("open [%%s] [%%s]"):format(ws.protocol, ws.extensions)) end
ws.onmessage = function(e) print("message " .. tostring(e.data)) end
ws.onerror = function(e) print("error " .. tostring(e.message)) end
ws.onclose = function(e)
    print(("close %%d [%%s] %%s"):format(e.code, e.reason, tostring(e.wasClean)))
end
local _ = mw
]]

-- Runs a script in the real binary.
function M.run(script, arguments, env)
    local folder = process.folder()
    local command = { folder:write("client.lua", script) }
    for _, argument in ipairs(arguments or {}) do
        command[#command + 1] = argument
    end
    return setmetatable({
        folder = folder,
        process = process.start(command, { env = env }),
    }, Client)
end

-- One that opens a URL and prints what happens. options, protocols: their Lua; more: what follows,
-- where the connection is ws.
function M.client(url, options, protocols, more)
    return M.run(prologue:format(url, protocols or "nil", options or "nil") .. (more or ""))
end

function Acceptor:url(path)
    return ("%s://127.0.0.1:%d%s"):format(self.tls and "wss" or "ws", self.port, path or "/")
end

function Acceptor:client(path, options, protocols, more)
    local client = M.client(self:url(path), options, protocols, more)
    table.insert(self.clients, client)
    return client
end

-- Waits for the next line that matches; its captures.
function Client:printed(pattern)
    return self.process:wait_for(pattern, "out")
end

-- It must print exactly this.
function Client:prints(line)
    assert.equal(line, (self.process:wait_for("^(.*)$", "out")))
end

-- Waits for its end, which must be by itself and without a sanitizer's report. All that it printed.
function Client:ended(status)
    local ok, problem = pcall(self.process.wait, self.process)
    self.process:finish()
    self.folder:remove()
    assert(ok, problem)
    for _, sign in ipairs { "Sanitizer", "runtime error:", "the dispatcher failed", "PANIC" } do
        assert.is_nil(self.process.err:find(sign, 1, true), self.process.err)
    end
    assert.equal(status or 0, self.process.status, self.process.err)
    return self.process.out, self.process.err
end

-- Fails to open: one error with this text, and close 1006.
function Client:fails(text)
    self:prints("error " .. text)
    self:prints "close 1006 [] false"
    self:ended()
end

-- Its server goes away without a Close: it says so, and ends.
function Client:loses(one)
    one:close()
    self:printed "^close 1006"
    self:ended()
end

-- For after_each: whatever is left.
function Client:discard()
    self.process:finish()
    self.folder:remove()
end

function Acceptor:close()
    for _, client in ipairs(self.clients) do
        client:discard()
    end
    for _, one in ipairs(self.opened) do
        one:close()
    end
    self.opened = {}
    self.listener:close()
end

return M
