-- What a handler of errors is told of a stack that has overflowed. Loaded when an app calls xpcall
-- (guard_handlers.lua).

local M = require("moonwire.base.lazy").module(...)

local getinfo = debug.getinfo

-- Only a stack that has overflowed is so deep while its last error is an overflow's.
local DEEP = 150
local SHOWN = 10 -- calls

local raised -- the last text that a handler of the app was given since xpcall was called last

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

--- The handler for a call of xpcall that begins: notes the error, and calls this one.
function M.handler(handler)
    raised = nil
    if type(handler) ~= "function" then
        return handler
    end
    return noting[handler] or note_for(handler)
end

--- Has the stack overflowed?
function M.is_here()
    return raised and string.find(raised, "stack overflow", 1, true) and getinfo(DEEP, "f") and true
end

--- As debug.traceback, without names.
function M.traceback(message, level)
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

--- As debug.getinfo for a level, without the name.
function M.getinfo(level, what)
    return getinfo(level + 1, (string.gsub(what or "Slfu", "n", "")))
end

return M
