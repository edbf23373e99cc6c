-- How often Lua's collector begins anew: src/script/collector.h.

local servers = require "spec.support.server"

describe("The collector", function()
    local server

    after_each(function()
        server:stop()
    end)

    -- The pause that a hook finds, in percent, after a message that had the app do something first.
    local function start(top)
        server = servers.start(([[
            local mw = require "moonwire"
            %s
            local held
            mw.ws("/", { on_message = function(ws, what)
                if what == "grow" then
                    held = {}
                    for i = 1, 100000 do held[i] = { i } end
                elseif what == "shrink" then
                    held = nil
                    collectgarbage() collectgarbage()
                end
                local pause = collectgarbage("setpause", 500)
                collectgarbage("setpause", pause)
                ws:send(tostring(pause))
            end })
        ]]):format(top or ""))
        return server:websocket "/"
    end

    it("begins soon while a small heap has short messages, late while they are long", function()
        local p = start()
        assert.equal("130", p:ask "?")
        local middle, long = tonumber(p:ask(("x"):rep(1000))), tonumber(p:ask(("x"):rep(10000)))
        assert.is_true(middle > 200, middle)
        assert.is_true(long > middle * 2, long)
        assert.equal("130", p:ask "?")
        p:ask "grow"
        assert.equal("200", p:ask "?")
        assert.equal("200", p:ask(("x"):rep(10000)))
        p:ask "shrink"
        assert.equal("130", p:ask "?")
    end)

    -- 16 KiB texts: a cycle leaves the app and what was made during it, and begins at 2 MiB.
    it("lets long messages be 2 MiB of garbage, time and again, and no more", function()
        server = servers.start [[
            local mw = require "moonwire"
            local most, falls, last = 0, 0, 0
            mw.ws("/", { on_message = function(ws, text)
                local kib = collectgarbage "count"
                most, falls, last = math.max(most, kib), falls + (kib < last and 1 or 0), kib
                if #text == 1 then ws:send(("%d %d"):format(most, falls)) end
            end })
        ]]
        local p = server:websocket "/"
        for i = 1, 1000 do
            p:text(("%05d"):format(i):rep(3200))
        end
        local most, falls = p:ask("?"):match "(%d+) (%d+)"
        assert.is_true(tonumber(most) > 1500 and tonumber(most) < 4096, most)
        assert.is_true(tonumber(falls) > 0)
    end)

    it("keeps the pause that the app has set, at its top level or later", function()
        local p = start [[collectgarbage("setpause", 300)]]
        assert.equal("300", p:ask "?")
        p:ask "grow"
        assert.equal("300", p:ask "?")
        p:ask "shrink"
        assert.equal("300", p:ask "?")
        server:stop()
        p = start [[mw.ws("/set", { on_message = function(ws)
            collectgarbage("setpause", 150)
            ws:send "set"
        end })]]
        assert.equal("130", p:ask "?")
        assert.equal("set", server:websocket("/set"):ask "x")
        p:ask "grow"
        assert.equal("150", p:ask "?")
    end)
end)
