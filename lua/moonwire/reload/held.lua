-- Functions of old generations that connections still hold: they are called as they were, and keep
-- their generation in memory. Looked for after each commit, in slices that are cut by the clock.

local connection = require "moonwire.connection.connection"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local owner = require "moonwire.base.owner"
local timer = require "moonwire.waiting.timer"

local M = require("moonwire.base.lazy").module(...)

local C, worker = native.C, native.worker

local SLICE = 500     -- connections' slots at most, and then
local PAUSE = 0.005   -- seconds to the next slice
local CLOCK_EVERY = 100 -- values: the slice looks whether its time is over
local DEPTH = 4       -- of tables in ws.state, and
local VALUES = 1000   -- of what one connection has, are looked at
local NAMED = 5       -- in the log

local search = 0       -- which one is going on
local found = {}       -- number → "key of route" → count

-- What the last search found for a generation: a list of { key, route, count }.
function M.of(number)
    local out = {}
    for _, entry in pairs(found[number] or {}) do
        out[#out + 1] = { key = entry.key, route = entry.route, count = entry.count }
    end
    table.sort(out, function(a, b)
        return a.route .. a.key < b.route .. b.key
    end)
    return out
end

local function note(into, number, route, key)
    into[number] = into[number] or {}
    local title = string.format("%s of %s", key, route)
    local entry = into[number][title] or { key = key, route = route, count = 0 }
    into[number][title] = entry
    entry.count = entry.count + 1
end

local left = 0 -- values that are looked at yet, of this connection

local function look(into, serving, route, key, value, depth)
    if type(value) == "function" then
        local number = owner.of(value)
        if number and number ~= serving then
            note(into, number, route, key)
        end
    elseif type(value) == "table" and depth > 0 and not connection.is(value) then
        for name, item in next, value do
            left = left - 1
            if left < 0 then
                return
            end
            if type(item) == "function" or type(item) == "table" then
                look(into, serving, route,
                    type(name) == "string" and key .. "." .. name or key .. "[]", item, depth - 1)
            end
        end
    end
end

-- What the app's code keeps in ws. How many values that was.
local function look_at(into, serving, ws)
    local pattern = (ws[connection.ROUTE].record or {}).pattern or "?"
    left = VALUES
    for name, value in next, ws do
        if type(name) == "string" then
            look(into, serving, pattern, name, value, DEPTH)
        end
    end
    if ws[connection.USER_STATE] ~= nil then
        look(into, serving, pattern, "state", ws[connection.USER_STATE], DEPTH)
    end
    if ws[connection.LISTENERS] then
        look(into, serving, pattern, "listeners", ws[connection.LISTENERS], DEPTH)
    end
    return VALUES - left
end

local function tell(into)
    for number, entries in pairs(into) do
        local names, more = {}, 0
        for title, entry in pairs(entries) do
            if #names < NAMED then
                names[#names + 1] = string.format("%s (%d)", title, entry.count)
            else
                more = more + 1
            end
        end
        table.sort(names)
        log.warn(string.format("connections hold functions of generation %d, called as they were: "
            .. "%s%s", number, table.concat(names, ", "), more > 0 and string.format(" and %d more",
                more) or ""))
    end
end

local step

local function step_later(...)
    local arguments = { ... }
    timer.start(timer.new("after", PAUSE, function()
        step(unpack(arguments))
    end))
end

-- Goes on from a slot. The slot to go on with, or nil at the end.
local function slice(into, serving, slot)
    C.mw_search_begin(worker)
    local seen, over = 0, false
    local function look_at_one(ws)
        seen = seen + 1 + look_at(into, serving, ws)
        if seen >= CLOCK_EVERY then
            seen, over = 0, C.mw_search_is_over(worker)
        end
        return over
    end
    local last = slot + SLICE
    repeat
        slot = connection.each_from(slot, last - slot, look_at_one)
    until over or not slot or slot >= last
    C.mw_search_end(worker)
    return slot
end

function step(mine, serving, into, slot)
    if mine ~= search then
        return
    end
    local next_slot = slice(into, serving, slot)
    if next_slot then
        step_later(mine, serving, into, next_slot)
    else
        found = into
        tell(into)
    end
end

-- The generation of this number has taken over.
function M.search(serving)
    search = search + 1
    step_later(search, serving, {}, 0)
end

return M
