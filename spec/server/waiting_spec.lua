-- Hooks that wait: only the connection that they belong to waits with them.

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
local gates = {} -- hooks that wait until somebody opens
local function wait_at(name)
    gates[name] = false
    print("waits at " .. name)
    repeat mw.sleep "1ms" until gates[name]
end
mw.get("/open/:gate", function(req)
    gates[req.params.gate] = true
    return "opened"
end)
mw.get("/counter/:name", function(req) return tostring(mw.counters()[req.params.name]) end)

mw.ws("/room/:name", {
    on_message = function(ws, data)
        if data == "wait" then
            wait_at(ws.params.name)
        end
        ws:send(data)
    end,
    on_close = function(ws, code) print("closed " .. ws.params.name .. " " .. code) end,
})
mw.ws("/few/:name", {
    limits = { waiting_messages = 4 },
    on_message = function(ws, data)
        if data == "wait" then
            wait_at(ws.params.name)
        end
        ws:send(tostring(#data))
    end,
    on_close = function(ws, code) print("closed " .. ws.params.name .. " " .. code) end,
})
mw.ws("/small/:name", {
    limits = { waiting_bytes = "100k" },
    compress = true,
    on_message = function(ws, data)
        if data == "wait" then
            wait_at(ws.params.name)
        end
        ws:send(tostring(#data))
    end,
})
mw.ws("/opens/slowly", {
    on_open = function(ws)
        wait_at "door"
        ws:send "welcome"
    end,
    on_message = function(ws, data) ws:send(data) end,
})
mw.ws("/all", { on_message = function(ws, data) -- each waits a little, the first the longest
    mw.sleep(tonumber(data) / 1000)
    ws:send(data)
end })
mw.ws("/closes", { on_message = function(ws, data)
    local ok, problem = pcall(wait_at, "close")
    print("after", ok, tostring(problem))
    print("state", ws.readyState, ws:send "x")
    ws:close(4000)
end, on_close = function(ws, code) print("closed " .. code) end })
mw.get("/slow", function()
    wait_at "page"
    return "page"
end)
mw.ws("/wrong", { on_message = function(ws)
    coroutine.wrap(function() mw.sleep(1) end)()
end })
]]

describe("A hook that waits", function()
    local server = servers.fresh(app)

    local function open(gate)
        assert.equal("opened", (server:get("/open/" .. gate)))
    end

    it("holds back its own connection's messages, which then come in order", function()
        local p = server:websocket "/room/a"
        local messages = { "wait" }
        for i = 1, 50 do
            messages[#messages + 1] = "message " .. i
        end
        for _, text in ipairs(messages) do
            p:text(text)
        end
        server:printed "^waits at a"
        p:frame(frame.PING, "not held back")
        assert.equal(frame.PONG, (p:read_frame()))
        open "a"
        for _, text in ipairs(messages) do
            assert.equal(text, p:read_text())
        end
    end)

    it("does not hold back anybody else", function()
        local a, b = server:websocket "/room/a", server:websocket "/room/b"
        a:text "wait"
        server:printed "^waits at a"
        for i = 1, 10 do
            b:text("from b " .. i)
            assert.equal("from b " .. i, b:read_text())
        end
        b:text "wait"
        server:printed "^waits at b"
        open "b"
        assert.equal("wait", b:read_text()) -- and whoever waits less is done first
        open "a"
        assert.equal("wait", a:read_text())
    end)

    it("may wait again and again; the order stays", function()
        local p = server:websocket "/all"
        local sent, wanted = {}, {}
        for i = 1, 20 do
            local ms = tostring(i % 3 * 2)
            sent[i], wanted[i] = frame.build(1, ms), ms
        end
        p:send(table.concat(sent))
        for i = 1, 20 do
            assert.equal(wanted[i], p:read_text())
        end
    end)

    it("may be one of thousands", function()
        local peers = {}
        for i = 1, 100 do
            peers[i] = server:websocket "/all"
            for _ = 1, 20 do
                peers[i]:text "2"
            end
        end
        for i = 1, 100 do
            for _ = 1, 20 do
                assert.equal("2", peers[i]:read_text())
            end
        end
    end)

    it("may be on_open: messages wait for it", function()
        local p = server:websocket "/opens/slowly"
        p:text "knock"
        server:printed "^waits at door"
        open "door"
        assert.equal("welcome", p:read_text())
        assert.equal("knock", p:read_text())
    end)

    it("may be an HTTP handler, which holds back its connection's next request", function()
        local p = server:connect()
        p:send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
            .. "GET /counter/opened HTTP/1.1\r\nHost: a\r\n\r\n")
        server:printed "^waits at page"
        open "page"
        assert.equal("page", p:response().body)
        assert.equal("0", p:response().body)
    end)

    it("is cancelled when its connection closes, and may catch it; on_close comes after", function()
        local p = server:websocket "/closes"
        p:text "x"
        server:printed "^waits at close"
        p:frame(frame.CLOSE, frame.close(3000))
        assert.equal(3000, (p:read_close())) -- the closing handshake does not wait for it
        assert.is_true(p:is_ended())
        server:printed "^after\tfalse\t.*cancelled: the connection is closed"
        server:printed "^state\t[23]\tnil\tclosed"
        server:printed "^closed 3000"
    end)

    it("and sends nothing any more, also when the Close came right behind a message", function()
        local p = server:websocket "/closes"
        p:text "x"
        server:printed "^waits at close"
        p:send(frame.build(frame.TEXT, "y") .. frame.build(frame.CLOSE, frame.close(3000)))
        assert.equal(3000, (p:read_close()))
        assert.is_true(p:is_ended())
        server:printed "^after\tfalse\t.*cancelled: the connection is closed"
        server:printed "^state\t[23]\tnil\tclosed"
        server:printed "^closed 3000"
    end)

    it("cannot wait inside a coroutine of its own", function()
        local p = server:websocket "/wrong"
        p:text "x"
        assert.equal(1011, (p:read_close()))
        server:logged "mw%.sleep cannot wait inside a coroutine of your own"
    end)

    it("does not keep the server from its end", function()
        local p = server:websocket "/room/a"
        p:text "wait"
        server:printed "^waits at a"
        server.process:signal "TERM"
        assert.equal(1001, (p:read_close()))
        p:frame(frame.CLOSE, frame.close(1001))
        assert.is_true(p:is_ended())
        p:close()
        assert.equal(0, server.process:wait().status)
    end)

    describe("with waiting_messages behind it", function()
        -- Fills what the system keeps for a connection that is not read, until it takes no more.
        local function fill(p, bytes)
            p.socket:settimeout(0.2)
            local sent = 0
            while sent < 100 * 1024 * 1024 do
                local last, why, part = p.socket:send(bytes)
                sent = sent + (last or part)
                if why then
                    return sent
                end
            end
        end

        it("is not read any more, until it is done", function()
            local p = server:websocket "/few/a"
            p:text "wait"
            server:printed "^waits at a"
            local message = frame.build(1, ("x"):rep(60000))
            local sent = fill(p, message:rep(10))
            assert.truthy(sent, "everything was read")
            -- Only those that came with the last read are beyond the limit.
            local read = tonumber((server:get "/counter/messages_in")) - 1
            assert.is_true(read >= 4 and read < 4 + 2 * 9, read .. " were read")
            open "a"
            p.socket:settimeout(10)
            local missing = #message - sent % #message
            p:send(message:sub(#message - missing + 1))
            assert.equal("4", p:read_text())
            for _ = 1, math.ceil(sent / #message) do
                assert.equal("60000", p:read_text())
            end
        end)

        it("is not read beyond waiting_bytes, however small its messages are made", function()
            local p = server:websocket("/small/a", {
                fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" },
            })
            p:text "wait"
            server:printed "^waits at a"
            local before = tonumber((server:get "/counter/messages_in"))
            local out = deflate.deflater()
            local messages = {} -- of 1 MiB each; all of them come with one read
            for i = 1, 30 do
                messages[i] = frame.build(1, out:deflate(("x"):rep(2 ^ 20)), { rsv1 = true })
            end
            p:send(table.concat(messages))
            p:frame(frame.PING, "x") -- behind them
            local read = tonumber((server:get "/counter/messages_in")) - before
            assert.is_true(read <= 2, read .. " were read")
            open "a"
            assert.equal("4", p:read_text())
            for _ = 1, 30 do
                assert.equal("1048576", p:read_text())
            end
            assert.equal(frame.PONG, (p:read_frame()))
        end)

        it("answers all that is held back before the Close behind it", function()
            local p = server:websocket("/small/a", {
                fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" },
            })
            p:text "wait"
            server:printed "^waits at a"
            local out = deflate.deflater()
            local message = function()
                return frame.build(1, out:deflate(("x"):rep(2 ^ 20)), { rsv1 = true })
            end
            p:send(message() .. message() .. message() .. frame.build(frame.CLOSE,
                frame.close(1000)))
            open "a"
            assert.equal("4", p:read_text())
            for _ = 1, 3 do
                assert.equal("1048576", p:read_text())
            end
            assert.equal(1000, (p:read_close()))
            assert.is_true(p:is_ended())
        end)

        it("is closed when it stays so and the peer goes", function()
            local p = server:websocket "/few/a"
            p:text "wait"
            server:printed "^waits at a"
            for i = 1, 10 do
                p:text("x" .. i)
            end
            p:close()
            open "a"
            server:printed "^closed a 1006"
        end)
    end)
end)
