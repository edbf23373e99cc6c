-- What an app's handlers of errors may ask about the stack when it has overflowed.
--
-- An overflow in machine code leaves LuaJIT without the place at which the function that failed
-- called the handler. Who asks for the handler's name, as debug.traceback(problem) in it does, has
-- it read there, and ends the process (seen in LuaJIT 2.1.0-beta3). Then the stack is told without
-- names.

local M = {}

local getinfo, traceback, find = debug.getinfo, debug.traceback, string.find

-- Only a stack that has overflowed is so deep while its last error is an overflow's.
local DEEP = 150
local SHOWN = 10 -- calls

local raised -- the last text that a handler of the app was given since xpcall was called last

local function is_overflow()
    return raised and find(raised, "stack overflow", 1, true) and getinfo(DEEP, "f")
end

-- Takes level as debug.traceback does. Its caller is at level 2, since it is called by a tail call.
local function without_names(message, level)
    if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then
        return message
    end
    local out = { message and message .. "\nstack traceback:" or "stack traceback:" }
    for i = level or 1, (level or 1) + SHOWN do
        local at = getinfo(i + 1, "Sl")
        if not at then
            return table.concat(out, "\n\t")
        end
        out[#out + 1] = at.currentline > 0 and string.format("%s:%d", at.short_src, at.currentline)
            or at.short_src
    end
    out[#out + 1] = "..."
    return table.concat(out, "\n\t")
end

local noting = setmetatable({}, { __mode = "kv" }) -- by handler

-- In a stack that has overflowed a handler can hardly call anything.
local function note_for(handler)
    local function note(problem)
        raised = type(problem) == "string" and problem or nil
        return handler(problem)
    end
    noting[handler] = note
    return note
end

--- To be called once, before any app runs. Each of the functions calls Lua's own at its end, so
-- that a level of the stack means what it does there.
-- @param globals from which apps get theirs
function M.set(globals)
    local call = globals.xpcall

    function globals.xpcall(fn, handler, ...)
        raised = nil
        if type(handler) == "function" then
            handler = noting[handler] or note_for(handler)
        end
        return call(fn, handler, ...)
    end

    function globals.debug.traceback(...)
        if raised and type((...)) ~= "thread" and is_overflow() then
            return without_names(...)
        end
        return traceback(...)
    end

    function globals.debug.getinfo(...)
        local level, what = ...
        if raised and type(level) == "number" and is_overflow() then
            return getinfo(level, (string.gsub(what or "Slfu", "n", "")))
        end
        return getinfo(...)
    end
end

return M
