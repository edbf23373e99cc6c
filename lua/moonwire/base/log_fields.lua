-- The fields of a log line as JSON members. Bounded whatever an app hands over: in depth, in items,
-- in bytes; a table inside itself is said to be one.

local lazy = require "moonwire.base.lazy"

local json_text = lazy.use "moonwire.base.json_text"

local M = lazy.module(...)

local DEPTH = 8     -- of tables in tables
local ITEMS = 100   -- of one table
local BYTES = 6000  -- of all; C leaves fields out that need more than half of a line
local NAME_BYTES = 100

-- The log writes these itself, and an object has each name once.
local reserved = { time = true, level = true, message = true }

-- ---- texts ----------------------------------------------------------------------------------

-- The forms of a character in UTF-8 (RFC 3629 §4).
local characters = { "^[%z\1-\127]+", "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]",
    "^[\225-\236\238\239][\128-\191][\128-\191]", "^\237[\128-\159][\128-\191]",
    "^\240[\144-\191][\128-\191][\128-\191]", "^[\241-\243][\128-\191][\128-\191][\128-\191]",
    "^\244[\128-\143][\128-\191][\128-\191]" }

local function character_at(text, at)
    for _, form in ipairs(characters) do
        local found = string.match(text, form, at)
        if found then
            return found
        end
    end
end

-- Two names that differ only in bytes that are not UTF-8 must still differ.
local function valid(text)
    if not string.find(text, "[\128-\255]") then
        return text
    end
    local out, at = {}, 1
    while at <= #text do
        local found = character_at(text, at)
        out[#out + 1] = found or string.format("\\x%02x", string.byte(text, at))
        at = at + (found and #found or 1)
    end
    return table.concat(out)
end

-- Cut to so many bytes, not within a character.
local function cut(text, most)
    if #text <= most then
        return text
    end
    while most > 0 and string.find(text, "^[\128-\191]", most + 1) do
        most = most - 1
    end
    return string.format("%s… (%d more bytes)", string.sub(text, 1, most), #text - most)
end

-- Whatever the app's own __tostring does.
local function text_of(value)
    local ok, text = pcall(tostring, value)
    return ok and type(text) == "string" and text or "a value whose __tostring fails"
end

M.cut, M.text_of = cut, text_of

-- ---- values ---------------------------------------------------------------------------------

local function put(w, piece)
    w.left = w.left - #piece
    w[#w + 1] = piece
end

local function put_text(w, text)
    put(w, json_text.quoted(cut(text, math.max(w.left, 0))))
end

local put_value

local function put_list(w, list, count, depth)
    put(w, "[")
    for i = 1, count do
        put(w, i > 1 and "," or "")
        if i > ITEMS or w.left <= 0 then
            put(w, string.format('"%d more"', count - i + 1))
            break
        end
        put_value(w, list[i], depth)
    end
    put(w, "]")
end

-- Names and their values in order of the names, and how many there are beyond ITEMS.
local function sorted(object)
    local items, count = {}, 0
    for name, value in next, object do
        count = count + 1
        if count <= ITEMS then
            items[count] = { name = cut(valid(text_of(name)), NAME_BYTES), value = value }
        end
    end
    table.sort(items, function(a, b)
        return a.name < b.name
    end)
    return items, math.max(count - ITEMS, 0)
end

local function put_members(w, object, depth)
    local items, more = sorted(object)
    local seen = {}
    for i, item in ipairs(items) do
        put(w, i > 1 and "," or "")
        if w.left <= 0 then
            more = more + #items - i + 1
            put(w, string.format('"…":"%d more"', more))
            return
        end
        local name = depth == 0 and reserved[item.name] and "field_" .. item.name or item.name
        while seen[name] do -- the keys 1 and "1"
            name = name .. "_"
        end
        seen[name] = true
        put(w, json_text.quoted(name) .. ":")
        put_value(w, item.value, depth)
    end
    if more > 0 then
        put(w, string.format(',"…":"%d more"', more))
    end
end

-- How many items a list has; nil for a table with other keys.
local function list_count(value)
    local count = 0
    for key in next, value do
        if type(key) ~= "number" then
            return nil
        end
        count = count + 1
    end
    return #value == count and count or nil
end

local function put_table(w, value, depth)
    if w.open[value] then
        put(w, '"a table inside itself"')
    elseif depth == DEPTH then
        put(w, string.format('"a table deeper than %d"', DEPTH))
    else
        w.open[value] = true
        local count = list_count(value)
        if count then
            put_list(w, value, count, depth + 1)
        else
            put(w, "{")
            put_members(w, value, depth + 1)
            put(w, "}")
        end
        w.open[value] = nil
    end
end

local function is_object(value)
    local meta = getmetatable(value)
    return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

function put_value(w, value, depth)
    local kind = type(value)
    if kind == "table" and not is_object(value) then
        put_table(w, value, depth)
    elseif kind == "number" or kind == "boolean" then
        put(w, json_text.scalar(value))
    elseif kind == "userdata" and tostring(value) == "userdata: NULL" then
        put(w, "null") -- mw.json.null
    else
        put_text(w, kind == "string" and value or text_of(value))
    end
end

-- ---- what others call -----------------------------------------------------------------------

-- { name = value } as JSON members, without the braces around them.
function M.members(fields)
    local w = { left = BYTES, open = { [fields] = true } }
    put_members(w, fields, 0)
    return table.concat(w)
end

-- The text of a line for any value but a string.
function M.text(value)
    return type(value) == "table" and not is_object(value) and M.value(value, BYTES)
        or text_of(value)
end

-- Any value as JSON, in so many bytes or little more.
function M.value(value, bytes)
    local w = { left = bytes, open = {} }
    put_value(w, value, 0)
    return table.concat(w)
end

return M
