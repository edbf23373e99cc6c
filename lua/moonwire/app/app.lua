-- Loads an app's file and puts it to work.
--
-- The file's code is a task: it may wait. What it declares until it first waits, or ends, is handed
-- to the site; so a server's app is loaded in one go.

local api = require "moonwire.app.api"
local dispatch = require "moonwire.dispatch.dispatch"
local environment = require "moonwire.app.environment"
local failure = require "moonwire.base.failure"
local generation = require "moonwire.reload.generation"
local lazy = require "moonwire.base.lazy"
local library = require "moonwire.base.library"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local task = require "moonwire.waiting.task"
local wait = require "moonwire.waiting.wait"

local json_text = lazy.use "moonwire.base.json_text"
local versions = lazy.use "moonwire.reload.versions"

local ffi = require "ffi"

local C, worker = native.C, native.worker

local M = {}

local main -- the task of the app's file
local main_path
local serves, loading = false, false
local LINES_MAX = 2 ^ 31 -- of a file
local standard_input -- what was read from it

-- What require says of a module that it does not find has a line for each place.
local function short_list(text)
    local head, list = string.match(text, "^(.-not found:)\n\tno field [^\n]*(\n.*)$")
    if not head then
        return text
    end
    return head .. " looked for" .. string.sub(string.gsub(list, "\n\tno file '([^'\n]*)'", ", %1"),
        2)
end

-- A text of several lines, as what require says of a module that it does not find, in one; a
-- traceback is logged at debug level.
local function one_line(text, rest)
    local first, trace = string.match(text, "^(.-)(\nstack traceback:.*)$")
    if trace or rest then
        log.debug(text .. (rest or ""))
    end
    local line = short_list(first or text)
    return (string.gsub(string.gsub(line, ":%s*\n%s*", ": "), "%s*\n%s*", ", "))
end

-- What to do about a file that cannot be opened, by errno.
local advice = {
    [2] = ": give the name of your app's Lua file",                 -- ENOENT
    [20] = ": give the name of your app's Lua file",                -- ENOTDIR
    [13] = ": the user that moonwire runs as must be able to read it", -- EACCES
    [24] = ": raise ulimit -n, or lower --workers",                 -- EMFILE
    [23] = ": the whole system has too many files open",            -- ENFILE
}

-- nil, or what is wrong with the file.
local function unreadable(path)
    local file, problem, number = io.open(path, "rb")
    if not file then
        return problem .. (advice[number] or "")
    end
    local readable = file:read(0) or file:seek "end" == 0
    file:close()
    if not readable then
        return path .. ": this is not a file; give the name of your app's Lua file"
    end
end

local function compile(app, path, code)
    local chunk, problem
    if code then
        chunk, problem = loadstring(code, "=(command line)")
    elseif path == "-" then
        standard_input = standard_input or io.read "*a" -- it can be read once
        chunk, problem = loadstring(standard_input, "=stdin")
    else
        problem = unreadable(path)
        if not problem then
            return environment.compile(app.env, app, path)
        end
        app:found_file(path, nil)
    end
    if chunk then
        setfenv(chunk, app.env)
    end
    return chunk, problem
end

-- One line of what was raised; its traceback is logged.
local function problem_of(problem)
    return one_line(problem.text, problem.trace)
end

-- The app's file failed: after it had waited, a server goes on, and a script ends.
local function main_ended(done)
    local replaced = done.cancelled and done.problem and done.problem.value == done.cancelled
    if done.ok or loading or replaced then
        return
    elseif serves then
        failure.report(main_path, done.problem)
    else
        io.stdout:flush()
        C.mw_complain(worker, problem_of(done.problem))
        C.mw_exit(worker, 1)
    end
end

-- A generation whose site is known, and the code of its file; or the generation and a problem.
local function begin(path, arguments, site, code)
    local app = generation.new(path, api.new)
    app.site = ffi.cast("struct site *", site)
    arguments[0] = path
    app.env.arg = arguments
    local chunk, problem = compile(app, path, code)
    app.chunk = chunk
    return app, chunk, problem and one_line(problem)
end

local function first_run(app, chunk, path, arguments)
    main_path = path
    main = task.new(path, chunk, #arguments, unpack(arguments))
    task.watch(main, main_ended)
    main.top, app.top.main = app.top, main
    app.top:add(main, {})
    loading = true
    dispatch.run_task(main)
    loading = false
    if main.done and not main.ok then
        return problem_of(main.problem)
    elseif task.exiting then
        return
    end
    local problem = app:declare(app.site)
    if problem then
        return one_line(problem)
    end
    serves = app.serves
    app:start()
end

-- The lines around a problem that begins with file and line, or "".
local function excerpt(app, problem)
    local path, at = string.match(problem, "^(.-):(%d+): ")
    at = tonumber(at)
    local file = path and at < LINES_MAX and app.file_at[path]
    local first = file and math.max(at - 1, 1)
    local lines = file and generation.lines_of(file, first, at + 2 - first)
    if not lines then
        return ""
    end
    local out, number = {}, first - 1
    for line in string.gmatch(lines .. "\n", "([^\n]*)\n") do
        number = number + 1
        if line ~= "" or number == at then
            out[#out + 1] = string.format("\n%s %4d | %s", number == at and ">" or " ", number,
                string.sub(line, 1, 160))
        end
    end
    return table.concat(out)
end

--- Runs the top level of the app at path and hands what it declared to the site.
-- @param path the file; "-" is standard input
-- @param arguments list: what follows the file on the command line
-- @param site struct site * as lightuserdata
-- @param code optional: runs this text, not a file; path is what it is called then
-- @return nothing, or one line that says what failed, with file and line; on a terminal an excerpt
--   of the source follows
function M.load(path, arguments, site, code)
    library.globals.os.exit = task.exit
    local app, chunk, problem = begin(path, arguments, site, code)
    problem = problem or first_run(app, chunk, path, arguments)
    if problem then
        problem = problem .. (native.is_terminal(2) and excerpt(app, problem) or "")
        app:abandon()
    end
    return problem
end

-- ---- loading it again -----------------------------------------------------------------------

local prepared

local function run_again(app, chunk, path, arguments)
    local ok, caught = xpcall(chunk, failure.catch, unpack(arguments))
    if not ok then
        return problem_of(failure.opened(caught, chunk))
    end
    local problem = app:declare(app.site)
    local file = #app.plan == 0 and app.files[1]
    if not problem and file and not string.find(generation.lines_of(file, 1, LINES_MAX), "%S") then
        problem = path .. ": the file is empty"
    end
    return problem and one_line(problem)
end

--- The same for a site that may take the place of the one that serves, with no effect until commit.
-- @return nothing, or what failed, in one line, and an excerpt of the source
function M.prepare(path, arguments, site, code)
    wait.hold_back()
    local chunk, problem
    prepared, chunk, problem = begin(path, arguments, site, code)
    wait.set_top(prepared.top)
    problem = problem or run_again(prepared, chunk, path, arguments)
    wait.loaded_again()
    generation.settle_types()
    return problem and problem .. excerpt(prepared, problem)
end

--- The generation that has served before may take the place of the one that serves; its code does
-- not run for that.
-- @return nothing, or one line that says what failed
function M.restore(site)
    prepared = generation.earlier()
    return prepared:declare_again(ffi.cast("struct site *", site))
end

--- What was prepared serves from now on.
function M.commit()
    local app = prepared
    prepared = nil
    app:start() -- the tasks of what served before end before the new ones begin
    wait.let_go(true)
end

--- It does not. Allowed also when nothing was prepared.
function M.abandon()
    wait.let_go(false)
    if prepared then
        prepared:abandon()
    end
    prepared = nil
end

-- ---- telling -------------------------------------------------------------------------------

--- What mw.versions() returns, as JSON.
function M.describe()
    return json_text.encode(versions.versions())
end

-- ---- scripts --------------------------------------------------------------------------------

--- The script has no connections and timers left: nothing can happen any more. How many tasks still
-- wait for something that can (none: they wait for each other).
-- @return a number
function M.pending()
    if main and not main.done and not task.exiting then
        io.stdout:flush()
        C.mw_complain(worker, (failure.place_in(main.co) or main_path)
            .. ": it waits for something that cannot come any more")
        C.mw_exit(worker, 1)
    end
    return 0
end

return M
