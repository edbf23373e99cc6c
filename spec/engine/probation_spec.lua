-- src/engine/reload/probation.c: when is new code worse than the code before it?

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

core.declare "src/engine/reload/probation.h"

describe("probation", function()
    local p, events

    before_each(function()
        p = ffi.new "struct probation"
        events = 0
        C.probation_init(p, 1, 1000000)
    end)

    -- At a time in seconds after the start.
    local function ms(seconds)
        return 1000000 + math.floor(seconds * 1000)
    end

    local function begin(generation, at, seconds, least)
        C.probation_begin(p, generation, seconds or 10, least or 5, events, ms(at))
    end

    -- One failure in an event of a stranger, in some way.
    local function fail(generation, at, stranger, way)
        events = events + 1
        local what = ffi.new("struct probation_failure", { way = way or 1, stranger = stranger })
        return C.probation_note(p, generation, what, events, ms(at))
    end

    -- How many failures of as many strangers until it has failed; nil: it has not after so many.
    local function until_failed(generation, at, most, way)
        for i = 1, most do
            if fail(generation, at, 1000 + i, way) then
                return i
            end
        end
    end

    local function fail_by_itself(generation, at, way)
        local what = ffi.new("struct probation_failure", { way = way or 1, own = true })
        return C.probation_note(p, generation, what, events, ms(at))
    end

    it("ends with the failure that is the first too many, and only with that", function()
        begin(2, 100)
        assert.equal(5, until_failed(2, 100.5, 5))
        assert.is_true(p.failed)
        assert.is_nil(until_failed(2, 101, 100))
        assert.equal(5, p.failures)
        assert.equal(5, C.probation_counted(p))
    end)

    it("is none for the first generation", function()
        assert.is_nil(until_failed(1, 1, 1000))
    end)

    it("is none of 0 seconds", function()
        begin(2, 100, 0, 1)
        assert.is_nil(until_failed(2, 100, 1000))
        assert.is_false(C.probation_is_open(p, ms(100)))
    end)

    it("counts no failures of other generations", function()
        begin(2, 100)
        assert.is_nil(until_failed(1, 100, 1000))
        assert.is_nil(until_failed(3, 100, 1000))
        assert.equal(0, p.failures)
    end)

    it("lasts to its last millisecond and not longer", function()
        begin(2, 100, 10, 1)
        assert.is_true(C.probation_is_open(p, ms(110)))
        assert.is_true(fail(2, 110, 1))
        begin(3, 200, 10, 1)
        assert.is_false(C.probation_is_open(p, ms(210.001)))
        assert.is_false(fail(3, 210.001, 1))
        assert.is_nil(until_failed(3, 210.1, 1000))
    end)

    describe("counts a stranger once", function()
        it("however often it makes something fail", function()
            begin(2, 100)
            for i = 1, 1000 do
                assert.is_false(fail(2, 100, i % 4 + 1))
            end
            assert.equal(4, C.probation_counted(p))
            assert.is_true(fail(2, 100, 5))
        end)

        it("and all whose address is not known as one", function()
            begin(2, 100)
            for _ = 1, 1000 do
                assert.is_false(fail(2, 100, 0))
            end
            assert.equal(1, C.probation_counted(p))
        end)

        it("up to the most that the limit can be", function()
            begin(2, 100, 10, C.LIMITS_PROBATION_FAILURES_MAX)
            assert.equal(C.LIMITS_PROBATION_FAILURES_MAX, until_failed(2, 100, 5000))
        end)
    end)

    it("counts each failure of the app's own doing", function()
        begin(2, 100)
        for _ = 1, 4 do
            assert.is_false(fail_by_itself(2, 100))
        end
        assert.is_true(fail_by_itself(2, 100))
    end)

    it("wants strangers' failures to be a good share of what happened", function()
        begin(2, 100)
        events = events + 10 * C.PROBATION_EVENTS_EACH
        assert.is_nil(until_failed(2, 100, 9))
        assert.is_true(p.open)
        -- 11 of 110, with the one that is the event itself.
        events = events - 1
        assert.is_false(fail(2, 100, 1))
        assert.is_true(fail(2, 100, 2))
    end)

    it("wants no share of what the app fails at by itself", function()
        begin(2, 100)
        events = 1000000
        for _ = 1, 4 do
            assert.is_false(fail_by_itself(2, 100))
        end
        assert.is_true(fail_by_itself(2, 100))
    end)

    describe("does not count a way of failing", function()
        it("that the code before it had", function()
            until_failed(1, 50, 1, 7)
            begin(2, 100)
            assert.is_nil(until_failed(2, 100, 20, 7))
            assert.equal(20, p.known)
            assert.equal(5, until_failed(2, 100, 20, 8))
        end)

        it("that code had which served shortly before", function()
            until_failed(1, 50, 1, 7)
            begin(2, 100)
            until_failed(2, 101, 1, 8)
            begin(3, 102)
            assert.is_nil(until_failed(3, 102, 20, 7))
            assert.is_nil(until_failed(3, 102, 20, 8))
        end)

        it("but counts what was cured for as long as a probation", function()
            until_failed(1, 50, 1, 7)
            begin(2, 100)
            begin(3, 110)
            assert.equal(5, until_failed(3, 110, 20, 7))
        end)

        it("but counts that of code that has failed its probation", function()
            begin(2, 100)
            assert.equal(5, until_failed(2, 100, 20, 7))
            C.probation_take_back(p, 3, ms(101))
            assert.is_nil(until_failed(3, 101, 20, 9)) -- not on probation; it has this way too
            begin(4, 102)
            assert.is_nil(until_failed(4, 102, 20, 9))
            assert.equal(5, until_failed(4, 102, 20, 7))
            begin(5, 103) -- instead of a rollback
            assert.equal(5, until_failed(5, 103, 20, 7))
        end)

        it("of which it remembers the latest", function()
            for way = 1, C.PROBATION_WAYS + 1 do
                until_failed(1, 50, 1, way)
            end
            begin(2, 100)
            assert.is_nil(until_failed(2, 100, 20, 2))
            assert.is_nil(until_failed(2, 100, 20, C.PROBATION_WAYS + 1))
            assert.equal(5, until_failed(2, 100, 20, 1))
        end)
    end)

    it("takes a time that is a little too early as one within it", function()
        begin(2, 100)
        assert.is_false(fail(2, 99.5, 1))
        assert.equal(1, p.failures)
    end)
end)

describe("a way of failing", function()
    local function same(a, b)
        return C.probation_way(7, a, #a) == C.probation_way(7, b, #b)
    end

    it("is the same wherever an edit has moved it, and whatever numbers it tells", function()
        assert.is_true(same("on_message of /x failed: app.lua:12: bad byte 4\nstack traceback:\n a",
            "on_message of /x failed: app.lua:140: bad byte 17\nstack traceback:\n b"))
    end)

    it("is another in another hook, or with another error", function()
        assert.is_false(same("on_message of /x failed: app.lua:1: a",
            "on_open of /x failed: app.lua:1: a"))
        assert.is_false(same("on_message of /x failed: app.lua:1: a",
            "on_message of /x failed: app.lua:1: b"))
    end)

    it("is looked at as far as a line is long, and no further than it must", function()
        local long = ("x"):rep(300)
        assert.is_true(same(long .. "a", long .. "b"))
        assert.is_true(same("", "\nx"))
    end)
end)
