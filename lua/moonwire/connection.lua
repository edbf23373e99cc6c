-- A connection, named as the browser names it (WHATWG WebSockets Standard §3): what the server's ws
-- (socket.lua) and the client's WebSocket (websocket.lua) have in common.
--
-- One table for each connection that the app's code has met, kept until its close event: an app may
-- well keep its users in a table with weak keys. It is small (136 bytes), since what C knows is
-- asked for when it is read, and kept only then.

local ffi = require "ffi"
local bit = require "bit"
local lazy = require "moonwire.lazy"
local native = require "moonwire.native"

local event_target = lazy.use "moonwire.event_target"
local inbox = lazy.use "moonwire.inbox"
local suggest = lazy.use "moonwire.suggest"
local text = lazy.use "moonwire.text"
local view = lazy.use "moonwire.view"

local new_table = require "table.new"

local C, worker = native.C, native.worker
local ERR_CLOSED, ERR_LIMIT = native.ERR_CLOSED, native.ERR_LIMIT
local ERR_UTF8, ERR_INVALID = native.ERR_UTF8, native.ERR_INVALID
local band, rshift = bit.band, bit.rshift

local M = {}

-- ---- layout ---------------------------------------------------------------------------------

-- The array part; user fields and what was read once (params, url, …) go to the hash part.
-- M.entries makes it.
local HANDLE, STATE, ROUTE, BINARY_TYPE, VERSION, USER_STATE = 1, 2, 3, 4, 5, 6
local LISTENERS, QUEUE = 7, 8
M.HANDLE, M.STATE, M.ROUTE = HANDLE, STATE, ROUTE -- ROUTE: its shape (route.lua)
M.VERSION = VERSION     -- the generation that has last met it
M.LISTENERS = LISTENERS -- a table of event_target, or false
M.QUEUE = QUEUE         -- what waits (inbox.lua), or false
M.BINARY_TYPE = BINARY_TYPE -- false: as its route says
-- ws.state, read and written by the metatable: a field of the hash part would cost 48 bytes.
M.USER_STATE = USER_STATE

-- A new object's table. Constants come last, since LuaJIT's bytecode files forget the size of an
-- array that ends with something else: it would grow a hash part when it is filled.
function M.entries(handle, state, shape, binary_type, version)
    return { handle, state, shape, binary_type, version, nil, false, false }
end

-- What only few have, in the hash part: { code, reason } when it is closed; the text of its error
-- event; bytes that were sent in vain.
local CLOSED_WITH, PROBLEM, UNSENT = 9, 10, 11
M.CLOSED_WITH, M.PROBLEM = CLOSED_WITH, PROBLEM

local CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3
M.CONNECTING, M.OPEN, M.CLOSING, M.CLOSED = CONNECTING, OPEN, CLOSING, CLOSED

-- Stands in for the route of a connection that the script opens: such have listeners, and no hooks.
local client_route = { client = true, pattern = "WebSocket", param_names = {},
    binaryType = "string" }
client_route.shape, client_route.record = client_route, client_route -- as in route.lua
M.CLIENT_ROUTE = client_route

-- The app's own, where a route has none: waiting_messages.
M.limits = {}

-- The last long text that came from the network: C has checked that it is UTF-8, and need not when
-- it is sent on.
local checked = { text = false }
M.checked = checked

-- In traces, what a local of the module holds is a constant; what a table does, is not.
local type, mw_send = type, C.mw_send
local TEXT, BINARY, CHECKED_TEXT = C.MW_MESSAGE_TEXT, C.MW_MESSAGE_BINARY, C.MW_MESSAGE_CHECKED_TEXT

-- ---- properties -----------------------------------------------------------------------------

local out = ffi.new "const char *[1]"
local out_len = ffi.new "size_t[1]"

-- What C knows of the connection; nil when it is gone.
local function known(ws, which)
    if C.mw_text(worker, ws[HANDLE], which, out, out_len) < 0 then
        return nil
    end
    return ffi.string(out[0], out_len[0])
end

local function keep(ws, name, value)
    rawset(ws, name, value)
    return value
end

local function kept_text(name, which)
    return function(ws)
        if ws[STATE] == CONNECTING then
            return "" -- it may change (WHATWG WebSockets §4)
        end
        return keep(ws, name, known(ws, which) or "")
    end
end

local getters = {
    id = function(ws)
        return ws[HANDLE]
    end,
    readyState = function(ws)
        if ws[STATE] ~= OPEN then
            return ws[STATE]
        end
        -- C knows of a closing that the peer has begun. CLOSED comes with the close event only.
        return C.mw_ready_state(worker, ws[HANDLE]) > OPEN and CLOSING or OPEN
    end,
    bufferedAmount = function(ws)
        -- What is sent in vain counts too, and for ever (WHATWG WebSockets §3.1).
        local unsent = ws[UNSENT] or 0
        return ws[CLOSED_WITH] and unsent or C.mw_buffered_amount(worker, ws[HANDLE]) + unsent
    end,
    binaryType = function(ws)
        return ws[BINARY_TYPE] or (ws[ROUTE].record or {}).binaryType or "string"
    end,
    url = kept_text("url", C.MW_TEXT_URL),
    protocol = kept_text("protocol", C.MW_TEXT_PROTOCOL),
    extensions = kept_text("extensions", C.MW_TEXT_EXTENSIONS),
    remote_address = kept_text("remote_address", C.MW_TEXT_REMOTE_ADDRESS),
    headers = function(ws)
        if ws[STATE] == CONNECTING then
            return {}
        end
        return keep(ws, "headers", text.header_lines(known(ws, C.MW_TEXT_HEADERS) or ""))
    end,
}

local handlers = {
    onopen = "open",
    onmessage = "message",
    onclose = "close",
    onerror = "error",
    ondrain = "drain",
}

local function listeners_of(ws)
    local target = ws[LISTENERS]
    if not target then
        target = event_target.new()
        ws[LISTENERS] = target
    end
    return target
end

-- ---- methods --------------------------------------------------------------------------------

local methods = {
    CONNECTING = CONNECTING,
    OPEN = OPEN,
    CLOSING = CLOSING,
    CLOSED = CLOSED,
}

M.methods = methods

local classes = {} -- metatable → true

function M.is(value)
    return type(value) == "table" and classes[getmetatable(value)] == true
end

local function check_self(ws, name)
    if not M.is(ws) then
        error(("%s is a method: write ws:%s(…), with a colon"):format(name, name), 3)
    end
end

M.check_self = check_self

-- What a failed call gives the script; the connection is on its way out after some.
local reasons = {
    [ERR_CLOSED] = "closed",
    [native.ERR_MEMORY] = "out of memory",
}

local function refused(ws, code)
    if code == ERR_LIMIT then
        ws[STATE] = CLOSING
        return nil, "over the limit queued_bytes: closing with 1008"
    end
    return nil, reasons[code] or ("error %d"):format(code)
end

local function not_utf8(name, level)
    error(("SyntaxError: %s: this text is not UTF-8; to send bytes as they are, pass true as the "
        .. "last argument (is_binary)"):format(name), level + 1)
end

local advice = {
    number = "; write tostring(data)",
    boolean = "; write tostring(data)",
    table = "; write mw.json.encode(data)",
    userdata = "; write tostring(data)",
}

-- FFI data: pointer and length, or an error that says what to write. The caller keeps data itself
-- referenced while C reads it.
local function bytes_of(data, name, level)
    if type(data) ~= "cdata" then
        error(("%s: expected a string or an FFI buffer, got %s%s"):format(name, type(data),
            advice[type(data)] or ""), level + 1)
    end
    if view.is(data) then
        return ffi.cast("const char *", data.data), data.len
    end
    local described = tostring(ffi.typeof(data))
    if described:find("%*>$") or described:find("%(%*", 1) then
        error(("%s: a pointer has no length (%s); write ffi.string(pointer, length) and true for "
            .. "is_binary"):format(name, described), level + 1)
    end
    local size = ffi.sizeof(data)
    if not size or tonumber(data) then
        error(("%s: expected a string or an FFI buffer, got %s; write tostring(data)"):format(name,
            described), level + 1)
    end
    return ffi.cast("const char *", ffi.cast("const void *", data)), size
end

-- What mw_send and mw_publish want. Errors are the caller's caller's.
local function message_of(data, is_binary, name)
    if type(data) == "string" then
        return data, #data, is_binary and BINARY or data == checked.text and CHECKED_TEXT or TEXT
    end
    local from, len = bytes_of(data, name, 3)
    return from, len, is_binary == false and TEXT or BINARY
end

-- What send is given counts in bufferedAmount, sent or not.
local function in_vain(ws, len)
    ws[UNSENT] = (ws[UNSENT] or 0) + len
    return nil, "closed"
end

-- What mw_send's code means to the script. The caller's caller is at level 2.
local function sent(ws, code, len)
    if code == 0 then
        return true
    elseif code > 0 then
        return true, "queued"
    elseif code == ERR_UTF8 then
        not_utf8("send", 2)
    elseif code == ERR_CLOSED then
        return in_vain(ws, len)
    end
    in_vain(ws, len)
    return refused(ws, code)
end

-- Where send ends up by a tail call, before anything was sent: its caller is at level 2.
local function send_rest(ws, data, is_binary)
    if not M.is(ws) then
        error("send is a method: write ws:send(data), with a colon", 2)
    end
    local from, len, kind = message_of(data, is_binary, "send")
    if ws[STATE] == CONNECTING then
        error("InvalidStateError: send: the connection is not open yet; send in onopen, or after "
            .. "ws:opened()", 2)
    elseif ws[STATE] ~= OPEN then
        return in_vain(ws, len)
    end
    return sent(ws, C.mw_send(worker, ws[HANDLE], from, len, kind), len)
end

--- Sends a message.
-- @param data a string, or an FFI array or struct, or a view (binaryType "buffer")
-- @param is_binary a string goes as text, which must be UTF-8, unless this is true; FFI data goes
--   as binary unless this is false
-- @return true, or true and "queued" when the system takes no more for now: what is sent waits in
--   memory (up to limit queued_bytes) and on_drain tells when it is gone; nil and a text when the
--   message was not sent ("closed")
-- @raise for other types, and for text that is not UTF-8
-- @usage ws:send("hello")   ws:send(bytes, true)
function methods.send(ws, data, is_binary)
    -- The common case first: one call into C, nothing allocated, all of it in the hook's trace.
    if type(data) == "string" and ws[STATE] == OPEN then
        local kind = is_binary and BINARY or data == checked.text and CHECKED_TEXT or TEXT
        local code = mw_send(worker, ws[HANDLE], data, #data, kind)
        if code == 0 then
            return true
        end
        return sent(ws, code, #data)
    end
    return send_rest(ws, data, is_binary)
end

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
        error(("InvalidAccessError: close: the code is %s or your own of 3000 to 4999, got %s")
            :format(class.close_codes_text, tostring(code)), 3)
    end
    if reason ~= nil and type(reason) ~= "string" then
        error(("close: the reason is a string, got %s"):format(type(reason)), 3)
    end
    if reason and #reason > 123 then
        error(("SyntaxError: close: the reason has at most 123 bytes, got %d"):format(#reason), 3)
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
function methods.close(ws, code, reason)
    check_self(ws, "close")
    check_close(ws, code, reason)
    if ws[STATE] > OPEN then
        return nil, "closed"
    end
    reason = reason or ""
    local result = C.mw_close(worker, ws[HANDLE], code or 1005, reason, #reason)
    if result == ERR_UTF8 or result == ERR_INVALID then
        error("SyntaxError: close: the reason is not UTF-8", 2)
    end
    ws[STATE] = CLOSING
    if ws[QUEUE] then
        M.drop_messages(ws)
    end
    if result < 0 then
        return refused(ws, result)
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
        return refused(ws, result)
    end
    return true
end

--- Sends a Ping. The server pings silent peers by itself (limit idle_seconds).
-- @param data at most 125 bytes that the Pong repeats
-- @return true; nil, "closed"
function methods.ping(ws, data)
    check_self(ws, "ping")
    data = data or ""
    if type(data) ~= "string" or #data > 125 then
        error(("ping: the data is a string of at most 125 bytes, got %s"):format(
            type(data) == "string" and #data or type(data)), 2)
    end
    if ws[STATE] ~= OPEN then
        return nil, "closed"
    end
    local result = C.mw_ping(worker, ws[HANDLE], data, #data)
    if result < 0 then
        return refused(ws, result)
    end
    return true
end

local function check_topic(topic, name, level)
    if type(topic) ~= "string" then
        error(("%s: a topic is a string, got %s"):format(name, type(topic)), level + 1)
    end
end

--- Receives what is published to the topic from now on, in every worker.
-- @return true (also when it was so already); nil and a text: "closed", "over the limit
--   subscriptions"
function methods.subscribe(ws, topic)
    check_self(ws, "subscribe")
    check_topic(topic, "subscribe", 2)
    local result = C.mw_subscribe(worker, ws[HANDLE], topic, #topic)
    if result == ERR_LIMIT then
        return nil, "over the limit subscriptions"
    elseif result < 0 then
        return nil, reasons[result] or ("error %d"):format(result)
    end
    return true
end

--- Ends a subscription. A connection that closes loses its subscriptions by itself.
-- @return true, or false when there was none; nil, "closed"
function methods.unsubscribe(ws, topic)
    check_self(ws, "unsubscribe")
    check_topic(topic, "unsubscribe", 2)
    local result = C.mw_unsubscribe(worker, ws[HANDLE], topic, #topic)
    if result < 0 then
        return nil, reasons[result] or ("error %d"):format(result)
    end
    return result == 1
end

-- Where ws:publish and mw.publish end up by a tail call: their caller is at level 2. except: a
-- handle, or 0.
function M.publish(except, topic, data, is_binary)
    check_topic(topic, "publish", 2)
    local from, len, binary = message_of(data, is_binary, "publish")
    local code = C.mw_publish(worker, except, topic, #topic, from, len, binary)
    if code == ERR_UTF8 then
        not_utf8("publish", 2)
    elseif code < 0 then
        return nil, reasons[code] or ("error %d"):format(code)
    end
    return true
end

-- The same, by a function that is added to the list.
function M.publish_later(list, topic, data, is_binary)
    check_topic(topic, "publish", 2)
    message_of(data, is_binary, "publish")
    list[#list + 1] = function()
        M.publish(0, topic, data, is_binary)
    end
    return true
end

--- Sends a message to all subscribers of a topic but this connection, in every worker.
-- Works in on_close too, when there is nobody to leave out.
-- @param topic a string
-- @param data, is_binary as for ws:send
-- @return true; nil and a text
-- @usage ws:publish("room/" .. ws.params.room, "hello")
function methods.publish(ws, topic, data, is_binary)
    check_self(ws, "publish")
    return M.publish(ws[STATE] == CLOSED and 0 or ws[HANDLE], topic, data, is_binary)
end

-- Messages that wait for ws:receive go to a listener as soon as there is one. dispatch.lua sets
-- flush, inbox.lua sets drop_messages.
local function has_listener(ws, kind)
    if kind == "message" and ws[QUEUE] then
        M.flush(ws)
    end
end

local function check_listener(kind, fn, name)
    if not event_target.is_type(kind) then
        error(("%s: there is no event %q%s"):format(name, tostring(kind),
            suggest.text(kind, event_target.types)), 3)
    end
    if type(fn) ~= "function" then
        error(("%s: a listener is a function, got %s"):format(name, type(fn)), 3)
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
function methods.addEventListener(ws, kind, fn, options)
    check_self(ws, "addEventListener")
    check_listener(kind, fn, "addEventListener")
    if options ~= nil and type(options) ~= "table" then
        error(("addEventListener: the options are a table, { once = true }, got %s"):format(
            type(options)), 2)
    end
    event_target.add(listeners_of(ws), kind, fn, options and options.once)
    has_listener(ws, kind)
end

--- Removes a listener that addEventListener added.
function methods.removeEventListener(ws, kind, fn)
    check_self(ws, "removeEventListener")
    check_listener(kind, fn, "removeEventListener")
    event_target.remove(listeners_of(ws), kind, fn)
end

-- Both wait: inbox.lua has them.
function methods.receive(ws, timeout)
    return inbox.receive(ws, timeout)
end

function methods.opened(ws)
    return inbox.wait_opened(ws)
end

-- ---- classes --------------------------------------------------------------------------------

local function set_handler(ws, key, fn)
    if fn ~= nil and type(fn) ~= "function" then
        error(("%s is a function or nil, got %s"):format(key, type(fn)), 3)
    end
    event_target.set_handler(listeners_of(ws), handlers[key], fn)
    has_listener(ws, handlers[key])
end

function M.check_binary_type(value, level)
    if value ~= "string" and value ~= "buffer" then
        error(('binaryType is "string" or "buffer", got %s'):format(
            type(value) == "string" and ("%q"):format(value) or type(value)), level + 1)
    end
end

local function check_field(key, value)
    if type(value) ~= "function" or type(key) ~= "string" or not key:find "^on" then
        return
    end
    local names = {}
    for i, kind in ipairs(event_target.types) do
        names[i] = "on" .. kind
    end
    if suggest.nearest(key, names) then
        error(("ws.%s is not an event handler%s"):format(key, suggest.text(key, names)), 3)
    end
end

-- A metatable. own: getters of this class beside the common ones; close_codes: what ws:close takes,
-- but for 3000 to 4999, a set and a text.
function M.class(own, close_codes, close_codes_text)
    local all = {}
    for _, from in ipairs { getters, own } do
        for name, getter in pairs(from) do
            all[name] = getter
        end
    end
    local meta = { close_codes = close_codes, close_codes_text = close_codes_text }

    function meta.__index(ws, key)
        if key == "state" then -- a constant in a trace: the others do not pay for it
            return rawget(ws, USER_STATE)
        end
        local method = methods[key]
        if method ~= nil then
            return method
        end
        local getter = all[key]
        if getter then
            return getter(ws)
        end
        local kind = handlers[key]
        if kind then
            local target = ws[LISTENERS]
            return target and event_target.handler(target, kind) or nil
        end
    end

    -- But for state, runs for a field's first assignment only: later ones find it in the table.
    function meta.__newindex(ws, key, value)
        if key == "state" then
            rawset(ws, USER_STATE, value)
        elseif handlers[key] then
            set_handler(ws, key, value)
        elseif key == "binaryType" then
            M.check_binary_type(value, 2)
            ws[BINARY_TYPE] = value
        elseif methods[key] ~= nil or all[key] then
            error(("ws.%s cannot be changed"):format(key), 2)
        else
            check_field(key, value)
            rawset(ws, key, value)
        end
    end

    function meta.__tostring(ws)
        return ("ws %.0f (%s)"):format(ws[HANDLE], ws.remote_address)
    end

    classes[meta] = true
    return meta
end

-- ---- where events find their objects --------------------------------------------------------

-- The low 20 bits of a handle are its slot (script/api.h): dense, from 0. Chunks of 256 slots, so
-- that the collector never has one huge table to go through in a single step. All of a chunk is the
-- table's array from the start, and so are the first 256 chunks: what lies in the hash part, where
-- a growing table has its last ones, needs other compiled code.
local SLOTS, CHUNK_BITS, CHUNK_MASK = 2 ^ 20, 8, 255
local chunks = new_table(CHUNK_MASK, 0)

-- The object of a live connection, or nil. slot: the handle's, where it is known.
function M.find(handle, slot)
    slot = slot or handle % SLOTS
    local chunk = chunks[rshift(slot, CHUNK_BITS)]
    if chunk then
        local ws = chunk[band(slot, CHUNK_MASK)]
        if ws and ws[HANDLE] == handle then
            return ws
        end
    end
end

-- Calls fn(ws) for the objects of count slots, or until it returns true. The slot to go on with, or
-- nil at the end.
function M.each_from(slot, count, fn)
    local number = rshift(slot, CHUNK_BITS)
    local chunk = chunks[number]
    if not chunk then
        local nearest
        for other in pairs(chunks) do
            if other > number and other < (nearest or SLOTS) then
                nearest = other
            end
        end
        return nearest and nearest * (CHUNK_MASK + 1)
    end
    local first = band(slot, CHUNK_MASK)
    local last = math.min(first + count - 1, CHUNK_MASK)
    for i = first, last do
        if chunk[i] and fn(chunk[i]) then
            last = i
            break
        end
    end
    return number * (CHUNK_MASK + 1) + last + 1
end

-- Events of ws, an object for a connection that has none, find it from now on.
function M.register(ws)
    local slot = ws[HANDLE] % SLOTS
    local chunk = chunks[rshift(slot, CHUNK_BITS)]
    if not chunk then
        chunk = new_table(CHUNK_MASK, 0)
        chunks[rshift(slot, CHUNK_BITS)] = chunk
    end
    chunk[band(slot, CHUNK_MASK)] = ws
end

-- The connection ends with this code and reason: keeps what the script may read later, and forgets
-- the object. C still knows the connection now, but may not when the script reads.
function M.release(ws, code, reason)
    -- bufferedAmount stays what it is now. What was sent in this turn may still go out.
    if C.mw_buffered_amount(worker, ws[HANDLE]) > 0 then
        C.mw_flush(worker, ws[HANDLE])
        ws[UNSENT] = (ws[UNSENT] or 0) + C.mw_buffered_amount(worker, ws[HANDLE])
    end
    C.mw_close_met(worker, ws[HANDLE])
    ws[CLOSED_WITH] = { code, reason }
    if ws[STATE] ~= CONNECTING then
        local _
        _, _, _, _ = ws.url, ws.protocol, ws.extensions, ws.remote_address
        if #ws[ROUTE].param_names > 0 then
            _ = ws.params
        end
    end
    local slot = ws[HANDLE] % SLOTS
    chunks[rshift(slot, CHUNK_BITS)][band(slot, CHUNK_MASK)] = nil
end

return M
