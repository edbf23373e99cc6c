-- The one module that src/script/state.c asks for. Called with the worker (lightuserdata),
-- native.load_ahead, native.open_json, the two functions of stack_guard.h and the one of
-- watchdog.h, it returns what C may call: go_on(), which gives the coroutine that C resumes with
-- each batch of events; load(path, arguments, site [, code]), prepare with the same arguments and
-- restore(site), each with commit() or abandon() after it; pending(), when a script without
-- listeners has no connections and timers left; and describe(), for moonwire status. Last what that
-- coroutine yields when nothing is left.

local library = require "moonwire.base.library" -- first: it fills the globals of all others
local native = require "moonwire.base.native"

-- One hook is a few traces, and an app has many of both: with LuaJIT's own bounds (1,000 traces,
-- 512 KiB of machine code) a larger app would flush all of its machine code again and again.
-- 16 MiB, in areas of 512 KiB taken as needed.
require("jit.opt").start("maxtrace=8000", "maxrecord=16000", "maxmcode=16384", "sizemcode=512")

-- LuaJIT halves its table of strings at the end of a cycle when three quarters of it are free, and
-- doubles it when it is full. With less than 1,024 strings held, short messages made it do both in
-- each cycle (bench/NOTES.md, "Messages that differ"); a small app has some ten less.
local function hold_strings()
    local strings = {}
    for i = 1, 128 do
        strings[i] = "held " .. i
    end
    return strings
end

-- Lua's own writes each text and the end of the line apart: another worker's may come between.
local stdout = io.stdout
local function print_line(...)
    local texts, n = { ... }, select("#", ...)
    for i = 1, n do
        texts[i] = tostring(texts[i])
        local kind = type(texts[i])
        if kind ~= "string" and kind ~= "number" then
            error("'tostring' must return a string to 'print'", 2)
        end
    end
    stdout:write(table.concat(texts, "\t", 1, n) .. "\n")
end

return function(worker, load_ahead, open_json, stack_is_low, stack_is_nested, lend_profiler)
    native.attach(worker, load_ahead, open_json)
    native.strings = hold_strings()
    stdout:setvbuf "line" -- print() is seen at once, also through a pipe
    library.globals.print = print_line
    require("moonwire.app.guards").set(library.globals, stack_is_low, stack_is_nested)
    require("moonwire.app.jit_guards").set(library.globals, lend_profiler)
    local dispatch = require "moonwire.dispatch.dispatch"
    local app = require "moonwire.app.app"
    return dispatch.go_on, app.load, app.prepare, app.restore, app.commit, app.abandon, app.pending,
        app.describe, dispatch.DONE
end
