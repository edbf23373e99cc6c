-- Several things at once: tasks that an app starts, and waiting for them.
--
-- Everything is documented for users in docs/api.md.

local caller = require "moonwire.base.caller"
local core = require "moonwire.waiting.task"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local timer = require "moonwire.waiting.timer"
local units = require "moonwire.base.units"
local wait = require "moonwire.waiting.wait"

local arguments = lazy.use "moonwire.base.arguments"

local M = lazy.module(...)

local methods = core.methods
local is_task, watch = core.is, core.watch

-- what: "the task". where: the line that starts it, or nil.
local function start(what, where, fn, n, ...)
    local task = core.new(where and string.format("%s of %s", what, where) or what, fn, n, ...)
    task.where = where
    task.top = wait.top() or false
    wait.queue(task)
    return task
end

--- Starts a task: fn(…) runs when the code that runs now is done or waits, and may wait itself.
-- An error that nobody joins is logged. A task of the top level, or of one of its tasks, is
-- cancelled when other code takes over; one that mw.keep's function spawns lasts.
-- @return the task
-- @usage mw.spawn(function() mw.sleep("5s") mw.publish("news", "five seconds") end)
function M.spawn(fn, ...)
    if type(fn) ~= "function" then
        error(string.format("mw.spawn: expected a function, got %s", type(fn)), 2)
    end
    local n = select("#", ...)
    local task = start("the task", caller.place(2), fn, n, ...)
    if task.top then
        task.top:add(task, wait.at_top(task.top) and { fn = fn, n = n, ... } or {})
    end
    return task
end

local function check_self(task, name)
    if not is_task(task) then
        error(string.format("%s is a method: write task:%s(), with a colon", name, name), 3)
    end
end

-- What a finished task returned; what it raised is raised again.
local function result(task)
    if not task.ok then
        failure.raise(task.problem, "waited for it")
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
        local text = wait.TASK_CANCELLED
        core.ended(task, false, { value = text, text = text, trace = "" })
    end
    return true
end

-- What is not in the list proper would be left out without a word. Raises at the level of the
-- caller's caller's caller.
local function check_keys(list, name)
    local count = #list
    for key in pairs(list) do
        local is_item = type(key) == "number" and key >= 1 and key <= count and key % 1 == 0
        if not is_item and key ~= "n" then
            error(string.format("%s: expected a list without gaps and names, %s { a, b }, got the "
                .. "key %s", name, name, tostring(key)), 4)
        end
    end
end

-- A list of tasks and functions, as tasks. Raises at the level of the caller's caller.
local function tasks_of(list, name)
    if type(list) ~= "table" or is_task(list) then
        error(string.format("%s: expected a list of tasks and functions, %s { a, b }, got %s", name,
            name, is_task(list) and "a task" or type(list)), 3)
    end
    check_keys(list, name)
    local where = caller.place(3)
    for i = 1, #list do
        if type(list[i]) ~= "function" and not is_task(list[i]) then
            error(string.format("%s: item %d of the list is neither a task nor a function, but a "
                .. "%s", name, i, type(list[i])), 3)
        end
    end
    local tasks = {}
    for i = 1, #list do
        local item = list[i]
        tasks[i] = is_task(item) and item or start(string.format("task %d in %s", i, name), where,
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
function M.all(list, ...)
    arguments.no_more("mw.all { a, b }", nil, ...)
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
        failure.raise(failed.problem, "waited for it")
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
function M.race(list, ...)
    arguments.no_more("mw.race { a, b }", nil, ...)
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
    elseif type(fn) ~= "function" and not is_task(fn) then
        error(string.format("mw.timeout: expected a function or a task, got %s", type(fn)), 2)
    end
    local w = wait.begin "mw.timeout"
    local task = is_task(fn) and fn or start("the task in mw.timeout", caller.place(2), fn,
        select("#", ...), ...)
    local ok
    ok, problem = timer.wake_after(w, seconds)
    if not ok then
        error("mw.timeout: " .. problem, 2)
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
function M.await(fn, ...)
    arguments.no_more("mw.await(fn)", nil, ...)
    if type(fn) ~= "function" then
        error(string.format("mw.await: expected a function(resume), got %s", type(fn)), 2)
    end
    local w, cause = wait.begin "mw.await", wait.cause()
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
                failure.report("what mw.await's function returned", caught, nil, undo, nil, cause)
            end
        end
    end
    return wait.park(w)
end

return M
