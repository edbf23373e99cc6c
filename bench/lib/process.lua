-- Child processes by their ids: a benchmark must end what it started, and nothing else.
local ffi = require "ffi"

ffi.cdef [[
int fork(void);
int execvp(const char *file, const char *const argv[]);
int waitpid(int pid, int *status, int options);
int kill(int pid, int sig);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int open(const char *path, int flags, ...);
int dup2(int from, int to);
int setenv(const char *name, const char *value, int overwrite);
void _exit(int status);
]]

local C = ffi.C
local PR_SET_PDEATHSIG, SIGKILL, SIGTERM, WNOHANG = 1, 9, 15, 1
local O_WRONLY_CREAT_TRUNC = 577

local M = {}

-- For sh: every word quoted.
local function command_line(argv)
    local words = {}
    for i, word in ipairs(argv) do
        words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
    end
    return table.concat(words, " ")
end

--- Starts argv with its output in the file log; env is a table of further variables.
--- The child dies with this process. Returns its id.
function M.spawn(argv, log, env)
    local args = ffi.new("const char *[?]", #argv + 1)
    local keep = {}
    for i, word in ipairs(argv) do
        keep[i] = tostring(word)
        args[i - 1] = keep[i]
    end
    local pid = C.fork()
    if pid == 0 then
        C.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        for name, value in pairs(env or {}) do
            C.setenv(name, tostring(value), 1)
        end
        local out = C.open(log, O_WRONLY_CREAT_TRUNC, ffi.cast("int", 420))
        C.dup2(out, 1)
        C.dup2(out, 2)
        C.execvp(args[0], args)
        C._exit(127)
    end
    assert(pid > 0, "fork failed")
    return pid
end

--- Whether the child has ended by itself.
function M.ended(pid)
    return C.waitpid(pid, nil, WNOHANG) == pid
end

--- SIGKILL, so that no server spends seconds on saying goodbye to ten thousand clients.
function M.stop(pid)
    C.kill(pid, SIGKILL)
    C.waitpid(pid, nil, 0)
end

--- SIGTERM, and waits for its end: for what a server tells when it ends.
function M.finish(pid)
    C.kill(pid, SIGTERM)
    C.waitpid(pid, nil, 0)
end

--- Runs argv to its end; what it wrote on stdout and stderr.
function M.output(argv)
    local pipe = assert(io.popen(command_line(argv) .. " 2>&1"))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

--- The same, line by line with its output shown; true when it exits with 0.
function M.run(argv)
    local status = os.execute(command_line(argv)) -- with Lua 5.2's library, true
    return status == 0 or status == true
end

return M
