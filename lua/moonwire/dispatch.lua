-- From events to hooks. The loop calls run() with each batch.
--
-- A dispatcher is a coroutine that takes one event after the other. A hook that waits parks the
-- dispatcher it runs in, and another goes on with the batch; when the hook is done, its dispatcher
-- first delivers what came for that connection meanwhile, in order, and is then free again. So a
-- hook that never waits pays nothing for the ability.
--
-- The path of a message is compiled together with the hook: no closures, varargs or concatenation
-- there (check with -jv).

local ffi = require "ffi"
local event_target = require "moonwire.event_target"
local failure = require "moonwire.failure"
local log = require "moonwire.log"
local native = require "moonwire.native"
local request = require "moonwire.request"
local socket = require "moonwire.socket"
local task = require "moonwire.task"
local timer = require "moonwire.timer"
local view = require "moonwire.view"

local C, worker = native.C, native.worker
local catch = failure.catch
local find, adopt = socket.find, socket.adopt
local HANDLE, STATE, LISTENERS, QUEUE = socket.HANDLE, socket.STATE, socket.LISTENERS, socket.QUEUE
local BINARY_TYPE, ROUTE, VERSION = socket.BINARY_TYPE, socket.ROUTE, socket.VERSION
local OPEN, CLOSING, CLOSED = socket.OPEN, socket.CLOSING, socket.CLOSED

local UPGRADE, OPENED, MESSAGE = C.EVENT_UPGRADE, C.EVENT_OPEN, C.EVENT_MESSAGE
local DRAIN, ERROR, CLOSE = C.EVENT_DRAIN, C.EVENT_ERROR, C.EVENT_CLOSE
local REQUEST, TIMER, RELOAD = C.EVENT_REQUEST, C.EVENT_TIMER, C.EVENT_RELOAD

local checked = socket.checked
-- From here on remembering that a text is UTF-8 costs less than looking again.
local LONG_TEXT = 1024

local hook_of = {
    [OPENED] = "on_open",
    [MESSAGE] = "on_message",
    [DRAIN] = "on_drain",
    [ERROR] = "on_error",
    [CLOSE] = "on_close",
    [RELOAD] = "on_reload",
}

local M = {}

-- Free dispatchers that are kept for the next hook that waits.
local IDLE_MAX = 64
-- Yielded by a dispatcher that has nothing to do.
local DONE = {}

local routes = {} -- by the site's index: records of route.lua
local version = 0 -- the number of the generation that serves
local WAITING_MESSAGES = 64
local waiting_messages = WAITING_MESSAGES -- limit, where the route has none of its own

local count_box = ffi.new "uint32_t[1]"
local events, at, total = nil, 0, 0

local active        -- the dispatcher that takes events
local idle = {}
local parked = {}   -- dispatcher → its connection, or false
local parked_in = {} -- dispatcher → the generation whose hook waits
local copies = setmetatable({}, { __mode = "k" }) -- bytes of views whose hook waits
local handling      -- the connection, request and view of the hook that runs in active
local handling_request
local handling_view

-- The routes of the generation that serves from now on. waiting: its limit waiting_messages.
function M.serve(new_routes, waiting, number)
    routes = new_routes
    waiting_messages = waiting or WAITING_MESSAGES
    version = number
    for _, record in pairs(routes) do
        local shape = record.number == number and record.shape
        if shape then
            shape.record = record
            if table.concat(shape.param_names, "/") ~= table.concat(record.param_names, "/") then
                shape.param_names = record.param_names
                shape.renamed = number
            end
        end
    end
end

-- How many hooks of each generation wait, by its number.
function M.waiting()
    local out = {}
    for _, number in pairs(parked_in) do
        out[number] = (out[number] or 0) + 1
    end
    return out
end

-- ---- hooks ----------------------------------------------------------------------------------

local function call_listener(fn, event)
    local ok, problem = xpcall(fn, catch, event)
    if not ok then
        failure.report(("a listener for %q"):format(event.type), problem)
    end
end

-- A hook raised: on_error is told, then the connection is closed with 1011.
local function hook_failed(ws, route, name, problem)
    local value = failure.report(("%s of %s"):format(name, route.pattern), problem)
    if name ~= "on_error" and route.on_error then
        local ok, other = xpcall(route.on_error, catch, ws, value)
        if not ok then
            failure.report(("on_error of %s"):format(route.pattern), other)
        end
    end
    if ws[STATE] == OPEN then
        ws[STATE] = CLOSING
        C.mw_close(worker, ws[HANDLE], 1011, "", 0)
    end
end

local function origin_of(ws)
    return (ws.url:match "^%a+://[^/?]*") or ""
end

-- Text, and binary as a string. Does not look at the connection's state.
local function deliver_message(ws, route, data, is_binary)
    local hook = route.on_message
    if hook then
        local ok, problem = xpcall(hook, catch, ws, data, is_binary)
        if not ok then
            hook_failed(ws, route, "on_message", problem)
        end
    end
    local target = ws[LISTENERS]
    if target and ws[STATE] == OPEN and event_target.has(target, "message") then
        event_target.fire(target, { type = "message", target = ws, data = data,
            is_binary = is_binary, origin = origin_of(ws) }, call_listener)
    end
end

-- Binary without a copy. keep: the bytes are a string of ours, not the loop's.
local function deliver_view(ws, route, pointer, len, keep)
    local data = view.new(pointer, len)
    if not keep then
        handling_view = data
    end
    deliver_message(ws, route, data, true)
    view.release(data)
    if handling_view == data then
        handling_view = nil
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

-- Everything that happens to a connection but a message. text, code and flag as in struct event.
local function deliver_change(ws, route, kind, text, code, flag)
    local first, second, third = nil, nil, nil -- the hook's arguments after ws
    if kind == CLOSE then
        ws[STATE] = CLOSED
        first, second, third = code, text, flag
    elseif kind == ERROR then
        ws[STATE] = CLOSING
        first = text
    elseif ws[STATE] ~= OPEN then
        return
    end
    local name = hook_of[kind]
    local hook = route[name]
    if hook then
        local ok, problem = xpcall(hook, catch, ws, first, second, third)
        if not ok then
            hook_failed(ws, route, name, problem)
        end
    end
    local target = ws[LISTENERS]
    if target and (ws[STATE] == OPEN or kind == CLOSE or kind == ERROR) then
        event_target.fire(target, change_event(ws, kind, text, code, flag), call_listener)
    end
end

-- ---- events that come while a hook of their connection waits --------------------------------

-- An event that outlives its batch.
local function copy(route, event)
    return {
        kind = event.kind,
        route = route,
        data = ffi.string(event.data, event.len),
        code = event.code,
        flag = event.flag ~= 0,
    }
end

local function enqueue(ws, route, event)
    local queue = ws[QUEUE]
    queue.last = queue.last + 1
    queue[queue.last] = copy(route, event)
    local limits = route.limits
    local limit = limits and limits.waiting_messages or waiting_messages
    if not queue.paused and queue.last - queue.first + 1 >= limit then
        queue.paused = true
        C.mw_pause(worker, ws[HANDLE])
    end
end

-- The connection's first event in this generation: on_reload goes before it.
local function migrate(ws, route)
    local from = ws[VERSION]
    ws[VERSION] = version
    if not route.on_reload or route.number ~= version then
        return
    end
    local ok, problem = xpcall(route.on_reload, catch, ws, from, version)
    if not ok then
        hook_failed(ws, route, "on_reload", problem)
    end
end

local function deliver_queued(ws, item)
    local route = ws[ROUTE].record or item.route
    if ws[VERSION] ~= version then
        migrate(ws, route)
        route = ws[ROUTE].record or route -- it may have waited
    end
    if item.kind == RELOAD then
        return
    elseif item.kind ~= MESSAGE then
        deliver_change(ws, route, item.kind, item.data, item.code, item.flag)
    elseif ws[STATE] == OPEN then
        if item.flag and ws[BINARY_TYPE] == "buffer" then
            deliver_view(ws, route, item.data, #item.data, true)
        else
            deliver_message(ws, route, item.data, item.flag)
        end
    end
end

-- The hook that waited is done: what its connection got meanwhile comes now, maybe waiting again.
local function catch_up(ws)
    local queue = ws[QUEUE]
    while queue.first <= queue.last do
        local item = queue[queue.first]
        queue[queue.first] = nil
        queue.first = queue.first + 1
        deliver_queued(ws, item)
    end
    ws[QUEUE] = false
    if queue.paused then
        C.mw_resume(worker, ws[HANDLE])
    end
end

-- ---- requests -------------------------------------------------------------------------------

local function answer(req, route)
    local ok, problem = request.answer(req, route.handler(req))
    if not ok then
        error(problem, 0)
    end
end

local function on_request(event, route)
    local req = request.new(event.conn, event.serial, route)
    handling_request = req
    local ok, problem = xpcall(answer, catch, req, route)
    if not ok then
        failure.report(route.title, problem)
        request.fail(req)
    end
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
        adopt(handle, route, route.number).state = state
    end
end

local function accept_as_is(req)
    request.accept(req)
end

local function on_upgrade(event, route)
    local req = request.new(event.conn, event.serial, route)
    handling_request = req
    -- The hook may have been taken away since the request was queued.
    local ok, problem = xpcall(route.on_upgrade and decide or accept_as_is, catch, req, route,
        event.conn)
    if not ok then
        failure.report(("on_upgrade of %s"):format(route.pattern), problem)
        request.fail(req)
    end
end

-- ---- the dispatcher -------------------------------------------------------------------------

local function on_message(ws, route, event)
    if ws[STATE] ~= OPEN then
        return -- after ws:close() no message is delivered (WHATWG WebSockets §6)
    end
    if ws[QUEUE] then
        enqueue(ws, route, event)
    elseif event.flag == 0 then
        local data = ffi.string(event.data, event.len)
        if #data >= LONG_TEXT then
            checked.text = data
        end
        deliver_message(ws, route, data, false)
    elseif ws[BINARY_TYPE] == "buffer" then
        deliver_view(ws, route, event.data, event.len, false)
    else
        deliver_message(ws, route, ffi.string(event.data, event.len), true)
    end
end

local function on_change(ws, route, event)
    local kind = event.kind
    if kind == RELOAD then
        return -- it has met this generation already
    end
    if kind == CLOSE then
        socket.release(ws)
    end
    if ws[QUEUE] then
        enqueue(ws, route, event)
    else
        deliver_change(ws, route, kind, ffi.string(event.data, event.len), event.code,
            event.flag ~= 0)
    end
end

-- A newer generation than that which has last met the connection, or its hook that waits.
local function on_outdated(ws, route, event)
    if (ws[ROUTE].renamed or 0) > ws[VERSION] then
        rawset(ws, "params", nil) -- it is read again, with its new names
    end
    if event.kind == CLOSE then
        socket.release(ws)
    end
    if ws[QUEUE] then
        enqueue(ws, route, event)
    else
        deliver_queued(ws, copy(route, event)) -- on_reload may wait
    end
end

local function on_connection(event, route)
    local handle = event.conn
    local ws = find(handle)
    if not ws then
        if not route[hook_of[event.kind]] then
            return -- nobody has met this connection, nobody wants to
        end
        ws = adopt(handle, route, event.kind == OPENED and version
            or C.mw_opened_in(worker, handle))
    end
    handling = ws
    if ws[VERSION] ~= version then
        on_outdated(ws, route, event)
    elseif event.kind == MESSAGE then
        on_message(ws, route, event)
    else
        on_change(ws, route, event)
    end
end

local function handle_event(event)
    local kind = event.kind
    if kind >= OPENED and kind <= CLOSE then
        on_connection(event, routes[event.route])
        return
    end
    handling = nil
    if kind == REQUEST then
        on_request(event, routes[event.route])
    elseif kind == UPGRADE then
        on_upgrade(event, routes[event.route])
    elseif kind == TIMER then
        timer.fired(event.conn, event.flag ~= 0)
    elseif kind == RELOAD then
        on_connection(event, routes[event.route])
    end
    -- EVENT_ABORT needs nothing: the answer of the handler that waits will find nobody.
    handling_request = nil
end

-- The dispatcher was parked and its hook is now done: another one takes the events.
local function settle(self)
    local ws = parked[self]
    if ws then
        catch_up(ws)
    end
    parked[self], parked_in[self] = nil, nil
    if #idle < IDLE_MAX then
        idle[#idle + 1] = self
    end
end

-- These two are functions so that each can be a trace of its own: with a batch of one event no loop
-- gets hot, and the FFI is slow in the interpreter.
local function fetch()
    events = C.mw_batch(worker, count_box)
    at, total = 0, count_box[0]
end

local function step()
    local event = events[at]
    at = at + 1
    handle_event(event)
end

local function dispatcher(self)
    while true do
        while at < total do
            step()
            if active ~= self then
                settle(self)
                break
            end
        end
        coroutine.yield(DONE)
    end
end

-- The hook in active waits: its connection's events are kept from now on, and what it holds of the
-- batch and of its request is copied.
local function park_active(co)
    local ws = handling or false
    parked[co], parked_in[co] = ws, version
    if ws then
        ws[QUEUE] = { first = 1, last = 0, paused = false }
    end
    if handling_view then
        copies[handling_view] = view.detach(handling_view)
    end
    if handling_request then
        request.keep_all(handling_request)
    end
    handling, handling_view, handling_request = nil, nil, nil
    active = nil
end

-- A defect of ours: hooks' own errors do not come here.
local function dispatcher_broke(co, problem)
    log.error(("the dispatcher failed: %s"):format(debug.traceback(co, tostring(problem))))
    local ws = parked[co] or (active == co and handling)
    if ws then
        ws[QUEUE] = false
    end
    parked[co], parked_in[co] = nil, nil
    if active == co then
        active = nil
    end
end

local function resume(co, value, problem)
    local ok, result, asked = task.resume(co, value, problem)
    if not ok then
        dispatcher_broke(co, result)
    elseif result ~= DONE then
        if active == co then
            park_active(co)
        end
        if not asked then
            -- A bare coroutine.yield() lets others go first.
            timer.wake_after(co, 0)
        end
    end
end

local function activate()
    active = table.remove(idle)
    if not active then
        active = coroutine.create(dispatcher)
    end
    return active
end

--- Delivers one batch. Called by script_dispatch (src/script/state.c).
function M.run()
    fetch()
    while at < total do
        local co = active or activate()
        resume(co, co)
    end
    local entry = task.next_ready()
    while entry do
        resume(entry[1], entry[2], entry[3])
        entry = task.next_ready()
    end
    events = nil
end

return M
