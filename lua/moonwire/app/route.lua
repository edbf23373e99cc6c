-- Routes: what mw.ws and mw.get make. The app holds a proxy whose assignments are checked; the
-- dispatcher reads the record behind it, whose hooks are plain fields.

local connection = require "moonwire.connection.connection"
local lazy = require "moonwire.base.lazy"

local numbers = lazy.use "moonwire.app.numbers"
local suggest = lazy.use "moonwire.base.suggest"

local M = {}

local hooks = { "on_upgrade", "on_open", "on_message", "on_close", "on_error", "on_drain",
    "on_reload" }
local options = { "protocols", "origins", "compress", "limits", "binaryType", "reload" }

local is_hook, is_option, all_names = {}, {}, {}
for _, name in ipairs(hooks) do
    is_hook[name] = true
    all_names[#all_names + 1] = name
end
for _, name in ipairs(options) do
    is_option[name] = true
    all_names[#all_names + 1] = name
end

-- ---- options --------------------------------------------------------------------------------

-- "x" or { "x", "y" } to a list of strings.
local function strings(value, name)
    value = type(value) == "string" and { value } or value
    local copy = {}
    for i, item in ipairs(type(value) == "table" and value or { false }) do
        if type(item) ~= "string" then
            return nil, string.format("%s is a string or a list of strings, got %s", name,
                type(value) == "table" and "a list with a " .. type(item) or type(value))
        end
        if string.find(item, "%c") then
            return nil, string.format("%s has a control character in %s", name, suggest.shown(item))
        end
        copy[i] = item
    end
    for key in pairs(type(value) == "table" and value or copy) do
        if not copy[key] then
            return nil, string.format("%s is a string or a list of strings, got the key %s", name,
                tostring(key))
        end
    end
    if #copy == 0 then
        return nil, string.format("%s is an empty list: leave it out for the default", name)
    end
    return copy
end

local readers = {
    protocols = function(value)
        return strings(value, "protocols")
    end,
    origins = function(value)
        return strings(value, "origins")
    end,
    compress = function(value)
        if type(value) == "boolean" then
            return value and { enabled = 1 } or {}
        end
        if type(value) ~= "table" then
            return nil, string.format("compress is true, false or a table of options, got %s",
                type(value))
        end
        local out, problem = numbers.compress(value)
        if out then
            out.enabled = out.enabled or 1
        end
        return out, problem
    end,
    limits = function(value)
        return numbers.limits(value)
    end,
    binaryType = function(value)
        local ok, problem = pcall(connection.check_binary_type, value, -1)
        return ok and value or nil, problem
    end,
    reload = function(value)
        if value ~= "lazy" and value ~= "eager" then
            return nil, string.format('reload is "lazy" (on_reload comes before a connection\'s '
                .. 'next event) or "eager" (it comes at once), got %s', suggest.shown(value))
        end
        return value
    end,
}

local function read_option(record, name, value)
    local read, problem = readers[name](value)
    if read == nil then
        return problem
    end
    record[name] = read
end

-- ---- shapes ---------------------------------------------------------------------------------

-- The names of ":name" and "*name" in a route's pattern, in order.
local function param_names(pattern)
    local out = {}
    for name in string.gmatch(pattern, "/[:*]([^/]+)") do
        out[#out + 1] = name
    end
    return out
end

-- What a route is in all generations, for the connections on it: it does not keep any of them.
local shapes = setmetatable({}, { __mode = "v" })

-- The same for patterns that fit the same paths, whatever their parameters are called.
local function shape_of(pattern)
    local key = string.gsub(string.gsub(pattern, "/:[^/]*", "/:"), "/%*[^/]*", "/*")
    local shape = shapes[key]
    if not shape then
        shape = {
            param_names = param_names(pattern),
            record = nil, -- of the generation that serves, or of the last that had it
        }
        shapes[key] = shape
    end
    return shape
end

-- ---- the proxy ------------------------------------------------------------------------------

local function set_hook(record, name, fn)
    if fn ~= nil and type(fn) ~= "function" then
        return string.format("%s is a function(%s), got %s", name,
            name == "on_upgrade" and "req" or "ws, …", type(fn))
    end
    record[name] = fn
    if name == "on_upgrade" and record.upgrade_changed then
        record.upgrade_changed(record)
    end
end

-- A problem, or nil.
local function set(record, name, value)
    if is_hook[name] then
        return set_hook(record, name, value)
    end
    return string.format("%s is not a hook of a route%s", tostring(name), suggest.text(name, hooks))
end

local function proxy_of(record)
    return setmetatable({}, {
        __index = function(_, name)
            if is_hook[name] then
                return record[name]
            end
            return name == "path" and record.pattern or nil
        end,
        __newindex = function(_, name, value)
            local problem = set(record, name, value)
            if problem then
                error(problem, 2)
            end
        end,
        __tostring = function()
            return string.format("route %s", record.pattern)
        end,
    })
end

local function check_pattern(name, pattern)
    if type(pattern) ~= "string" or string.sub(pattern, 1, 1) ~= "/" then
        error(string.format("mw.%s: a route's path is a string that begins with /, got %s", name,
            suggest.shown(pattern)), 4)
    end
end

-- A WebSocket route: its record and its proxy. Raises at the level of the caller's caller.
function M.websocket(pattern, settings)
    check_pattern("ws", pattern)
    local record = {
        kind = "websocket",
        pattern = pattern,
        shape = shape_of(pattern),
        param_names = param_names(pattern),
        binaryType = "string",
    }
    if settings ~= nil and type(settings) ~= "table" then
        error(string.format("mw.ws: hooks and options are a table, { on_message = … }, got %s",
            type(settings)), 3)
    end
    for name, value in pairs(settings or {}) do
        local problem
        if is_option[name] then
            problem = read_option(record, name, value)
        elseif is_hook[name] then
            problem = set_hook(record, name, value)
        else
            problem = string.format("%s is not a hook or an option of a route%s", tostring(name),
                suggest.text(name, all_names))
        end
        if problem then
            error("mw.ws: " .. problem, 3)
        end
    end
    return record, proxy_of(record)
end

-- An HTTP route's record.
function M.http(name, pattern, handler)
    check_pattern(name, pattern)
    if type(handler) ~= "function" then
        error(string.format("mw.%s: the handler is a function(req), got %s", name, type(handler)),
            3)
    end
    return {
        kind = "http",
        pattern = pattern,
        param_names = param_names(pattern),
        title = string.format("the handler of %s %s", string.upper(name), pattern),
        handler = handler,
    }
end

return M
