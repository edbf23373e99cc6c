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

    it("begins early while heap and messages are small, else as LuaJIT does", function()
        local p = start()
        assert.equal("130", p:ask "?")
        assert.equal("200", p:ask(("x"):rep(5000)))
        assert.equal("130", p:ask "?")
        p:ask "grow"
        assert.equal("200", p:ask "?")
        p:ask "shrink"
        assert.equal("130", p:ask "?")
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
