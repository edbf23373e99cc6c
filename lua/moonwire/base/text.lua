-- What clients send as text: query strings, cookies, header lines.

local ffi = require "ffi"
local native = require "moonwire.base.native"

local C = native.C

local M = require("moonwire.base.lazy").module(...)

local scratch, scratch_size = ffi.new "char[1024]", 1024

-- Percent-decoded. plus: + is a blank, as in queries. What has a broken escape, or is not UTF-8
-- then, is left as it came: the result is always text that can be sent on.
function M.decode(text, plus)
    if not string.find(text, plus and "[%%+]" or "%%") then
        return text
    end
    if #text > scratch_size then
        scratch_size = #text
        scratch = ffi.new("char[?]", scratch_size)
    end
    local len = tonumber(C.mw_url_decode(scratch, text, #text, plus and 1 or 0))
    return len >= 0 and ffi.string(scratch, len) or text
end

-- "a=1&b=x%20y" to { a = "1", b = "x y" }. A name without = has the value "". Of a name that comes
-- twice the first value counts, so that nobody overrides what a proxy has checked.
function M.query(text)
    local out = {}
    for pair in string.gmatch(text, "[^&]+") do
        local name, value = string.match(pair, "^([^=]*)=(.*)$")
        name = M.decode(name or pair, true)
        if out[name] == nil then
            out[name] = M.decode(value or "", true)
        end
    end
    return out
end

-- "a=1; b=2" to { a = "1", b = "2" } (RFC 6265 §5.4); quotes around a value are taken off.
function M.cookies(text)
    local out = {}
    for pair in string.gmatch(text, "[^;]+") do
        local name, value = string.match(pair, "^%s*([^=%s]+)%s*=%s*(.-)%s*$")
        if name and out[name] == nil then
            out[name] = string.match(value, '^"(.*)"$') or value
        end
    end
    return out
end

-- Adds one header field; the name is in lower case. Repeated fields are joined: cookies with "; "
-- (RFC 9113 §8.2.3), others with ", " (RFC 9110 §5.3).
function M.add_field(headers, name, value)
    local before = headers[name]
    if before then
        value = before .. (name == "cookie" and "; " or ", ") .. value
    end
    headers[name] = value
end

-- "name: value\n…" to a table.
function M.header_lines(text)
    local out = {}
    for name, value in string.gmatch(text, "([^:\n]+): ?([^\n]*)") do
        M.add_field(out, name, value)
    end
    return out
end

-- The members of comma lists, blanks taken off.
function M.list(text)
    local out = {}
    for item in string.gmatch(text, "[^,]+") do
        item = string.match(item, "^%s*(.-)%s*$")
        if item ~= "" then
            out[#out + 1] = item
        end
    end
    return out
end

return M
