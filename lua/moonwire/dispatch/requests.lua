-- HTTP requests and upgrades, from the event to the answer.

local arguments = require "moonwire.base.arguments"
local coroutines = require "moonwire.dispatch.coroutines"
local definition = require "moonwire.base.definition"
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
        error(definition.prefix(route.handler) .. problem, 0)
    end
end

local function request_failed(req, title, problem, route, fn)
    if failure.opened(problem).value ~= wait.CONNECTION_CLOSED then
        failure.report(title, problem, route.number, fn, route.where, request.handle(req))
    end
    request.fail(req)
end

-- EVENT_REQUEST. dispatcher: the record that takes it, and notes the request.
function M.on_request(dispatcher, event, route)
    local req = request.new(event.conn, event.serial, route)
    dispatcher.request = req
    local ok, problem = xpcall(answer, catch, req, route)
    if not ok then
        request_failed(req, route.title, problem, route, route.handler)
    end
    request.finish(req)
    coroutines.answered(dispatcher)
end

local is_state = { ["nil"] = true, boolean = true, table = true, string = true }

-- What on_upgrade returned and did not mean as a state: Lua's own "nil, problem", a status of HTTP.
-- Whoever writes that means to refuse, and must not let everybody in instead.
local function check_decision(hook, state, extra)
    local got
    if extra ~= nil and state ~= false then
        got = string.format("more than one value (%s and %s)", type(state), type(extra))
    elseif not is_state[type(state)] then
        got = type(state) == "number" and tostring(state) or "a " .. type(state)
    end
    if got then
        error(string.format("%sit returned %s: to refuse, return req:reject(401, \"why\"), or "
            .. "false; to accept, return a table, a string or true, which becomes ws.state, or "
            .. "nothing", definition.prefix(hook), got), 0)
    end
end

-- What the hook returned, checked.
local function decision(req, hook, state, ...)
    if not request.rejected(req) then
        check_decision(hook, state, arguments.first(...))
    end
    return state
end

-- on_upgrade's result is the state; false is a refusal without words.
local function decide(req, route, handle)
    local hook = route.on_upgrade
    local state = decision(req, hook, hook(req))
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
        request_failed(req, string.format("on_upgrade of %s", route.pattern), problem, route,
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
