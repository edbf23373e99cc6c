-- The tasks of an app's top level, and the timers that these make. They end with the generation:
-- what the next top level spawns takes their place.
--
-- Whatever runs in the app's file, or in a task that it has spawned, belongs to one of these
-- records (wait.top). What hooks, timers and the function of mw.keep spawn belongs to none.

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

-- Ends those that go on in spite of all, such as a loop around pcall.
local function end_late(list)
    local late = false
    for _, item in ipairs(list) do
        late = late or not item.task.done
    end
    if not late then
        return
    end
    timer.sleep(GRACE_SECONDS)
    for _, item in ipairs(list) do
        local task = item.task
        if not task.done then
            log.warn(("%s is ended: it has caught the error %q of a reload and went on for %d s; "
                .. "let this error pass, or, for a task that is to last, write mw.keep(name, "
                .. "function() return mw.spawn(…) end)"):format(task.title, task.cancelled,
                GRACE_SECONDS))
            wait.drop(task.co)
            core.ended(task, false, { value = task.cancelled, text = task.cancelled, trace = "" })
        end
    end
end

-- The generation does not serve any more: cancels the tasks and stops the timers. What the top
-- level itself has spawned is noted for M.go_on.
function M.stop(top)
    local list = sorted(top.running)
    top.stopped = {}
    for _, item in ipairs(list) do
        if item.entry.fn then
            top.stopped[#top.stopped + 1] = item
        end
        if not item.task.cancelled then
            core.methods.cancel(item.task)
        end
    end
    for its in pairs(top.timers) do
        its:stop()
    end
    if #list > 0 then
        wait.queue(core.new("the end of tasks", end_late, 1, list))
    end
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
