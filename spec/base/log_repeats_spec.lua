-- src/base/log_repeats.c: which failures are written, and which are counted?

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

describe("Failures that come again", function()
    local repeats, one

    before_each(function()
        repeats = ffi.new "struct log_repeats"
        one = ffi.new "struct log_repeat"
    end)

    local function take(place, text, now_ms)
        return C.log_repeats_take(repeats, core.copy(place, "char *"), #place,
            core.copy(text, "char *"), #text, now_ms)
    end

    -- What is over at this time: { more, text } each.
    local function over(now_ms)
        local out = {}
        while C.log_repeats_over(repeats, now_ms, one) do
            out[#out + 1] = { one.more, ffi.string(one.text) }
        end
        return out
    end

    it("are written the first time at each place, and counted for a second", function()
        assert.is_true(take("a", "first\ntraceback", 5))
        assert.is_false(take("a", "second", 6))
        assert.is_true(take("b", "other", 500))
        assert.is_false(take("a", "third", 1004))
        assert.same({}, over(1004))
        assert.same({ { 2, "first" } }, over(1005))
        assert.is_true(take("a", "again", 1005))
        assert.same({ { 0, "other" } }, over(1500))
    end)

    it("are all told of at the end", function()
        assert.is_true(take("a", "x", 1))
        assert.is_false(take("a", "x", 1))
        assert.same({ { 1, "x" } }, over(ffi.cast("uint64_t", -1)))
        assert.same({}, over(ffi.cast("uint64_t", -1)))
    end)

    it("are all written when more places fail than are known at a time", function()
        for i = 1, C.LOG_REPEATS_PLACES do
            assert.is_true(take("place " .. i, "x", 1))
        end
        assert.is_true(take("one more", "x", 1))
        assert.is_true(take("one more", "x", 1))
        assert.is_false(take("place 1", "x", 1))
    end)

    it("keep their first line, cut between two characters", function()
        assert.is_true(take("a", ("é"):rep(200), 0))
        assert.same({ { 0, ("é"):rep(99) } }, over(1000))
        assert.is_true(take("a", "x" .. ("é"):rep(200), 0))
        assert.same({ { 0, "x" .. ("é"):rep(99) } }, over(1000))
    end)
end)
