-- The line to all clients goes dead, and nobody says so: a network namespace whose link is down.
-- Pings find out.

local figures = require "spec.torture.figures"
local process = require "spec.support.process"
local gettime = require("socket").gettime

local CLIENTS = figures.pick(5000, 200) -- half of them are sent something all the time
local INTERVAL = figures.pick(10, 2)    -- idle_seconds, and pong_seconds too
local SLACK = figures.pick(1.5, 3)

local app = [[
local mw = require "moonwire"
local clients, closed = %d, 0
local function on_close(ws, code)
    closed = closed + (code == 1006 and 1 or 0)
    if closed == clients then print "all gone" end
end
mw.limits { idle_seconds = %d, pong_seconds = %d }
mw.ws("/silent", { on_close = on_close })
mw.ws("/busy", { on_open = function(ws) ws:subscribe "all" end, on_close = on_close })
local text = ("x"):rep(1000)
mw.every("100ms", function() mw.publish("all", text) end)
]]

local function may_have_namespaces()
    return os.execute "unshare -rn ip link set lo up 2>/dev/null" == 0
end

describe("half-open lines", function()
    local folder = process.fresh_folder()
    local server, crowds

    after_each(function()
        for _, crowd in ipairs(crowds or {}) do
            crowd:finish()
        end
        if server then
            server:finish()
        end
    end)

    -- A program in the namespace of the server.
    local function beside(...)
        return process.start { [0] = "nsenter", "--preserve-credentials", "-U", "-n", "-t",
            tostring(server.pid), ... }
    end

    it("are gone within two intervals of pings", function()
        if not may_have_namespaces() then
            pending "this machine gives no network namespace"
        end
        local path = folder:write("app.lua", app:format(CLIENTS, INTERVAL, INTERVAL))
        server = process.start { [0] = "unshare", "-rn", "sh", "-c",
            'ip link set lo up && exec "$0" --listen 127.0.0.1:0 "$1"', process.binary_path(),
            path }
        local port = server:port()
        crowds = {}
        for i, room in ipairs { "/silent", "/busy" } do
            crowds[i] = beside("node", "spec/torture/crowd.js", tostring(port), room,
                tostring(CLIENTS / 2), "stays")
        end
        for _, crowd in ipairs(crowds) do
            crowd:wait_for("^open", "out")
        end
        local began = gettime()
        assert.equal(0, beside("ip", "link", "set", "lo", "down"):wait().status)
        server:wait_for("^all gone", "out")
        local took = gettime() - began
        figures.say("half-open: %d clients are given up %.1f s after their line is down; "
            .. "idle_seconds and pong_seconds are %d", CLIENTS, took, INTERVAL)
        assert.is_true(took < 2 * INTERVAL + SLACK, took .. " s")
    end)
end)
