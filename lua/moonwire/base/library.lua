-- Lua's library for our own modules. An app may set string.format or coroutine.resume to what it
-- likes, or to nil, and the modules that serve its connections must not notice. So they have
-- globals of their own, with copies of the library's tables that are made before any app runs.
--
-- Methods of strings are the exception: ("x"):format() looks into the app's table, since all
-- strings share one metatable. Our modules write string.format("x") instead (tools/style.lua).
--
-- state.c gives each of our modules these globals; this is the first of them, and fills them.

local own, shared = getfenv(1), _G

-- globals: those of the state, from which an app gets its own (app/environment.lua). loaded: our
-- modules by name, those that are texts left out. ffi: what all apps share.
local M = { globals = shared, loaded = {}, ffi = require "ffi" }

local function copy(t)
    local out = {}
    for key, value in pairs(t) do
        out[key] = value
    end
    return out
end

if own == shared then
    M.loaded = package.loaded
    return M -- a spec has loaded the module: it is alone
end

local required = { ffi = copy(require "ffi"), bit = copy(require "bit"), jit = copy(jit) }
local require = require

for name, value in pairs(shared) do
    -- package is the state's own: require reads its path there.
    own[name] = type(value) == "table" and name ~= "package" and copy(value) or value
end
own._G = own
setmetatable(own, nil)
own.jit, own.bit = required.jit, required.bit

-- An app can take out of package.loaders, package.loaded and package.preload what it likes.
local loaded = M.loaded
loaded["moonwire.base.library"] = M
local load_ours = package.preload["moonwire.start"] -- one function for all
local sub = string.sub

--- As Lua's, but for the modules that are made in C: ours have copies. No circle is noticed: make
-- layers does that.
function own.require(name)
    local module = required[name] or loaded[name]
    if module ~= nil then
        return module
    elseif sub(name, 1, 9) ~= "moonwire." then
        return require(name)
    end
    module = load_ours(name)
    if type(module) ~= "string" then
        loaded[name] = module
    end
    return module
end

return M
