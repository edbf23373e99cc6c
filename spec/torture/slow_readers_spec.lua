-- Half of a broadcast room stops to read: they cost at most their limits, and the others notice
-- nothing.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local sleep = require("socket").sleep

local READERS = figures.pick(1000, 50) -- of each half
local SECONDS = figures.pick(10, 1)
local QUEUED = 128 * 1024
local ALLOWED = figures.pick(2, 10) -- times the normal wait; the short form runs beside other work
local NORMAL_MS = figures.pick(2, 20) -- less is no measure
-- Of a queue, beside its bytes: what its pieces take, and what the last message is over the limit.
local SLACK = 64 * 1024
local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san" ~= nil

local app = [[
local mw = require "moonwire"
local ffi = require "ffi"
ffi.cdef "struct room_time { long s, ns; }; int clock_gettime(int, struct room_time *);"
local t = ffi.new "struct room_time"
local rest = (" "):rep(%d)
mw.ws("/room", {
    limits = { queued_bytes = %d },
    on_open = function(ws) ws:subscribe "room" end,
})
mw.every("%s", function()
    ffi.C.clock_gettime(1, t) -- CLOCK_MONOTONIC
    mw.publish("room", ("%%.3f"):format(tonumber(t.s) * 1000 + tonumber(t.ns) / 1e6) .. rest)
end)
mw.get("/counters", function() return mw.counters() end)
]]

describe("a room of which half stops to read", function()
    local server, readers, others

    before_each(function()
        server = servers.start(app:format(figures.pick(12000, 60000), QUEUED,
            figures.pick("100ms", "25ms")))
        local port, half = tostring(server.port), tostring(READERS)
        readers = process.start({ [0] = "node", "spec/torture/listen.js", port, "/room", half },
            { input = true })
        others = process.start { [0] = "node", "spec/torture/crowd.js", port, "/room", half,
            "stays" }
        readers:wait_for("^open", "out")
        others:wait_for("^open", "out")
    end)

    after_each(function()
        others:signal "CONT"
        others:finish()
        readers:finish()
        server:stop()
    end)

    local function waits()
        readers:write "tell\n"
        return cjson.decode((readers:wait_for("^({.*})$", "out")))
    end

    it("holds no more than its limits, and the other half waits no longer", function()
        waits()
        sleep(SECONDS) -- time is the subject
        local normal = waits()
        local before = figures.resident_kib(server.process.pid)
        local most = before
        others:signal "STOP"
        process.eventually(function()
            most = math.max(most, figures.resident_kib(server.process.pid))
            sleep(0.05)
            return server:counter "queue_overflows" == READERS
        end)
        local meanwhile = waits()
        figures.say("slow readers: %d of %d stop; the others' messages take %.2f ms (median), "
            .. "%.2f ms (99 of 100) instead of %.2f, %.2f ms; %.1f MiB are held for them, of %.1f",
            READERS, 2 * READERS, meanwhile.median, meanwhile.p99, normal.median, normal.p99,
            (most - before) / 1024, READERS * QUEUED / 1024 ^ 2)
        assert.is_true(normal.messages > 0 and meanwhile.messages > 0)
        assert.is_true(meanwhile.p99 < ALLOWED * math.max(normal.p99, NORMAL_MS),
            ("%.2f ms became %.2f"):format(normal.p99, meanwhile.p99))
        if not is_sanitized then
            assert.is_true((most - before) * 1024 < READERS * (QUEUED + SLACK),
                ("%d KiB"):format(most - before))
        end
        assert.equal(0, server:counter "memory_overflows")
    end)
end)
