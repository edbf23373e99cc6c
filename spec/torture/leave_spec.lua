-- Ten thousand clients that go in the same moment: nobody else waits for all of them.

local figures = require "spec.torture.figures"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local CLIENTS = figures.pick(10000, 1000)
local TURN_MS = 10 -- what is promised, of the processor's time
-- Of the short form, which runs beside other work, and of builds with a sanitizer.
local ALLOWED = figures.pick(1, 10)

-- A timer that is due in each turn tells how much the worker's thread did since it fired last.
local app = [[
local mw = require "moonwire"
local ffi = require "ffi"
ffi.cdef "struct leave_time { long s, ns; }; int clock_gettime(int, struct leave_time *);"
local CPU = 3 -- CLOCK_THREAD_CPUTIME_ID
local t = ffi.new "struct leave_time"
local function now()
    ffi.C.clock_gettime(CPU, t)
    return tonumber(t.s) * 1000 + tonumber(t.ns) / 1e6
end
local longest, last, closed, wrong = 0, nil, 0, 0
local most, before = 0, 0
mw.every("1ms", function()
    local at = now()
    longest = math.max(longest, at - (last or at))
    most = math.max(most, closed - before)
    last, before = at, closed
end)
mw.ws("/", {
    on_open = function(ws) ws.state = { here = true } ws:subscribe "all" end,
    on_close = function(ws, code)
        closed = closed + 1
        if code ~= 1006 or not ws.state.here then wrong = wrong + 1 end
    end,
})
mw.get("/begin", function()
    longest, closed, most, before = 0, 0, 0, 0
    return "begun"
end)
mw.get("/seen", function()
    return ("%d %d %.3f %d"):format(closed, wrong, longest, most)
end)
]]

describe("clients that all go at once", function()
    local server, clients

    before_each(function()
        server = servers.start(app)
        clients = process.start { [0] = "node", "spec/torture/crowd.js", tostring(server.port),
            "/", tostring(CLIENTS), "stays" }
        clients:wait_for("^open", "out")
    end)

    after_each(function()
        clients:finish()
        server:stop()
    end)

    -- While the server stands still all of them go.
    local function all_go()
        assert.equal("begun", (server:get "/begin"))
        server.process:signal "STOP"
        clients:finish()
        server.process:signal "CONT"
    end

    it("make no turn longer than 10 ms", function()
        all_go()
        local closed, wrong, longest, most
        process.eventually(function()
            closed, wrong, longest, most = (server:get "/seen"):match "^(%d+) (%d+) (%S+) (%d+)"
            return tonumber(closed) == CLIENTS
        end)
        longest = tonumber(longest)
        figures.say("leave: %d clients went at once; the longest turn took %.2f ms of the "
            .. "processor's time, and %d on_close were called between two timers", CLIENTS,
            longest, most)
        assert.equal("0", wrong)
        assert.is_true(tonumber(most) < CLIENTS, most)
        assert.is_true(longest < TURN_MS * ALLOWED, longest .. " ms")
    end)
end)
