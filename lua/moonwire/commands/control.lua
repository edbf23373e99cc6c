-- moonwire reload, rollback and status: ask a server that runs, over its control socket
-- (engine/control/control.h).

local inspect = require "moonwire.commands.inspect"
local json_text = require "moonwire.base.json_text"
local native = require "moonwire.base.native"
local status = require "moonwire.commands.status"
local task = require "moonwire.waiting.task"

local ffi = require "ffi"

native.declare "api_control"

local C = native.C

local M = {}

local ABOUT_SECONDS = 0.5 -- one that is stopped must not hold up the others
local STATUS_SECONDS = 5
local RELOAD_SECONDS = 600 -- the server itself knows better, and answers earlier
local PROBATION_SECONDS = 1200 -- the longest, and a rollback
local WHY_BYTES = 256
local SHOWN_OTHERS = 3

local help = {
    reload = [[
moonwire reload - loads the app of a server again, with all connections open

  moonwire reload [PID or APP] [options]

Without a name: the one server of this user that runs. Prints what became of it. Ends
with 0 when the new generation serves, with 1 when the old one serves on.

  --wait          wait until the probation of the new code is over: 0 when it is kept,
                  1 when it did not load, was taken back or gave way to other code
]],
    rollback = [[
moonwire rollback - brings back the code that a server had before its last reload

  moonwire rollback [PID or APP] [options]

Without a name: the one server of this user that runs. Its connections stay open. Prints
what became of it. Ends with 0 when the code before serves, with 1 when nothing has
changed. The next reload loads the files again, as they are then.
]],
    status = [[
moonwire status - what a server runs, and how it is

  moonwire status [PID or APP] [options]

Without a name: the one server of this user that runs.
]],
}

local options_help = [[

  --control PATH  ask the server with this control socket
%s  --help          this text
]]

local json_help = "  --json          all that the server tells, as JSON (docs/operations.md)\n"

local function fail(code, text)
    io.stderr:write("moonwire: ", (string.gsub(inspect.harmless(text), "[\n\t]", " ")), "\n")
    task.exit(code)
end

-- { command =, name =, control =, json =, help = }
local function parse(command, arguments)
    local out = { command = command }
    local function usage(text)
        fail(2, string.format("%s: %s; see moonwire %s --help", command, text, command))
    end
    local at = 1
    while arguments[at] do
        local text = arguments[at]
        if text == "--help" or text == "-h" then
            out.help = true
        elseif text == "--json" and command == "status" then
            out.json = true
        elseif text == "--wait" and command == "reload" then
            out.wait = true
        elseif text == "--control" then
            at = at + 1
            out.control = arguments[at] or usage "--control needs the path of a socket"
        elseif string.find(text, "^%-%-control=.") then
            out.control = string.match(text, "=(.*)")
        elseif string.find(text, "^%-") then
            usage("unknown option " .. text)
        elseif out.name then
            usage("one server at a time, not " .. out.name .. " and " .. text)
        else
            out.name = text
        end
        at = at + 1
    end
    if out.control and out.name then
        usage "--control names the server already"
    end
    return out
end

-- ---- asking ---------------------------------------------------------------------------------

local why = ffi.new("char[?]", WHY_BYTES)
local piece = ffi.new "char[65536]"

-- The answer's text and table; or nil, an error and a text.
local function ask(path, request, found, seconds)
    local fd = C.mw_control_ask(path, request, found and 1 or 0, why)
    if fd < 0 then
        return nil, fd, ffi.string(why)
    end
    local parts = {}
    local n
    repeat
        n = tonumber(C.mw_control_read(fd, piece, ffi.sizeof(piece), seconds))
        parts[#parts + 1] = n > 0 and ffi.string(piece, n) or nil
    until n <= 0
    C.mw_control_done(fd)
    if n == C.ERR_AGAIN then
        return nil, n, path .. ": the server does not answer: it is stopped, or busy"
    end
    local text = table.concat(parts)
    local answer = json_text.decode(text)
    if type(answer) ~= "table" then
        return nil, C.ERR_CLOSED, path .. ": the server has ended without an answer"
    end
    return text, answer
end

-- ---- finding --------------------------------------------------------------------------------

-- find: mw_control_find or mw_control_find_others.
local function socket_paths(find)
    local size = 65536
    local out, len
    repeat
        out = ffi.new("char[?]", size)
        len = tonumber(find(out, size))
        size = size * 2
    until len ~= C.ERR_TOO_BIG
    local paths = {}
    for path in string.gmatch(ffi.string(out, math.max(len, 0)), "[^%z]+") do
        paths[#paths + 1] = path
    end
    return paths
end

-- { path =, pid =, app =, file =, problem = } of each server that is there.
local function servers()
    local out = {}
    for _, path in ipairs(socket_paths(C.mw_control_find)) do
        local _, answer, problem = ask(path, "about", true, ABOUT_SECONDS)
        if type(answer) == "table" then
            out[#out + 1] = { path = path, pid = answer.pid, app = answer.app, file = answer.file }
        elseif answer ~= C.ERR_NOT_FOUND then
            out[#out + 1] = { path = path, pid = tonumber(string.match(path, "(%d+)%.sock$")),
                problem = problem }
        end
    end
    table.sort(out, function(a, b)
        return a.pid < b.pid
    end)
    return out
end

local function listed(list)
    local out = {}
    for i, server in ipairs(list) do
        out[i] = string.format("%d (%s)", server.pid, server.app or "does not answer")
    end
    return table.concat(out, ", ")
end

ffi.cdef [[
char *moonwire_realpath(const char *path, char *out) __asm__("realpath");
void moonwire_free(void *memory) __asm__("free");
]]

local function real_path(name)
    local found = ffi.C.moonwire_realpath(name, nil)
    if found ~= nil then
        local path = ffi.string(found)
        ffi.C.moonwire_free(found)
        return path
    end
end

-- Those that the name may mean: by pid; by their file; as they were started; by the file's name.
local function matching(list, name)
    local path = real_path(name)
    local ways = {
        function(server) return tostring(server.pid) == name end,
        function(server) return path and server.file == path end,
        function(server) return server.app == name end,
        function(server) return server.file and string.match(server.file, "[^/]*$") == name end,
    }
    for _, way in ipairs(ways) do
        local out = {}
        for _, server in ipairs(list) do
            if way(server) then
                out[#out + 1] = server
            end
        end
        if out[1] then
            return out
        end
    end
    return {}
end

-- What root can do about servers that are not its own. It does not ask them unless it is told to:
-- what other users' processes answer is theirs to choose.
local function others(command)
    local paths = socket_paths(C.mw_control_find_others)
    if not paths[1] then
        return "; of one with a socket elsewhere give --control PATH"
    end
    local more = #paths - SHOWN_OTHERS
    return string.format("; of other users write moonwire %s --control PATH with %s%s", command,
        table.concat(paths, ", ", 1, math.min(#paths, SHOWN_OTHERS)),
        more > 0 and string.format(", or one of %d more", more) or "")
end

-- The path of the socket.
local function choose(options)
    if options.control then
        return options.control
    end
    local all = servers()
    if not all[1] then
        fail(1, "no server of this user runs" .. others(options.command))
    end
    local found = options.name and matching(all, options.name) or all
    if not found[1] then
        fail(1, string.format("no server %s of this user runs; there is %s", options.name,
            listed(all)))
    elseif found[2] then
        fail(1, string.format("several servers run: %s; which one? write moonwire %s PID",
            listed(found),
            options.command))
    end
    return found[1].path
end

local function begin(command, ...)
    local options = parse(command, { ... })
    if options.help then
        io.write(help[command], string.format(options_help,
            command == "status" and json_help or ""))
        return
    end
    return options, choose(options)
end

-- ---- commands -------------------------------------------------------------------------------

-- Both wait for the end of the attempt that they have asked for, or of its probation.
local function attempt(command, ...)
    local options, path = begin(command, ...)
    if not options then
        return
    end
    local request = options.wait and "reload wait" or options.command
    local _, answer, problem = ask(path, request, false,
        RELOAD_SECONDS + (options.wait and PROBATION_SECONDS or 0))
    if type(answer) ~= "table" then
        fail(1, problem)
    end
    local into = answer.ok and io.stdout or io.stderr
    into:write(inspect.harmless(tostring(answer.text)), "\n")
    task.exit(answer.ok and 0 or 1)
end

function M.reload(...)
    attempt("reload", ...)
end

function M.rollback(...)
    attempt("rollback", ...)
end

function M.status(...)
    local options, path = begin("status", ...)
    if not options then
        return
    end
    local text, answer, problem = ask(path, "status", false, STATUS_SECONDS)
    if not text then
        fail(1, problem)
    elseif not answer.ok then
        fail(1, path .. ": " .. tostring(answer.text))
    end
    io.write(options.json and text or inspect.harmless(status.text(answer, os.time())))
end

return M
