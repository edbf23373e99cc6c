-- src/engine/run/pauses.c: how long does a reload hold up a worker's events?

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

core.declare "src/engine/run/pauses.h"

describe("the pauses of a reload", function()
    local p, us, cpu_us, turn

    before_each(function()
        p = ffi.new "struct pause_clock"
        us, cpu_us, turn = 1000000, 5000, 7
    end)

    local function clocks()
        return ffi.new("struct pause", us, cpu_us)
    end

    -- A piece that lasts so long, in the turn of the one before unless another begins.
    local function piece(kind, lasts_us, works_us, same_turn)
        turn = same_turn and turn or turn + 1
        C.pauses_begin(p, clocks())
        us, cpu_us = us + lasts_us, cpu_us + works_us
        C.pauses_end(p, C["PAUSE_" .. kind], turn, clocks())
        us, cpu_us = us + 12345, cpu_us + 2345 -- others' events
    end

    local function longest(of)
        return { C.pause_name(of.kind) ~= nil and ffi.string(C.pause_name(of.kind)),
            tonumber(of.longest.us), tonumber(of.longest.cpu_us) }
    end

    local function commit()
        return { tonumber(p.serving.commit.us), tonumber(p.serving.commit.cpu_us) }
    end

    it("have names", function()
        local names = {}
        for i, kind in ipairs { "PREPARE", "COMMIT", "ON_RELOAD", "CLOSE", "SEARCH", "COLLECT" } do
            names[i] = ffi.string(C.pause_name(C["PAUSE_" .. kind]))
        end
        assert.same({ "prepare", "commit", "on_reload", "close", "search", "collect" }, names)
    end)

    it("are not known before the first one commits", function()
        assert.is_false(p.serving.known)
        piece("PREPARE", 10, 10)
        assert.is_false(p.serving.known)
        piece("COMMIT", 10, 10)
        assert.is_true(p.serving.known)
    end)

    it("are the longest by each clock, and the commit's for itself", function()
        piece("PREPARE", 300, 250)
        piece("COMMIT", 90, 80)
        assert.same({ "prepare", 300, 250 }, longest(p.serving))
        assert.same({ 90, 80 }, commit())
        piece("SEARCH", 4000, 100) -- the machine did something else
        assert.same({ "search", 4000, 250 }, longest(p.serving))
        piece("ON_RELOAD", 1000, 999)
        assert.same({ "search", 4000, 999 }, longest(p.serving))
        assert.same({ 90, 80 }, commit())
    end)

    it("count together in one turn of the loop, as the longest of them", function()
        piece("PREPARE", 300, 250)
        piece("COMMIT", 90, 80)
        piece("ON_RELOAD", 200, 150)
        piece("COLLECT", 150, 120, true)
        assert.same({ "on_reload", 350, 270 }, longest(p.serving))
        piece("COLLECT", 300, 200)
        piece("SEARCH", 51, 1, true)
        assert.same({ "collect", 351, 270 }, longest(p.serving))
        piece("SEARCH", 10, 10)
        piece("CLOSE", 352, 271)
        assert.same({ "close", 352, 271 }, longest(p.serving))
    end)

    it("are those of the reload that serves, while the next one is prepared and when it fails",
        function()
            piece("PREPARE", 300, 250)
            piece("COMMIT", 90, 80)
            piece("PREPARE", 70000, 60000) -- fails
            assert.same({ "prepare", 300, 250 }, longest(p.serving))
            piece("COLLECT", 310, 260)
            assert.same({ "collect", 310, 260 }, longest(p.serving))
            piece("PREPARE", 20, 15)
            piece("COMMIT", 80, 70)
            assert.same({ "commit", 80, 70 }, longest(p.serving))
        end)
end)
