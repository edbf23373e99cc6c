-- Waiting. Hooks, handlers, tasks and the app's file run in coroutines; one that waits is parked in
-- its own and woken later.
--
--   local wait = require "moonwire.waiting.wait"
--   local w = wait.begin "mw.sleep"     -- before asking for something; keep w where the answer
--                                       -- will find it
--   w.release = function(w) … end       -- optional: called once when the wait is over, however
--   return wait.park(w)                 -- what wait.wake(w, …) is given
--
-- A wait that is cancelled raises in the code that waits. dispatch/coroutines.lua and C
-- (src/script/state.c) resume the coroutines.

local native = require "moonwire.base.native"

local C, worker = native.C, native.worker
local batch = C.mw_batch(worker)

local M = {}

M.CONNECTION_CLOSED = "cancelled: the connection is closed"
M.TASK_CANCELLED = "cancelled: the task was cancelled"

local current          -- the coroutine that was resumed: it runs, or nothing of the app's does
local asked = false    -- the yield is park's, until somebody has looked
local parked = {}      -- coroutine → its wait, while it waits
-- Coroutines that were cancelled while they did not wait: their next wait raises.
local doomed = setmetatable({}, { __mode = "k" })

-- Coroutines that are never resumed again.
local dropped = setmetatable({}, { __mode = "k" })

local ready = {} -- what is to be resumed: waits that are over, tasks that begin; in order
local first, last = 1, 0
local kicked = false -- a timer will cause a batch

-- ---- for what waits -------------------------------------------------------------------------

-- A wait of the running hook. Raises where nothing can wait, at the given level of the caller.
-- name: the function that wants to wait. level: 2, its caller, unless given.
function M.begin(name, level)
    local co = coroutine.running()
    level = (level or 2) + 1
    if M.loading_again then
        error(string.format("%s waits, and the top level of an app that is loaded again cannot; "
            .. "write mw.spawn(function() … end) around it", name), level)
    end
    if not co or not current then
        error(string.format("%s waits, which is possible in hooks, handlers, timers, tasks and the "
            .. "app's file", name), level)
    elseif co ~= current then
        error(string.format("%s cannot wait inside a coroutine of your own; call it in the hook "
            .. "itself, or write mw.spawn instead of coroutine.wrap", name), level)
    elseif not coroutine.isyieldable() then
        error(string.format("%s cannot wait here: a function of C is in between, such as require, "
            .. "table.sort or string.gsub", name), level)
    end
    return { co = co, over = false, cancelled = false, release = false, n = 0 }
end

-- Waits until somebody wakes w; it may be over already.
function M.park(w)
    local co = w.co
    if doomed[co] then
        w.over, w.cancelled = true, doomed[co]
        doomed[co] = nil
    end
    if not w.over then
        parked[co] = w
        asked = true
        coroutine.yield()
    end
    if w.release then
        w:release()
    end
    if w.cancelled then
        error(w.cancelled, 0)
    end
    return unpack(w, 1, w.n)
end

-- The code that runs now never goes on; false where that cannot be.
function M.stop()
    if coroutine.running() ~= current or not coroutine.isyieldable() then
        return false
    end
    while true do
        asked = true
        coroutine.yield()
    end
end

-- The top level of an app that what runs now belongs to: waiting/top_level.lua's record, or nil.
local top_of = setmetatable({}, { __mode = "k" }) -- by coroutine
local loading_top -- of the app that is loaded again

local Top = {}
Top.__index = Top

function M.new_top()
    return setmetatable({
        main = false,   -- the task of the app's file; none when it is loaded again
        count = 0,
        running = {},   -- task → { number = its place in the order }, with fn, n and the arguments
                        -- if the app's file itself has spawned it
        timers = {},    -- a set: those that its tasks have made
        -- what else ends with it → function(it)
        others = setmetatable({}, { __mode = "k" }),
        stopped = {},   -- of running, when it was replaced
    }, Top)
end

-- The task belongs to it until it is done.
function Top:add(task, entry)
    self.count = self.count + 1
    entry.number = self.count
    self.running[task] = entry
end

function M.top()
    if M.loading_again then
        return loading_top
    end
    return current and top_of[current] or nil
end

-- What runs now belongs to top, or to none (nil).
function M.set_top(top)
    if M.loading_again then
        loading_top = top
    elseif current then
        top_of[current] = top
    end
end

-- Does the app's file itself run, not one of its tasks?
function M.at_top(top)
    return M.loading_again or top.main and top.main.co == current
end

-- The connection whose event has led to what runs in a task or a timer, by coroutine; none where
-- the app began by itself.
local cause_of = setmetatable({}, { __mode = "k" })
local event_of -- of the hook or handler that runs in a coroutine

-- fn(co): the handle of the connection whose event co handles; 0 for none. dispatch/coroutines.lua.
function M.set_event_of(fn)
    event_of = fn
end

-- The handle of the connection whose event has led to what runs now; 0 for none.
function M.cause()
    if not current or M.loading_again then
        return 0
    end
    return cause_of[current] or event_of and event_of(current) or 0
end

-- What runs now was begun for this connection; 0 ends that.
function M.set_cause(cause)
    if current then
        cause_of[current] = cause ~= 0 and cause or nil
    end
end

-- The task begins in co.
function M.enter(co, top, cause)
    top_of[co] = top or nil
    cause_of[co] = cause ~= 0 and cause or nil
end

-- While an app is loaded that may take the place of the one that runs: nothing waits, and tasks
-- begin when it does take it.
M.loading_again = false
local held_back = {}

function M.hold_back()
    M.loading_again, held_back, loading_top = true, {}, nil
end

-- It is loaded: what runs from now on may wait.
function M.loaded_again()
    M.loading_again = false
end

-- begin: the tasks are to run; otherwise they are forgotten.
function M.let_go(begin)
    local tasks = held_back
    M.loading_again, held_back = false, {}
    for i = 1, begin and #tasks or 0 do
        M.queue(tasks[i])
    end
end

-- What is ready is looked at in a turn of the loop that comes at once.
function M.kick()
    kicked = kicked or C.mw_timer_start(worker, 0, 0) >= 0
end

-- Puts something with a coroutine, or a task that has none yet, behind what is to be resumed.
function M.queue(entry)
    if M.loading_again then
        held_back[#held_back + 1] = entry
        return
    end
    last = last + 1
    ready[last] = entry
    if batch.events == nil then
        M.kick() -- no batch will end and look: an app is being loaded
    end
end

local function finish(w)
    w.over = true
    if parked[w.co] == w then
        parked[w.co] = nil
        M.queue(w)
    end
end

-- Ends a wait: park returns the values, after the hook that runs now. false when it was over.
function M.wake(w, ...)
    if w.over then
        return false
    end
    w.n = select("#", ...)
    for i = 1, w.n do
        w[i] = (select(i, ...))
    end
    finish(w)
    return true
end

-- What co waits for now, or else will wait for next, raises the text.
function M.cancel(co, text)
    local w = parked[co]
    if w then
        w.cancelled = text
        finish(w)
    else
        doomed[co] = text
    end
end

-- What ran in co is done: a cancellation that nothing met is void.
function M.forget(co)
    doomed[co], top_of[co] = nil, nil
end

-- What runs in co never goes on.
function M.drop(co)
    local w = parked[co]
    parked[co], doomed[co], dropped[co] = nil, nil, true
    if w then
        w.over = true
        if w.release then
            w:release()
        end
    end
end

-- ---- for the dispatcher ---------------------------------------------------------------------

-- Is anything to be resumed? Compiled with each event that ends a batch.
function M.any_ready()
    return first <= last
end

function M.next_ready()
    while first <= last do
        local entry = ready[first]
        ready[first] = nil
        first = first + 1
        if not dropped[entry.co] then
            return entry
        end
    end
    return nil
end

-- The dispatcher looks at what is ready: the next kick needs a timer of its own.
function M.looked()
    kicked = false
end

-- C resumes co from now on, with each batch.
function M.set_current(co)
    current = co
end

-- Returns the coroutine of the hook or task that runs, or nil.
function M.current()
    return current
end

-- Returns whether the coroutine that has just yielded waits for a wake.
function M.was_asked()
    local was = asked
    asked = false
    return was
end

-- Runs co until it yields or ends. true and what it yielded, or false and the error; then whether
-- it waits for a wake.
function M.resume(co, value)
    local before = current
    current = co
    local ok, result = coroutine.resume(co, value)
    current = before
    return ok, result, M.was_asked()
end

return M
