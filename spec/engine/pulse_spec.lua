-- src/engine/ground/pulse.c: for how long a thread's turn lasts.

local core = require "spec.support.cdef"
local C = core.C

core.declare "src/engine/ground/pulse.h"

describe("A pulse", function()
    it("tells how long the turn lasts, and nothing while the loop sleeps", function()
        local pulse = core.new "struct pulse"
        local function busy_ms(after_ms)
            return tonumber(C.pulse_busy_ms(pulse, C.clock_monotonic_ms() + after_ms))
        end
        assert.equal(0, busy_ms(5000))
        C.pulse_wake(pulse)
        assert.is_true(busy_ms(5000) >= 5000 and busy_ms(5000) < 60000)
        C.pulse_sleep(pulse)
        assert.equal(0, busy_ms(5000))
    end)

    it("that begins after the reader took the time lasts no time at all", function()
        local pulse = core.new "struct pulse"
        C.pulse_wake(pulse)
        assert.equal(0, tonumber(C.pulse_busy_ms(pulse, 1)))
    end)
end)
