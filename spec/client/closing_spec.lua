-- How a client's connection ends (RFC 6455 §7, WHATWG "the WebSocket connection is closed").

local acceptors = require "spec.support.acceptor"
local frame = require "spec.support.frame"
local socket = require "socket"

describe("A client's connection", function()
    local acceptor = acceptors.fresh()

    -- Nothing more comes, and it is not ended either.
    local function is_open(peer)
        return #socket.select({ peer.socket }, nil, 0) == 0
    end

    it("is ended by the server after the closing handshake, which the client waits for", function()
        local client = acceptor:client("/", '{ close_seconds = "1s" }', nil,
            'ws.onopen = function() ws:close(3000, "bye") end')
        local peer = acceptor:open()
        local opcode, payload = peer:hear()
        assert.equal(frame.CLOSE, opcode)
        assert.same({ 3000, "bye" }, { frame.parse_close(payload) })
        peer:say(frame.CLOSE, payload)
        local began = socket.gettime()
        client:prints "close 3000 [bye] true"
        assert.is_true(is_open(peer))
        assert.is_true(peer:is_ended()) -- by close_seconds
        assert.is_true(socket.gettime() - began > 0.8)
        client:ended()
    end)

    it("ends at once when the server does as it should", function()
        local client = acceptor:client("/", '{ close_seconds = "600s" }', nil,
            "ws.onopen = function() ws:close() end")
        local peer = acceptor:open()
        local opcode, payload = peer:hear()
        assert.equal(frame.CLOSE, opcode)
        assert.equal("", payload)
        peer:say(frame.CLOSE, "")
        peer:shutdown()
        assert.is_true(peer:is_ended())
        client:prints "close 1005 [] true"
        client:ended()
    end)

    it("answers the server's Close", function()
        local client = acceptor:client("/", '{ close_seconds = "600s" }')
        local peer = acceptor:open()
        peer:say(frame.CLOSE, frame.close(1001, "away"))
        local _, payload = peer:hear()
        assert.same({ 1001 }, { (frame.parse_close(payload)) })
        client:printed "^open"
        client:prints "close 1001 [away] true"
        peer:shutdown()
        client:ended()
    end)

    it("is CLOSING once the server has begun, and ws:close() then changes nothing", function()
        local client = acceptor:client("/", '{ close_seconds = "600s" }', nil, [[
            ws.onmessage = function()
                print "waits"
                local ok, why = pcall(mw.sleep, "1h")
                print(ok, why, ws.readyState, ws:close(4000, "late"))
                print(ws:send "in vain")
            end]])
        local peer = acceptor:open()
        peer:say(frame.TEXT, "go")
        client:printed "^open"
        client:prints "waits"
        peer:say(frame.CLOSE, frame.close(1001, "away"))
        client:prints "false\tcancelled: the connection is closed\t2\tnil\tclosed"
        client:prints "nil\tclosed"
        client:prints "close 1001 [away] true"
        local opcode, payload = peer:hear()
        assert.equal(frame.CLOSE, opcode)
        assert.equal(1001, (frame.parse_close(payload)))
        peer:shutdown()
        assert.is_true(peer:is_ended())
        client:ended()
    end)

    it("hears of no message that comes before the answer to its Close", function()
        local client = acceptor:client("/", nil, nil, "ws.onopen = function() ws:close() end")
        local peer = acceptor:open()
        assert.equal(frame.CLOSE, (peer:hear()))
        peer:send(frame.from_server(frame.TEXT, "late") .. frame.from_server(frame.CLOSE, ""))
        peer:shutdown()
        client:prints "close 1005 [] true"
        client:ended()
    end)

    it("is closed with 1006 when its Close is not answered", function()
        local client = acceptor:client("/", '{ close_seconds = "1s" }', nil,
            "ws.onopen = function() ws:close() end")
        acceptor:open()
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("is closed with 1006 when the server ends it instead of answering", function()
        local client = acceptor:client("/", nil, nil, "ws.onopen = function() ws:close() end")
        local peer = acceptor:open()
        assert.equal(frame.CLOSE, (peer:hear()))
        peer:close()
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("is given up when its ping is not answered", function()
        local client = acceptor:client("/", '{ idle_seconds = "1s", pong_seconds = "1s" }')
        local peer = acceptor:open()
        assert.equal(frame.PING, (peer:hear()))
        client:printed "^open"
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("is closed with 1001 when the process is told to end", function()
        local client = acceptor:client()
        local peer = acceptor:open()
        client:printed "^open"
        client.process:signal "TERM"
        local _, payload = peer:hear()
        assert.equal(1001, (frame.parse_close(payload)))
        peer:say(frame.CLOSE, payload)
        peer:close()
        client:printed "^close 1001"
        client:ended()
    end)

    it("fails when the process is told to end before it is open", function()
        local client = acceptor:client()
        local peer = acceptor:accept()
        peer:request()
        client.process:signal "TERM"
        client:fails "the process is ending"
        assert.is_true(peer:is_ended())

        client = acceptors.client("wss://127.0.0.1:" .. acceptor.port)
        peer = acceptor:accept()
        peer:bytes(5) -- of its ClientHello
        client.process:signal "TERM"
        client:printed "^error "
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("is left by os.exit, after what was sent", function()
        local client = acceptor:client("/", nil, nil,
            'ws.onopen = function() ws:send("last words") os.exit(3) end')
        local peer = acceptor:open()
        local _, payload = peer:hear()
        assert.equal("last words", payload)
        assert.is_true(peer:is_ended())
        client:ended(3)
    end)
end)
