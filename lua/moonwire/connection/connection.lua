-- The table of a connection: how it is laid out, and where events find it. What an app can read and
-- call of it is in class.lua.
--
-- There is one table for each connection that the app's code has met, kept until its close event:
-- an app may well keep its users in a table with weak keys. It is small (136 bytes), since what C
-- knows is asked for when it is read, and kept only then.

local bit = require "bit"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local event_target = lazy.use "moonwire.connection.event_target"

local new_table = require "table.new"

local C, worker = native.C, native.worker
local band, rshift = bit.band, bit.rshift

local M = {}

-- ---- layout ---------------------------------------------------------------------------------

-- The array part; user fields and what was read once (params, url, …) go to the hash part.
-- M.entries makes it.
local HANDLE, STATE, ROUTE, BINARY_TYPE, VERSION, USER_STATE = 1, 2, 3, 4, 5, 6
local LISTENERS, QUEUE = 7, 8
M.HANDLE, M.STATE, M.ROUTE = HANDLE, STATE, ROUTE -- ROUTE: its shape (route.lua)
M.VERSION = VERSION     -- the generation that has last met it
M.LISTENERS = LISTENERS -- a table of event_target, or false
M.QUEUE = QUEUE         -- what waits (inbox.lua), or false
M.BINARY_TYPE = BINARY_TYPE -- false: as its route says
-- ws.state, read and written by the metatable: a field of the hash part would cost 48 bytes.
M.USER_STATE = USER_STATE

-- A new object's table. Constants come last, since LuaJIT's bytecode files forget the size of an
-- array that ends with something else: it would grow a hash part when it is filled.
function M.entries(handle, state, shape, binary_type, version)
    return { handle, state, shape, binary_type, version, nil, false, false }
end

-- What only few have, in the hash part: { code, reason } when it is closed; the text of its error
-- event; bytes that were sent in vain.
local CLOSED_WITH, PROBLEM, UNSENT = 9, 10, 11
M.CLOSED_WITH, M.PROBLEM, M.UNSENT = CLOSED_WITH, PROBLEM, UNSENT
-- The top level that has opened it (wait.top), which is the one of its listeners. For rawget.
M.TOP = 12

local CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3
M.CONNECTING, M.OPEN, M.CLOSING, M.CLOSED = CONNECTING, OPEN, CLOSING, CLOSED

-- Stands in for the route of a connection that the script opens: such have listeners, and no hooks.
local client_route = { client = true, pattern = "WebSocket", param_names = {},
    binaryType = "string" }
client_route.shape, client_route.record = client_route, client_route -- as in route.lua
M.CLIENT_ROUTE = client_route

-- The app's own, where a route has none: waiting_messages, waiting_bytes.
M.limits = {}

-- The last long text that came from the network: C has checked that it is UTF-8, and need not when
-- it is sent on.
local checked = { text = false }
M.checked = checked

-- ---- who is one -----------------------------------------------------------------------------

local classes = {} -- metatable → true

-- Objects with this metatable are connections (class.lua).
function M.add_class(meta)
    classes[meta] = true
end

function M.is(value)
    return type(value) == "table" and classes[getmetatable(value)] == true
end

function M.check_self(ws, name)
    if not M.is(ws) then
        error(string.format("%s is a method: write ws:%s(…), with a colon", name, name), 3)
    end
end

function M.check_binary_type(value, level)
    if value ~= "string" and value ~= "buffer" then
        error(string.format('binaryType is "string" or "buffer", got %s',
            type(value) == "string" and string.format("%q", value) or type(value)), level + 1)
    end
end

-- ---- listeners ------------------------------------------------------------------------------

function M.listeners_of(ws)
    local target = ws[LISTENERS]
    if not target then
        target = event_target.new()
        ws[LISTENERS] = target
    end
    return target
end

local flush -- function(ws)

-- Registers what delivers the messages that wait for ws:receive, once a connection gets a listener
-- for them: fn(ws), for connections with an inbox. The dispatcher calls this once.
function M.set_flush(fn)
    flush = fn
end

-- A listener for events of this kind was added to ws.
function M.has_listener(ws, kind)
    if kind == "message" and ws[QUEUE] then
        flush(ws)
    end
end

-- ---- where events find their objects --------------------------------------------------------

-- The low 20 bits of a handle are its slot (script/api.h): dense, from 0. Chunks of 256 slots, so
-- that the collector never has one huge table to go through in a single step. All of a chunk is the
-- table's array from the start, and so are the first 256 chunks: what lies in the hash part, where
-- a growing table has its last ones, needs other compiled code.
local SLOTS, CHUNK_BITS, CHUNK_MASK = 2 ^ 20, 8, 255
local chunks = new_table(CHUNK_MASK, 0)

-- The object of a live connection, or nil. slot: the handle's, where it is known.
function M.find(handle, slot)
    slot = slot or handle % SLOTS
    local chunk = chunks[rshift(slot, CHUNK_BITS)]
    if chunk then
        local ws = chunk[band(slot, CHUNK_MASK)]
        if ws and ws[HANDLE] == handle then
            return ws
        end
    end
end

-- Calls fn(ws) for the objects of count slots, or until it returns true. The slot to go on with, or
-- nil at the end.
function M.each_from(slot, count, fn)
    local number = rshift(slot, CHUNK_BITS)
    local chunk = chunks[number]
    if not chunk then
        local nearest
        for other in pairs(chunks) do
            if other > number and other < (nearest or SLOTS) then
                nearest = other
            end
        end
        return nearest and nearest * (CHUNK_MASK + 1)
    end
    local first = band(slot, CHUNK_MASK)
    local last = math.min(first + count - 1, CHUNK_MASK)
    for i = first, last do
        if chunk[i] and fn(chunk[i]) then
            last = i
            break
        end
    end
    return number * (CHUNK_MASK + 1) + last + 1
end

-- Events of ws, an object for a connection that has none, find it from now on.
function M.register(ws)
    local slot = ws[HANDLE] % SLOTS
    local chunk = chunks[rshift(slot, CHUNK_BITS)]
    if not chunk then
        chunk = new_table(CHUNK_MASK, 0)
        chunks[rshift(slot, CHUNK_BITS)] = chunk
    end
    chunk[band(slot, CHUNK_MASK)] = ws
end

-- The connection ends with this code and reason: keeps what the script may read later, and forgets
-- the object. C still knows the connection now, but may not when the script reads.
function M.release(ws, code, reason)
    -- bufferedAmount stays what it is now. What was sent in this turn may still go out.
    if C.mw_buffered_amount(worker, ws[HANDLE]) > 0 then
        C.mw_flush(worker, ws[HANDLE])
        ws[UNSENT] = (ws[UNSENT] or 0) + C.mw_buffered_amount(worker, ws[HANDLE])
    end
    C.mw_close_met(worker, ws[HANDLE])
    ws[CLOSED_WITH] = { code, reason }
    if ws[STATE] ~= CONNECTING then
        local _
        _, _, _, _ = ws.url, ws.protocol, ws.extensions, ws.remote_address
        if #ws[ROUTE].param_names > 0 then
            _ = ws.params
        end
    end
    local slot = ws[HANDLE] % SLOTS
    chunks[rshift(slot, CHUNK_BITS)][band(slot, CHUNK_MASK)] = nil
end

return M
