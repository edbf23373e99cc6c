-- Loads an app's file and puts it to work.

local api = require "moonwire.api"
local environment = require "moonwire.environment"
local failure = require "moonwire.failure"
local generation = require "moonwire.generation"
local log = require "moonwire.log"

local ffi = require "ffi"

local M = {}

-- The first line is for the terminal; the rest is logged at debug level.
local function one_line(text, rest)
    local first, more = text:match "^([^\n]*)\n?(.*)$"
    if more ~= "" or rest then
        log.debug(text .. (rest or ""))
    end
    return (first:gsub(":$", ""))
end

-- nil, or what is wrong with the file.
local function unreadable(path)
    local file, problem = io.open(path, "rb")
    if not file then
        return problem .. ": give the name of your app's Lua file"
    end
    local readable = file:read(0) or file:seek "end" == 0
    file:close()
    if not readable then
        return path .. ": this is not a file; give the name of your app's Lua file"
    end
end

-- An error without a place says at least which app it is.
local function placed(text, path)
    if text:find "^[^\n]-:%d+:" then
        return text
    end
    return path .. ": " .. text
end

-- The generation of the app at path, with its plan handed to the site; or a problem. It is returned
-- in either case.
local function build(path, arguments, site)
    local app = generation.new(path, api.new)
    app.site = ffi.cast("struct mw_site *", site)
    local problem = unreadable(path)
    local chunk
    if problem then
        app:found_file(path, nil)
    else
        chunk, problem = environment.compile(app.env, app, path)
    end
    if not chunk then
        return app, one_line(problem)
    end
    arguments[0] = path
    app.env.arg = arguments
    local ok, caught = xpcall(chunk, failure.catch, unpack(arguments))
    if not ok then
        local text = type(caught) == "table" and caught.text or tostring(caught)
        return app, one_line(placed(text, path), type(caught) == "table" and caught.trace)
    end
    problem = app:declare(app.site)
    return app, problem and one_line(problem)
end

-- The lines around a problem that begins with file and line, or "".
local function excerpt(app, problem)
    local path, at = problem:match "^(.-):(%d+): "
    at = tonumber(at)
    for _, file in ipairs(app.files) do
        if file.path == path and file.text then
            local out, number = {}, 0
            for line in (file.text .. "\n"):gmatch "([^\n]*)\n" do
                number = number + 1
                if math.abs(number - at) <= 1 and (line ~= "" or number == at) then
                    out[#out + 1] = ("\n%s %4d | %s"):format(number == at and ">" or " ", number,
                        line:sub(1, 160))
                end
            end
            return table.concat(out)
        end
    end
    return ""
end

--- Runs the top level of the app at path and hands what it declared to the site.
-- @param path the file
-- @param arguments list: what follows the file on the command line
-- @param site struct mw_site * as lightuserdata
-- @return nothing, or one line that says what failed, with file and line
function M.load(path, arguments, site)
    local app, problem = build(path, arguments, site)
    if problem then
        app:abandon()
        return problem
    end
    app:start()
end

local prepared

--- The same for a site that may take the place of the one that serves, with no effect until commit.
-- @return nothing, or what failed, in one line, and an excerpt of the source
function M.prepare(path, arguments, site)
    local problem
    prepared, problem = build(path, arguments, site)
    if not problem and #prepared.files > 0 and not prepared.files[1].text:find "%S" then
        problem = path .. ": the file is empty"
    end
    return problem and problem .. excerpt(prepared, problem)
end

--- What was prepared serves from now on.
function M.commit()
    local app = prepared
    prepared = nil
    app:start()
end

--- It does not. Allowed also when nothing was prepared.
function M.abandon()
    if prepared then
        prepared:abandon()
    end
    prepared = nil
    generation.nothing_loads()
end

return M
