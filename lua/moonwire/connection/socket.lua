-- The server's ws object: a connection that a client has opened (class.lua), with what its
-- request said. Made at the first event that a hook wants.

local class = require "moonwire.connection.class"
local connection = require "moonwire.connection.connection"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local text = lazy.use "moonwire.base.text"

local ffi = require "ffi"

local C, worker = native.C, native.worker
local HANDLE, ROUTE, OPEN = connection.HANDLE, connection.ROUTE, connection.OPEN

local M = {}

local out = ffi.new "const char *[1]"
local out_len = ffi.new "size_t[1]"

local function params_of(ws)
    local params = {}
    for i, name in ipairs(ws[ROUTE].param_names) do
        if C.mw_param(worker, ws[HANDLE], i - 1, out, out_len) >= 0 then
            params[name] = text.decode(ffi.string(out[0], out_len[0]), false)
        end
    end
    return params
end

local function keep(ws, name, value)
    rawset(ws, name, value)
    return value
end

local getters = {
    params = function(ws)
        return keep(ws, "params", params_of(ws))
    end,
    query = function(ws)
        -- The url outlives the connection.
        return keep(ws, "query", text.query(string.match(ws.url, "%?(.*)$") or ""))
    end,
}

-- WHATWG lets pages use 1000 and 3000–4999; the others are a server's (RFC 6455 §7.4.1, IANA).
local close_codes = { [1000] = true, [1001] = true, [1003] = true, [1007] = true, [1008] = true,
    [1009] = true, [1011] = true, [1012] = true, [1013] = true }

local meta = class.new(getters, close_codes, "1000 (normal), 1001 (going away), 1003 "
    .. "(unsupported data), 1007 (invalid data), 1008 (policy), 1009 (too big), 1011 (internal "
    .. "error), 1012 (restart), 1013 (try again later)")

-- A new object for a connection that has none.
function M.adopt(handle, route, version)
    local ws = setmetatable(connection.entries(handle, OPEN, route.shape, false, version), meta)
    connection.register(ws)
    return ws
end

return M
