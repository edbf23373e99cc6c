-- Header lines that a script adds to what it sends, checked by C.

local ffi = require "ffi"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local suggest = lazy.use "moonwire.base.suggest"

local C = native.C

local M = lazy.module(...)

-- One header line, checked by C; nil and a text. Numbers are written as such.
local line, line_size = ffi.new "char[1024]", 1024

function M.line(name, value)
    if type(name) ~= "string" then
        return nil, string.format("a header's name is a string, got %s", type(name))
    end
    if type(value) == "number" then
        value = string.format("%.14g", value)
    elseif type(value) ~= "string" then
        return nil, string.format("the value of header %s is a string, got %s", name, type(value))
    end
    if #name + #value + 4 > line_size then
        line_size = #name + #value + 4
        line = ffi.new("char[?]", line_size)
    end
    local len = C.mw_header_append(line, line_size, name, #name, value, #value)
    if len < 0 then
        return nil, string.format("the header %s: %s cannot be set: the name is no token, the "
            .. "value holds control characters, or the server writes this one itself",
            suggest.quoted(name), suggest.quoted(value))
    end
    return ffi.string(line, len)
end

-- The lines of a table { name = value | { value, … } }; nil and a text.
function M.lines(headers)
    if type(headers) ~= "table" then
        return nil, string.format("the headers are a table, { name = value }, got %s",
            type(headers))
    end
    local names, lines = {}, {}
    for name in pairs(headers) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b)
        return tostring(a) < tostring(b)
    end)
    for _, name in ipairs(names) do
        local values = headers[name]
        for _, value in ipairs(type(values) == "table" and values or { values }) do
            local one, problem = M.line(name, value)
            if not one then
                return nil, problem
            end
            lines[#lines + 1] = one
        end
    end
    return table.concat(lines)
end

return M
