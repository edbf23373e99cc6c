-- Starts the real binary for end-to-end specs, and waits for what it says and how it ends.
--
--   local server = process.start { "app.lua", "--listen", "127.0.0.1:0" }
--   local port = server:port()
--   server:signal "TERM"
--   assert.equal(0, server:wait().status)
--
-- Nothing here sleeps: every wait is for a line or an end, with a deadline that fails the spec.

local busted = require "busted"
local files = require "spec.support.files"
local poll = require "posix.poll"
local posix_signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local sys_stat = require "posix.sys.stat"
local sys_wait = require "posix.sys.wait"
local time = require "posix.time"
local unistd = require "posix.unistd"
local fcntl = require "posix.fcntl"

local M = {}

M.binary = (os.getenv "MOONWIRE_BUILD" or "build") .. "/moonwire"
-- For a process that is started in another folder.
function M.binary_path()
    local path = M.binary
    return path:sub(1, 1) == "/" and path or unistd.getcwd() .. "/" .. path
end

M.load = "build/bench/load" -- the load generator (make build/bench/load)
local deadline_seconds = tonumber(os.getenv "MOONWIRE_SPEC_SECONDS" or 60)

-- Where servers open their control sockets: not among those of the machine.
local runtime = assert(stdlib.mkdtemp "/tmp/moonwire-spec-run-XXXXXX")
local at_exit = newproxy(true)
getmetatable(at_exit).__gc = function()
    os.execute(("rm -rf '%s'"):format(runtime))
end
M.at_exit = at_exit

local function now()
    local t = time.clock_gettime(time.CLOCK_MONOTONIC)
    return t.tv_sec + t.tv_nsec / 1e9
end

local Process = {}
Process.__index = Process

-- In the child.
local function become(command, options, input, out, err)
    posix_signal.signal(posix_signal.SIGINT, posix_signal.SIG_DFL)
    unistd.dup2(out, 1)
    unistd.dup2(err, 2)
    unistd.dup2(input or fcntl.open("/dev/null", fcntl.O_RDONLY), 0)
    local asan = os.getenv "MOONWIRE_SERVER_ASAN_OPTIONS"
    if asan then
        stdlib.setenv("ASAN_OPTIONS", asan)
    end
    stdlib.setenv("RUNTIME_DIRECTORY", runtime)
    for name, value in pairs(options.env or {}) do
        stdlib.setenv(name, value or nil)
    end
    local arguments = { [0] = command[0] or M.binary }
    for i, argument in ipairs(command) do
        arguments[i] = argument
    end
    for fd = 3, 255 do -- the sockets of the specs
        unistd.close(fd)
    end
    unistd.execp(arguments[0], arguments)
end

-- Both ends of a terminal: ours, and that of the program.
local function open_terminal()
    local ours = assert(stdlib.openpt(fcntl.O_RDWR + fcntl.O_NOCTTY))
    assert(stdlib.grantpt(ours))
    assert(stdlib.unlockpt(ours))
    return ours, assert(fcntl.open(stdlib.ptsname(ours), fcntl.O_RDWR + fcntl.O_NOCTTY))
end

-- Starts the binary (or the program in command[0]) with the arguments in command. options.env:
-- variables for it, false to take one away. options.input: it reads what process:write sends, not
-- /dev/null. options.terminal: its standard error is a terminal; what comes from it has no carriage
-- returns.
function M.start(command, options)
    local out_read, out_write = unistd.pipe()
    local err_read, err_write
    if options and options.terminal then
        err_read, err_write = open_terminal()
    else
        err_read, err_write = unistd.pipe()
    end
    local in_read, in_write
    if options and options.input then
        in_read, in_write = unistd.pipe()
    end
    for _, fd in ipairs { out_read, err_read, in_write } do
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    end
    local pid = assert(unistd.fork())
    if pid == 0 then
        pcall(become, command, options or {}, in_read, out_write, err_write)
        unistd._exit(127)
    end
    unistd.close(out_write)
    unistd.close(err_write)
    if in_read then
        unistd.close(in_read)
    end
    return setmetatable({
        pid = pid,
        input = in_write,
        out = "", -- all that it wrote so far
        err = "",
        fds = { [out_read] = "out", [err_read] = "err" },
        seen = { out = 0, err = 0 }, -- by wait_for
    }, Process)
end

-- Reads what is there, waiting until something is. False at the end of both.
function Process:read(until_time)
    local set, open = {}, false
    for fd in pairs(self.fds) do
        set[fd] = { events = { IN = true } }
        open = true
    end
    if not open then
        return false
    end
    local left = until_time - now()
    if left <= 0 or poll.poll(set, math.ceil(left * 1000)) == 0 then
        error("in vain for " .. deadline_seconds .. " s, having said:\n" .. self.out .. self.err, 0)
    end
    for fd, entry in pairs(set) do
        if next(entry.revents) and (entry.revents.IN or entry.revents.HUP) then
            local bytes = unistd.read(fd, 65536)
            local name = self.fds[fd]
            if bytes == nil or bytes == "" then
                unistd.close(fd)
                self.fds[fd] = nil
            else
                self[name] = self[name] .. bytes:gsub("\r\n", "\n")
            end
        end
    end
    return true
end

-- Writes to its standard input.
function Process:write(text)
    local at = 1
    while at <= #text do
        at = at + assert(unistd.write(self.input, text:sub(at)))
    end
end

function Process:close_input()
    if self.input then
        unistd.close(self.input)
        self.input = nil
    end
end

-- Waits for the next whole line on standard error (or, with "out", standard output) that matches;
-- returns its captures.
function Process:wait_for(pattern, stream)
    stream = stream or "err"
    local until_time = now() + deadline_seconds
    while true do
        local from, to = self[stream]:find("[^\n]*\n", self.seen[stream] + 1)
        if from then
            self.seen[stream] = to
            local captures = { self[stream]:sub(from, to - 1):match(pattern) }
            if captures[1] then
                return unpack(captures)
            end
        elseif not self:read(until_time) then
            error(("ended without %q, having said:\n%s"):format(pattern, self[stream]), 0)
        end
    end
end

-- Waits until it has written this, in a whole line or not.
function Process:shows(text, stream)
    local until_time = now() + deadline_seconds
    while not self[stream or "err"]:find(text, 1, true) do
        if not self:read(until_time) then
            error(("ended without %q, having said:\n%s"):format(text, self[stream or "err"]), 0)
        end
    end
end

-- The port of the next listener that it names.
function Process:port()
    return tonumber((self:wait_for "listening on https?://.*:(%d+)"))
end

function Process:signal(name)
    posix_signal.kill(self.pid, posix_signal["SIG" .. name])
end

-- Waits for its end. Returns the process with status, or signal when one ended it.
function Process:wait()
    if self.ended then
        return self
    end
    local until_time = now() + deadline_seconds
    while self:read(until_time) do
    end
    local _, how, code = sys_wait.wait(self.pid)
    self.ended = true
    self:close_input()
    self[how == "exited" and "status" or "signal_number"] = code
    return self
end

-- For after_each: ends it, however it is.
function Process:finish()
    self:close_input()
    if self.ended then
        return
    end
    posix_signal.kill(self.pid, posix_signal.SIGKILL)
    sys_wait.wait(self.pid)
    self.ended = true
    for fd in pairs(self.fds) do
        unistd.close(fd)
    end
end

-- Runs it to its end: fields status, out, err.
function M.run(command, options)
    local process = M.start(command, options)
    local ok, problem = pcall(process.wait, process)
    if not ok then
        process:finish()
        error(problem, 0)
    end
    return process
end

-- Calls fn until it returns something, for what the process does not announce; returns that.
function M.eventually(fn)
    local until_time = now() + deadline_seconds
    repeat
        local result = fn()
        if result then
            return result
        end
    until now() > until_time
    error("in vain for " .. deadline_seconds .. " s", 2)
end

local Folder = {}
Folder.__index = Folder

-- The file's path.
function Folder:write(name, text)
    local path = self.path .. "/" .. name
    files.write(path, text)
    return path
end

function Folder:remove()
    os.execute(("rm -rf '%s'"):format(self.path))
end

local function make_folder(self)
    self.path = assert(stdlib.mkdtemp "/tmp/moonwire-spec-XXXXXX")
    return self
end

-- A folder that is removed, with what is in it, by folder:remove().
function M.folder()
    return make_folder(setmetatable({}, Folder))
end

-- Within describe: a new one for each of its specs, removed after it.
function M.fresh_folder()
    local self = setmetatable({}, Folder)
    busted.before_each(function()
        make_folder(self)
    end)
    busted.after_each(function()
        self:remove()
    end)
    return self
end

function M.exists(path)
    return sys_stat.lstat(path) ~= nil
end

return M
