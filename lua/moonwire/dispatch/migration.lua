-- Events that come while a hook of their connection waits, and connections that follow a reload.

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local delivery = require "moonwire.dispatch.delivery"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local serving = require "moonwire.dispatch.serving"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local inbox = lazy.use "moonwire.connection.inbox"

local C = native.C
local xpcall, to_string, catch = xpcall, ffi.string, failure.catch
local STATE, ROUTE, VERSION = connection.STATE, connection.ROUTE, connection.VERSION
local QUEUE, BINARY_TYPE, OPEN = connection.QUEUE, connection.BINARY_TYPE, connection.OPEN
local MESSAGE, CLOSE, RELOAD = C.EVENT_MESSAGE, C.EVENT_CLOSE, C.EVENT_RELOAD

local M = lazy.module(...)

-- ---- what waits (inbox.lua) -----------------------------------------------------------------

-- Keeps an event for when the hook that waits is done. data: its text, of our own.
function M.put(ws, route, event, data)
    inbox.put(ws, {
        kind = event.kind,
        route = route,
        data = data,
        code = event.code,
        flag = event.flag ~= 0,
    })
end

-- The connection's first event in this generation: on_reload goes before it.
local function migrate(ws, route)
    local from, version = ws[VERSION], serving.version
    ws[VERSION] = version
    if not route.on_reload or route.number ~= version then
        return
    end
    local ok, problem = xpcall(route.on_reload, catch, ws, from, version)
    if not ok then
        delivery.hook_failed(ws, route, "on_reload", failure.opened(problem))
    end
end

local function deliver_item(ws, item)
    delivery.begin_time()
    if ws[VERSION] ~= serving.version then
        migrate(ws, ws[ROUTE].record or item.route)
    end
    local route = ws[ROUTE].record or item.route
    if item.kind == RELOAD then
        return
    elseif item.kind ~= MESSAGE then
        delivery.change(ws, route, item.kind, item.data, item.code, item.flag)
    elseif ws[STATE] == OPEN then
        if item.flag and (ws[BINARY_TYPE] or route.binaryType) == "buffer" then
            delivery.view(ws, route, item.data, #item.data, nil)
        else
            delivery.message(ws, route, item.data, item.flag)
        end
    end
end

-- The hook that waited, in co, is done: delivers what its connection got meanwhile, and may wait
-- again. Messages that nothing else takes stay for ws:receive.
function M.catch_up(ws, co)
    local box = ws[QUEUE]
    while true do
        local kept = box.reading and not delivery.has_taker(ws, ws[ROUTE].record)
        local item = inbox.take(ws, kept and "change" or nil)
        if not item then
            break
        end
        if box.closed and item.kind ~= CLOSE then
            wait.cancel(co, wait.CONNECTION_CLOSED) -- should it wait
        end
        deliver_item(ws, item)
        wait.forget(co)
    end
    box.holder = false
    if delivery.has_taker(ws, ws[ROUTE].record) then
        box.reading = false
    end
    inbox.settle(ws)
end

-- A listener for messages was added to a connection with an inbox: delivers those that wait for
-- ws:receive.
function M.flush(ws)
    local box = ws[QUEUE]
    if box.count > 0 and not box.holder then
        local flush
        flush = task.new("delivering what waited", function()
            if not box.holder then
                inbox.hold(ws, flush.co)
                M.catch_up(ws, flush.co)
            end
        end, 0)
        wait.queue(flush)
    end
end

-- ---- following a reload ---------------------------------------------------------------------

-- A newer generation serves than the one that has last met the connection. Returns false when
-- on_reload was called: the event was delivered after it, since it may have waited.
function M.is_met(ws, route, event)
    local kind = event.kind
    if ws[QUEUE] and ws[QUEUE].holder then
        return true -- deliver_item sees to it
    end
    if (ws[ROUTE].renamed or 0) > ws[VERSION] then
        rawset(ws, "params", nil) -- it is read again, with its new names
    end
    if not route.on_reload or route.number ~= serving.version then
        ws[VERSION] = serving.version
        return true
    end
    local item = {
        kind = kind, route = route, data = to_string(event.data, event.len), code = event.code,
        flag = event.flag ~= 0,
    }
    if kind ~= MESSAGE then
        delivery.notice(ws, kind, item.data, item.code)
    end
    migrate(ws, route)
    local box = kind == MESSAGE and ws[QUEUE]
    if box and inbox.is_awaited(box) then
        inbox.deliver(box, item.data, item.flag)
    elseif box and box.reading and not delivery.has_taker(ws, ws[ROUTE].record) then
        inbox.put_back(ws, item)
    else
        deliver_item(ws, item)
    end
    return false
end

return M
