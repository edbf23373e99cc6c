-- Modules that are loaded when they are first used: what most workers never need is not in their
-- memory, and the collector does not go through it.
--
--   local inbox = lazy.use "moonwire.connection.inbox"      -- where require would stand
--   local M = require("moonwire.base.lazy").module(...)     -- in inbox.lua, instead of M = {}
--
-- use gives the module's own table, empty until somebody asks it for a field. From then on it is as
-- if it had been required, so that a hot path pays nothing. While such a module is loaded it must
-- not ask its own table for what is not there yet.

local loaded = require("moonwire.base.library").loaded

local M = {}

local tables = {}  -- by name
local name_of = {} -- the names of those that are empty yet

-- Should that fail, for want of memory or of time, the next one who asks tries again.
local empty = {}

function empty.__index(module, key)
    local name = name_of[module]
    if loaded[name] ~= module then
        loaded[name] = nil -- the mark of an attempt that failed
        require(name)
    end
    if getmetatable(module) == empty then
        setmetatable(module, nil)
    end
    name_of[module] = nil
    return module[key]
end

-- The table of the module of that name, for others.
function M.use(name)
    local module = tables[name] or loaded[name]
    if not module then
        module = setmetatable({}, empty)
        tables[name], name_of[module] = module, name
    end
    return module
end

-- The same for the module itself.
function M.module(name)
    local module = tables[name] or {}
    tables[name] = module
    return module
end

return M
