-- Values as people read them, for moonwire repl and moonwire connect.

local native = require "moonwire.base.native"

local M = {}

local DEPTH, ITEMS, STRING = 4, 100, 4000

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
    return escapes[c] or string.format("\\%03d", string.byte(c))
end

local function is_utf8(text)
    local at = 1
    while at <= #text do
        local _, last = string.find(text, "^[%z\1-\127]+", at)
        last = last or select(2, string.find(text, "^[\194-\223][\128-\191]", at))
            or select(2, string.find(text, "^[\224-\239][\128-\191][\128-\191]", at))
            or select(2, string.find(text, "^[\240-\244][\128-\191][\128-\191][\128-\191]", at))
        if not last then
            return false
        end
        at = last + 1
    end
    return true
end

-- Text for a terminal: nothing in it moves the cursor or changes colours.
function M.harmless(text)
    if not is_utf8(text) then
        text = string.gsub(text, "[\128-\255]", escape)
    end
    -- C1 controls too: U+0080 to U+009F.
    return (string.gsub(string.gsub(text, "[%z\1-\8\11-\31\127]", escape), "\194[\128-\159]",
        function(c)
        return escape(string.sub(c, 1, 1)) .. escape(string.sub(c, 2))
    end))
end

local function quoted(text)
    local more = ""
    if #text > STRING then
        more = string.format(" … %d bytes in all", #text)
        text = string.sub(text, 1, STRING)
    end
    text = string.gsub(text, '[%c"\\\127]', escape)
    if not is_utf8(text) then
        text = string.gsub(text, "[\128-\255]", escape)
    end
    return '"' .. text .. '"' .. more
end

local function before(a, b)
    local kind_a, kind_b = type(a), type(b)
    if kind_a ~= kind_b then
        return kind_a == "number" or kind_b ~= "number" and kind_a < kind_b
    elseif kind_a == "number" or kind_a == "string" then
        return a < b
    end
    return tostring(a) < tostring(b)
end

local show

local function key_text(key, depth, seen)
    if type(key) == "string" and string.find(key, "^[%a_][%w_]*$") then
        return key
    end
    return "[" .. show(key, depth, seen) .. "]"
end

-- The items of a table, as texts: first those of the list.
local function items_of(value, depth, seen)
    local items, listed = {}, 0
    while value[listed + 1] ~= nil and listed < ITEMS do
        listed = listed + 1
        items[listed] = show(value[listed], depth + 1, seen)
    end
    local keys = {}
    for key in next, value do
        if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > #value then
            keys[#keys + 1] = key
        end
    end
    table.sort(keys, before)
    for _, key in ipairs(keys) do
        if #items >= ITEMS then
            break
        end
        items[#items + 1] = key_text(key, depth + 1, seen) .. " = "
            .. show(value[key], depth + 1, seen)
    end
    local left = #value + #keys - #items
    if left > 0 then
        items[#items + 1] = string.format("… %d more", left)
    end
    return items
end

local function table_text(value, depth, seen)
    if seen[value] then
        return "{ … itself }"
    elseif next(value) == nil then
        return "{}"
    elseif depth > DEPTH then
        return "{ … }"
    end
    seen[value] = true
    local items = items_of(value, depth, seen)
    seen[value] = nil
    local line = "{ " .. table.concat(items, ", ") .. " }"
    if #line <= 80 and not string.find(line, "\n") then
        return line
    end
    local indent = string.rep("    ", depth)
    return "{\n    " .. indent .. table.concat(items, ",\n    " .. indent) .. "\n" .. indent .. "}"
end

function show(value, depth, seen)
    local kind = type(value)
    if kind == "string" then
        return quoted(value)
    elseif kind ~= "table" then
        return tostring(value)
    end
    local meta = getmetatable(value)
    if type(meta) == "table" and meta.__tostring then
        return tostring(value)
    end
    return table_text(value, depth, seen)
end

-- One value, on one line when it fits.
function M.value(value)
    return show(value, 0, {})
end

-- As hexdump -C has them, at most limit bytes.
function M.hex(data, limit)
    local lines = {}
    for at = 1, math.min(#data, limit), 16 do
        local part = string.sub(data, at, math.min(at + 15, limit))
        local hex = string.gsub(part, ".", function(c)
            return string.format("%02x ", string.byte(c))
        end)
        lines[#lines + 1] = string.format("%08x  %-24s %-24s |%s|", at - 1, string.sub(hex, 1, 24),
            string.sub(hex, 25),
            (string.gsub(part, "[^ -~]", ".")))
    end
    if #data > limit then
        lines[#lines + 1] = string.format("… %d more bytes", #data - limit)
    end
    return table.concat(lines, "\n")
end

M.is_terminal = native.is_terminal

return M
