local core = require "spec.support.cdef"
local C = core.C

describe("clock", function()
    it("never runs backwards", function()
        local before = C.clock_monotonic_ms()
        for _ = 1, 10000 do
            local now = C.clock_monotonic_ms()
            assert.is_true(now >= before)
            before = now
        end
    end)

    it("counts milliseconds", function()
        -- Against the processor time that this loop takes, which is never longer than the real one.
        local cpu, start = os.clock(), C.clock_monotonic_ms()
        while os.clock() - cpu < 0.05 do
            math.sin(1)
        end
        local passed = tonumber(C.clock_monotonic_ms() - start)
        assert.is_true(passed >= 49 and passed < 30000, passed .. " ms")
    end)

    it("knows the time of day", function()
        local before = os.time()
        local seconds = tonumber(C.clock_wall_s())
        local ms = tonumber(C.clock_wall_ms())
        local after = os.time()
        assert.is_true(seconds >= before and seconds <= after)
        -- os.time may be up to one tick behind: it reads the kernel's coarse clock.
        assert.is_true(ms >= before * 1000 and ms < (after + 2) * 1000)
    end)
end)
