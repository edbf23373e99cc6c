-- Loads an app's file and puts it to work.
--
-- The file's code is a task: it may wait. What it declares until it first waits, or ends, is handed
-- to the site; so a server's app is loaded in one go.

local api = require "moonwire.api"
local dispatch = require "moonwire.dispatch"
local failure = require "moonwire.failure"
local generation = require "moonwire.generation"
local log = require "moonwire.log"
local native = require "moonwire.native"
local task = require "moonwire.task"

local ffi = require "ffi"

local C, worker = native.C, native.worker

local M = {}

local main -- the task of the app's file
local main_path
local serves, loading = false, false

-- The first line is for the terminal; the rest is logged at debug level.
local function one_line(text, rest)
    local first, more = text:match "^([^\n]*)\n?(.*)$"
    if more ~= "" or rest then
        log.debug(text .. (rest or ""))
    end
    return (first:gsub(":$", ""))
end

local function compile(path, code)
    if code then
        return loadstring(code, "=(command line)")
    elseif path == "-" then
        return loadstring(io.read "*a", "=stdin")
    end
    local file, problem = io.open(path, "rb")
    if not file then
        return nil, problem .. ": give the name of your app's Lua file"
    end
    local readable = file:read(0) or file:seek "end" == 0
    file:close()
    if not readable then
        return nil, path .. ": this is not a file; give the name of your app's Lua file"
    end
    return loadfile(path)
end

-- An error without a place says at least which app it is.
local function placed(text, path)
    if text:find "^[^\n]-:%d+:" then
        return text
    end
    return path .. ": " .. text
end

-- One line and the traceback of what the task raised.
local function problem_of(done)
    return one_line(placed(done.problem.text, main_path), done.problem.trace)
end

-- The app's file failed: after it had waited, a server goes on, and a script ends.
local function main_ended(done)
    if done.ok or loading then
        return
    elseif serves then
        failure.report(main_path, done.problem)
    else
        io.stdout:flush()
        io.stderr:write("moonwire: ", problem_of(done):gsub("%c", " "), "\n")
        C.mw_exit(worker, 1)
    end
end

--- Runs the top level of the app at path and hands what it declared to the site.
-- @param path the file; "-" is standard input
-- @param arguments list: what follows the file on the command line
-- @param site struct mw_site * as lightuserdata
-- @param code optional: runs this text, not a file; path is what it is called then
-- @return nothing, or one line that says what failed, with file and line
function M.load(path, arguments, site, code)
    local chunk, problem = compile(path, code)
    if not chunk then
        return one_line(problem)
    end
    local app = generation.new(path, api.new)
    package.path = ("%s/?.lua;%s/?/init.lua;%s"):format(app.folder, app.folder, package.path)
    arguments[0] = path
    _G.arg = arguments
    os.exit = task.exit -- luacheck: ignore 122
    main_path = path
    main = task.new(path, chunk, #arguments, unpack(arguments))
    task.watch(main, main_ended)
    loading = true
    dispatch.run_task(main)
    loading = false
    if main.done and not main.ok then
        return problem_of(main)
    elseif task.exiting then
        return
    end
    problem = app:declare(ffi.cast("struct mw_site *", site))
    if problem then
        return one_line(problem)
    end
    serves = app:serves()
    app:start()
end

--- The script has no connections and timers left: nothing can happen any more. How many tasks still
-- wait for something that can (none: they wait for each other).
-- @return a number
function M.pending()
    if main and not main.done and not task.exiting then
        io.stdout:flush()
        io.stderr:write("moonwire: ", main_path,
            ": it waits for something that cannot come any more\n")
        C.mw_exit(worker, 1)
    end
    return 0
end

return M
