-- Tables of named numbers that an app writes: limits, and options of compression.

local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local suggest = lazy.use "moonwire.base.suggest"
local units = lazy.use "moonwire.base.units"

local ffi = require "ffi"

native.declare "api_names"

local C = native.C

local M = lazy.module(...)

-- All that C has a name for: name_of gives the one number i, from 0.
local function names_of(name_of)
    local out, i = {}, 0
    while name_of(i) ~= nil do
        out[i + 1] = ffi.string(name_of(i))
        i = i + 1
    end
    return out
end

local function unknown_name(key, names)
    for _, known in ipairs(names) do
        -- Only its unit or its plural is missing.
        if known == key then
            return nil
        elseif #key > 2 and string.sub(known, 1, #key) == key then
            return string.format("; did you mean %s?", known)
        end
    end
    return suggest.text(key, names)
end

-- Milliseconds: a number of them, or a duration with its unit.
local function milliseconds(item)
    if type(item) == "number" then
        return item
    elseif type(item) ~= "string" then
        return nil, string.format("expected milliseconds, or a duration like \"2s\", got %s",
            suggest.shown(item))
    elseif string.find(item, "^%d+$") then
        return tonumber(item)
    end
    local seconds, problem = units.duration(item)
    return seconds and seconds * 1000, problem
end

-- A number from one value: a size for …_bytes, a duration for …_seconds and …_ms; for what is on
-- or off (of compress) a boolean as 1 or 0.
local function number_of(key, item)
    if string.find(key, "_bytes$") then
        return units.bytes(item)
    elseif string.find(key, "_seconds$") then
        return units.duration(item)
    elseif string.find(key, "_ms$") then
        return milliseconds(item)
    elseif string.find(key, "_takeover$") or key == "enabled" then
        if type(item) ~= "boolean" then
            return nil, string.format("true or false, got %s", suggest.shown(item))
        end
        return item and 1 or 0
    elseif type(item) == "string" and string.find(item, "^%d+$") then
        return tonumber(item)
    elseif type(item) ~= "number" then
        return nil, string.format("expected a number, got %s", suggest.shown(item))
    end
    return item
end

-- { name = number } from what people write. name_of: of the names that there are.
local function numbers(value, name, name_of)
    if type(value) ~= "table" then
        return nil, string.format("%s is a table, { name = value }, got %s", name,
            suggest.shown(value))
    end
    local out, names = {}, names_of(name_of)
    for key, item in pairs(value) do
        if type(key) ~= "string" then
            return nil, string.format("%s is a table of names and values, got the key %s", name,
                tostring(key))
        end
        local meant = unknown_name(key, names)
        if meant then
            return nil, string.format("%s.%s does not exist%s", name, key, meant)
        end
        local number, problem = number_of(key, item)
        if not number then
            return nil, string.format("%s.%s: %s", name, key, problem)
        end
        out[key] = number
    end
    return out
end

--- The limits of an app or a route.
function M.limits(value)
    return numbers(value, "limits", C.mw_limit_name)
end

--- The options of a route's compression.
function M.compress(value)
    return numbers(value, "compress", C.mw_compress_name)
end

return M
