-- What a script sends and what becomes of it, but for the usual case of ws:send: that is in
-- class.lua.

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local view = lazy.use "moonwire.connection.view"

local C, worker = native.C, native.worker
local ERR_CLOSED, ERR_LIMIT, ERR_UTF8 = C.ERR_CLOSED, C.ERR_LIMIT, C.ERR_UTF8
local HANDLE, STATE = connection.HANDLE, connection.STATE
local CONNECTING, OPEN = connection.CONNECTING, connection.OPEN
local TEXT, BINARY, CHECKED_TEXT = C.MW_MESSAGE_TEXT, C.MW_MESSAGE_BINARY, C.MW_MESSAGE_CHECKED_TEXT
local UNSENT, CLOSING = connection.UNSENT, connection.CLOSING
local checked = connection.checked

local M = lazy.module(...)

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
        error(string.format("%s: expected a string or an FFI buffer, got %s%s", name, type(data),
            advice[type(data)] or ""), level + 1)
    end
    if view.is(data) then
        return ffi.cast("const char *", data.data), data.len
    end
    local described = tostring(ffi.typeof(data))
    if string.find(described, "%*>$") or string.find(described, "%(%*", 1) then
        error(string.format("%s: a pointer has no length (%s); write ffi.string(pointer, length) "
            .. "and true for is_binary", name, described), level + 1)
    end
    local size = ffi.sizeof(data)
    if not size or tonumber(data) then
        error(string.format("%s: expected a string or an FFI buffer, got %s; write tostring(data)",
            name, described), level + 1)
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

-- What a failed call gives the script; the connection is on its way out after some.
local reasons = {
    [ERR_CLOSED] = "closed",
    [C.ERR_MEMORY] = "out of memory",
    [C.ERR_TOO_BIG] = "over the limit topic_bytes", -- of mw_publish and mw_subscribe alone
}

function M.reason(code)
    return reasons[code] or string.format("error %d", code)
end

function M.refused(ws, code)
    if code == ERR_LIMIT then
        ws[STATE] = CLOSING
        return nil, "over the limit queued_bytes: closing with 1008"
    end
    return nil, M.reason(code)
end

local function not_utf8(name, level)
    error(string.format("SyntaxError: %s: this text is not UTF-8; to send bytes as they are, pass "
        .. "true as the last argument (is_binary)", name), level + 1)
end

-- What send is given counts in bufferedAmount, sent or not.
local function in_vain(ws, len)
    ws[UNSENT] = (ws[UNSENT] or 0) + len
    return nil, "closed"
end

-- What mw_send's code means to the script. The caller's caller is at level 2.
function M.sent(ws, code, len)
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
    return M.refused(ws, code)
end

-- Raises at the caller's caller. form: the call as it is written.
local function check_rest(form, is_binary, extra)
    if extra ~= nil then
        error(string.format("%s takes no more arguments than these, got a %s behind them", form,
            type(extra)), 3)
    elseif is_binary ~= nil and type(is_binary) ~= "boolean" then
        error(string.format("%s: is_binary is true or false, got a %s%s", form, type(is_binary),
            type(is_binary) == "number"
                and "; string.gsub gives two values: put one more pair of brackets around it"
                or ""), 3)
    end
end

-- Where send ends up by a tail call, before anything was sent: its caller is at level 2.
function M.send(ws, data, is_binary, extra)
    if not connection.is(ws) then
        error("send is a method: write ws:send(data), with a colon", 2)
    end
    check_rest("ws:send(data, is_binary)", is_binary, extra)
    local from, len, kind = message_of(data, is_binary, "send")
    if ws[STATE] == CONNECTING then
        error("InvalidStateError: send: the connection is not open yet; send in onopen, or after "
            .. "ws:opened()", 2)
    elseif ws[STATE] ~= OPEN then
        return in_vain(ws, len)
    end
    return M.sent(ws, C.mw_send(worker, ws[HANDLE], from, len, kind), len)
end

function M.check_topic(topic, name, level)
    if type(topic) ~= "string" then
        error(string.format("%s: a topic is a string, got %s", name, type(topic)), level + 1)
    end
end

-- Where ws:publish and mw.publish end up by a tail call: their caller is at level 2. except: a
-- handle, or 0.
function M.publish(except, topic, data, is_binary, extra)
    M.check_topic(topic, "publish", 2)
    check_rest("publish(topic, data, is_binary)", is_binary, extra)
    local from, len, binary = message_of(data, is_binary, "publish")
    local code = C.mw_publish(worker, except, topic, #topic, from, len, binary)
    if code == ERR_UTF8 then
        not_utf8("publish", 2)
    elseif code < 0 then
        return nil, M.reason(code)
    end
    return true
end

-- The same, by what is added to the list (generation.lua, deferred).
function M.publish_later(list, topic, data, is_binary, extra)
    M.check_topic(topic, "publish", 2)
    check_rest("publish(topic, data, is_binary)", is_binary, extra)
    message_of(data, is_binary, "publish")
    list[#list + 1] = {
        run = function()
            M.publish(0, topic, data, is_binary)
        end,
        where = failure.place(2),
    }
    return true
end

return M
