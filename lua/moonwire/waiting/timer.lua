-- Timers of the app, and mw.sleep.

local caller = require "moonwire.base.caller"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local arguments = lazy.use "moonwire.base.arguments"
local units = lazy.use "moonwire.base.units"

local C, worker = native.C, native.worker

local M = lazy.module(...)

local by_id = {} -- started timers
local sleepers = {} -- timer id → the wait that it ends, or what is to be resumed

local function over_for_top(timer)
    if timer.top then
        timer.top.timers[timer] = nil
    end
end

local function end_timer(timer)
    timer.stopped = true
    over_for_top(timer)
    if timer.id then
        by_id[timer.id] = nil
        C.mw_timer_stop(worker, timer.id)
    end
end

local methods = {}

failure.add_methods("timer", function()
    return methods
end)

local meta = {
    __index = methods,
    __tostring = function(timer)
        return string.format("%s (%s)", timer.title, timer.stopped and "over" or "running")
    end,
}

--- Stops the timer. Its function is not called again.
-- @return true, or false when it was stopped or over already
function methods.stop(timer)
    if getmetatable(timer) ~= meta then
        error("stop is a method: write timer:stop(), with a colon", 2)
    end
    timer.suspended = false
    if timer.stopped then
        return false
    end
    end_timer(timer)
    return true
end

local function check(name, duration, fn, least)
    local seconds, problem = units.duration(duration)
    if seconds and seconds < least then
        seconds, problem = nil, "the duration is at least a millisecond"
    end
    if not seconds then
        error(string.format("mw.%s: %s", name, problem), 4)
    end
    if type(fn) ~= "function" and type(fn) ~= "string" then
        error(string.format("mw.%s: expected a function, or the name of one, got %s", name,
            type(fn)),
            4)
    end
    return seconds
end

-- A timer that is not started. fn: a function, or the name of one that find(name) finds whenever
-- the timer fires. Raises at the level of the caller's caller.
function M.new(name, duration, fn, find)
    local every = name == "every"
    local seconds = check(name, duration, fn, every and 0.001 or 0)
    local where = caller.place(3)
    local by_name = type(fn) == "string" and fn or nil
    return setmetatable({
        fn = not by_name and fn or function()
            local found = find(by_name)
            if not found then
                error(string.format("there is no global function, or module's, of the name %q",
                    by_name), 0)
            end
            found()
        end,
        name = by_name,
        seconds = seconds,
        every = every and seconds or 0,
        where = where,
        title = string.format("mw.%s(%s%s)%s", name, tostring(duration),
            by_name and string.format(", %q", by_name) or "", where and " of " .. where or ""),
        running = false,
        stopped = false,
        suspended = false, -- with its generation, which may come back
        top = false,       -- the top level whose task made it (wait.top)
        generation = false, -- whose top level made it
        cause = wait.cause(),
    }, meta)
end

-- Why C does not start a timer.
local function refusal(code)
    return code == C.ERR_LIMIT and "too many timers run in this worker already: stop those that "
        .. "are not needed any more" or "out of memory"
end

-- nil and a text when C refuses.
function M.start(timer)
    if timer.stopped then
        return true
    end
    local id = C.mw_timer_start(worker, timer.seconds, timer.every)
    if id < 0 then
        timer.stopped = true
        return nil, refusal(id)
    end
    timer.id = id
    by_id[id] = timer
    if timer.top then
        timer.top.timers[timer] = true
    end
    return true
end

-- The timer of an older generation that does the same by the same name.
local function same(timer, others)
    for _, other in ipairs(others) do
        if timer.name and timer.name == other.name and timer.every == other.every
            and timer.every > 0 and other.id and not other.stopped and not timer.stopped then
            return other
        end
    end
end

-- A new generation's timers start, and those of the old one stop; one that both have, by the name
-- of its function, goes on in its rhythm. When a generation comes back, those of it start that ran
-- when it was replaced.
function M.take_over(new, old)
    for _, timer in ipairs(new) do
        if timer.suspended then -- it has served before
            timer.suspended, timer.stopped, timer.successor = false, false, nil
        end
        local other = same(timer, old)
        if other then
            timer.id, timer.running = other.id, other.running
            by_id[timer.id] = timer
            other.id, other.stopped, other.successor = nil, true, timer
            other.suspended = true
        else
            local ok, problem = M.start(timer)
            if not ok then
                failure.report(timer.title, problem, nil, timer.where)
            end
        end
    end
    for _, timer in ipairs(old) do
        if not timer.stopped then
            end_timer(timer)
            timer.suspended = true
        end
    end
end

local function done(timer)
    timer.running = false
    if timer.successor then
        timer.successor.running = false
    end
end

local function report(timer, problem)
    failure.report(timer.title, problem, nil, timer.name and timer.where or timer.fn,
        timer.where, timer.cause)
end

-- What the function of a top level's timer begins or waits for ends with that top level: it runs as
-- a task of it.
local function run_for(top, timer)
    local run = task.new(timer.title, timer.fn, 0)
    run.top, run.cause = top, timer.cause
    top:add(run, {})
    task.watch(run, function()
        done(timer)
        if not run.ok and not task.was_cancelled(run) then
            report(timer, run.problem)
        end
    end)
    wait.queue(run)
end

-- EVENT_TIMER. A function that still waits is not started a second time.
function M.fired(id, over)
    local sleeper = sleepers[id]
    if sleeper then
        sleepers[id] = nil
        if sleeper.bare then
            wait.queue(sleeper)
        else
            sleeper.timer = nil
            wait.wake(sleeper, nil, "timeout")
        end
        return
    end
    local timer = by_id[id]
    if not timer then
        return
    end
    if over then
        timer.stopped = true
        by_id[id] = nil
        over_for_top(timer)
    end
    if timer.running then
        return
    end
    timer.running = true
    local top = timer.top or timer.generation and timer.generation.top
    if top then
        run_for(top, timer)
        return
    end
    wait.set_cause(timer.cause)
    local ok, problem = xpcall(timer.fn, failure.catch)
    wait.set_cause(0)
    done(timer)
    if not ok then
        report(timer, problem)
    end
end

-- Ends the wait w after so many seconds with nil, "timeout"; M.forget(w) takes that back. nil and a
-- text when C refuses.
function M.wake_after(w, seconds)
    local id = C.mw_timer_start(worker, seconds, 0)
    if id < 0 then
        return nil, refusal(id)
    end
    sleepers[id] = w
    w.timer = id
    return true
end

function M.forget(w)
    local id = w.timer
    if id then
        w.timer = nil
        sleepers[id] = nil
        C.mw_timer_stop(worker, id)
    end
end

-- Resumes co, which yielded by itself, in the loop's next turn.
function M.resume_later(co)
    local id = C.mw_timer_start(worker, 0, 0)
    if id >= 0 then
        sleepers[id] = { co = co, bare = true }
    end
end

--- Waits. Only the hook that calls it waits: others go on, and so does this connection's sending.
-- @param duration seconds, or "250ms", "5s", "2m", "1h"
-- @usage mw.sleep("1s")
function M.sleep(duration, ...)
    arguments.no_more("mw.sleep(duration)", nil, ...)
    local seconds, problem = units.duration(duration)
    if not seconds then
        error("mw.sleep: " .. problem, 2)
    end
    local w = wait.begin "mw.sleep"
    local ok
    ok, problem = M.wake_after(w, seconds)
    if not ok then
        error("mw.sleep: " .. problem, 2)
    end
    w.release = M.forget
    wait.park(w)
end

return M
