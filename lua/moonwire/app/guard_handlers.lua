-- What an app's handlers of errors may ask about the stack when it has overflowed.
--
-- An overflow in machine code leaves LuaJIT without the place at which the function that failed
-- called the handler. Who asks for the handler's name, as debug.traceback(problem) in it does, has
-- it read there, and ends the process (seen in LuaJIT 2.1.0-beta3). Then the stack is told without
-- names.

local lazy = require "moonwire.base.lazy"

local overflow = lazy.use "moonwire.app.overflow"

local M = {}

--- To be called once, before any app runs. Each of the functions calls Lua's own at its end, so
-- that a level of the stack means what it does there.
-- @param globals from which apps get theirs
function M.set(globals)
    local call, traceback, getinfo = globals.xpcall, debug.traceback, debug.getinfo
    local used = false -- overflow.lua cannot be loaded where there is no stack any more

    function globals.xpcall(fn, handler, ...)
        used = true
        return call(fn, overflow.handler(handler), ...)
    end

    function globals.debug.traceback(...)
        if used and type((...)) ~= "thread" and overflow.is_here() then
            return overflow.traceback(...)
        end
        return traceback(...)
    end

    function globals.debug.getinfo(...)
        if used and type((...)) == "number" and overflow.is_here() then
            return overflow.getinfo(...)
        end
        return getinfo(...)
    end
end

return M
