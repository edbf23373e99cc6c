-- What becomes of an error in the app's code: kept with its traceback, written to the log, counted
-- for its generation (engine/reload/probation.h).
--
-- What most workers never need is in fault.lua. It is called by tail calls, so that a level of the
-- stack means the same there as here.

local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local fault = lazy.use "moonwire.base.fault"

local C, worker = native.C, native.worker

local M = {}

local known = {
    methods = {}, -- { kind, function that gives the table of methods }
    apis = setmetatable({}, { __mode = "k" }), -- what require "moonwire" gives → "mw"
}

-- Registers the methods of objects of a kind ("ws"), for "did you mean": list() gives the table
-- that has them.
function M.add_methods(kind, list)
    known.methods[#known.methods + 1] = { kind = kind, list = list }
end

-- Registers a table of functions that an app gets, as what require "moonwire" gives: a function of
-- it that is called with a colon has that for its first argument, and its error says so. title:
-- what apps call the table, "mw".
function M.know_api(api, title)
    known.apis[api] = title
end

local raised -- the last text

-- The handler for xpcall: gives what opened and report take. After an overflow of the stack there
-- is hardly any left for it: then LuaJIT ends it too, with a text that has no place.
function M.catch(value)
    if type(value) == "string" then
        raised = value
    end
    return fault.catch(value, known)
end

-- Raises in the running coroutine what another one raised, or a module: what catch or opened
-- returned. how: what the code that is told did, "waited for it".
function M.raise(problem, how)
    return fault.raise(problem, how)
end

-- LuaJIT's own texts, for which it calls no handler.
local NO_MEMORY, NO_HANDLER = "not enough memory", "error in error handling"

-- What xpcall returned for an error: { value, text, place, trace, number }. The text begins with a
-- line of the app. LuaJIT collects no garbage when memory is short, and what has used it all is
-- garbage now.
-- @param fn optional: the function that was called, or a place, if the error has none
-- @param where optional: the place, if the function is not the app's either
function M.opened(problem, fn, where)
    if problem == NO_MEMORY or problem == NO_HANDLER then
        pcall(collectgarbage) -- a finaliser may raise
    elseif problem == "stack overflow" and raised and string.find(raised, "stack overflow$") then
        problem = raised
    end
    return fault.opened(problem, fn, where)
end

-- The line of the innermost function that runs and is the app's: "chat.lua:12", or nil. level: 1 is
-- the caller.
function M.place(level)
    return fault.place(level)
end

-- Where a function of the app is defined, "chat.lua:12"; nil for others.
function M.definition(fn)
    return fault.definition(fn)
end

-- The line of the app at which a coroutine waits, or nil.
function M.place_in(co)
    return fault.place_in(co)
end

M.CAUSE_UNKNOWN = C.MW_CAUSE_UNKNOWN

-- What is the same for failures that come again: whose they are, and where they were raised. The
-- text tells that only where nothing else does: with error(data, 0) it is what a peer has sent, and
-- could name another place each time. Code that was made of a text is called by that, which may be
-- another each time too.
local function place_of(what, problem)
    local place = problem.place or string.match(problem.text, "^[^\n]-:%d+:") or problem.text
    return string.find(place, "^%[string ") and what or what .. place
end

-- Logs and counts. what: "on_message of /chat/:room". number: of the generation whose hook it is,
-- where that is known; else that of the code that raised, or of the one that serves. fn, where: as
-- for opened. cause: the handle of the connection whose event it was, or led to it; 0 or nothing
-- when the app did it by itself; M.CAUSE_UNKNOWN. Of many failures at one place within a second the
-- log has the first and a number. Returns the error as it was raised.
function M.report(what, problem, number, fn, where, cause)
    problem = M.opened(problem, fn, where)
    local text = string.format("%s failed: %s%s", what, problem.text, problem.trace)
    local place = place_of(what, problem)
    C.mw_hook_failed(worker, number or problem.number or C.mw_generation(worker), cause or 0, place,
        #place, text, #text)
    C.mw_overlay_fault(worker, text, #text)
    return problem.value
end

return M
