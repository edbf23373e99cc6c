-- What Lua's library lets a script do to the process, or to itself without a word, and what happens
-- instead. These functions take the place of Lua's in the globals from which apps get theirs.
--
-- Each calls Lua's own at its end, as a tail call, so that errors name the app's line and function.

local guard_handlers = require "moonwire.app.guard_handlers"
local lazy = require "moonwire.base.lazy"
local library = require "moonwire.base.library"
local wait = require "moonwire.waiting.wait"

local finalisers = lazy.use "moonwire.app.finalisers" -- with the first finaliser

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
        if not co then
            error("coroutine.yield: nobody would resume the top level of an app that is loaded "
                .. "again; to wait for another part of the app use mw.await in mw.spawn(function() "
                .. "… end)", 2)
        elseif co == wait.current() then
            error("coroutine.yield: nobody would resume this hook; to wait for another part of "
                .. "the app use mw.await, to let others go first mw.sleep(0)", 2)
        end
        return yield(...)
    end
end

-- ---- finalisers (finalisers.lua) ------------------------------------------------------------

local function guard_ffi()
    local ffi = library.ffi
    local gc, metatype = ffi.gc, ffi.metatype

    function ffi.gc(value, finaliser)
        return gc(value, finalisers.protected(finaliser, "ffi.gc", 2))
    end

    function ffi.metatype(ctype, meta)
        if type(meta) == "table" then
            meta.__gc = finalisers.protected(meta.__gc, "ffi.metatype", 2)
        end
        return metatype(ctype, meta)
    end
end

local reals = setmetatable({}, { __mode = "k" }) -- view → metatable of userdata

local function guard_metatables(globals)
    local get, get_any = globals.getmetatable, globals.debug.getmetatable
    local set_any, set_raw = globals.debug.setmetatable, globals.rawset

    function globals.getmetatable(value)
        local meta = get(value)
        if type(value) == "userdata" and meta and rawequal(meta, get_any(value)) then
            return finalisers.view_of(meta, reals)
        end
        return meta
    end

    function globals.debug.getmetatable(value)
        local meta = get_any(value)
        return type(value) == "userdata" and meta and finalisers.view_of(meta, reals) or meta
    end

    function globals.debug.setmetatable(value, meta)
        if type(value) == "userdata" and type(meta) == "table" then
            meta = reals[meta] or finalisers.copy_of(meta)
        end
        return set_any(value, meta)
    end

    function globals.rawset(t, key, value)
        local real = reals[t]
        if real then
            finalisers.set(real, key, value, 2)
            return t
        end
        return set_raw(t, key, value)
    end
end

-- ---- all ------------------------------------------------------------------------------------

--- To be called once, before any app runs.
-- @param globals from which apps get theirs
-- @param is_low, is_nested functions: those of src/script/stack_guard.h
function M.set(globals, is_low, is_nested)
    guard_stack(globals, is_low, is_nested)
    guard_yield(globals)
    guard_ffi()
    guard_metatables(globals)
    guard_handlers.set(globals)
end

return M
