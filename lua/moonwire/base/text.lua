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

local at = ffi.new "uint32_t[1]"
local pair = ffi.new "struct http_pair"
local name_span, value_span = pair.name, pair.value
local COOKIES, QUERY = C.HTTP_PAIRS_COOKIES, C.HTTP_PAIRS_QUERY
local LINES, LIST = C.HTTP_PAIRS_LINES, C.HTTP_PAIRS_LIST

-- The next name and value of the text, or nil. at[0] is 0 before the first. Clients send these
-- texts: C takes them apart in time that grows with their length and with nothing else, which
-- Lua's patterns do not ("%s*$" looks at a run of blanks once for each of them).
local function next_pair(kind, text)
    if C.mw_pair_next(kind, text, #text, at, pair) == 0 then
        return nil
    end
    return string.sub(text, name_span.at + 1, name_span.at + name_span.len),
        string.sub(text, value_span.at + 1, value_span.at + value_span.len)
end

-- "a=1&b=x%20y" to { a = "1", b = "x y" }. A name without = has the value "". Of a name that comes
-- twice the first value counts, so that nobody overrides what a proxy has checked.
function M.query(text)
    local out = {}
    at[0] = 0
    local name, value = next_pair(QUERY, text)
    while name do
        name = M.decode(name, true)
        if out[name] == nil then
            out[name] = M.decode(value, true)
        end
        name, value = next_pair(QUERY, text)
    end
    return out
end

-- "a=1; b=2" to { a = "1", b = "2" } (RFC 6265 §5.4); quotes around a value are taken off.
function M.cookies(text)
    local out = {}
    at[0] = 0
    local name, value = next_pair(COOKIES, text)
    while name do
        if out[name] == nil then
            out[name] = value
        end
        name, value = next_pair(COOKIES, text)
    end
    return out
end

-- Adds one header field; the name is in lower case. Fields that come again are gathered in
-- repeated, a table that M.join_fields takes.
function M.add_field(headers, repeated, name, value)
    local before = headers[name]
    if not before then
        headers[name] = value
        return
    end
    local values = repeated[name] or { before }
    values[#values + 1] = value
    repeated[name] = values
end

-- Joins repeated fields: cookies with "; " (RFC 9113 §8.2.3), others with ", " (RFC 9110 §5.3).
function M.join_fields(headers, repeated)
    for name, values in pairs(repeated) do
        headers[name] = table.concat(values, name == "cookie" and "; " or ", ")
    end
    return headers
end

-- "name: value\n…" to a table.
function M.header_lines(text)
    local out, repeated = {}, {}
    at[0] = 0
    local name, value = next_pair(LINES, text)
    while name do
        M.add_field(out, repeated, name, value)
        name, value = next_pair(LINES, text)
    end
    return M.join_fields(out, repeated)
end

-- The members of comma lists, blanks taken off.
function M.list(text)
    local out = {}
    at[0] = 0
    local item = next_pair(LIST, text)
    while item do
        out[#out + 1] = item
        item = next_pair(LIST, text)
    end
    return out
end

-- The origin of a WebSocket's URL, serialised (HTML §7.1.1): scheme, host and port, never user and
-- password. C has written the URL.
function M.origin(url)
    local start = string.find(url, "//", 1, true)
    if not start then
        return ""
    end
    local stop = string.find(url, "[/?]", start + 2) or #url + 1
    local host = start + 2
    local user = string.find(url, "@", host, true)
    while user and user < stop do
        host = user + 1
        user = string.find(url, "@", host, true)
    end
    return string.sub(url, 1, start + 1) .. string.sub(url, host, stop - 1)
end

return M
