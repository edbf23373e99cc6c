-- What Lua's library lets a script do to the process, or to itself without a word, and what happens
-- instead. These functions take the place of Lua's in the globals from which apps get theirs.
--
-- Each calls Lua's own at its end, as a tail call, so that errors name the app's line and function.

local finalisers = require "moonwire.app.finalisers"
local wait = require "moonwire.waiting.wait"

local M = {}

-- ---- recursion through C --------------------------------------------------------------------

-- LuaJIT bounds each Lua stack, but not C's: a function of C that calls Lua again takes some of it,
-- string.gsub 8 KiB, and each coroutine begins with a Lua stack of its own.
local function guard_stack(globals, is_low, is_nested)
    local strings, coroutines = globals.string, globals.coroutine
    local gsub, resume, wrap = strings.gsub, coroutines.resume, coroutines.wrap

    function strings.gsub(text, pattern, replacement, ...)
        if type(replacement) ~= "string" and is_low() then
            error("stack overflow: string.gsub is called inside too many others", 2)
        end
        return gsub(text, pattern, replacement, ...)
    end

    local function check()
        if is_nested() then
            error("stack overflow: a coroutine is resumed inside too many others", 3)
        end
    end

    function coroutines.resume(co, ...)
        check()
        return resume(co, ...)
    end

    function coroutines.wrap(fn)
        local wrapped = wrap(fn)
        return function(...)
            check()
            return wrapped(...)
        end
    end
end

-- ---- yields that nobody waits for -----------------------------------------------------------

local function guard_yield(globals)
    local yield, running = globals.coroutine.yield, globals.coroutine.running

    function globals.coroutine.yield(...)
        local co = running()
        if co and co == wait.current() then
            error("coroutine.yield: nobody would resume this hook; to wait for another part of "
                .. "the app use mw.await, to let others go first mw.sleep(0)", 2)
        end
        return yield(...)
    end
end

-- ---- all ------------------------------------------------------------------------------------

--- To be called once, before any app runs.
-- @param globals from which apps get theirs
-- @param is_low, is_nested functions: those of src/script/stack_guard.h
function M.set(globals, is_low, is_nested)
    guard_stack(globals, is_low, is_nested)
    guard_yield(globals)
    finalisers.guard(globals)
end

return M
