-- mw.versions: the generations of the app in this worker.

local dispatch = require "moonwire.dispatch.dispatch"
local generations = require "moonwire.reload.generation"
local lazy = require "moonwire.base.lazy"

local held = lazy.use "moonwire.reload.held"

local M = lazy.module(...)

-- Under all of its numbers.
local function sum(counts, generation)
    local total = 0
    for _, number in ipairs(generation.numbers) do
        total = total + (counts[number] or 0)
    end
    return total
end

local function describe(generation, serving, earlier, waiting, connections)
    local number = generation.number
    local serves = generation == serving
    return {
        number = number,
        code_of = generation.loaded_as ~= number and generation.loaded_as or nil,
        since = generation.since,
        serving = serves,
        earlier = generation == earlier,
        files = generation:list_files(),
        connections = sum(connections, generation),
        waiting = sum(waiting, generation),
        held = serves and {} or held.of(number),
        pauses = serves and generations.pauses() or generation.pauses,
    }
end

-- Those that were taken back are listed when they are collected too.
local function add_taken_back(out, by_number, taken_back, connections)
    for _, entry in ipairs(taken_back) do
        local known = by_number[entry.number]
        if not known then
            known = {
                number = entry.number,
                since = entry.since,
                serving = false,
                earlier = false,
                files = entry.files,
                connections = connections[entry.number] or 0,
                waiting = 0,
                held = {},
            }
            out[#out + 1] = known
        end
        known.rolled_back = entry.why
    end
end

--- The generations of the app in this worker, the newest first: number, since (os.time()), serving,
-- earlier (mw.rollback brings it back), code_of (it has come back: the number that it was loaded
-- as), rolled_back (it was taken back: why), files (path and sha1 of each), connections (whose last
-- event it has handled), unmoved (of the one that serves: all other connections), waiting (hooks of
-- it that wait), held (functions of it that connections hold: key, route, count), pauses (for how
-- long the reload that brought it has held up events). An old one is listed until the collector has
-- removed it, and the last five that were rolled back are longer.
function M.versions()
    local alive, serving, earlier, taken_back = generations.all()
    local waiting, connections = dispatch.waiting(), dispatch.connections()
    local out, by_number, all = {}, {}, 0
    if not serving then
        return out -- the app is being loaded for the first time
    end
    for number, generation in pairs(alive) do
        local entry = describe(generation, serving, earlier, waiting, connections)
        out[#out + 1], by_number[number] = entry, entry
    end
    for _, count in pairs(connections) do
        all = all + count
    end
    local now = by_number[serving.number]
    now.unmoved = all - now.connections
    add_taken_back(out, by_number, taken_back, connections)
    table.sort(out, function(a, b)
        return a.number > b.number
    end)
    return out
end

return M
