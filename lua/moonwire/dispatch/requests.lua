-- HTTP requests and upgrades, from the event to the answer.

local coroutines = require "moonwire.dispatch.coroutines"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local request = require "moonwire.http.request"
local socket = require "moonwire.connection.socket"
local wait = require "moonwire.waiting.wait"

local xpcall, catch = xpcall, failure.catch

local M = lazy.module(...)

local function answer(req, route)
    local ok, problem = request.answer(req, route.handler(req))
    if not ok then
        error(problem, 0)
    end
end

local function request_failed(req, title, problem, number, fn)
    if failure.opened(problem).value ~= wait.CONNECTION_CLOSED then
        failure.report(title, problem, number, fn)
    end
    request.fail(req)
end

-- EVENT_REQUEST. dispatcher: the record that takes it, and notes the request.
function M.on_request(dispatcher, event, route)
    local req = request.new(event.conn, event.serial, route)
    dispatcher.request = req
    local ok, problem = xpcall(answer, catch, req, route)
    if not ok then
        request_failed(req, route.title, problem, route.number, route.handler)
    end
    request.finish(req)
    coroutines.answered(dispatcher)
end

-- on_upgrade's result is the state; false is a refusal without words.
local function decide(req, route, handle)
    local state = route.on_upgrade(req)
    local refusal = request.rejected(req)
    if state == false and not refusal then
        req:reject(403, "forbidden\n")
        refusal = request.rejected(req)
    end
    if refusal then
        request.refuse(req, refusal)
        return
    end
    local ok, problem = request.accept(req)
    if problem then
        error(problem, 0)
    elseif ok and state ~= nil then
        socket.adopt(handle, route, route.number).state = state
    end
end

local function accept_as_is(req)
    request.accept(req)
end

-- EVENT_UPGRADE
function M.on_upgrade(dispatcher, event, route)
    local req = request.new(event.conn, event.serial, route)
    dispatcher.request = req
    -- The hook may have been taken away since the request was queued.
    local ok, problem = xpcall(route.on_upgrade and decide or accept_as_is, catch, req, route,
        event.conn)
    if not ok then
        request_failed(req, ("on_upgrade of %s"):format(route.pattern), problem, route.number,
            route.on_upgrade)
    end
    request.finish(req)
    coroutines.answered(dispatcher)
end

-- EVENT_ABORT: the peer of a request is gone. What its handler waits for is cancelled.
function M.on_abort(event)
    local dispatcher = coroutines.of_request(event.conn)
    if dispatcher and request.is(dispatcher.request, event.serial) then
        wait.cancel(dispatcher.co, wait.CONNECTION_CLOSED)
    end
end

return M
