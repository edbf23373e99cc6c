-- Delivers events to the hooks and the listeners of a connection.
--
-- The path of a message is compiled together with the hook (dispatch.lua).

local connection = require "moonwire.connection.connection"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local wait = require "moonwire.waiting.wait"

local event_target = lazy.use "moonwire.connection.event_target"
local inbox = lazy.use "moonwire.connection.inbox"
local peer_text = lazy.use "moonwire.base.text"
local view = lazy.use "moonwire.connection.view"

local C, worker = native.C, native.worker
local batch = C.mw_batch(worker)
-- In traces, what a local of the module holds is a constant; what a table does, is not.
local xpcall, catch, rawget = xpcall, failure.catch, rawget
local HANDLE, STATE, ROUTE = connection.HANDLE, connection.STATE, connection.ROUTE
local LISTENERS, QUEUE, PROBLEM = connection.LISTENERS, connection.QUEUE, connection.PROBLEM
local CONNECTING, OPEN, TOP = connection.CONNECTING, connection.OPEN, connection.TOP
local CLOSING, CLOSED = connection.CLOSING, connection.CLOSED
local OPENED, ERROR, CLOSE = C.EVENT_OPEN, C.EVENT_ERROR, C.EVENT_CLOSE

local M = {}

local hook_of = {
    [OPENED] = "on_open",
    [C.EVENT_MESSAGE] = "on_message",
    [C.EVENT_DRAIN] = "on_drain",
    [ERROR] = "on_error",
    [CLOSE] = "on_close",
    [C.EVENT_RELOAD] = "on_reload",
}
M.hook_of = hook_of -- by the kind of the event

-- What is called next has all its time before it (limits.hook_ms).
local function begin_time()
    batch.ticks = batch.ticks + 1
end

M.begin_time = begin_time

-- kind: of the event, whose own type an earlier listener may have changed.
local function call_listener(fn, event, kind)
    begin_time()
    local ok, problem = xpcall(fn, catch, event)
    if not ok then
        failure.report(string.format("a listener for %q", kind), problem, nil, fn,
            event.target[HANDLE])
    end
end

local function fire(ws, target, event)
    local top = rawget(ws, TOP)
    if top then
        wait.set_top(top)
    end
    event_target.fire(target, event, call_listener)
    if top then
        wait.set_top(nil)
    end
end

-- A hook raised: on_error is told, then the connection is closed with 1011.
function M.hook_failed(ws, route, name, problem)
    if problem.value == wait.CONNECTION_CLOSED then
        return -- it did not catch it: that ends it, and nobody is to blame
    end
    local value = failure.report(string.format("%s of %s", name, route.pattern), problem,
        route.number, route[name], route.where, ws[HANDLE])
    if name ~= "on_error" and route.on_error then
        begin_time()
        local ok, other = xpcall(route.on_error, catch, ws, value)
        if not ok then
            failure.report(string.format("on_error of %s", route.pattern), other, route.number,
                route.on_error, route.where, ws[HANDLE])
        end
    end
    if ws[STATE] == OPEN then
        ws[STATE] = CLOSING
        C.mw_close(worker, ws[HANDLE], 1011, "", 0)
    end
end

-- Where a message comes from: for the client the origin of its URL, as in a browser; on the server
-- what the peer's Origin said, which the route has checked. The URL has what it wrote into Host.
local function origin_of(ws, route)
    return route.client and peer_text.origin(ws.url) or ws.headers.origin or ""
end

-- Delivers text, and binary as a string. Does not look at the connection's state.
local function message(ws, route, data, is_binary)
    local hook = route.on_message
    if hook then
        local ok, problem = xpcall(hook, catch, ws, data, is_binary)
        if not ok then
            M.hook_failed(ws, route, "on_message", failure.opened(problem))
        end
    end
    local target = ws[LISTENERS]
    if target and ws[STATE] == OPEN and event_target.has(target, "message") then
        event_target.fire(target, { type = "message", target = ws, data = data,
            is_binary = is_binary, origin = origin_of(ws, route) }, call_listener)
    end
end

M.message = message

-- Delivers binary without a copy. dispatcher: the record that takes care of the view when the hook
-- waits, since the bytes are the loop's; nil when they are a string of ours.
function M.view(ws, route, pointer, len, dispatcher)
    local data = view.new(pointer, len)
    if dispatcher then
        dispatcher.view = data
    end
    message(ws, route, data, true)
    view.release(data)
    if dispatcher then
        dispatcher.view = false
    end
end

local function change_event(ws, kind, text, code, flag)
    if kind == CLOSE then
        return { type = "close", target = ws, code = code, reason = text, wasClean = flag }
    elseif kind == ERROR then
        return { type = "error", target = ws, message = text, code = code }
    end
    return { type = kind == OPENED and "open" or "drain", target = ws }
end

local function fire_change(ws, kind, text, code, flag)
    local target = ws[LISTENERS]
    if target then
        fire(ws, target, change_event(ws, kind, text, code, flag))
    end
end

local function call_hook(ws, route, kind, first, second, third)
    local name = hook_of[kind]
    local hook = route[name]
    if hook then
        local ok, problem = xpcall(hook, catch, ws, first, second, third)
        if not ok then
            M.hook_failed(ws, route, name, failure.opened(problem))
        end
    end
end

-- The error event of a connection that the script opened comes when it is closed, just before the
-- close event (WHATWG WebSockets §4): on the server it comes when there is something to tell.
local function deliver_error(ws, route, text, code)
    ws[STATE] = CLOSING
    if not route.client then
        call_hook(ws, route, ERROR, text)
        fire_change(ws, ERROR, text, code)
    end
end

local function deliver_close(ws, route, code, reason, was_clean)
    ws[STATE] = CLOSED
    if route.client and ws[PROBLEM] then
        fire_change(ws, ERROR, ws[PROBLEM], code)
    end
    call_hook(ws, route, CLOSE, code, reason, was_clean)
    fire_change(ws, CLOSE, reason, code, was_clean)
end

-- Delivers everything that happens to a connection but a message. text, code and flag as in struct
-- event.
function M.change(ws, route, kind, text, code, flag)
    if kind == CLOSE then
        deliver_close(ws, route, code, text, flag)
    elseif kind == ERROR then
        deliver_error(ws, route, text, code)
    elseif ws[STATE] == OPEN then
        call_hook(ws, route, kind)
        if ws[STATE] == OPEN then
            fire_change(ws, kind)
        end
    end
end

-- Does anything but ws:receive take messages?
function M.has_taker(ws, route)
    local target = ws[LISTENERS]
    return route.on_message or target and event_target.has(target, "message")
end

-- ---- before any hook ------------------------------------------------------------------------

-- A connection that the script opens has failed: it is for the log where no code hears of it.
local function log_failure(ws, text)
    local target, box = ws[LISTENERS], ws[QUEUE]
    local heard = ws[STATE] ~= CONNECTING -- the script has closed it
        or target and (event_target.has(target, "error") or event_target.has(target, "close"))
        or box and #box.openers > 0 or false
    C.mw_connect_failed(worker, ws[HANDLE], text, #text, heard)
end

-- Tells the connection itself, and those who wait at it, what must not wait for a hook.
function M.notice(ws, kind, text, code)
    if kind == ERROR or kind == CLOSE then
        C.mw_leave(worker, ws[HANDLE])
    end
    if kind == OPENED then
        if ws[STATE] == CONNECTING then
            ws[STATE] = OPEN
        end
    elseif kind == ERROR then
        ws[PROBLEM] = text
        if ws[ROUTE].client then
            log_failure(ws, text)
        end
    elseif kind == CLOSE then
        connection.release(ws, code, text)
    end
    local box = ws[QUEUE]
    if box and kind == OPENED then
        inbox.opened(box)
    elseif box and kind == CLOSE then
        inbox.closed(ws)
    end
end

return M
