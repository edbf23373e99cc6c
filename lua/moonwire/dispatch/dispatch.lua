-- From events to hooks.
--
-- A dispatcher is a coroutine that takes one event after the other. C resumes one with each batch
-- (script_dispatch of src/script/state.c), so that nothing but the coroutine runs when no hook
-- waits. A hook that waits parks the dispatcher it runs in, and another, which C gets from go_on(),
-- goes on with the batch (coroutines.lua). So a hook that never waits pays nothing for the ability.
--
-- The path of a message is compiled together with the hook: no closures, varargs or concatenation
-- there (check with -jv).

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local coroutines = require "moonwire.dispatch.coroutines"
local delivery = require "moonwire.dispatch.delivery"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local serving = require "moonwire.dispatch.serving"
local socket = require "moonwire.connection.socket"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local inbox = lazy.use "moonwire.connection.inbox"
local input = lazy.use "moonwire.waiting.input"
local migration = lazy.use "moonwire.dispatch.migration"
local requests = lazy.use "moonwire.dispatch.requests"
local timer = lazy.use "moonwire.waiting.timer"

local C = native.C
local batch = C.mw_batch(native.worker)
-- In traces, what a local of the module holds is a constant; what a table does, is not.
local yield, to_string = coroutine.yield, ffi.string
local any_ready = wait.any_ready
local find, message, hook_of = connection.find, delivery.message, delivery.hook_of
local STATE, VERSION, QUEUE = connection.STATE, connection.VERSION, connection.QUEUE
local BINARY_TYPE, OPEN = connection.BINARY_TYPE, connection.OPEN

local OPENED, MESSAGE, RELOAD = C.EVENT_OPEN, C.EVENT_MESSAGE, C.EVENT_RELOAD
local UPGRADE, REQUEST, ABORT = C.EVENT_UPGRADE, C.EVENT_REQUEST, C.EVENT_ABORT
local TIMER, INPUT = C.EVENT_TIMER, C.EVENT_INPUT

local checked = connection.checked
-- From here on remembering that a text is UTF-8 costs less than looking again.
local LONG_TEXT = 1024
local LONG_STRING = C.MW_LONG_STRING
local string_begin, string_end = C.mw_string_begin, C.mw_string_end

-- Yielded by a dispatcher that has nothing to do, and when something is to be resumed.
local DONE, READY = task.DONE, {}

local M = {
    DONE = DONE, -- C knows it
    connections = serving.connections,
    waiting = coroutines.waiting,
    run_task = coroutines.run_task,
}

-- As in serving.lua: each message looks at them, and a local costs less in a trace than a field.
local routes, version = serving.routes, serving.version

-- The arguments are those of serving.serve.
function M.serve(new_routes, limits, number)
    serving.serve(new_routes, limits, number)
    routes, version = new_routes, number
end

connection.set_flush(function(ws)
    migration.flush(ws)
end)

-- ---- a connection's events ------------------------------------------------------------------

-- The text of a message. A long one in a block of its own becomes a string where it lies.
local function text_of(event)
    local data, len = event.data, event.len
    if event.code == 0 or len < LONG_STRING then
        return to_string(data, len)
    end
    string_begin(native.worker, data, len)
    local text = to_string(data, len)
    string_end(native.worker)
    return text
end

local function on_message(self, ws, route, event)
    if ws[STATE] ~= OPEN then
        return -- after ws:close() no message is delivered (WHATWG WebSockets §4)
    end
    local box = ws[QUEUE]
    if box then
        if inbox.is_awaited(box) then
            inbox.deliver(box, text_of(event), event.flag ~= 0)
            return
        elseif box.holder or box.reading and not delivery.has_taker(ws, route) then
            migration.put(ws, route, event, text_of(event))
            return
        end
    end
    if event.flag == 0 then
        local data = text_of(event)
        if #data >= LONG_TEXT then
            checked.text = data
        end
        message(ws, route, data, false)
    elseif (ws[BINARY_TYPE] or route.binaryType) == "buffer" then
        delivery.view(ws, route, event.data, event.len, self)
    else
        message(ws, route, text_of(event), true)
    end
end

local function on_change(ws, route, event)
    local kind, text = event.kind, to_string(event.data, event.len)
    if kind == RELOAD and ws[VERSION] == version then
        return -- it has met this generation
    end
    delivery.notice(ws, kind, text, event.code)
    local box = ws[QUEUE]
    if box and box.holder then
        migration.put(ws, route, event, text)
    else
        delivery.change(ws, route, kind, text, event.code, event.flag ~= 0)
    end
end

-- Takes an event of a WebSocket. self: the dispatcher.
local function on_connection(self, event, route)
    local handle = event.conn
    local ws = find(handle, event.slot)
    if not ws then
        if not route[hook_of[event.kind]] then
            return -- nobody has met this connection, nobody wants to
        end
        self.ws = false
        ws = socket.adopt(handle, route, event.kind == OPENED and version
            or C.mw_opened_in(native.worker, handle))
    end
    self.ws = ws
    if ws[VERSION] ~= version and not migration.is_met(ws, route, event) then
        return
    end
    if event.kind == MESSAGE then
        on_message(self, ws, route, event)
    else
        on_change(ws, route, event)
    end
end

-- ---- the loop -------------------------------------------------------------------------------

local function handle_event(self, event)
    local kind = event.kind
    if kind <= RELOAD then -- enum event_kind has those of WebSockets first
        on_connection(self, event, routes[event.route])
        return
    end
    self.ws = false
    if kind == REQUEST then
        requests.on_request(self, event, routes[event.route])
    elseif kind == UPGRADE then
        requests.on_upgrade(self, event, routes[event.route])
    elseif kind == TIMER then
        timer.fired(event.conn, event.flag ~= 0)
    elseif kind == ABORT then
        requests.on_abort(event)
    elseif kind == INPUT then
        input.readable()
    end
end

-- Takes one event. Returns nothing while there are more for this dispatcher, and then what it
-- yields. A function, so that it is a trace of its own: with a batch of one event no loop gets hot,
-- and the FFI is slow in the interpreter.
local function step(self)
    local event = batch.events[batch.at]
    batch.at = batch.at + 1
    handle_event(self, event)
    if self.parked then
        return DONE
    elseif batch.at < batch.count then
        return nil
    end
    return any_ready() and READY or DONE
end

-- One loop for events and for batches. With a loop of its own for the events of a batch it was a
-- matter of luck which of the two LuaJIT compiled first (bench/NOTES.md, "One loop").
local function dispatcher(self)
    while true do
        local result = step(self)
        if result then
            if self.parked then
                coroutines.settle(self)
            end
            yield(result)
        end
    end
end

-- Returns the dispatcher that C is to resume, with what is left of its batch and with each new one,
-- until it yields anything but DONE.
-- @param ok nil at first; then whether the last one has yielded, and not failed
-- @param result what it yielded; its error
-- @return a coroutine, and whether any event of this batch is left
function M.go_on(ok, result)
    if ok ~= nil and result ~= READY then
        coroutines.active_yielded(ok, result)
    end
    if batch.at == batch.count then
        coroutines.resume_ready()
    end
    local co = coroutines.activate(dispatcher)
    wait.set_current(co)
    return co, batch.at < batch.count
end

return M
