-- What a connection can do but send, which is in class.lua.

local connection = require "moonwire.connection.connection"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local arguments = lazy.use "moonwire.base.arguments"
local event_target = lazy.use "moonwire.connection.event_target"
local inbox = lazy.use "moonwire.connection.inbox"
local messages = lazy.use "moonwire.connection.messages"
local suggest = lazy.use "moonwire.base.suggest"

local C, worker = native.C, native.worker
local ERR_LIMIT, ERR_UTF8 = C.ERR_LIMIT, C.ERR_UTF8
local HANDLE, STATE, QUEUE = connection.HANDLE, connection.STATE, connection.QUEUE
local OPEN, CLOSING, CLOSED = connection.OPEN, connection.CLOSING, connection.CLOSED
local check_self = connection.check_self

local methods = lazy.module(...)

methods.CONNECTING = connection.CONNECTING
methods.OPEN = OPEN
methods.CLOSING = CLOSING
methods.CLOSED = CLOSED

local function check_close(ws, code, reason)
    if code == nil then
        if reason ~= nil then
            error("InvalidAccessError: close: a reason needs a code; write ws:close(1000, reason)",
                3)
        end
        return
    end
    local class = getmetatable(ws)
    if type(code) ~= "number" or code % 1 ~= 0
        or not (class.close_codes[code] or code >= 3000 and code <= 4999) then
        error(string.format("InvalidAccessError: close: the code is %s or your own of 3000 to "
            .. "4999, got %s", class.close_codes_text, suggest.shown(code)), 3)
    end
    if reason ~= nil and type(reason) ~= "string" then
        error(string.format("close: the reason is a string, got %s", type(reason)), 3)
    end
    if reason and #reason > 123 then
        error(string.format("SyntaxError: close: the reason has at most 123 bytes, got %d",
            #reason), 3)
    end
end

--- Begins the closing handshake. No message is delivered after it; on_close follows. A connection
-- that is not open yet fails.
-- @param code 1000 or 3000 to 4999, on the server 1001, 1003, 1007 to 1009 and 1011 to 1013 too;
--   nil: none is told
-- @param reason UTF-8 of at most 123 bytes
-- @return true; nil, "closed" when it is closing or closed already
-- @raise InvalidAccessError for other codes, SyntaxError for a reason that is too long or not UTF-8
-- @usage ws:close(1000, "bye")
function methods.close(ws, code, reason, ...)
    check_self(ws, "close")
    arguments.no_more("ws:close(code, reason)", nil, ...)
    check_close(ws, code, reason)
    if ws[STATE] > OPEN then
        return nil, "closed"
    end
    reason = reason or ""
    local result = C.mw_close(worker, ws[HANDLE], code or 1005, reason, #reason)
    if result == ERR_UTF8 then
        error("SyntaxError: close: the reason is not UTF-8", 2)
    end
    ws[STATE] = CLOSING
    if ws[QUEUE] then
        inbox.drop_messages(ws)
    end
    if result < 0 then
        return messages.refused(ws, result)
    end
    return true
end

--- Ends the connection at once, without a closing handshake; on_close follows with 1006.
-- Use it for a peer that does not answer; ws:close() is the polite way.
-- @return true; nil, "closed"
function methods.terminate(ws)
    check_self(ws, "terminate")
    if ws[STATE] == CLOSED then
        return nil, "closed"
    end
    local result = C.mw_terminate(worker, ws[HANDLE])
    ws[STATE] = CLOSING
    if result < 0 then
        return messages.refused(ws, result)
    end
    return true
end

--- Sends a Ping. The server pings silent peers by itself (limit idle_seconds).
-- @param data at most 125 bytes that the Pong repeats
-- @return true; nil, "closed"
function methods.ping(ws, data, ...)
    check_self(ws, "ping")
    arguments.no_more("ws:ping(data)", nil, ...)
    data = data or ""
    if type(data) ~= "string" or #data > 125 then
        error(string.format("ping: the data is a string of at most 125 bytes, got %s",
            type(data) == "string" and #data or type(data)), 2)
    end
    if ws[STATE] ~= OPEN then
        return nil, "closed"
    end
    local result = C.mw_ping(worker, ws[HANDLE], data, #data)
    if result < 0 then
        return messages.refused(ws, result)
    end
    return true
end

--- Receives what is published to the topic from now on, in every worker.
-- @return true (also when it was so already); nil and a text: "closed", "over the limit
--   subscriptions", or topics, or topic_bytes
function methods.subscribe(ws, topic, ...)
    check_self(ws, "subscribe")
    arguments.no_more("ws:subscribe(topic)", "call it for each topic", ...)
    messages.check_topic(topic, "subscribe", 2)
    local result = C.mw_subscribe(worker, ws[HANDLE], topic, #topic)
    if result == ERR_LIMIT then
        return nil, "over the limit subscriptions"
    elseif result == C.ERR_IN_USE then
        return nil, "over the limit topics"
    elseif result < 0 then
        return nil, messages.reason(result)
    end
    return true
end

--- Ends a subscription. A connection that closes loses its subscriptions by itself.
-- @return true, or false when there was none; nil, "closed"
function methods.unsubscribe(ws, topic, ...)
    check_self(ws, "unsubscribe")
    arguments.no_more("ws:unsubscribe(topic)", "call it for each topic", ...)
    messages.check_topic(topic, "unsubscribe", 2)
    local result = C.mw_unsubscribe(worker, ws[HANDLE], topic, #topic)
    if result < 0 then
        return nil, messages.reason(result)
    end
    return result == 1
end

--- Sends a message to all subscribers of a topic but this connection, in every worker.
-- Works in on_close too, when there is nobody to leave out.
-- @param topic a string
-- @param data, is_binary as for ws:send
-- @return true; nil and a text
-- @usage ws:publish("room/" .. ws.params.room, "hello")
function methods.publish(ws, topic, data, is_binary, extra)
    check_self(ws, "publish")
    return messages.publish(ws[STATE] == CLOSED and 0 or ws[HANDLE], topic, data, is_binary, extra)
end

local function check_listener(kind, fn, name)
    if not event_target.is_type(kind) then
        error(string.format("%s: there is no event %q%s", name, tostring(kind),
            suggest.text(kind, event_target.types)), 3)
    end
    if type(fn) ~= "function" then
        error(string.format("%s: a listener is a function, got %s", name, type(fn)), 3)
    end
end

--- Adds a listener, which is called after the route's hook with an event: type, target (the ws)
-- and for "message" data, origin and is_binary; for "close" code, reason, wasClean; for "error"
-- message and code.
-- Several are called in the order added; the same function is added once.
-- @param kind "open", "message", "close", "error", "drain"
-- @param fn function(event)
-- @param options { once = true } removes it before its first call
-- @usage ws:addEventListener("message", function(event) print(event.data) end)
function methods.addEventListener(ws, kind, fn, options, ...)
    check_self(ws, "addEventListener")
    arguments.no_more("ws:addEventListener(type, fn, options)", nil, ...)
    check_listener(kind, fn, "addEventListener")
    if options ~= nil and type(options) ~= "table" then
        error(string.format("addEventListener: the options are a table, { once = true }, got %s",
            type(options)), 2)
    end
    for name in pairs(options or {}) do
        if name ~= "once" then
            error(string.format("addEventListener: there is no option %s%s", tostring(name),
                suggest.text(name, { "once" })), 2)
        end
    end
    event_target.add(connection.listeners_of(ws), kind, fn, options and options.once)
    connection.has_listener(ws, kind)
end

--- Removes a listener that addEventListener added.
function methods.removeEventListener(ws, kind, fn)
    check_self(ws, "removeEventListener")
    check_listener(kind, fn, "removeEventListener")
    event_target.remove(connection.listeners_of(ws), kind, fn)
end

-- Both wait: inbox.lua has them.
function methods.receive(ws, timeout)
    return inbox.receive(ws, timeout)
end

function methods.opened(ws)
    return inbox.wait_opened(ws)
end

return methods
