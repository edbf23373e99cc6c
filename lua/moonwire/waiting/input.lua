-- Standard input, read while the loop runs: for moonwire connect and moonwire repl.

local native = require "moonwire.base.native"
local wait = require "moonwire.waiting.wait"

local ffi = require "ffi"

local C, worker = native.C, native.worker

ffi.cdef 'long moonwire_read(int fd, void *buffer, size_t size) __asm__("read");'

local M = require("moonwire.base.lazy").module(...)

local STDIN = 0
local EAGAIN, EINTR = 11, 4

local waiting -- for the descriptor

-- EVENT_INPUT
function M.readable()
    if waiting then
        wait.wake(waiting)
    end
end

local function stop()
    waiting = nil
    C.mw_input_stop(worker)
end

--- Waits until standard input can be read.
function M.wait(name)
    local w = wait.begin(name, 3)
    if C.mw_input(worker, STDIN) < 0 then
        error(name .. ": another task reads standard input", 3)
    end
    waiting = w
    w.release = stop
    wait.park(w)
end

local size = 65536
local buffer -- made when it is needed: every worker loads this module

-- What there is now; "" at the end; nil when there is nothing yet.
local function read()
    buffer = buffer or ffi.new("char[?]", size)
    local count = tonumber(ffi.C.moonwire_read(STDIN, buffer, size))
    if count >= 0 then
        return ffi.string(buffer, count)
    end
    local errno = ffi.errno()
    return errno ~= EAGAIN and errno ~= EINTR and "" or nil
end

local held, at, ended = "", 1, false -- what was read; where the next line begins

--- Waits for the next line. Without its line feed; nil at the end.
function M.line()
    while true do
        local feed = string.find(held, "\n", at, true)
        local line = feed and string.sub(held, at,
            feed - 1) or ended and at <= #held and string.sub(held, at)
        if line then
            at = feed and feed + 1 or #held + 1
            return line
        elseif ended then
            return nil
        end
        M.wait "input.line"
        local more = read()
        ended = more == ""
        held, at = string.sub(held, at) .. (more or ""), 1
    end
end

return M
