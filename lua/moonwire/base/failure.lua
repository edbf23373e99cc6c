-- What becomes of an error in the app's code: kept with its traceback, written to the log, counted
-- for its generation (engine/reload/probation.h).

local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local owner = require "moonwire.base.owner"

local log_fields = lazy.use "moonwire.base.log_fields"

local C, worker = native.C, native.worker

local M = {}

-- Of an error's own text: the rest of a line in the log is for the traceback.
local TEXT_BYTES = 4096

local function text_of(value)
    if type(value) == "string" then
        return log_fields.cut(value, TEXT_BYTES)
    end
    local meta = type(value) == "table" and getmetatable(value)
    if type(meta) == "table" and meta.__tostring then
        local ok, text = pcall(tostring, value)
        return log_fields.cut(ok and text or "an error whose __tostring fails", TEXT_BYTES)
    elseif type(value) == "table" then
        return "an error that is a table: " .. log_fields.value(value, TEXT_BYTES)
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
-- LuaJIT gives a plain text.
function M.opened(problem)
    if type(problem) == "table" and problem.trace then
        return problem
    end
    return { value = problem, text = text_of(problem), trace = "" }
end

-- What is the same for failures that come again: whose they are, and where they were raised.
local function place_of(what, text)
    return what .. (text:match "^[^\n]-:%d+:" or text)
end

-- Logs and counts. what: "on_message of /chat/:room". number: of the generation whose hook it is,
-- where that is known; else that of the code that raised, or of the one that serves. Of many
-- failures at one place within a second the log has the first and a number. Returns the error as it
-- was raised.
function M.report(what, problem, number)
    problem = M.opened(problem)
    local text = ("%s failed: %s%s"):format(what, problem.text, problem.trace)
    local place = place_of(what, problem.text)
    C.mw_log_failure(worker, place, #place, text, #text)
    C.mw_hook_failed(worker, number or problem.number or C.mw_generation(worker), text, #text)
    C.mw_overlay_fault(worker, text, #text)
    return problem.value
end

return M
