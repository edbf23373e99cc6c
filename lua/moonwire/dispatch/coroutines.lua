-- The coroutines that run the app's code: dispatchers, which take events, and tasks.
--
-- A dispatcher is one record for one coroutine. One of them is active: it takes the events, and
-- only C resumes it. When its hook waits it is parked, and another becomes active; when the hook is
-- done, it first delivers what came for the connection meanwhile, and is then free again.

local lazy = require "moonwire.base.lazy"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local connection = require "moonwire.connection.connection"
local serving = require "moonwire.dispatch.serving"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local inbox = lazy.use "moonwire.connection.inbox"
local migration = lazy.use "moonwire.dispatch.migration"
local request = lazy.use "moonwire.http.request"
local timer = lazy.use "moonwire.waiting.timer"
local view = lazy.use "moonwire.connection.view"

local C, worker = native.C, native.worker
local batch = C.mw_batch(worker)
local HANDLE, QUEUE, ROUTE = connection.HANDLE, connection.QUEUE, connection.ROUTE
local STATE, CLOSING = connection.STATE, connection.CLOSING

local M = {}

-- Free dispatchers that are kept for the next hook that waits.
local IDLE_MAX = 64
-- Of what is woken in one turn of the loop; the rest comes in the next, after the others' events.
local WAKES_MAX = 10000
local NEVER = 0xFFFFFFFF -- as batch.hook_ms

local active          -- the dispatcher that takes events; nil until C asks for the next one
local idle = {}
local parked = {}     -- by coroutine
local by_request = {} -- those of parked that answer a request, by its handle

-- ---- dispatchers ----------------------------------------------------------------------------

-- body(dispatcher) takes events, and yields.
local function new(body)
    local dispatcher = {
        co = false,
        parked = false,  -- its hook waits, or has waited and is not settled yet
        version = 0,     -- the generation whose hook waits
        ws = false,      -- the connection that its hook is called for
        request = false, -- the request that its handler answers
        view = false,    -- the view that its hook was given
        copy = false,    -- the bytes of that view, while the hook waits
    }
    dispatcher.co = coroutine.create(function()
        body(dispatcher) -- no tail call, which would show in tracebacks
    end)
    return dispatcher
end

-- Returns the coroutine of the active dispatcher: a free one, or one for body, if there is none.
function M.activate(body)
    if active and coroutine.status(active.co) == "dead" then
        active = nil -- it failed, and so did the attempt to say so
    end
    active = active or table.remove(idle) or new(body)
    return active.co
end

-- The hook of the active dispatcher waits: its connection's events are kept from now on, and what
-- it holds of the batch and of its request is copied.
local function park_active()
    local self = active
    active = nil
    self.parked, self.version = true, serving.version
    parked[self.co] = self
    if self.ws then
        inbox.hold(self.ws, self.co)
    end
    if self.view then
        self.copy = view.detach(self.view)
    end
    if self.request then
        request.keep_all(self.request)
        by_request[request.handle(self.request)] = self
    end
end

-- The hook of a parked dispatcher is done: another one takes the events.
function M.settle(self)
    wait.forget(self.co)
    if self.ws then
        migration.catch_up(self.ws, self.co)
    end
    parked[self.co] = nil
    self.parked, self.ws, self.copy = false, false, false
    if #idle < IDLE_MAX then
        idle[#idle + 1] = self
    end
end

-- The handler of a dispatcher's request is done.
function M.answered(self)
    if self.parked then
        by_request[request.handle(self.request)] = nil
    end
    self.request = false
end

-- Returns the dispatcher that is parked with a request of this handle, or nil.
function M.of_request(handle)
    return by_request[handle]
end

-- The connection whose event a dispatcher handles.
wait.set_event_of(function(co)
    local dispatcher = parked[co] or active and active.co == co and active
    if not dispatcher then
        return 0
    elseif dispatcher.ws then
        return dispatcher.ws[HANDLE]
    end
    return dispatcher.request and request.handle(dispatcher.request) or 0
end)

-- Returns how many hooks of each generation wait, by its number.
function M.waiting()
    local out = {}
    for _, dispatcher in pairs(parked) do
        out[dispatcher.version] = (out[dispatcher.version] or 0) + 1
    end
    return out
end

-- ---- resuming -------------------------------------------------------------------------------

-- A defect of ours: hooks' own errors do not come here.
local function broke(co, problem)
    log.error(string.format("the dispatcher failed: %s", debug.traceback(co, tostring(problem))))
    local is_active = active and active.co == co
    local dispatcher = parked[co] or is_active and active
    if dispatcher and dispatcher.ws then
        C.mw_close(worker, dispatcher.ws[HANDLE], 1011, "", 0)
        dispatcher.ws[STATE], dispatcher.ws[QUEUE] = CLOSING, false
    end
    if dispatcher and dispatcher.request then
        request.fail(dispatcher.request)
        M.answered(dispatcher)
    end
    parked[co] = nil
    if is_active then
        active = nil
    end
end

-- What follows when co has yielded, or failed. asked: it waits for a wake.
local function resumed(co, ok, result, asked)
    if not ok then
        broke(co, result)
    elseif result ~= task.DONE then
        if active and active.co == co then
            park_active()
        end
        if not asked then
            -- A function of C has yielded, and nobody else would resume it.
            timer.resume_later(co)
        end
    end
end

-- The same for the active one, which C has resumed.
function M.active_yielded(ok, result)
    resumed(active.co, ok, result, wait.was_asked())
end

local function resume(co, value)
    resumed(co, wait.resume(co, value))
end

-- Runs a task now, until it waits or is done.
function M.run_task(new_task)
    resume(task.begin(new_task), new_task)
end

-- What is resumed has all its time before it, by its route's limit hook_ms.
local function begin_time(co)
    local dispatcher = co and parked[co]
    local record = dispatcher and dispatcher.ws and dispatcher.ws[ROUTE].record
    local hook_ms = record and record.limits and record.limits.hook_ms
    batch.hook_ms = hook_ms == 0 and NEVER or hook_ms or 0
    batch.ticks = batch.ticks + 1
end

-- Goes on with what was woken, and begins tasks.
function M.resume_ready()
    wait.looked()
    for _ = 1, WAKES_MAX do
        local entry = wait.next_ready()
        if not entry then
            batch.hook_ms = 0
            return
        end
        begin_time(entry.co)
        if task.is(entry) then
            local co = task.begin(entry)
            if co then
                resume(co, entry)
            end
        else
            resume(entry.co)
        end
    end
    batch.hook_ms = 0
    if wait.any_ready() then
        wait.kick()
    end
end

return M
