-- Connections that an app has opened (WebSocket.new), across reloads.

local servers = require "spec.support.server"

describe("across a reload a connection", function()
    local target, server

    before_each(function()
        target = servers.start [[
            local mw = require "moonwire"
            mw.ws("/", {
                on_open = function(ws) print("opened by " .. ws.query.by) end,
                on_message = function(ws, data) print(data .. " from " .. ws.query.by) end,
                on_close = function(ws, code) print(ws.query.by .. " closed with " .. code) end,
            })
        ]]
    end)

    after_each(function()
        server:stop()
        target:stop()
    end)

    local function source(name, more)
        return ([[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local function connect()
                local ws = WebSocket.new "ws://127.0.0.1:%d/?by=%s"
                ws.onopen = function() print "%s is open" end
                ws.onclose = function(event) print("%s heard " .. event.code) end
                return ws
            end
            mw.get("/", function() return "served" end)
            %s
        ]]):format(target.port, name, name, name, more)
    end

    local ways = {
        ["that a task of the top level has opened"] = "mw.spawn(connect)",
        ["that a timer has opened"] = "mw.after('1ms', connect)",
        ["that a listener of another has opened"] =
            "mw.spawn(function() WebSocket.new('ws://127.0.0.1:1/').onclose = connect end)",
        ["that is opened again when it could not be"] = [[
            mw.spawn(function()
                WebSocket.new("ws://127.0.0.1:1/").onerror = function() mw.after("1ms", connect) end
            end)]],
    }
    for title, way in pairs(ways) do
        it(title .. " is closed, and the old code hears nothing of it", function()
            server = servers.start(source("one", way))
            server:printed "one is open"
            server:reload(source("two", way))
            target.process:shows("one closed with 1001", "out")
            target.process:shows("opened by two", "out")
            local _, out = server:stop()
            assert.is_nil(out:find("one heard", 1, true))
        end)
    end

    local lasting = {
        ["that mw.keep holds"] = "mw.spawn(function() mw.keep('feed', connect):opened() end)",
        ["that a handler has opened"] = "mw.get('/go', function() connect() return 'ok' end)",
    }
    for title, way in pairs(lasting) do
        it(title .. " stays open", function()
            server = servers.start(source("one", way))
            server:get "/go"
            server:printed "one is open"
            server:reload(source("two", "mw.spawn(connect)"))
            server:printed "two is open"
            server:reload(source("three", "mw.spawn(connect)"))
            target.process:shows("two closed with 1001", "out")
            target.process:shows("opened by three", "out")
            assert.is_nil(target.process.out:find("one closed", 1, true))
        end)
    end

    it("is closed while the old code waits for its messages", function()
        server = servers.start(source("one", [[mw.spawn(function()
            local ws = connect()
            ws:opened()
            ws:receive()
        end)]]))
        server:printed "one is open"
        server:reload(source("two", ""))
        target.process:shows("one closed with 1001", "out")
    end)
end)
