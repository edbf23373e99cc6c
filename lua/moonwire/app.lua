-- Loads an app's file and puts it to work.

local api = require "moonwire.api"
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

local function compile(path)
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

--- Runs the top level of the app at path and hands what it declared to the site.
-- @param path the file
-- @param arguments list: what follows the file on the command line
-- @param site struct mw_site * as lightuserdata
-- @return nothing, or one line that says what failed, with file and line
function M.load(path, arguments, site)
    local chunk, problem = compile(path)
    if not chunk then
        return one_line(problem)
    end
    local app = generation.new(path, api.new)
    package.path = ("%s/?.lua;%s/?/init.lua;%s"):format(app.folder, app.folder, package.path)
    arguments[0] = path
    _G.arg = arguments
    local ok, caught = xpcall(chunk, failure.catch, unpack(arguments))
    if not ok then
        local text = type(caught) == "table" and caught.text or tostring(caught)
        return one_line(placed(text, path), type(caught) == "table" and caught.trace)
    end
    problem = app:declare(ffi.cast("struct mw_site *", site))
    if problem then
        return one_line(problem)
    end
    app:start()
end

return M
