-- src/engine/reload/probation.c: when is new code far worse than the code before it?

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

core.declare "src/engine/reload/probation.h"

describe("probation", function()
    local p

    before_each(function()
        p = ffi.new "struct probation"
        C.probation_init(p, 1, 1000000)
    end)

    -- At a time in seconds after the start.
    local function ms(seconds)
        return 1000000 + math.floor(seconds * 1000)
    end

    local function begin(generation, at, seconds, least)
        C.probation_begin(p, generation, seconds or 10, least or 5, ms(at))
    end

    -- How many failures, one each 10 ms, until it has failed; nil: it has not after so many.
    local function until_failed(generation, at, most)
        for i = 1, most do
            if C.probation_note(p, generation, ms(at + (i - 1) / 100)) then
                return i
            end
        end
    end

    it("ends with the failure that is the first too many, and only with that", function()
        begin(2, 100)
        assert.equal(5, until_failed(2, 100.5, 5))
        assert.is_true(p.failed)
        assert.is_nil(until_failed(2, 101, 100))
        assert.equal(5, p.failures)
    end)

    it("is none for the first generation", function()
        assert.is_nil(until_failed(1, 1, 1000))
    end)

    it("is none of 0 seconds", function()
        begin(2, 100, 0, 1)
        assert.is_nil(until_failed(2, 100, 1000))
        assert.equal(0, p.failures)
    end)

    it("counts no failures of other generations", function()
        begin(2, 100)
        assert.is_nil(until_failed(1, 100, 1000))
        assert.is_nil(until_failed(3, 100, 1000))
        assert.equal(0, p.failures)
    end)

    it("lasts to its last millisecond and not longer", function()
        begin(2, 100, 10, 1)
        assert.is_true(C.probation_note(p, 2, ms(110)))
        begin(3, 200, 10, 1)
        assert.is_false(C.probation_note(p, 3, ms(210.001)))
        assert.is_nil(until_failed(3, 210.1, 1000))
    end)

    it("wants three times what failed in as long a time before", function()
        for second = 90, 99 do
            C.probation_note(p, 1, ms(second))
        end
        begin(2, 100)
        assert.equal(10, p.before)
        assert.equal(30, until_failed(2, 100, 1000))
    end)

    it("looks no further back, and into the whole of the second where it begins", function()
        until_failed(1, 89.9, 10)
        until_failed(1, 90.0, 10)
        begin(2, 100.9)
        assert.equal(10, p.before)
        assert.equal(30, until_failed(2, 101, 1000))
    end)

    it("wants the least number however little failed before", function()
        C.probation_note(p, 1, ms(99))
        begin(2, 100)
        assert.equal(5, until_failed(2, 100, 1000))
    end)

    it("measures new code by all that served before, however short", function()
        until_failed(1, 95, 4)
        begin(2, 98)
        until_failed(2, 98, 4)
        begin(3, 100)
        assert.equal(8, p.before)
        assert.equal(24, until_failed(3, 100, 1000))
    end)

    it("measures what follows code that has failed by what was before that", function()
        begin(2, 100)
        assert.equal(5, until_failed(2, 100, 1000))
        begin(3, 103)
        assert.equal(0, p.before)
        assert.equal(5, until_failed(3, 103, 1000))
        begin(4, 105)
        assert.is_nil(until_failed(4, 105, 4))
        assert.is_false(p.failed)
        -- It has not failed, so it is the measure; what the others did before is forgotten.
        begin(5, 107)
        assert.equal(4, p.before)
    end)

    it("is over when the generation is taken back, and what that did is no measure", function()
        until_failed(1, 99, 2)
        begin(2, 100)
        until_failed(2, 101, 1000)
        C.probation_take_back(p, 3, ms(102))
        assert.is_nil(until_failed(3, 102, 3))
        begin(4, 103)
        assert.equal(5, p.before)
        assert.equal(15, until_failed(4, 103, 1000))
    end)

    it("remembers as long as its longest time, and no longer", function()
        local longest = C.LIMITS_PROBATION_SECONDS_MAX
        until_failed(1, 1, 7)
        begin(2, 1 + longest, longest)
        assert.equal(7, p.before)
        begin(3, 3 + longest, longest)
        assert.equal(0, p.before)
        -- Taken back after days.
        C.probation_take_back(p, 4, ms(5000000))
        begin(5, 5000000, longest)
        assert.equal(0, p.before)
        assert.is_true(C.probation_note(p, 5, ms(5000000)) == false and p.failures == 1)
    end)

    it("takes a time that is a little too early as the newest it knows", function()
        until_failed(1, 99, 3)
        begin(2, 100)
        assert.is_false(C.probation_note(p, 2, ms(99.5)))
        assert.equal(3, p.before)
        assert.equal(1, p.failures)
        begin(3, 101)
        assert.equal(4, p.before)
    end)
end)
