-- Tasks: functions that run, and wait, on their own.
--
-- Everything is documented for users in docs/api.md.

local failure = require "moonwire.failure"
local native = require "moonwire.native"
local timer = require "moonwire.timer"
local units = require "moonwire.units"
local wait = require "moonwire.wait"

local C, worker = native.C, native.worker

local M = {}

-- Yielded by a coroutine that has nothing to do; dispatch.lua knows it.
M.DONE = {}

-- Coroutines that are kept for the next task.
local IDLE_MAX = 64
local idle = {}

local methods = {}
local meta = { __index = methods }

meta.__tostring = function(task)
    return ("%s (%s)"):format(task.title, task.done and "done" or "running")
end

-- A task that does not run yet. title: for the log.
function M.new(title, fn, n, ...)
    return setmetatable({
        title = title,
        fn = fn,
        n = n,
        done = false,
        ok = false,
        co = false,       -- while it runs
        cancelled = false,
        problem = nil,    -- what it raised, as failure.catch has it
        watchers = false, -- functions to call when it is done
        ...,
    }, meta)
end

function M.is(value)
    return getmetatable(value) == meta
end

-- ---- running --------------------------------------------------------------------------------

local function ended(task, ok, ...)
    task.done, task.ok = true, ok
    task.fn, task.co = nil, nil
    if ok then
        -- The arguments give way to the results.
        for i = 1, task.n do
            task[i] = nil
        end
        task.n = select("#", ...)
        for i = 1, task.n do
            task[i] = (select(i, ...))
        end
    else
        task.problem = failure.opened(...)
    end
    local watchers = task.watchers
    task.watchers = nil
    for i = 1, watchers and #watchers or 0 do
        watchers[i](task)
    end
    -- A task that was cancelled ends with that error, unless it caught it.
    if not ok and not watchers and not (task.cancelled and task.problem.value == task.cancelled)
    then
        failure.report(task.title, task.problem)
    end
end

local function runner(co, task)
    while true do
        ended(task, xpcall(task.fn, failure.catch, unpack(task, 1, task.n)))
        wait.forget(co)
        if #idle < IDLE_MAX then
            idle[#idle + 1] = co
        end
        task = coroutine.yield(M.DONE)
    end
end

local function new_runner()
    local co
    co = coroutine.create(function(task)
        return runner(co, task)
    end)
    return co
end

-- The coroutine for a task that begins, to be resumed with it; nil when it was cancelled before.
function M.begin(task)
    if task.done then
        return nil
    end
    task.co = table.remove(idle) or new_runner()
    return task.co
end

local function watch(task, fn)
    if task.done then
        fn(task)
        return
    end
    task.watchers = task.watchers or {}
    task.watchers[#task.watchers + 1] = fn
end

M.watch = watch

local function place(level)
    local at = debug.getinfo(level + 1, "Sl")
    return ("%s:%d"):format(at.short_src, at.currentline)
end

local function start(title, fn, n, ...)
    local task = M.new(title, fn, n, ...)
    wait.queue(task)
    return task
end

-- ---- what users call ------------------------------------------------------------------------

--- Starts a task: fn(…) runs when the code that runs now is done or waits, and may wait itself.
-- An error that nobody joins is logged.
-- @return the task
-- @usage mw.spawn(function() mw.sleep("5s") mw.publish("news", "five seconds") end)
function M.spawn(fn, ...)
    if type(fn) ~= "function" then
        error(("mw.spawn: expected a function, got %s"):format(type(fn)), 2)
    end
    return start("the task of " .. place(2), fn, select("#", ...), ...)
end

local function check_self(task, name)
    if getmetatable(task) ~= meta then
        error(("%s is a method: write task:%s(), with a colon"):format(name, name), 3)
    end
end

-- What a finished task returned; what it raised is raised again.
local function result(task)
    if not task.ok then
        failure.raise(task.problem)
    end
    return unpack(task, 1, task.n)
end

--- Waits until the task is done.
-- @return what its function returned
-- @raise what it raised
function methods.join(task)
    check_self(task, "join")
    if not task.done then
        local w = wait.begin "task:join"
        if task.co == w.co then
            error("task:join: a task cannot wait for itself", 2)
        end
        watch(task, function()
            wait.wake(w)
        end)
        wait.park(w)
    end
    return result(task)
end

--- Cancels the task: what it waits for raises "cancelled: the task was cancelled" in it.
-- @return true; false when it was done
function methods.cancel(task)
    check_self(task, "cancel")
    if task.done then
        return false
    end
    task.cancelled = wait.TASK_CANCELLED
    if task.co then
        wait.cancel(task.co, wait.TASK_CANCELLED)
    else
        ended(task, false, { value = wait.TASK_CANCELLED, text = wait.TASK_CANCELLED, trace = "" })
    end
    return true
end

-- A list of tasks and functions, as tasks. Raises at the level of the caller's caller.
local function tasks_of(list, name)
    if type(list) ~= "table" or M.is(list) then
        error(("%s: expected a list of tasks and functions, %s { a, b }, got %s"):format(name, name,
            M.is(list) and "a task" or type(list)), 3)
    end
    local where = place(3)
    for i = 1, #list do
        if type(list[i]) ~= "function" and not M.is(list[i]) then
            error(("%s: item %d of the list is neither a task nor a function, but a %s"):format(
                name, i, type(list[i])), 3)
        end
    end
    local tasks = {}
    for i = 1, #list do
        local item = list[i]
        tasks[i] = M.is(item) and item or start(("task %d in %s of %s"):format(i, name, where),
            item, 0)
    end
    return tasks
end

local function cancel_all(tasks)
    for _, task in ipairs(tasks) do
        methods.cancel(task)
    end
end

-- Waits until check(task), called for each that is done, gives true.
local function wait_for(tasks, name, check)
    local w = wait.begin(name, 3)
    w.release = function()
        if w.cancelled then
            cancel_all(tasks)
        end
    end
    for _, task in ipairs(tasks) do
        watch(task, function(done)
            if check(done) then
                wait.wake(w)
            end
        end)
    end
    wait.park(w)
end

--- Waits for all of some tasks. A function in the list is started as a task.
-- @return a list with the first result of each, in the order of the list; n is its length
-- @raise the first error of one of them; the others are cancelled then
-- @usage local r = mw.all { function() return fetch(a) end, function() return fetch(b) end }
function M.all(list)
    local tasks = tasks_of(list, "mw.all")
    local left, failed = #tasks, nil
    if left > 0 then
        wait_for(tasks, "mw.all", function(task)
            left = left - 1
            failed = failed or not task.ok and task or nil
            return failed or left == 0
        end)
    end
    if failed then
        cancel_all(tasks)
        failure.raise(failed.problem)
    end
    local results = { n = #tasks }
    for i, task in ipairs(tasks) do
        results[i] = task[1]
    end
    return results
end

--- Waits for the first of some tasks that is done; the others are cancelled.
-- @return what it returned
-- @raise what it raised
-- @usage local first = mw.race { function() return ask(a) end, function() return ask(b) end }
function M.race(list)
    local tasks = tasks_of(list, "mw.race")
    if #tasks == 0 then
        error("mw.race: the list is empty, so that nothing would ever end it", 2)
    end
    local winner
    wait_for(tasks, "mw.race", function(task)
        winner = winner or task
        return true
    end)
    cancel_all(tasks)
    return result(winner)
end

--- Runs a function, or waits for a task, for a bounded time.
-- @param duration seconds, or "250ms", "5s"
-- @param fn the function, called with the further arguments; or a task
-- @return what it returned; nil, "timeout" when the time was over: it is cancelled then
-- @raise what it raised
-- @usage local data, problem = mw.timeout("5s", function() return ws:receive() end)
function M.timeout(duration, fn, ...)
    local seconds, problem = units.duration(duration)
    if not seconds then
        error("mw.timeout: " .. problem, 2)
    elseif type(fn) ~= "function" and not M.is(fn) then
        error(("mw.timeout: expected a function or a task, got %s"):format(type(fn)), 2)
    end
    local w = wait.begin "mw.timeout"
    local task = M.is(fn) and fn or start("the task in mw.timeout of " .. place(2), fn,
        select("#", ...), ...)
    if not timer.wake_after(w, seconds) then
        error("mw.timeout: out of memory", 2)
    end
    w.release = function()
        timer.forget(w)
        if not task.done then
            methods.cancel(task)
        end
    end
    local in_time = false
    watch(task, function()
        in_time = wait.wake(w)
    end)
    wait.park(w)
    if in_time then
        return result(task)
    end
    return nil, "timeout"
end

--- Waits for anything that calls back.
-- @param fn function(resume), called at once; it arranges that resume(…) will be called. When it
--   returns a function, that is called if the wait is cancelled.
-- @return what resume was given. Its first call counts: it returns true, later ones false.
-- @usage local answer = mw.await(function(resume) client:ask("what?", resume) end)
function M.await(fn)
    if type(fn) ~= "function" then
        error(("mw.await: expected a function(resume), got %s"):format(type(fn)), 2)
    end
    local w = wait.begin "mw.await"
    local undo = fn(function(...)
        return wait.wake(w, ...)
    end)
    if type(undo) == "function" then
        w.release = function()
            local ok, caught = true, nil
            if w.cancelled then
                ok, caught = xpcall(undo, failure.catch)
            end
            if not ok then
                failure.report("what mw.await's function returned", caught)
            end
        end
    end
    return wait.park(w)
end

--- os.exit of an app: what it has printed and sent goes out first.
-- @param status 0 to 255; true is 0, false 1
function M.exit(status)
    if status == nil or status == true then
        status = 0
    elseif status == false then
        status = 1
    elseif type(status) ~= "number" then
        error(("os.exit: the status is a number from 0 to 255, got %s"):format(type(status)), 2)
    end
    if wait.loading_again then
        error("os.exit: an app that is loaded again does not end the process at its top level", 2)
    end
    io.stdout:flush()
    M.exiting = true
    C.mw_exit(worker, status % 256)
    wait.stop()
    error("os.exit: the process ends", 0)
end

return M
