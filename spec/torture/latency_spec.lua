-- How long from the save to the first event that the new code handles, and how long the switch
-- holds an event up, with ten thousand connections (bench/load/reload.c).

local big_app = require "spec.torture.big_app"
local cjson = require "cjson"
local figures = require "spec.torture.figures"
local read = require("spec.support.files").read
local process = require "spec.support.process"
local servers = require "spec.support.server"

local EDITS = figures.pick(100, 10)
local CONNECTIONS = figures.pick(10000, 500)
local RATE = figures.pick(2000, 500)
local SAVE_TO_EVENT_MS, HELD_UP_MS = 50, 10 -- what is promised, of the median
-- Of the short form, beside whatever else the machine does.
local ALLOWED = figures.pick(1, 10)

-- What all connections have something to do for at once.
local eager = [[
function route.on_reload(ws, from, to) ws.state.moved = to end
]]

for _, case in ipairs {
    { "1 worker", "1", read "bench/apps/reload.lua" },
    { "2 workers", "2", read "bench/apps/reload.lua" },
    { "2 workers and an eager on_reload", "2",
        read "bench/apps/reload.lua":gsub('mw%.ws "/"', 'mw.ws("/", { reload = "eager" })')
        .. eager },
    { "1 worker and an app of 13,000 lines", "1",
        big_app.after(read "bench/apps/reload.lua", 13000) },
    { "2 workers and an app of 13,000 lines", "2",
        big_app.after(read "bench/apps/reload.lua", 13000) },
} do
    describe("an edit, with " .. case[1] .. ",", function()
        local server

        after_each(function()
            server:stop()
        end)

        it("is taken up within 50 ms, and holds no event up for 10", function()
            server = servers.start(case[3], { arguments = { "--watch", "--workers", case[2] } })
            local done = process.run { [0] = process.load, "reload", "--port",
                tostring(server.port), "--edit", server.folder.path .. "/app.lua", "--count",
                tostring(EDITS), "--connections", tostring(CONNECTIONS), "--rate", tostring(RATE) }
            assert.equal(0, done.status, done.err)
            local said = cjson.decode(done.out)
            local saved, held = said.save_to_event_ms, said.longest_wait_ms
            local others = said.longest_wait_between_edits_ms
            figures.say("latency, %s: %d connections, %d edits: save to first event %.1f ms "
                .. "(median), %.1f (longest); longest wait of an event in each edit %.2f ms "
                .. "(median), %.2f (9 of 10), %.2f (longest); in as long without edit %.2f, %.2f, "
                .. "%.2f", case[1], CONNECTIONS, EDITS, saved.median, saved.max, held.median,
                held.p90, held.max, others.median, others.p90, others.max)
            assert.is_true(saved.median < SAVE_TO_EVENT_MS * ALLOWED)
            assert.is_true(held.median < HELD_UP_MS * ALLOWED)
        end)
    end)
end
