-- The generation whose hooks are called: its routes, and the number by which connections know it.

local ffi = require "ffi"
local connection = require "moonwire.connection.connection"
local native = require "moonwire.base.native"

local C, worker = native.C, native.worker
local VERSION = connection.VERSION

local M = {
    routes = {}, -- by the site's index: records of route.lua
    version = 0, -- the generation's number
}

local next_slot, opened_in = ffi.new "uint32_t[1]", ffi.new "uint32_t[1]"

-- The routes of the generation that serves from now on. limits: the app's own.
function M.serve(routes, limits, number)
    routes[C.MW_NO_ROUTE] = connection.CLIENT_ROUTE
    M.routes, M.version = routes, number
    connection.limits.waiting_messages = limits.waiting_messages
    connection.limits.waiting_bytes = limits.waiting_bytes
    for _, record in pairs(routes) do
        local shape = record.number == number and record.shape
        if shape then
            shape.record = record
            if table.concat(shape.param_names, "/") ~= table.concat(record.param_names, "/") then
                shape.param_names = record.param_names
                shape.renamed = number
            end
        end
    end
end

-- Returns how many WebSockets each generation has handled the last event of, by its number: those
-- of the server, in this worker. One that no hook has met yet counts for the generation in which it
-- was opened.
function M.connections()
    local out = {}
    next_slot[0] = 0
    while true do
        local handle = C.mw_next_open(worker, next_slot, opened_in)
        if handle == 0 then
            return out
        end
        local ws = connection.find(handle)
        local number = ws and ws[VERSION] or opened_in[0]
        out[number] = (out[number] or 0) + 1
    end
end

M.serve({}, {}, 0)

return M
