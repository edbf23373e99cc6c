-- Lua that does not return, in all its shapes (endless.lua), through a real server: each is stopped
-- again and again, while two others, of whom each worker has one, get all their answers.

local endless = require "spec.torture.endless"
local figures = require "spec.torture.figures"
local now = require("socket").gettime
local servers = require "spec.support.server"

local RUNS = figures.pick(200, 2)
local HOOK_MS = 20

local app = [[
local mw = require "moonwire"
mw.limits { hook_ms = %d, probation_seconds = 0 }
local shapes = dofile "%s"
mw.ws("/", { on_message = function(ws, data)
    local code = shapes[tonumber(data:match "^%%d+")]
    if code then
        if data:find "later" then mw.sleep(0) end
        loadstring(code[2])()
        error "it has returned"
    end
    ws:send(data)
end })
]]

describe("Lua that does not return", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("is stopped, whatever its shape, and nobody else misses an answer", function()
        local path = io.popen "pwd":read "*l" .. "/spec/torture/endless.lua"
        server = servers.start(app:format(HOOK_MS, path), {
            arguments = { "--workers", "2" },
            dispatcher_fails = true,
        })
        local others = { server:websocket "/", server:websocket "/" }
        local times, slowest, slowest_ms = {}, nil, 0
        for number, shape in ipairs(endless) do
            for run = 1, RUNS do
                local eater = server:websocket "/"
                local sent = now()
                eater:text(run % 2 == 0 and number .. " later" or tostring(number))
                for _, other in ipairs(others) do
                    other:text "here"
                end
                local code = eater:read_close()
                local ms = (now() - sent) * 1000
                eater:close()
                assert.equal(1011, code, shape[1])
                for _, other in ipairs(others) do
                    assert.equal("here", other:read_text(), shape[1])
                end
                times[#times + 1] = ms
                if ms > slowest_ms then
                    slowest, slowest_ms = shape[1], ms
                end
            end
            server:logged("stopped after " .. HOOK_MS .. " ms")
        end
        local median, most = figures.spread(times)
        figures.say("runaway: %d shapes, %d runs with hook_ms %d: closed after %.0f ms (median), "
            .. "%.0f (99 of 100), %.0f (longest: %s)", #endless, #times, HOOK_MS, median, most,
            slowest_ms, slowest)
    end)
end)
