-- The tasks of an app's top level, the timers that these make, and the connections that they open.
-- They end with the generation: what the next top level begins takes their place.
--
-- Whatever runs in the app's file, in a task that it has spawned, in a timer that it has made, or
-- in a listener of a connection that it has opened, belongs to one of these records (wait.top).
-- What hooks and the function of mw.keep begin belongs to none.

require "moonwire.waiting.concurrent" -- task:cancel
local core = require "moonwire.waiting.task"
local lazy = require "moonwire.base.lazy"
local log = require "moonwire.base.log"
local timer = require "moonwire.waiting.timer"
local wait = require "moonwire.waiting.wait"

local M = lazy.module(...)

-- A task that has caught its cancellation may wait for so long, to tidy up.
local GRACE_SECONDS = 5

local function sorted(running)
    local list = {}
    for task, entry in pairs(running) do
        list[#list + 1] = { task = task, entry = entry }
    end
    table.sort(list, function(a, b)
        return a.entry.number < b.entry.number
    end)
    return list
end

local function stop_timers(top)
    for its in pairs(top.timers) do
        its:stop()
    end
end

local function end_others(top)
    for it, finish in pairs(top.others) do
        finish(it)
    end
end

-- Ends those that go on in spite of all, such as a loop around pcall, and those that they have
-- begun since.
local function end_late(top)
    if not next(top.running) then
        return
    end
    timer.sleep(GRACE_SECONDS)
    for _, item in ipairs(sorted(top.running)) do
        local task = item.task
        log.warn(string.format("%s is ended: it went on for %d s after a reload had replaced its "
            .. "code, with the "
            .. "error %q in what it waited for; let this error pass, or, for a task that is to "
            .. "last, write mw.keep(name, function() return mw.spawn(…) end)", task.title,
            GRACE_SECONDS, wait.TASK_CANCELLED))
        task.cancelled = wait.TASK_CANCELLED
        if task.co then
            wait.drop(task.co)
        end
        core.ended(task, false, { value = task.cancelled, text = task.cancelled, trace = "" })
    end
    stop_timers(top)
    end_others(top)
end

--- The generation does not serve any more: cancels the tasks, stops the timers, and closes the
-- connections.
-- @return the record that takes the place of top, with what the app's file itself had spawned, for
--   M.go_on
function M.stop(top)
    local list, next_top = sorted(top.running), wait.new_top()
    for _, item in ipairs(list) do
        if item.entry.fn then
            next_top.stopped[#next_top.stopped + 1] = item
        end
        if not item.task.cancelled then
            core.methods.cancel(item.task)
        end
    end
    stop_timers(top)
    end_others(top)
    if #list > 0 then
        wait.queue(core.new("the end of tasks", end_late, 1, top))
    end
    return next_top
end

-- The generation serves again: the tasks that ran when it was replaced begin anew.
function M.go_on(top)
    local stopped = top.stopped
    top.stopped = {}
    for _, item in ipairs(stopped) do
        local entry = item.entry
        local task = core.renew(item.task, entry.fn, entry.n, unpack(entry, 1, entry.n))
        task.top = top
        top:add(task, entry)
        wait.queue(task)
    end
end

return M
