-- Waiting. Hooks run in coroutines; one that waits is parked in its own and woken later.
--
--   local task = require "moonwire.task"
--   local co = task.current()          -- before asking for something
--   …                                  -- keep co where the answer will find it
--   local value, problem = task.park() -- returns what task.wake(co, value, problem) is given
--
-- dispatch.lua resumes the coroutines.

local M = {}

local current            -- the coroutine that dispatch.lua has resumed
local asked = false      -- the yield is park's
local ready = {}         -- { co, first, second } in the order woken
local first, last = 1, 0

-- The running hook's coroutine; raises at the level of the caller's caller where nothing can wait.
-- name: the function that wants to wait.
function M.current(name)
    local co = coroutine.running()
    if not current then
        error(("%s waits, and the top level of an app cannot; call it in a hook or a handler")
            :format(name), 3)
    elseif co ~= current then
        error(("%s cannot wait inside a coroutine of your own; call it in the hook itself"):format(
            name), 3)
    end
    return co
end

-- Waits until somebody wakes this coroutine.
function M.park()
    asked = true
    return coroutine.yield()
end

-- Lets a parked coroutine go on, after the hook that runs now.
function M.wake(co, value, problem)
    last = last + 1
    ready[last] = { co, value, problem }
end

-- ---- for dispatch.lua -----------------------------------------------------------------------

function M.next_ready()
    if first > last then
        return nil
    end
    local entry = ready[first]
    ready[first] = nil
    first = first + 1
    return entry
end

function M.is_ready()
    return first <= last
end

-- Runs co until it yields or ends. true and what it yielded, or false and the error; then whether
-- it waits for a wake.
function M.resume(co, value, problem)
    current, asked = co, false
    local ok, result = coroutine.resume(co, value, problem)
    current = nil
    return ok, result, asked
end

return M
