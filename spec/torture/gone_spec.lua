-- A route goes away with ten thousand connections on it (gone.js): all get 1012, one after another,
-- each has its on_close, and nobody else waits for that.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local peers = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local SILENT = figures.pick(10000, 300)
local SECONDS = figures.pick(5, 1)
local LONGEST_MS = 250 -- of a wait: what the machine's other work may do

local app = [[
local mw = require "moonwire"
mw.limits { drain_seconds = %d }
local count = mw.keep("count", function() return { closed = 0, wrong = 0 } end)
mw.ws("/stays", { on_message = function(ws, data) ws:send(data) end })
mw.get("/count", function() return count end)
]]

local gone = [[
mw.ws("/gone", {
    on_open = function(ws) ws.state = { here = true } end,
    on_close = function(ws, code, reason, was_clean)
        count.closed = count.closed + 1
        if code ~= 1012 or not was_clean or not ws.state.here then count.wrong = count.wrong + 1 end
    end,
})
]]

describe("a route that goes away with its connections on it", function()
    local server, clients

    after_each(function()
        clients:finish()
        server:stop()
    end)

    it("has them closed over drain_seconds, and holds up nobody", function()
        server = servers.start(app:format(SECONDS) .. gone, { arguments = {} })
        clients = process.start { [0] = "node", "spec/torture/gone.js", tostring(server.port),
            tostring(SILENT), "20" }
        local opened, why = pcall(clients.wait_for, clients, "(open)", "out")
        assert(opened, clients.out .. clients.err .. tostring(why))
        server:reload(app:format(SECONDS))
        local ok, text = pcall(clients.wait_for, clients, "^({.*})$", "out")
        assert(ok, clients.out .. clients.err)
        local said = cjson.decode(text)
        figures.say("gone: %d connections closed over %.2f s with 1012; meanwhile %d answers to "
            .. "others took %.2f ms (median), %.2f ms (99 of 100), %.1f ms (longest)", said.closed,
            said.seconds, said.answers, said.median, said.p99, said.longest)
        assert.same({ ["1012"] = SILENT }, said.codes)
        assert.is_true(said.seconds > SECONDS * 0.4)
        assert.is_true(said.seconds < SECONDS * 1.5 + 1)
        assert.is_true(said.longest < LONGEST_MS, said.longest .. " ms")
        assert.same({ closed = SILENT, wrong = 0 },
            cjson.decode((peers.get(server.port, "/count"))))
    end)
end)
