-- JSON (RFC 8259) for the server's own needs: fields of log lines, and what goes over the control
-- socket. Small, not fast: apps have mw.json, whose codec is in C.

local M = require("moonwire.base.lazy").module(...)

local DEPTH = 32 -- of what is read

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- As a JSON string. Bytes that are not UTF-8 stay as they are.
function M.quoted(text)
    return '"' .. string.gsub(text, '[%c"\\]', function(c)
        return escapes[c] or string.format("\\u%04x", string.byte(c))
    end) .. '"'
end

-- A string, a number or a boolean; other values go through tostring.
function M.scalar(value)
    local kind = type(value)
    if kind == "number" and value == value and math.abs(value) ~= math.huge then
        local short = string.format("%.14g", value)
        return tonumber(short) == value and short or string.format("%.17g", value)
    elseif kind == "boolean" then
        return tostring(value)
    end
    return M.quoted(tostring(value))
end

-- Tables without names are lists, the empty one too.
function M.encode(value)
    if type(value) ~= "table" then
        return M.scalar(value)
    end
    local out = {}
    if value[1] ~= nil or next(value) == nil then
        for i, item in ipairs(value) do
            out[i] = M.encode(item)
        end
        return "[" .. table.concat(out, ",") .. "]"
    end
    for name, item in pairs(value) do
        out[#out + 1] = M.quoted(tostring(name)) .. ":" .. M.encode(item)
    end
    table.sort(out)
    return "{" .. table.concat(out, ",") .. "}"
end

-- ---- reading --------------------------------------------------------------------------------

local meant = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r",
    t = "\t" }
local REPLACEMENT = "\239\191\189" -- U+FFFD

local function character(code)
    if code < 0x80 then
        return string.char(code)
    end
    local out, first = "", 0x3f
    repeat
        out, code = string.char(0x80 + code % 64) .. out, math.floor(code / 64)
        first = math.floor(first / 2)
    until code <= first
    return string.char(0xff - first * 2 - 1 + code) .. out
end

-- The character of the escape at this place, and where it ends. RFC 8259 §7: two halves after one
-- another are one character; a half alone is none.
local function read_escape(text, at)
    local code = tonumber(string.match(text, "^\\u(%x%x%x%x)", at) or "", 16)
    if not code then
        return meant[string.sub(text, at + 1, at + 1)] or error "no escape", at + 2
    end
    at = at + 6
    if code < 0xd800 or code > 0xdfff then
        return character(code), at
    end
    local low = tonumber(string.match(text, "^\\u([dD][c-fC-F]%x%x)", at) or "", 16)
    if low and code < 0xdc00 then
        return character(0x10000 + (code - 0xd800) * 0x400 + low - 0xdc00), at + 6
    end
    return REPLACEMENT, at
end

-- The string whose first character is at this place, and where what follows it begins.
local function read_string(text, at)
    local out = {}
    while true do
        local stop = string.find(text, '["\\%z\1-\31]', at)
        if not stop then
            error "a string has no end"
        end
        out[#out + 1] = string.sub(text, at, stop - 1)
        local c = string.sub(text, stop, stop)
        if c == '"' then
            return table.concat(out), stop + 1
        elseif c ~= "\\" then
            error "a control character"
        end
        out[#out + 1], at = read_escape(text, stop)
    end
end

local words = { ["true"] = true, ["false"] = false }

-- As RFC 8259 §6 writes them, and not as Lua would read more.
local function read_number(word)
    local whole, fraction, exponent = string.match(word, "^%-?(%d+)(%.?%d*)([eE]?[+-]?%d*)$")
    if not whole or (string.find(whole, "^0") and whole ~= "0") or fraction == "."
        or (exponent ~= "" and not string.find(exponent, "^[eE][+-]?%d")) then
        error "no value"
    end
    return tonumber(word)
end

local read

-- The place of the next character that is not white space.
local function next_place(text, at)
    return string.find(text, "[^ \t\r\n]", at) or error "the end"
end

-- The items between brackets; each(at) reads one and returns where it ends.
local function read_items(text, at, close, each)
    at = next_place(text, at)
    if string.sub(text, at, at) == close then
        return at + 1
    end
    while true do
        at = next_place(text, each(at))
        local c = string.sub(text, at, at)
        at = at + 1
        if c == close then
            return at
        elseif c ~= "," then
            error(string.format("%q or a comma is missing", close))
        end
    end
end

local function read_object(text, at, depth)
    local out = {}
    return out, read_items(text, at, "}", function(from)
        local quote = next_place(text, from)
        if string.sub(text, quote, quote) ~= '"' then
            error "a name is missing"
        end
        local name, after = read_string(text, quote + 1)
        local colon = next_place(text, after)
        if string.sub(text, colon, colon) ~= ":" then
            error "a colon is missing"
        end
        out[name], from = read(text, colon + 1, depth)
        return from
    end)
end

local function read_list(text, at, depth)
    local out = {}
    return out, read_items(text, at, "]", function(from)
        out[#out + 1], from = read(text, from, depth)
        return from
    end)
end

-- The value at this place, and where it ends. null is nil.
function read(text, at, depth)
    at = next_place(text, at)
    local c = string.sub(text, at, at)
    if c == '"' then
        return read_string(text, at + 1)
    elseif c == "{" or c == "[" then
        if depth == DEPTH then
            error "too deep"
        end
        return (c == "{" and read_object or read_list)(text, at + 1, depth + 1)
    end
    local word = string.match(text, "^[%w.+-]+", at) or error "no value"
    local value = words[word]
    if value == nil and word ~= "null" then
        value = read_number(word)
    end
    return value, at + #word
end

-- The value, or nil when it is null or no JSON.
function M.decode(text)
    local ok, value, after = pcall(read, text, 1, 0)
    if ok and not string.find(text, "[^ \t\r\n]", after) then
        return value
    end
end

return M
