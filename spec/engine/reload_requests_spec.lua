-- src/engine/reload/reload_requests.c: what is asked of the reload, and in which order it comes.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

core.declare "src/engine/reload/reload_requests.h"

local LOAD, BACK, NOTHING = C.RELOAD_LOAD, C.RELOAD_BACK, C.RELOAD_KINDS

describe("The requests of a reload", function()
    local q, why

    before_each(function()
        q = core.new("struct reload_requests", C.reload_requests_deinit)
        why = ffi.new("char[?]", 2 * C.RELOAD_TRACE_BYTES)
        C.reload_requests_init(q)
    end)

    local function load(cause)
        return C.reload_requests_load(q, cause or "SIGHUP", 1000)
    end

    local function rollback(cause)
        return C.reload_requests_rollback(q, cause or "moonwire rollback")
    end

    local function next_kind()
        return tonumber(C.reload_requests_next(q))
    end

    -- New code serves, on probation for some seconds.
    local function take_over(seconds)
        local limits = ffi.new("struct limits", C.limits_default)
        limits.probation_seconds = seconds or 600
        C.reload_requests_take_over(q, false, limits, 0)
    end

    -- Something of the generation that serves fails by itself.
    local function fail(text, generation)
        local f = ffi.new("struct reload_failure", { generation = generation or q.generation,
            own = true, text = text, len = #text })
        return C.reload_requests_failed(q, f, 0)
    end

    -- The generation that serves fails as often as its probation allows, and once more.
    local function fail_probation(text)
        local failed
        for _ = 1, C.limits_default.probation_failures do
            assert.is_falsy(failed)
            failed = fail(text or "boom")
        end
        assert.is_true(failed)
    end

    local function check_probation()
        ffi.copy(why, "unchanged")
        C.reload_requests_check_probation(q, why, ffi.sizeof(why))
        return ffi.string(why)
    end

    it("are none at first", function()
        assert.equal(tonumber(NOTHING), next_kind())
        assert.equal(1, q.generation)
    end)

    it("of one kind are one, from the first to ask for it", function()
        local ticket = load "SIGHUP"
        assert.equal(ticket, load "moonwire reload")
        local wish = C.reload_requests_take(q, LOAD)
        assert.same({ "SIGHUP", ticket, 1, 1000 },
            { ffi.string(wish.cause), wish.ticket, wish.from, tonumber(wish.since_us) })
        assert.equal(tonumber(NOTHING), next_kind())
        assert.equal(ticket + 1, load())
    end)

    it("come in the order of asking", function()
        load()
        rollback()
        assert.equal(tonumber(LOAD), next_kind())
        C.reload_requests_take(q, LOAD)
        assert.equal(tonumber(BACK), next_kind())
        load()
        assert.equal(tonumber(BACK), next_kind())
        C.reload_requests_take(q, BACK)
        assert.equal(tonumber(LOAD), next_kind())
    end)

    it("have a cause that fits", function()
        load(("x"):rep(100))
        assert.equal(("x"):rep(C.RELOAD_CAUSE_BYTES - 1),
            ffi.string(C.reload_requests_take(q, LOAD).cause))
    end)

    it("that are put back keep their ticket, unless another one was asked for", function()
        load()
        local wish = C.reload_requests_take(q, LOAD)
        C.reload_requests_put_back(q, wish)
        assert.equal(wish.ticket, C.reload_requests_take(q, LOAD).ticket)
        local later = load()
        C.reload_requests_put_back(q, wish)
        assert.equal(later, C.reload_requests_take(q, LOAD).ticket)
    end)

    it("join a rollback that is under way", function()
        local ticket = rollback()
        C.reload_requests_take(q, BACK)
        C.reload_requests_rolling_back(q, ticket)
        assert.equal(ticket, rollback())
        assert.equal(tonumber(NOTHING), next_kind())
        C.reload_requests_rolling_back(q, 0)
        assert.equal(ticket + 1, rollback())
    end)

    it("drop a reload that was asked for before the rollback, and no other", function()
        local cause = ffi.new("char[?]", C.RELOAD_CAUSE_BYTES)
        rollback()
        assert.is_false(C.reload_requests_drop_older(q, cause))
        load()
        assert.is_false(C.reload_requests_drop_older(q, cause))
        C.reload_requests_take(q, BACK)
        rollback()
        assert.is_true(C.reload_requests_drop_older(q, cause))
        assert.equal("SIGHUP", ffi.string(cause))
        assert.equal(tonumber(BACK), next_kind())
    end)

    it("want back what serves, not what served when they were made", function()
        assert.is_false(C.reload_requests_wants_back(q))
        rollback()
        assert.is_true(C.reload_requests_wants_back(q))
        take_over()
        assert.is_false(C.reload_requests_wants_back(q))
    end)

    describe("by probation", function()
        before_each(function()
            take_over()
        end)

        it("come once, with the first failure as the reason", function()
            assert.equal("unchanged", check_probation())
            fail_probation "app.lua:1: boom"
            assert.matches("^generation 2 failed 5 times in the %d+%.%d s since it served, as the "
                .. "code before it had not: 5 times of its own doing, and 0 times for 0 peers, in "
                .. "0 events: app%.lua:1: boom$",
                check_probation())
            local wish = C.reload_requests_take(q, BACK)
            assert.same({ true, 2, "probation" }, { wish.by_itself, wish.from,
                ffi.string(wish.cause) })
            check_probation()
            assert.equal(tonumber(NOTHING), next_kind())
        end)

        it("give way to somebody's, whichever is first", function()
            rollback()
            fail_probation()
            check_probation()
            assert.is_false(C.reload_requests_take(q, BACK).by_itself)
            take_over()
            fail_probation()
            check_probation()
            assert.is_false(C.reload_requests_wants_back(q))
            rollback()
            assert.is_true(C.reload_requests_wants_back(q))
            assert.is_false(C.reload_requests_take(q, BACK).by_itself)
        end)

        it("are meant for the generation that failed last", function()
            fail_probation()
            check_probation()
            take_over()
            fail_probation()
            check_probation()
            assert.equal(3, C.reload_requests_take(q, BACK).from)
        end)

        it("are forgotten when another generation serves before they are made", function()
            fail_probation()
            take_over()
            check_probation()
            assert.equal(tonumber(NOTHING), next_kind())
        end)

        it("cut the failure's text, but not within a character", function()
            local room = C.RELOAD_TRACE_BYTES - 1
            fail_probation(("a"):rep(room - 2) .. "\226\130\172\226\130\172")
            assert.matches(": " .. ("a"):rep(room - 2) .. "$", check_probation())
        end)
    end)
end)
