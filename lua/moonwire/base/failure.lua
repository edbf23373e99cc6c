-- What becomes of an error in the app's code: kept with its traceback, written to the log, counted
-- for its generation (engine/reload/probation.h).

local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local owner = require "moonwire.base.owner"

local C, worker = native.C, native.worker

local M = {}

-- LuaJIT's own texts.
local NO_MEMORY, NO_HANDLER = "not enough memory", "error in error handling"

-- An error that has come up through many coroutines or asserts has its place once for each.
local function place_once(text)
    local place = string.match(text, "^[^\n]-:%d+: ")
    local length, at = place and #place, 1
    while place and string.sub(text, at + length, at + 2 * length - 1) == place do
        at = at + length
    end
    return string.sub(text, at)
end

local function text_of(value)
    if type(value) == "string" then
        return place_once(value)
    end
    local meta = type(value) == "table" and getmetatable(value)
    if meta and meta.__tostring then
        return tostring(value)
    end
    return ("an error that is not a text: %s"):format(tostring(value))
end

-- The traceback without what is below the hook: those frames are ours and tell the user nothing.
local function users_part(trace)
    local ours = trace:find("\n%s*%[C%]: in function 'xpcall'")
    if ours then
        trace = trace:sub(1, ours - 1)
    end
    local without, count = trace, 1
    while count > 0 do
        without, count = without:gsub("\n%s*moonwire/[^\n]*$", "")
    end
    return without
end

-- What a coroutine has raised again last, after another had raised it first.
local again = setmetatable({}, { __mode = "k" })

-- The handler for xpcall. Keeps the error as it was raised, its text, its traceback and the number
-- of the generation whose code raised it; of one that was raised again, both tracebacks, where it
-- came from first.
function M.catch(value)
    local co = coroutine.running()
    local trace, first = users_part(debug.traceback("", 2)), co and again[co]
    if first and rawequal(first.value, value) then
        trace = ("%s\nraised again by the code that waited for it%s"):format(first.trace, trace)
    end
    return { value = value, text = text_of(value), trace = trace, number = owner.running(2) }
end

-- Raises in the running coroutine what another one raised: what catch or opened returned.
function M.raise(problem)
    again[coroutine.running()] = problem
    error(problem.value, 0)
end

-- What xpcall returned for an error. Where the handler itself could not run (no memory, no stack),
-- LuaJIT gives a plain text. It collects no garbage when memory is short, and what has used it all
-- is garbage now.
function M.opened(problem)
    if type(problem) == "table" and problem.trace then
        return problem
    elseif problem == NO_MEMORY or problem == NO_HANDLER then
        pcall(collectgarbage) -- a finaliser may raise
    end
    return { value = problem, text = text_of(problem), trace = "" }
end

-- Logs and counts. what: "on_message of /chat/:room". number: of the generation whose hook it is,
-- where that is known; else that of the code that raised, or of the one that serves. Returns the
-- error as it was raised.
function M.report(what, problem, number)
    problem = M.opened(problem)
    local text = ("%s failed: %s%s"):format(what, problem.text, problem.trace)
    log.error(text)
    C.mw_hook_failed(worker, number or problem.number or C.mw_generation(worker), text, #text)
    C.mw_overlay_fault(worker, text, #text)
    return problem.value
end

return M
