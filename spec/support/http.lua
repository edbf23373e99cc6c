-- Reads heads for specs.

local ffi = require "ffi"
local assert = require "luassert"
local core = require "spec.support.cdef"
local C = core.C

local M = {}

local function limits(o)
    return ffi.new("struct http_head_limits", {
        target_bytes = o.target_bytes or 2048,
        head_bytes = o.head_bytes or 16384,
        header_count = o.header_count or 100,
    })
end

-- Feeds the pieces one after another, each time as a new block of all bytes so far, as a growing
-- buffer would. Options: response, and the limits. Returns a table: result, status, why; on success
-- also head (struct http_head) and base (the bytes, alive as long as the table), and in fed the
-- number of bytes given when the answer came.
function M.parse(pieces, options)
    options = options or {}
    local bounds = limits(options)
    local parser = ffi.new "struct http_head_parser"
    local head = ffi.new "struct http_head"
    ffi.fill(head, ffi.sizeof(head), 0xa5) -- it need not be clean
    parser.response = options.response or false
    local text, out = "", { result = 0 }
    for _, piece in ipairs(type(pieces) == "string" and { pieces } or pieces) do
        text = text .. piece
        local base = core.copy(text, "char *")
        out.result = C.http_head_parse(parser, base, #text, bounds, head)
        if out.result ~= 0 then
            out.base, out.fed = base, #text
            break
        end
    end
    out.head, out.parser = head, parser
    out.status = tonumber(parser.status)
    out.why = parser.why ~= nil and ffi.string(parser.why) or nil
    return out
end

-- The text of a span of a parsed head.
function M.span(parsed, span)
    return ffi.string(parsed.base + span.at, span.len)
end

-- Everything that a parse says, as one string, to compare parses.
function M.describe(parsed)
    local out = { parsed.result, parsed.status, parsed.why or "-" }
    if parsed.result == 1 then
        local head = parsed.head
        for _, name in ipairs { "method", "minor", "keep_alive", "chunked", "has_length",
            "upgrade_websocket", "expect_continue", "status", "content_length", "field_count",
            "len" } do
            out[#out + 1] = name .. "=" .. tostring(head[name])
        end
        for _, name in ipairs { "method_name", "target", "path", "query", "host" } do
            out[#out + 1] = ("%s=%d+%d"):format(name, head[name].at, head[name].len)
        end
        for i = 0, head.field_count - 1 do
            local f = head.fields[i]
            out[#out + 1] = M.span(parsed, f.name) .. ": " .. M.span(parsed, f.value)
        end
    end
    return table.concat(out, "\n")
end

-- Parses the bytes whole, byte by byte and cut at every place; all must say the same. Returns it.
local function parse_split(text, options)
    local first, wanted
    core.split(text, function(pieces, how)
        local parsed = M.parse(pieces, options)
        if not first then
            first, wanted = parsed, M.describe(parsed)
        end
        assert.are.equal(wanted, M.describe(parsed), how)
    end)
    return first
end

-- The bytes must be a whole head, however they are cut. Returns the parse and its head.
function M.accept(text, options)
    local parsed = parse_split(text, options)
    assert.are.equal(1, parsed.result, ("%s: %s"):format(parsed.status, parsed.why))
    assert.are.equal(#text, parsed.head.len)
    return parsed, parsed.head
end

-- The bytes must be refused with the status, however they are cut.
function M.refuse(status, text, options)
    local parsed = parse_split(text, options)
    assert.are.equal(C.ERR_PROTOCOL, parsed.result, "not refused: " .. text)
    assert.are.equal(status, parsed.status, parsed.why)
    assert.is_string(parsed.why)
    return parsed
end

-- A request with these field lines; with_host adds a Host before them.
function M.request(fields, line)
    return (line or "GET / HTTP/1.1") .. "\r\n" .. fields .. "\r\n"
end

function M.with_host(fields, line)
    return M.request("Host: a\r\n" .. fields, line)
end

-- A request for that target.
function M.target(text, method)
    return M.with_host("", (method or "GET") .. " " .. text .. " HTTP/1.1")
end

return M
