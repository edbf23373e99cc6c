-- Finalisers of an app. LuaJIT calls them wherever memory is asked for: in another connection's
-- hook, in our own code. What one raises would be theirs, or would end the process. So each is
-- called by a function that raises nothing.
--
-- A field __gc that is there already can be assigned again without anybody's notice. So an app does
-- not get the metatable of a userdata itself, but a view of it: an empty table through which it
-- reads and writes. Of ffi.metatype LuaJIT keeps what it was given first.

local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"

local M = lazy.module(...)

-- ---- calling them ---------------------------------------------------------------------------

local function place_of(fn)
    local at = type(fn) == "function" and debug.getinfo(fn, "S")
    if not at or at.what == "C" or string.find(at.source, "^=moonwire/") then
        return "a finaliser"
    end
    return string.format("the finaliser at %s:%d", at.short_src, at.linedefined)
end

local function can_be_called(value)
    local meta = type(value) ~= "function" and getmetatable(value)
    return type(value) == "function" or type(value) == "cdata"
        or type(meta) == "table" and meta.__call ~= nil
end

local protectors = setmetatable({}, { __mode = "kv" }) -- by finaliser, and each by itself

--- A function that calls the finaliser and raises no error.
-- @param finaliser what can be called; nil and false give nil
-- @param name, level for the error that says that it cannot be called: what the app has called, and
--   where it is for error
function M.protected(finaliser, name, level)
    if not finaliser or protectors[finaliser] then
        return protectors[finaliser or 0]
    elseif not can_be_called(finaliser) then
        error(string.format("%s: a finaliser is a function, got a %s", name, type(finaliser)),
            level + 1)
    end
    local function protector(value)
        local ok, problem = xpcall(finaliser, failure.catch, value)
        if not ok then
            -- pcall: there may be no memory to say so.
            pcall(failure.report, place_of(finaliser), problem, nil, nil, nil,
                failure.CAUSE_UNKNOWN)
        end
    end
    protectors[finaliser], protectors[protector] = protector, protector
    return protector
end

local protected = M.protected

-- ---- metatables of userdata -----------------------------------------------------------------

local views = setmetatable({}, { __mode = "kv" }) -- metatable → view

--- Sets a field of a metatable.
-- @param level the caller's, for error
local function set(real, key, value, level)
    if key == "__gc" then
        value = protected(value, "__gc", level + 1)
    end
    rawset(real, key, value)
end

M.set = set

--- The view of a metatable.
-- @param reals view → metatable: is told of it
function M.view_of(real, reals)
    local view = views[real]
    if not view then
        view = setmetatable({}, { __index = real, __newindex = function(_, key, value)
            set(real, key, value, 2)
        end })
        views[real], reals[view] = view, real
    end
    return view
end

--- A metatable with what an app's table has. What that table gets later, this one gets too.
function M.copy_of(meta)
    local real = {}
    for key, value in next, meta do
        set(real, key, value, 3)
    end
    if not getmetatable(meta) then
        setmetatable(meta, { __newindex = function(_, key, value)
            set(real, key, value, 2)
            rawset(meta, key, value)
        end })
    end
    return real
end

return M
