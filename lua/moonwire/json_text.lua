-- JSON (RFC 8259) for the server's own needs: fields of log lines, and what goes over the control
-- socket. Small, not fast. Apps have mw.json, which is lua-cjson, and need not be installed.

local M = {}

local DEPTH = 32 -- of what is read

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- As a JSON string. Bytes that are not UTF-8 stay as they are.
function M.quoted(text)
    return '"' .. text:gsub('[%c"\\]', function(c)
        return escapes[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
end

-- A string, a number or a boolean; other values go through tostring.
function M.scalar(value)
    local kind = type(value)
    if kind == "number" and value == value and math.abs(value) ~= math.huge then
        return ("%.14g"):format(value)
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

local meant = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function character(code)
    if code < 0x80 then
        return string.char(code)
    elseif code < 0x800 then
        return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64)
    end
    return string.char(0xe0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64,
        0x80 + code % 64)
end

local words = { ["true"] = true, ["false"] = false }

local read

local function read_string(text, at)
    local from = at
    repeat
        at = text:find('["\\]', at)
        if not at then
            error "a string has no end"
        end
        local escaped = text:sub(at, at) == "\\"
        at = at + (escaped and 2 or 1)
    until not escaped
    local out = text:sub(from, at - 2):gsub("\\(.)(%x?%x?%x?%x?)", function(c, hex)
        if c == "u" and #hex == 4 then
            return character(tonumber(hex, 16))
        end
        return (meant[c] or c) .. hex
    end)
    return out, at
end

-- The items between brackets; each(at) reads one and returns where it ends.
local function read_items(text, at, close, each)
    at = text:find("%S", at)
    if text:sub(at, at) == close then
        return at + 1
    end
    while true do
        at = text:find("%S", each(at))
        local c = text:sub(at, at)
        at = at + 1
        if c == close then
            return at
        elseif c ~= "," then
            error(("%q or a comma is missing"):format(close))
        end
    end
end

local function read_object(text, at, depth)
    local out = {}
    return out, read_items(text, at, "}", function(from)
        local _, quote = text:find('^%s*"', from)
        local name, colon = read_string(text, quote + 1)
        local _, last = text:find("^%s*:", colon)
        out[name], from = read(text, last + 1, depth)
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
    if depth > DEPTH then
        error "too deep"
    end
    at = text:find("%S", at)
    local c = text:sub(at, at)
    if c == "{" then
        return read_object(text, at + 1, depth + 1)
    elseif c == "[" then
        return read_list(text, at + 1, depth + 1)
    elseif c == '"' then
        return read_string(text, at + 1)
    end
    local word = text:match("^[%w.+-]+", at)
    local value = words[word]
    if value == nil and word ~= "null" then
        value = tonumber(word) or error "no value"
    end
    return value, at + #word
end

-- The value, or nil when it is null or no JSON.
function M.decode(text)
    local ok, value = pcall(read, text, 1, 0)
    if ok then
        return value
    end
end

return M
