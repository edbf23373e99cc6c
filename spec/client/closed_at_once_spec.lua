-- A server that closes a connection as soon as it is open.

local process = require "spec.support.process"
local servers = require "spec.support.server"

describe("A server that closes at once", function()
    local server = servers.shared [[
        local mw = require "moonwire"
        mw.ws("/", { on_open = function(ws) ws:close(4001, "not you") end })
        mw.ws("/bare", { on_open = function(ws) ws:close() end })
        mw.ws("/text", { on_open = function(ws) ws:send "go away" ws:close(4001, "not you") end })
    ]]

    local function run(path, code)
        local ended = process.run { "-e", ([[
            local WebSocket = require "moonwire.websocket"
            local ws = WebSocket.new "ws://127.0.0.1:%d%s"
            %s
        ]]):format(server.port, path, code) }
        assert.equal("", ended.err)
        return ended.out
    end

    it("lets who waits for the opening know its code and reason", function()
        assert.equal("nil\t4001\tnot you\n", run("/", "print(ws:opened())"))
        assert.equal("nil\t1005\t\n", run("/bare", "print(ws:opened())"))
    end)

    it("lets it know later too", function()
        assert.equal("3\tnil\t4001\tnot you\n", run("/", [[
            require("moonwire").await(function(resume) ws.onclose = resume end)
            print(ws.readyState, ws:opened())
        ]]))
    end)

    it("is open for who has messages to read", function()
        assert.equal("true\ngo away\tfalse\nnil\tclosed\t4001\tnot you\n"
            .. "nil\t4001\tnot you\n", run("/text", [[
            print(ws:opened())
            print(ws:receive())
            print(ws:receive())
            print(ws:opened())
        ]]))
    end)

    it("is not open when it could not be reached", function()
        local ended = process.run { "-e", [[
            local WebSocket = require "moonwire.websocket"
            print(WebSocket.new("ws://127.0.0.1:1/"):opened())
        ]] }
        assert.matches("^nil\t.*Connection refused\n$", ended.out)
    end)
end)
