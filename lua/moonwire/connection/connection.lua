-- A connection, named as the browser names it (WHATWG WebSockets Standard §3): what the server's ws
-- (socket.lua) and the client's WebSocket (websocket.lua) have in common.
--
-- One table for each connection that the app's code has met, kept until its close event: an app may
-- well keep its users in a table with weak keys. It is small (136 bytes), since what C knows is
-- asked for when it is read, and kept only then.

local ffi = require "ffi"
local bit = require "bit"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local event_target = lazy.use "moonwire.connection.event_target"
local messages = lazy.use "moonwire.connection.messages"
local suggest = lazy.use "moonwire.base.suggest"
local text = lazy.use "moonwire.base.text"

local new_table = require "table.new"

local C, worker = native.C, native.worker
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
M.CLOSED_WITH, M.PROBLEM, M.UNSENT = CLOSED_WITH, PROBLEM, UNSENT

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

-- The events of handlers, which are fields.
local handlers = {
    onopen = "open",
    onmessage = "message",
    onclose = "close",
    onerror = "error",
    ondrain = "drain",
}

function M.listeners_of(ws)
    local target = ws[LISTENERS]
    if not target then
        target = event_target.new()
        ws[LISTENERS] = target
    end
    return target
end

-- ---- methods --------------------------------------------------------------------------------

-- send is here, the others in methods.lua.
local methods = lazy.use "moonwire.connection.methods"
M.methods = methods

local classes = {} -- metatable → true

function M.is(value)
    return type(value) == "table" and classes[getmetatable(value)] == true
end

function M.check_self(ws, name)
    if not M.is(ws) then
        error(("%s is a method: write ws:%s(…), with a colon"):format(name, name), 3)
    end
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
        return messages.sent(ws, code, #data)
    end
    return messages.send(ws, data, is_binary)
end

-- Messages that wait for ws:receive go to a listener as soon as there is one. dispatch.lua sets
-- flush, inbox.lua sets drop_messages.
function M.has_listener(ws, kind)
    if kind == "message" and ws[QUEUE] then
        M.flush(ws)
    end
end

-- ---- classes --------------------------------------------------------------------------------

local function set_handler(ws, key, fn)
    if fn ~= nil and type(fn) ~= "function" then
        error(("%s is a function or nil, got %s"):format(key, type(fn)), 3)
    end
    event_target.set_handler(M.listeners_of(ws), handlers[key], fn)
    M.has_listener(ws, handlers[key])
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
        local method = rawget(methods, key)
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
        return methods[key] -- loads methods.lua, once
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
