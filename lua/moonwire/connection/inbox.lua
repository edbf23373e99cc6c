-- What waits at a connection: events, while a hook of it waits or while code that waits reads it
-- with ws:receive(); and the code that waits for them.
--
-- A connection has an inbox (ws[QUEUE]) only as long as one of these needs it, so that messages
-- cost nothing elsewhere.

local connection = require "moonwire.connection.connection"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local wait = require "moonwire.waiting.wait"

local timer = lazy.use "moonwire.waiting.timer"
local units = lazy.use "moonwire.base.units"

local C, worker = native.C, native.worker
local HANDLE, STATE, ROUTE, QUEUE = connection.HANDLE, connection.STATE, connection.ROUTE,
    connection.QUEUE
local CLOSED_WITH, PROBLEM = connection.CLOSED_WITH, connection.PROBLEM
local CONNECTING, OPEN, CLOSED = connection.CONNECTING, connection.OPEN, connection.CLOSED
local MESSAGE = C.EVENT_MESSAGE

local M = lazy.module(...)

-- Limits, where neither the route nor the app has its own.
local defaults = { waiting_messages = 64, waiting_bytes = 2 ^ 20 }

local function limit_of(ws, name)
    local limits = ws[ROUTE].record.limits
    return limits and limits[name] or connection.limits[name] or defaults[name]
end

local function is_full(ws, inbox)
    return inbox.count >= limit_of(ws, "waiting_messages")
        or inbox.bytes >= limit_of(ws, "waiting_bytes")
end

local function is_half_empty(ws, inbox)
    return inbox.count <= limit_of(ws, "waiting_messages") / 2
        and inbox.bytes <= limit_of(ws, "waiting_bytes") / 2
end

-- C counts it among what the connection holds (limit memory_bytes).
local function add_bytes(ws, inbox, item, sign)
    if item.kind == MESSAGE and #item.data > 0 then
        inbox.bytes = inbox.bytes + sign * #item.data
        C.mw_inbox(worker, ws[HANDLE], inbox.bytes)
    end
end

-- The inbox of ws, made when there is none.
local function of(ws)
    local inbox = ws[QUEUE]
    if not inbox then
        inbox = {
            first = 1, last = 0,  -- items; what was taken out of the middle is false
            count = 0,            -- items
            bytes = 0,            -- of the messages among them
            paused = false,
            holder = false,       -- the coroutine of the hook that waits
            reading = false,      -- code that waits reads this connection: keep messages for it
            closed = false,       -- the close event has come (a hook that waits may not know)
            receivers = {},       -- waits of ws:receive, in order; some may be over
            openers = {},         -- waits of ws:opened
        }
        ws[QUEUE] = inbox
    end
    return inbox
end

-- A hook of ws waits in co.
function M.hold(ws, co)
    of(ws).holder = co
end

-- The first of a list of waits that is not over.
local function next_waiting(list)
    while list[1] and list[1].over do
        table.remove(list, 1)
    end
    return list[1]
end

local function go_on_reading(ws, inbox)
    if inbox.paused then
        inbox.paused = false
        C.mw_resume(worker, ws[HANDLE])
    end
end

-- The inbox is not needed any more, unless it is.
function M.settle(ws)
    local inbox = ws[QUEUE]
    if inbox and not inbox.holder and inbox.count == 0 then
        go_on_reading(ws, inbox)
        if not inbox.reading and not next_waiting(inbox.receivers) then
            ws[QUEUE] = false
        end
    end
end

-- item: { kind, route, data, code, flag } of an event.
function M.put(ws, item)
    local inbox = ws[QUEUE]
    inbox.last = inbox.last + 1
    inbox[inbox.last] = item
    inbox.count = inbox.count + 1
    add_bytes(ws, inbox, item, 1)
    if not inbox.paused and is_full(ws, inbox) then
        inbox.paused = true
        C.mw_pause(worker, ws[HANDLE])
    end
end

-- The same for what was taken out last: nothing comes before it.
function M.put_back(ws, item)
    local inbox = ws[QUEUE]
    inbox.first = inbox.first - 1
    inbox[inbox.first] = item
    inbox.count = inbox.count + 1
    add_bytes(ws, inbox, item, 1)
end

-- Takes the first item, only a message or anything but a message when kind_of says so
-- ("message", "change", nil). nil when there is none.
function M.take(ws, kind_of)
    local inbox = ws[QUEUE]
    for at = inbox.first, inbox.last do
        local item = inbox[at]
        if item and (not kind_of or (kind_of == "message") == (item.kind == MESSAGE)) then
            inbox[at] = false
            inbox.count = inbox.count - 1
            add_bytes(ws, inbox, item, -1)
            while inbox.first <= inbox.last and not inbox[inbox.first] do
                inbox[inbox.first] = nil
                inbox.first = inbox.first + 1
            end
            return item
        end
    end
end

-- Does code wait in ws:receive?
function M.is_awaited(inbox)
    return next_waiting(inbox.receivers) ~= nil
end

-- Hands a message to the first that waits there.
function M.deliver(inbox, data, is_binary)
    wait.wake(next_waiting(inbox.receivers), data, is_binary)
end

-- The connection is open.
function M.opened(inbox)
    for _, w in ipairs(inbox.openers) do
        wait.wake(w, true)
    end
    inbox.openers = {}
end

-- The script closes the connection: no message is delivered from now on (WHATWG WebSockets §4), but
-- the peer's Close is to be read.
function M.drop_messages(ws)
    local inbox = ws[QUEUE]
    while M.take(ws, "message") do end
    go_on_reading(ws, inbox)
end

-- The connection is closed: all that wait for it are told. A hook that waits for something else
-- gets an error.
function M.closed(ws)
    local inbox = ws[QUEUE]
    local code, reason = ws[CLOSED_WITH][1], ws[CLOSED_WITH][2]
    inbox.closed = true
    for _, w in ipairs(inbox.openers) do
        wait.wake(w, false)
    end
    local told = false
    for _, w in ipairs(inbox.receivers) do
        told = wait.wake(w, nil, "closed", code, reason) and w.co == inbox.holder or told
    end
    inbox.openers, inbox.receivers = {}, {}
    if inbox.holder and not told then
        wait.cancel(inbox.holder, wait.CONNECTION_CLOSED)
    end
end

-- ---- methods of connections (methods.lua) -------------------------------------------------------

--- Waits for the next message. Messages that come while nobody waits here are kept, up to the
-- limits waiting_messages and waiting_bytes; then the socket is not read. In a hook of the
-- connection it gets the messages that would come to on_message next.
-- @param timeout optional: seconds, or "5s"
-- @return data, is_binary; nil, "timeout"; nil, "closed", code, reason
-- @usage local data, problem = ws:receive("30s")
function M.receive(ws, timeout)
    connection.check_self(ws, "receive")
    local seconds, problem
    if timeout ~= nil then
        seconds, problem = units.duration(timeout)
        if not seconds then
            error("receive: " .. problem, 2)
        end
    end
    local inbox = of(ws)
    inbox.reading = true
    local item = M.take(ws, "message")
    if item then
        if is_half_empty(ws, inbox) then
            go_on_reading(ws, inbox)
        end
        return item.data, item.flag
    elseif inbox.closed or ws[STATE] == CLOSED then
        local close = ws[CLOSED_WITH] or { 1006, "" }
        return nil, "closed", close[1], close[2]
    elseif seconds == 0 then
        return nil, "timeout"
    end
    local w = wait.begin "receive"
    if seconds then
        local ok, why = timer.wake_after(w, seconds)
        if not ok then
            error("receive: " .. why, 2)
        end
        w.release = timer.forget
    end
    next_waiting(inbox.receivers)
    inbox.receivers[#inbox.receivers + 1] = w
    return wait.park(w)
end

-- Nothing more will come: nil, and why it could not be opened; or the code and reason of its end.
local function not_open(ws)
    local close = ws[CLOSED_WITH]
    if ws[PROBLEM] or not close then
        return nil, ws[PROBLEM] or "closed"
    end
    return nil, close[1], close[2]
end

-- It may have been opened and closed in one turn: then messages that came may still be read.
local function is_over(ws)
    local inbox = ws[QUEUE]
    return ws[CLOSED_WITH] and not (inbox and inbox.count > 0)
end

--- Waits until a connection that WebSocket.new has begun is open. Messages are kept for ws:receive
-- from then on, unless they have a listener.
-- @return true; nil and a text that says why it could not be opened; or nil, the code and the
--   reason with which the server has closed it already
-- @usage assert(ws:opened())
function M.wait_opened(ws)
    connection.check_self(ws, "opened")
    if is_over(ws) or ws[STATE] > OPEN and not ws[CLOSED_WITH] then
        return not_open(ws)
    end
    if ws[ROUTE].client then
        of(ws).reading = true
    end
    if ws[STATE] == CONNECTING then
        local w = wait.begin "opened"
        local openers = of(ws).openers
        openers[#openers + 1] = w
        if not wait.park(w) or is_over(ws) then
            return not_open(ws)
        end
    end
    return true
end

return M
