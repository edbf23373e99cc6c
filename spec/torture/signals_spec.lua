-- A storm of SIGHUP: it is a few reloads, nobody waits, and what the last one found is what serves.

local figures = require "spec.torture.figures"
local servers = require "spec.support.server"
local socket = require "socket"

local SECONDS = figures.pick(10, 0.5)
local PER_SECOND = 1000
local LONGEST_MS = 500 -- for an answer, whatever else the machine does

local function app(version)
    return ([[
        local mw = require "moonwire"
        mw.ws("/", { on_message = function(ws, data) ws:send("%d " .. data) end })
    ]]):format(version)
end

describe("a storm of SIGHUP", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("is coalesced, with echoes meanwhile, and the last content serves", function()
        server = servers.start(app(0), { arguments = { "--workers", "2" } })
        local client = assert(server:websocket "/")
        local sent, waits = 0, {}
        local began = socket.gettime()
        local last = SECONDS * PER_SECOND
        while sent < last do
            local due = math.min(last, math.floor((socket.gettime() - began) * PER_SECOND))
            while sent < due do
                sent = sent + 1
                if sent == last then
                    server:edit(app(1))
                end
                server.process:signal "HUP"
            end
            local asked = socket.gettime()
            client:text "x"
            assert.matches("^[01] x$", client:read_text())
            waits[#waits + 1] = (socket.gettime() - asked) * 1000
            socket.sleep(0.001) -- the pace of the storm
        end
        local took = socket.gettime() - began
        repeat
            server:reloaded()
            client:text "x"
        until client:read_text() == "1 x"
        local _, reloads = server.process.err:gsub("serves, after", "")
        local median, most_of_all, most = figures.spread(waits)
        figures.say("signals: %d in %.1f s were %d reloads; %d echoes meanwhile took %.2f ms "
            .. "(median), %.1f ms (99 of 100), %.1f ms (longest)", sent, took, reloads, #waits,
            median, most_of_all, most)
        assert.is_true(reloads <= 50 * took + 2, reloads .. " reloads")
        assert.is_true(most < LONGEST_MS, ("an echo took %.1f ms"):format(most))
    end)
end)
