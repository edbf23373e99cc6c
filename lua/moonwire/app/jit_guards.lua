-- What an app may not do to LuaJIT's compiler, since a hook that does not return is stopped by its
-- means (src/script/watched.h).

local lazy = require "moonwire.base.lazy"

local M = lazy.module(...)

-- Its own modules that are written in Lua (jit.v, jit.dump, jit.p) attach handlers which return.
local function is_luajits_own(fn)
    local source = type(fn) == "function" and debug.getinfo(fn, "S").source
    return source and string.find(source, "^@.*/luajit[^/]*/jit/%w+%.lua$") and true
end

local function guard_attach(jit)
    local attach = jit.attach

    function jit.attach(handler, event)
        -- With no event a handler is taken off.
        if event ~= nil and not is_luajits_own(handler) then
            error("jit.attach: not for apps: a handler that does not return could not be stopped "
                .. "(limits.hook_ms); for a log of traces use jit.v", 2)
        end
        return attach(handler, event)
    end
end

-- While the app profiles itself, LuaJIT's profiler is its own.
local function guard_profile(open, lend)
    return function(...)
        local profile = open(...)
        local start, stop, runs = profile.start, profile.stop, false

        function profile.stop()
            if runs then
                runs = false
                stop()
                lend(false)
            end
        end

        function profile.start(mode, callback)
            profile.stop()
            lend(true)
            runs = true
            start(mode, callback)
        end

        return profile
    end
end

--- To be called once, before any app runs.
-- @param globals from which apps get theirs
-- @param lend_profiler function: that of src/script/watchdog.h
function M.set(globals, lend_profiler)
    guard_attach(globals.jit)
    local preload = package.preload
    preload["jit.profile"] = guard_profile(preload["jit.profile"], lend_profiler)
end

return M
