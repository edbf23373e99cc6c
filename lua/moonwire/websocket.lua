-- The browser's WebSocket (WHATWG WebSockets Standard §3): a connection that the script opens.
--
--   local WebSocket = require "moonwire.websocket"
--   local ws = WebSocket.new("wss://example.com/chat", { "v2.chat", "chat" })

local class = require "moonwire.connection.class"
local connection = require "moonwire.connection.connection"
local failure = require "moonwire.base.failure"
local generation = require "moonwire.reload.generation"
local lazy = require "moonwire.base.lazy"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local wait = require "moonwire.waiting.wait"

local arguments = lazy.use "moonwire.base.arguments"
local headers = lazy.use "moonwire.http.headers"
local inbox = lazy.use "moonwire.connection.inbox"
local suggest = lazy.use "moonwire.base.suggest"
local units = lazy.use "moonwire.base.units"

local ffi = require "ffi"

native.declare "api_client"

local C, worker = native.C, native.worker
local CONNECTING = connection.CONNECTING
local HANDLE, STATE, LISTENERS = connection.HANDLE, connection.STATE, connection.LISTENERS
local QUEUE, TOP = connection.QUEUE, connection.TOP

local M = {
    CONNECTING = CONNECTING,
    OPEN = connection.OPEN,
    CLOSING = connection.CLOSING,
    CLOSED = connection.CLOSED,
}

local meta = class.new({}, { [1000] = true }, "1000 (normal)")

failure.know_api(M, "WebSocket")

-- ---- arguments ------------------------------------------------------------------------------

local readers -- of the options

local out, out_size = ffi.new "char[2048]", 2048
local why = ffi.new "const char *[1]"

-- The URL as ws.url shows it; nil and a text.
local function serialize(url)
    local len = C.mw_url_serialize(url, #url, out, out_size, why)
    if len == C.ERR_TOO_BIG then
        out_size = #url * 3 + 64 -- an escape has three bytes
        out = ffi.new("char[?]", out_size)
        len = C.mw_url_serialize(url, #url, out, out_size, why)
    end
    if len < 0 then
        return nil, len == C.ERR_INVALID and ffi.string(why[0]) or "it is too long"
    end
    return ffi.string(out, len)
end

-- "a, b" from "a" or { "a", "b" }; nil and a text. A subprotocol is a token (RFC 6455 §4.1, 10.:
-- characters from ! to ~ but for separators).
local function protocol_list(protocols)
    local list = type(protocols) == "string" and { protocols } or protocols or {}
    if type(list) ~= "table" then
        return nil, string.format("the subprotocols are a string or a list of strings, got %s",
            type(list))
    end
    for key in pairs(list) do
        if readers[key] then
            return nil, string.format("%s is an option, and the options come third: write "
                .. "WebSocket.new(url, nil, { %s = … })", key, key)
        elseif type(key) ~= "number" then
            return nil, string.format("the subprotocols are a string or a list of strings, got "
                .. "the key %s", tostring(key))
        end
    end
    local seen = {}
    for i, name in ipairs(list) do
        if type(name) ~= "string" then
            return nil, string.format("subprotocol %d is a string, got %s", i, type(name))
        elseif name == "" or string.find(name, '[^!-~]') or string.find(name,
            '[()<>@,;:\\"/%[%]?={}]') then
            return nil, string.format("%q is not a subprotocol: letters, digits and "
                .. "-.!#$%%&'*+^_`|~ only", name)
        elseif seen[name] then
            return nil, string.format("the subprotocol %s comes twice", name)
        end
        seen[name] = true
    end
    return table.concat(list, ", ")
end

local option_names = { "headers", "connect_timeout", "handshake_timeout", "compress",
    "message_bytes", "queued_bytes", "idle_seconds", "pong_seconds", "close_seconds", "ca_file",
    "cert", "key", "insecure", "concurrent" }

local function header_lines(value)
    for name in pairs(type(value) == "table" and value or {}) do
        local lower = type(name) == "string" and string.lower(name) or ""
        if lower == "host" or string.find(lower, "^sec%-websocket%-") then
            return nil, string.format("the header %s is written by the WebSocket itself", name)
        end
    end
    return headers.lines(value)
end

local function seconds(value)
    local number, problem = units.duration(value)
    if number == 0 then
        return nil, "a duration of more than 0, please"
    end
    return number, problem
end

-- Of limits in whole seconds.
local function whole_seconds(value)
    local number, problem = units.duration(value)
    return number and math.ceil(number), problem
end

local function boolean(value)
    if type(value) == "boolean" then
        return value
    end
    return nil, string.format("true or false, got %s", type(value))
end

-- A file's name is relative to the app's folder.
local function file(value)
    if type(value) == "string" and not string.find(value, "%c") then
        return generation.resolve(value)
    end
    return nil, string.format("the name of a PEM file, got %s", type(value))
end

readers = {
    headers = header_lines,
    connect_timeout = seconds,
    handshake_timeout = seconds,
    compress = boolean,
    concurrent = boolean,
    message_bytes = units.bytes,
    queued_bytes = units.bytes,
    idle_seconds = whole_seconds,
    pong_seconds = whole_seconds,
    close_seconds = whole_seconds,
    ca_file = file,
    cert = file,
    key = file,
    insecure = boolean,
}

-- The options as C takes them, by their names in Lua; nil and a text.
local function read_options(options)
    if options ~= nil and type(options) ~= "table" then
        return nil, string.format("the options are a table, { name = value }, got %s",
            type(options))
    end
    local read = {}
    for name, value in pairs(options or {}) do
        local reader = readers[name]
        if not reader then
            return nil, string.format("there is no option %s%s", tostring(name),
                suggest.text(name, option_names))
        end
        local result, problem = reader(value)
        if result == nil then
            return nil, string.format("the option %s: %s", name, problem)
        end
        read[name] = result
    end
    if read.key and not read.cert then
        return nil, "the option key needs the option cert"
    end
    return read
end

-- ---- the constructor ------------------------------------------------------------------------

-- struct connect_options borrows its strings for the call: they are kept in read and url.
local function connect(url, protocols, read)
    local c = ffi.new "struct connect_options"
    c.url, c.url_len = url, #url
    c.protocols, c.protocols_len = protocols, #protocols
    read.headers = read.headers or ""
    c.headers, c.headers_len = read.headers, #read.headers
    c.ca_file, c.cert_file, c.key_file = read.ca_file, read.cert, read.key
    c.connect_seconds = read.connect_timeout or 0
    c.handshake_seconds = read.handshake_timeout or 0
    c.message_bytes = read.message_bytes or 0
    c.queued_bytes = read.queued_bytes or 0
    c.idle_seconds = read.idle_seconds or 0
    c.pong_seconds = read.pong_seconds or 0
    c.close_seconds = read.close_seconds or 0
    c.insecure = read.insecure or false
    c.compress = read.compress or false
    c.concurrent = read.concurrent or false
    return C.mw_connect(worker, c, why)
end

-- Other code takes over: it closes what the code before has opened, as a browser does for a page
-- that goes away, and like that page the code hears of it no more.
local function leave(ws)
    if ws[STATE] <= connection.OPEN then
        ws[LISTENERS] = false
        ws[STATE] = connection.CLOSING
        C.mw_close(worker, ws[HANDLE], 1001, "", 0)
        if ws[QUEUE] then
            inbox.drop_messages(ws)
        end
    end
end

local function object(handle, url)
    local ws = setmetatable(
        connection.entries(handle, CONNECTING, connection.CLIENT_ROUTE, "string", 0), meta)
    rawset(ws, "url", url)
    connection.register(ws)
    local top = wait.top()
    if top then
        rawset(ws, TOP, top)
        top.others[ws] = leave
    end
    return ws
end

local failures = {
    [C.ERR_LIMIT] = "too many connections: raise the limit connections, or ulimit -n",
    [C.ERR_MEMORY] = "out of memory",
}

-- Raises where new does.
local function check(url, ...)
    local extra = arguments.first(...)
    if extra ~= nil then
        error(string.format("WebSocket.new(url, protocols, options) takes no more arguments than "
            .. "these, got a %s behind them", type(extra)), 4)
    elseif wait.loading_again then
        error("WebSocket: an app that is loaded again does not connect at its top level; write "
            .. "mw.spawn(function() … end) around it", 4)
    elseif type(url) ~= "string" then
        error(string.format("WebSocket: the URL is a string, as in "
            .. 'WebSocket.new("ws://localhost:8080/chat"), got %s', type(url)), 4)
    end
end

-- Raises at the caller's caller.
local function new(url, protocols, options, ...)
    check(url, ...)
    local serialized, problem = serialize(url)
    if not serialized then
        error(string.format("SyntaxError: WebSocket: the URL %q is not one that can be opened: %s",
            url, problem), 3)
    end
    local list, read
    list, problem = protocol_list(protocols)
    if not list then
        error("SyntaxError: WebSocket: " .. problem, 3)
    end
    read, problem = read_options(options)
    if not read then
        error("WebSocket: " .. problem, 3)
    end
    if read.insecure and string.find(serialized, "^wss:") then
        -- Without what may be secret: user, password, path and query.
        local host = string.match(string.match(serialized, "//([^/?]*)"), "[^@]*$")
        log.warn(string.format("wss://%s: its certificate is NOT VERIFIED (option insecure): "
            .. "anybody on the way can read and change what is sent", host))
    end
    local handle = connect(serialized, list, read)
    if handle < 0 then
        error(string.format("WebSocket: %s", failures[handle] or ffi.string(why[0])), 3)
    end
    return object(handle, serialized)
end

--- Opens a connection. It is CONNECTING; the event "open" follows, or "error" and "close".
-- @param url absolute: ws, wss, http or https; without a fragment
-- @param protocols subprotocols to offer: a string or a list, the preferred first
-- @param options headers = { name = value }: what the request shall hold beside its own (Origin,
--   Cookie, Authorization); connect_timeout, handshake_timeout: "10s"; concurrent = true does not
--   wait until others to the same address and port are open; compress = true offers
--   permessage-deflate; message_bytes, queued_bytes, idle_seconds, pong_seconds, close_seconds as
--   limits of the same name; ca_file: PEM file of authorities instead of the system's; cert, key:
--   PEM files of a client certificate; insecure = true: certificates are not verified
-- @return the WebSocket
-- @raise SyntaxError for URLs and subprotocols that are none
-- @usage local ws = WebSocket.new("wss://example.com/chat", "v2.chat")
--   ws.onmessage = function(event) print(event.data) end
function M.new(url, protocols, options, ...)
    local ws = new(url, protocols, options, ...)
    return ws
end

return setmetatable(M, {
    __call = function(_, url, protocols, options, ...)
        local ws = new(url, protocols, options, ...)
        return ws
    end,
    __index = function(_, name)
        error(string.format("WebSocket.%s does not exist; write WebSocket.new(url)",
            tostring(name)), 2)
    end,
})
