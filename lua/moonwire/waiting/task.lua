-- Tasks: functions that run, and wait, on their own. One is the app's file; how apps make others
-- and wait for them is in concurrent.lua.

local failure = require "moonwire.base.failure"
local native = require "moonwire.base.native"
local wait = require "moonwire.waiting.wait"

local C, worker = native.C, native.worker

local M = {}

-- Yielded by a coroutine that has nothing to do, a task's or a dispatcher's.
M.DONE = {}

-- Coroutines that are kept for the next task.
local IDLE_MAX = 64
local idle = {}

local methods = {} -- concurrent.lua: only who has that meets a task
M.methods = methods
local meta = { __index = methods }

failure.add_methods("task", function()
    return methods
end)

meta.__tostring = function(task)
    return string.format("%s (%s)", task.title, task.done and "done" or "running")
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
        top = false,      -- the top level that it belongs to (wait.top)
        cause = wait.cause(),
        where = false,    -- the line of the app that started it, if there is one
        ...,
    }, meta)
end

-- A task that is done, as if it were new; a new one in its place if it is not done.
function M.renew(task, fn, n, ...)
    if not task.done then
        return M.new(task.title, fn, n, ...)
    end
    for i = 1, math.max(task.n, n) do
        task[i] = (select(i, ...))
    end
    task.fn, task.n, task.done, task.ok, task.co = fn, n, false, false, false
    task.cancelled, task.problem, task.watchers = false, nil, false
    return task
end

function M.is(value)
    return getmetatable(value) == meta
end

-- ---- running --------------------------------------------------------------------------------

-- Did the task end because it was cancelled? It does, unless it catches that error.
function M.was_cancelled(task)
    return task.cancelled and not task.ok and task.problem.value == task.cancelled
end

local function ended(task, ok, ...)
    local fn = task.fn
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
        task.problem = failure.opened((...), fn, task.where)
    end
    if task.top then
        task.top.running[task] = nil
    end
    local watchers = task.watchers
    task.watchers = nil
    for i = 1, watchers and #watchers or 0 do
        watchers[i](task)
    end
    if not ok and not watchers and not M.was_cancelled(task) then
        failure.report(task.title, task.problem, nil, nil, nil, task.cause)
    end
end

M.ended = ended

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
    wait.enter(task.co, task.top, task.cause)
    return task.co
end

-- fn(task) when it is done.
function M.watch(task, fn)
    if task.done then
        fn(task)
        return
    end
    task.watchers = task.watchers or {}
    task.watchers[#task.watchers + 1] = fn
end

--- os.exit of an app: what it has printed and sent goes out first.
-- @param status 0 to 255; true is 0, false 1
function M.exit(status)
    if status == nil or status == true then
        status = 0
    elseif status == false then
        status = 1
    elseif type(status) ~= "number" then
        error(string.format("os.exit: the status is a number from 0 to 255, got %s", type(status)),
            2)
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
