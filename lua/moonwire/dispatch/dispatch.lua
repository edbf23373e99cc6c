-- From events to hooks.
--
-- A dispatcher is a coroutine that takes one event after the other. C resumes one with each batch
-- (script_dispatch of src/script/state.c), so that nothing but the coroutine runs when no hook
-- waits. A hook that waits parks the dispatcher it runs in, and another, which C gets from go_on(),
-- goes on with the batch; when the hook is done, its dispatcher first delivers what came for that
-- connection meanwhile, in order, and is then free again. So a hook that never waits pays nothing
-- for the ability.
--
-- The path of a message is compiled together with the hook: no closures, varargs or concatenation
-- there (check with -jv).

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local socket = require "moonwire.connection.socket"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local event_target = lazy.use "moonwire.connection.event_target"
local inbox = lazy.use "moonwire.connection.inbox"
local input = lazy.use "moonwire.waiting.input"
local request = lazy.use "moonwire.http.request"
local timer = lazy.use "moonwire.waiting.timer"
local view = lazy.use "moonwire.connection.view"

local C, worker = native.C, native.worker
local batch = C.mw_batch(worker)
-- In traces, what a local of the module holds is a constant; what a table does, is not.
local yield, xpcall, to_string = coroutine.yield, xpcall, ffi.string
local catch = failure.catch
local any_ready = wait.any_ready
local find, adopt = connection.find, socket.adopt
local HANDLE, STATE, ROUTE = connection.HANDLE, connection.STATE, connection.ROUTE
local LISTENERS, QUEUE = connection.LISTENERS, connection.QUEUE
local BINARY_TYPE, PROBLEM = connection.BINARY_TYPE, connection.PROBLEM
local VERSION = connection.VERSION
local CONNECTING, OPEN = connection.CONNECTING, connection.OPEN
local CLOSING, CLOSED = connection.CLOSING, connection.CLOSED

local UPGRADE, OPENED, MESSAGE = C.EVENT_UPGRADE, C.EVENT_OPEN, C.EVENT_MESSAGE
local DRAIN, ERROR, CLOSE = C.EVENT_DRAIN, C.EVENT_ERROR, C.EVENT_CLOSE
local REQUEST, ABORT = C.EVENT_REQUEST, C.EVENT_ABORT
local TIMER, INPUT, RELOAD = C.EVENT_TIMER, C.EVENT_INPUT, C.EVENT_RELOAD

local checked = connection.checked
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
-- Yielded by a dispatcher that has nothing to do, and when something is to be resumed.
local DONE, READY = task.DONE, {}
M.DONE = DONE -- C knows it
-- Of what is woken in one turn of the loop; the rest comes in the next, after the others' events.
local WAKES_MAX = 10000

local routes = {} -- by the site's index: records of route.lua
local version = 0 -- the number of the generation that serves

local next_slot, opened_in = ffi.new "uint32_t[1]", ffi.new "uint32_t[1]"

local active        -- the dispatcher that takes events; only C resumes it
local idle = {}
local parked = {}   -- dispatcher → its connection, or false
local parked_in = {} -- dispatcher → the generation whose hook waits
local parked_requests = {} -- dispatcher → its request
local waiting_requests = {} -- handle → dispatcher
local copies = setmetatable({}, { __mode = "k" }) -- bytes of views whose hook waits
local handling      -- the connection, request and view of the hook that runs in active
local handling_request
local handling_view

-- The routes of the generation that serves from now on. waiting: its limit waiting_messages.
function M.serve(new_routes, waiting, number)
    routes = new_routes
    routes[C.MW_NO_ROUTE] = connection.CLIENT_ROUTE
    connection.limits.waiting_messages = waiting
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

-- How many WebSockets each generation has handled the last event of, by its number: those of the
-- server, in this worker. One that no hook has met yet is of that in which it was opened.
function M.connections()
    local out = {}
    next_slot[0] = 0
    while true do
        local handle = C.mw_next_open(worker, next_slot, opened_in)
        if handle == 0 then
            return out
        end
        local ws = find(handle)
        local number = ws and ws[VERSION] or opened_in[0]
        out[number] = (out[number] or 0) + 1
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

M.serve({}, nil, 0)

-- ---- hooks ----------------------------------------------------------------------------------

local function call_listener(fn, event)
    local ok, problem = xpcall(fn, catch, event)
    if not ok then
        failure.report(("a listener for %q"):format(event.type), problem)
    end
end

-- A hook raised: on_error is told, then the connection is closed with 1011.
local function hook_failed(ws, route, name, problem)
    if problem.value == wait.CONNECTION_CLOSED then
        return -- it did not catch it: that ends it, and nobody is to blame
    end
    local value = failure.report(("%s of %s"):format(name, route.pattern), problem, route.number)
    if name ~= "on_error" and route.on_error then
        local ok, other = xpcall(route.on_error, catch, ws, value)
        if not ok then
            failure.report(("on_error of %s"):format(route.pattern), other, route.number)
        end
    end
    if ws[STATE] == OPEN then
        ws[STATE] = CLOSING
        C.mw_close(worker, ws[HANDLE], 1011, "", 0)
    end
end

-- The origin of its URL, serialised (HTML §7.1.1): scheme, host and port, never user and password.
local function origin_of(ws)
    local scheme, authority = ws.url:match "^(%a+://)([^/?]*)"
    return scheme and scheme .. authority:match "[^@]*$" or ""
end

-- Text, and binary as a string. Does not look at the connection's state.
local function deliver_message(ws, route, data, is_binary)
    local hook = route.on_message
    if hook then
        local ok, problem = xpcall(hook, catch, ws, data, is_binary)
        if not ok then
            hook_failed(ws, route, "on_message", failure.opened(problem))
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

local function fire_change(ws, kind, text, code, flag)
    local target = ws[LISTENERS]
    if target then
        event_target.fire(target, change_event(ws, kind, text, code, flag), call_listener)
    end
end

local function call_hook(ws, route, kind, first, second, third)
    local name = hook_of[kind]
    local hook = route[name]
    if hook then
        local ok, problem = xpcall(hook, catch, ws, first, second, third)
        if not ok then
            hook_failed(ws, route, name, failure.opened(problem))
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

-- Everything that happens to a connection but a message. text, code and flag as in struct event.
local function deliver_change(ws, route, kind, text, code, flag)
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

-- ---- events that come while somebody waits (inbox.lua) --------------------------------------

local function put(ws, route, event, data)
    inbox.put(ws, {
        kind = event.kind,
        route = route,
        data = data,
        code = event.code,
        flag = event.flag ~= 0,
    })
end

-- Does anything but ws:receive take messages?
local function has_taker(ws, route)
    local target = ws[LISTENERS]
    return route.on_message or target and event_target.has(target, "message")
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
        hook_failed(ws, route, "on_reload", failure.opened(problem))
    end
end

local function deliver_item(ws, item)
    if ws[VERSION] ~= version then
        migrate(ws, ws[ROUTE].record or item.route)
    end
    local route = ws[ROUTE].record or item.route
    if item.kind == RELOAD then
        return
    elseif item.kind ~= MESSAGE then
        deliver_change(ws, route, item.kind, item.data, item.code, item.flag)
    elseif ws[STATE] == OPEN then
        if item.flag and (ws[BINARY_TYPE] or route.binaryType) == "buffer" then
            deliver_view(ws, route, item.data, #item.data, true)
        else
            deliver_message(ws, route, item.data, item.flag)
        end
    end
end

-- The hook that waited, in co, is done: what its connection got meanwhile comes now, maybe waiting
-- again. Messages that nothing else takes stay for ws:receive.
local function catch_up(ws, co)
    local box = ws[QUEUE]
    while true do
        local kept = box.reading and not has_taker(ws, ws[ROUTE].record)
        local item = inbox.take(box, kept and "change" or nil)
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
    if has_taker(ws, ws[ROUTE].record) then
        box.reading = false
    end
    inbox.settle(ws)
end

-- A listener for messages was added while some wait for ws:receive.
connection.set_flush(function(ws)
    local box = ws[QUEUE]
    if box.count > 0 and not box.holder then
        local flush
        flush = task.new("delivering what waited", function()
            if not box.holder then
                inbox.hold(ws, flush.co)
                catch_up(ws, flush.co)
            end
        end, 0)
        wait.queue(flush)
    end
end)

-- ---- requests -------------------------------------------------------------------------------

local function answer(req, route)
    local ok, problem = request.answer(req, route.handler(req))
    if not ok then
        error(problem, 0)
    end
end

local function request_failed(req, title, problem, number)
    if failure.opened(problem).value ~= wait.CONNECTION_CLOSED then
        failure.report(title, problem, number)
    end
    request.fail(req)
end

local function on_request(event, route)
    local req = request.new(event.conn, event.serial, route)
    handling_request = req
    local ok, problem = xpcall(answer, catch, req, route)
    if not ok then
        request_failed(req, route.title, problem, route.number)
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
        request_failed(req, ("on_upgrade of %s"):format(route.pattern), problem, route.number)
    end
end

-- The peer of a request is gone: what its handler waits for is cancelled.
local function on_abort(event)
    local co = waiting_requests[event.conn]
    if co and request.is(parked_requests[co], event.serial) then
        wait.cancel(co, wait.CONNECTION_CLOSED)
    end
end

-- ---- the dispatcher -------------------------------------------------------------------------

local function on_message(ws, route, event)
    if ws[STATE] ~= OPEN then
        return -- after ws:close() no message is delivered (WHATWG WebSockets §4)
    end
    local box = ws[QUEUE]
    if box then
        if inbox.is_awaited(box) then
            inbox.deliver(box, to_string(event.data, event.len), event.flag ~= 0)
            return
        elseif box.holder or box.reading and not has_taker(ws, route) then
            put(ws, route, event, to_string(event.data, event.len))
            return
        end
    end
    if event.flag == 0 then
        local data = to_string(event.data, event.len)
        if #data >= LONG_TEXT then
            checked.text = data
        end
        deliver_message(ws, route, data, false)
    elseif (ws[BINARY_TYPE] or route.binaryType) == "buffer" then
        deliver_view(ws, route, event.data, event.len, false)
    else
        deliver_message(ws, route, to_string(event.data, event.len), true)
    end
end

-- A connection that the script opens has failed: it is for the log where no code hears of it.
local function log_failure(ws, text)
    local target, box = ws[LISTENERS], ws[QUEUE]
    local heard = ws[STATE] ~= CONNECTING -- the script has closed it
        or target and (event_target.has(target, "error") or event_target.has(target, "close"))
        or box and #box.openers > 0 or false
    C.mw_connect_failed(worker, ws[HANDLE], text, #text, heard)
end

-- What the connection itself and those who wait at it must know at once.
local function notice(ws, kind, text, code)
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

local function on_change(ws, route, event)
    local kind, text = event.kind, to_string(event.data, event.len)
    if kind == RELOAD and ws[VERSION] == version then
        return -- it has met this generation
    end
    notice(ws, kind, text, event.code)
    local box = ws[QUEUE]
    if box and box.holder then
        put(ws, route, event, text)
    else
        deliver_change(ws, route, kind, text, event.code, event.flag ~= 0)
    end
end

-- A newer generation serves than that which has last met the connection. False: on_reload was
-- called and the event delivered behind it, since it may have waited.
local function is_met(ws, route, event)
    local kind = event.kind
    if ws[QUEUE] and ws[QUEUE].holder then
        return true -- deliver_item sees to it
    end
    if (ws[ROUTE].renamed or 0) > ws[VERSION] then
        rawset(ws, "params", nil) -- it is read again, with its new names
    end
    if not route.on_reload or route.number ~= version then
        ws[VERSION] = version
        return true
    end
    local item = {
        kind = kind, route = route, data = to_string(event.data, event.len), code = event.code,
        flag = event.flag ~= 0,
    }
    if kind ~= MESSAGE then
        notice(ws, kind, item.data, item.code)
    end
    migrate(ws, route)
    local box = kind == MESSAGE and ws[QUEUE]
    if box and inbox.is_awaited(box) then
        inbox.deliver(box, item.data, item.flag)
    elseif box and box.reading and not has_taker(ws, ws[ROUTE].record) then
        inbox.put_back(ws, item)
    else
        deliver_item(ws, item)
    end
    return false
end

local function on_connection(event, route)
    local handle = event.conn
    local ws = find(handle, event.slot)
    if not ws then
        if not route[hook_of[event.kind]] then
            return -- nobody has met this connection, nobody wants to
        end
        ws = adopt(handle, route, event.kind == OPENED and version
            or C.mw_opened_in(worker, handle))
    end
    handling = ws
    if ws[VERSION] ~= version and not is_met(ws, route, event) then
        return
    end
    if event.kind == MESSAGE then
        on_message(ws, route, event)
    else
        on_change(ws, route, event)
    end
end

local function handle_event(event)
    local kind = event.kind
    if kind == MESSAGE or kind >= OPENED and kind <= CLOSE then
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
    elseif kind == ABORT then
        on_abort(event)
    elseif kind == INPUT then
        input.readable()
    elseif kind == RELOAD then
        on_connection(event, routes[event.route])
    end
    handling_request = nil
end

-- The dispatcher was parked and its hook is now done: another one takes the events.
local function settle(self)
    local ws = parked[self]
    local req = parked_requests[self]
    if req then
        parked_requests[self] = nil
        waiting_requests[request.handle(req)] = nil
    end
    wait.forget(self)
    if ws then
        catch_up(ws, self)
    end
    parked[self], parked_in[self] = nil, nil
    if #idle < IDLE_MAX then
        idle[#idle + 1] = self
    end
end

-- Takes one event. Nothing while there are more for this dispatcher, and then what it yields. A
-- function, so that it is a trace of its own: with a batch of one event no loop gets hot, and the
-- FFI is slow in the interpreter.
local function step(self)
    local event = batch.events[batch.at]
    batch.at = batch.at + 1
    handle_event(event)
    if active == self then
        if batch.at < batch.count then
            return nil
        end
        return any_ready() and READY or DONE
    end
    return DONE
end

local function dispatcher()
    local self = coroutine.running()
    while true do
        local result = step(self)
        -- A loop that most batches leave at once would not be compiled: this one is not even begun.
        while not result do
            result = step(self)
        end
        if active ~= self then
            settle(self)
        end
        yield(result)
    end
end

-- The hook in active waits: its connection's events are kept from now on, and what it holds of the
-- batch and of its request is copied.
local function park_active(co)
    active = nil
    local ws = handling or false
    parked[co], parked_in[co] = ws, version
    if ws then
        inbox.hold(ws, co)
    end
    if handling_view then
        copies[handling_view] = view.detach(handling_view)
    end
    if handling_request then
        request.keep_all(handling_request)
        parked_requests[co] = handling_request
        waiting_requests[request.handle(handling_request)] = co
    end
    handling, handling_view, handling_request = nil, nil, nil
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

-- What follows when co has yielded, or failed.
local function resumed(co, ok, result, asked)
    if not ok then
        dispatcher_broke(co, result)
    elseif result ~= DONE then
        if active == co then
            park_active(co)
        end
        if not asked then
            -- A bare coroutine.yield() lets others go first.
            timer.resume_later(co)
        end
    end
end

local function resume(co, value)
    resumed(co, wait.resume(co, value))
end

local function activate()
    active = table.remove(idle)
    if not active then
        active = coroutine.create(dispatcher)
    end
    return active
end

-- Goes on with what was woken, and begins tasks.
local function resume_ready()
    wait.looked()
    for _ = 1, WAKES_MAX do
        local entry = wait.next_ready()
        if not entry then
            return
        end
        if task.is(entry) then
            local co = task.begin(entry)
            if co then
                resume(co, entry)
            end
        else
            resume(entry.co)
        end
    end
    if any_ready() then
        wait.kick()
    end
end

--- Runs a task now, until it waits or is done.
function M.run_task(new)
    resume(task.begin(new), new)
end

--- The dispatcher that C is to resume, with what is left of its batch and with each new one, until
-- it yields anything but DONE.
-- @param ok nil at first; then whether the last one has yielded, and not failed
-- @param result what it yielded; its error
-- @return a coroutine, and whether any event of this batch is left
function M.go_on(ok, result)
    if ok ~= nil and result ~= READY then
        resumed(active, ok, result, wait.was_asked())
    end
    if batch.at == batch.count then
        resume_ready()
    end
    wait.set_current(active or activate())
    return active, batch.at < batch.count
end

return M
