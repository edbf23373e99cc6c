-- Timers across reloads.

local servers = require "spec.support.server"

describe("across a reload a timer", function()
    local server, client

    local function source(name, more)
        return ([[
            local mw = require "moonwire"
            local name = %q
            mw.ws("/", {
                on_open = function(ws) ws:subscribe "ticks" end,
                on_message = function(ws, data) ws:send("answer " .. data) end,
            })
            %s
        ]]):format(name, more)
    end

    local function start(text)
        server = servers.start(text)
        client = assert(server:websocket "/")
    end

    after_each(function()
        server:stop()
    end)

    it("of the top level stops, and the new one starts", function()
        local every = [[mw.every("5ms", function() mw.publish("ticks", name) end)]]
        start(source("one", every))
        assert.equal("one", client:read_text())
        server:reload(source("two", every))
        local text
        repeat -- what was on its way
            text = client:read_text()
        until text ~= "one"
        for _ = 1, 10 do
            assert.equal("two", text)
            text = client:read_text()
        end
    end)

    it("that is named calls the new function, and goes on in its rhythm", function()
        local every = [[
            function tick() mw.publish("ticks", name) end
            mw.every("700ms", "tick")
        ]]
        start(source("one", every))
        local gettime = require("socket").gettime
        assert.equal("one", client:read_text())
        local began = gettime()
        -- A timer that began anew each time would never fire.
        local generation
        repeat
            generation = server:reload(source("two", every))
        until gettime() - began > 0.6 or generation > 100
        assert.equal("two", client:read_text())
        assert.is_true(gettime() - began < 1.1)
    end)

    it("that a hook made goes on", function()
        start(source("one", [[
            mw.get("/start", function()
                mw.every("5ms", function() mw.publish("ticks", name) end)
                return "started"
            end)
        ]]))
        server:get "/start"
        assert.equal("one", client:read_text())
        server:reload(source("two", ""))
        client:text "x"
        repeat
            local text = client:read_text()
        until text == "answer x"
        assert.equal("one", client:read_text())
    end)
end)
