-- What Lua's library lets a script do to the process, or to itself without a word, and what happens
-- instead. These functions take the place of Lua's in the globals from which apps get theirs.
--
-- Each calls Lua's own at its end, as a tail call, so that errors name the app's line and function.

local failure = require "moonwire.base.failure"
local guard_handlers = require "moonwire.app.guard_handlers"
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

-- ---- finalisers -----------------------------------------------------------------------------

local function place_of(fn)
    local at = type(fn) == "function" and debug.getinfo(fn, "S")
    return at and string.format("the finaliser at %s:%d", at.short_src,
        at.linedefined) or "a finaliser"
end

local protectors = setmetatable({}, { __mode = "kv" }) -- by finaliser, and each by itself

--- A function that calls the finaliser and raises no error. A finaliser runs wherever memory is
-- asked for: in another connection's hook, or in our own code. Its error would be theirs.
-- @param finaliser what can be called; nil gives nil
function M.protected(finaliser)
    if finaliser == nil or protectors[finaliser] then
        return protectors[finaliser]
    end
    local function protector(value)
        local ok, problem = xpcall(finaliser, failure.catch, value)
        if not ok then
            -- pcall: there may be no memory to say so.
            pcall(failure.report, place_of(finaliser), problem)
        end
    end
    protectors[finaliser], protectors[protector] = protector, protector
    return protector
end

local protected = M.protected

local function guard_ffi()
    local ffi = package.loaded.ffi
    local gc, metatype = ffi.gc, ffi.metatype

    function ffi.gc(value, finaliser)
        return gc(value, protected(finaliser))
    end

    function ffi.metatype(ctype, meta)
        if type(meta) == "table" then
            meta.__gc = protected(meta.__gc)
        end
        return metatype(ctype, meta)
    end
end

local function set_protected(meta, key, value)
    if key == "__gc" then
        value = protected(value)
    end
    rawset(meta, key, value)
end

local function guard_userdata(globals)
    local newproxy, set = globals.newproxy, globals.debug.setmetatable

    function globals.newproxy(with_meta)
        local proxy = newproxy(with_meta)
        if with_meta == true then
            setmetatable(getmetatable(proxy), { __newindex = set_protected })
        end
        return proxy
    end

    function globals.debug.setmetatable(value, meta)
        if type(value) == "userdata" and type(meta) == "table" then
            rawset(meta, "__gc", protected(rawget(meta, "__gc")))
        end
        return set(value, meta)
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
    guard_userdata(globals)
    guard_handlers.set(globals)
end

return M
