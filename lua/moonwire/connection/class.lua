-- What an app sees of a connection, named as the browser names it (WHATWG WebSockets Standard §3):
-- what the server's ws (socket.lua) and the client's WebSocket (websocket.lua) have in common.

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local event_target = lazy.use "moonwire.connection.event_target"
local messages = lazy.use "moonwire.connection.messages"
local methods = lazy.use "moonwire.connection.methods" -- all but send, which is here
local suggest = lazy.use "moonwire.base.suggest"
local text = lazy.use "moonwire.base.text"

-- In traces, what a local of the module holds is a constant; what a table does, is not.
local type = type
local C, worker = native.C, native.worker
local mw_send, checked = C.mw_send, connection.checked
local TEXT, BINARY, CHECKED_TEXT = C.MW_MESSAGE_TEXT, C.MW_MESSAGE_BINARY, C.MW_MESSAGE_CHECKED_TEXT
local HANDLE, STATE, ROUTE = connection.HANDLE, connection.STATE, connection.ROUTE
local BINARY_TYPE, USER_STATE = connection.BINARY_TYPE, connection.USER_STATE
local LISTENERS, UNSENT = connection.LISTENERS, connection.UNSENT
local CLOSED_WITH = connection.CLOSED_WITH
local CONNECTING, OPEN, CLOSING = connection.CONNECTING, connection.OPEN, connection.CLOSING

local M = { methods = methods }

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

-- ---- sending --------------------------------------------------------------------------------

--- Sends a message.
-- @param data a string, or an FFI array or struct, or a view (binaryType "buffer")
-- @param is_binary a string goes as text, which must be UTF-8, unless this is true; FFI data goes
--   as binary unless this is false
-- @return true, or true and "queued" when the system takes no more for now: what is sent waits in
--   memory (up to limit queued_bytes) and on_drain tells when it is gone; nil and a text when the
--   message was not sent ("closed")
-- @raise for other types, and for text that is not UTF-8
-- @usage ws:send("hello")   ws:send(bytes, true)
function methods.send(ws, data, is_binary, extra)
    -- The common case first: one call into C, nothing allocated, all of it in the hook's trace.
    if type(data) == "string" and ws[STATE] == OPEN and extra == nil
        and (not is_binary or is_binary == true) then
        local kind = is_binary and BINARY or data == checked.text and CHECKED_TEXT or TEXT
        local code = mw_send(worker, ws[HANDLE], data, #data, kind)
        if code == 0 then
            return true
        end
        return messages.sent(ws, code, #data)
    end
    return messages.send(ws, data, is_binary, extra)
end

-- ---- fields ---------------------------------------------------------------------------------

local function set_handler(ws, key, fn)
    if fn ~= nil and type(fn) ~= "function" then
        error(string.format("%s is a function or nil, got %s", key, type(fn)), 3)
    end
    event_target.set_handler(connection.listeners_of(ws), handlers[key], fn)
    connection.has_listener(ws, handlers[key])
end

local function check_field(key, value)
    if type(value) ~= "function" or type(key) ~= "string" or not string.find(key, "^on") then
        return
    end
    local names = {}
    for i, kind in ipairs(event_target.types) do
        names[i] = "on" .. kind
    end
    if suggest.nearest(key, names) then
        error(string.format("ws.%s is not an event handler%s", key, suggest.text(key, names)), 3)
    end
end

local function index_of(all)
    return function(ws, key)
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
end

-- But for state, runs for a field's first assignment only: later ones find it in the table.
local function newindex_of(all)
    return function(ws, key, value)
        if key == "state" then
            rawset(ws, USER_STATE, value)
        elseif handlers[key] then
            set_handler(ws, key, value)
        elseif key == "binaryType" then
            connection.check_binary_type(value, 2)
            ws[BINARY_TYPE] = value
        elseif methods[key] ~= nil or all[key] then
            error(string.format("ws.%s cannot be changed", key), 2)
        else
            check_field(key, value)
            rawset(ws, key, value)
        end
    end
end

local function to_string(ws)
    return string.format("ws %.0f (%s)", ws[HANDLE], ws.remote_address)
end

-- ---- classes --------------------------------------------------------------------------------

failure.add_methods("ws", function()
    local _ = methods.close -- loads them
    return methods
end)

-- Makes a metatable. own: getters of this class beside the common ones; close_codes: what ws:close
-- takes, but for 3000 to 4999, a set and a text.
function M.new(own, close_codes, close_codes_text)
    local all = {}
    for _, from in ipairs { getters, own } do
        for name, getter in pairs(from) do
            all[name] = getter
        end
    end
    local meta = {
        close_codes = close_codes,
        close_codes_text = close_codes_text,
        __index = index_of(all),
        __newindex = newindex_of(all),
        __tostring = to_string,
    }
    connection.add_class(meta)
    return meta
end

return M
