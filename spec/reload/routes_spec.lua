-- What open connections have from their route: they follow it from generation to generation, and
-- are closed one after another when it is gone.

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"
local socket = require "socket"

local function app(name, settings, more)
    return ([[
        local mw = require "moonwire"
        mw.limits { drain_seconds = 1 }
        local talk = mw.ws("/talk", { %s })
        function talk.on_open(ws) ws:subscribe "all" end
        function talk.on_message(ws, data)
            if data == "mine" then ws.binaryType = "buffer" end
            ws:send(%q .. " " .. type(data) .. " " .. ws.binaryType)
        end
        mw.get("/publish", function() mw.publish("all", ("news "):rep(100)) return "done" end)
        %s
    ]]):format(settings or "", name, more or "")
end

describe("an open connection", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("has the binaryType of its route, but where it has chosen its own", function()
        server = servers.start(app "one")
        local peer, own = assert(server:websocket "/talk"), assert(server:websocket "/talk")
        own:text "mine"
        assert.equal("one string buffer", own:read_text())
        local function says(one)
            one:frame(frame.BINARY, "x")
            return one:read_text()
        end
        assert.equal("one string string", says(peer))
        server:reload(app("two", 'binaryType = "buffer"'))
        assert.equal("two cdata buffer", says(peer))
        assert.equal("two cdata buffer", says(own))
        server:reload(app "three")
        assert.equal("three string string", says(peer))
        assert.equal("three cdata buffer", says(own))
    end)

    local offer = { fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } }
    local long = [[ws:send(require("string").rep(data, 3))]]

    local function echo(settings)
        return app("x", settings, ("function talk.on_message(ws, data) %s end"):format(long))
    end

    -- Text that levels make a difference to.
    local function text()
        local words, seed = {}, 7
        for i = 1, 2000 do
            seed = (seed * 1103515245 + 12345) % 2147483648
            words[i] = ("w%d"):format(math.floor(seed / 65536) % 300)
        end
        return table.concat(words, " ")
    end

    it("compresses as its route says, with an empty window when that has changed", function()
        server = servers.start(echo "compress = { server_max_window_bits = 15, level = 1 }")
        local peer = assert(server:websocket("/talk", offer))
        local window, said = deflate.inflater(), text()
        local function frame_of(one, by)
            one:text(said)
            local _, payload, f = one:read_frame()
            assert.is_true(f.rsv1)
            assert.equal(said:rep(3), by:inflate(payload))
            return #payload
        end
        local fast = frame_of(peer, window)
        -- The window that both sides have makes the second one short.
        assert.is_true(frame_of(peer, window) < fast / 2)
        server:reload(echo "compress = { server_max_window_bits = 15, level = 9 }")
        local best = frame_of(peer, window)
        local new = assert(server:websocket("/talk", offer))
        assert.equal(frame_of(new, deflate.inflater()), best)
        assert.is_true(best < fast, ("%d is not less than %d"):format(best, fast))
        server:reload(echo [[compress = { server_max_window_bits = 15, level = 9,
            memory_level = 1 }]])
        assert.is_true(frame_of(peer, window) > best)
        server:reload(echo "compress = { min_bytes = '1M' }")
        peer:text "short"
        assert.equal("shortshortshort", peer:read_text())
    end)

    it("is sent and published to uncompressed when its route does not compress any more", function()
        server = servers.start(app("one", "compress = { min_bytes = 0 }"))
        local peer, window = assert(server:websocket("/talk", offer)), deflate.inflater()
        local function published()
            assert.equal("done", (server:get "/publish"))
            local _, payload, f = peer:read_frame()
            assert.equal(("news "):rep(100), f.rsv1 and window:inflate(payload) or payload)
            return f.rsv1
        end
        local function said()
            peer:text "x"
            local _, payload, f = peer:read_frame()
            return f.rsv1 and window:inflate(payload) or payload, f.rsv1
        end
        assert.is_true(published())
        assert.same({ "one string string", true }, { said() })
        server:reload(app "two")
        assert.is_false(published())
        assert.same({ "two string string", false }, { said() })
        server:reload(app("three", "compress = { min_bytes = 0 }"))
        assert.is_true(published())
        assert.same({ "three string string", true }, { said() })
    end)

    it("has the limits of its route", function()
        server = servers.start(app "one")
        local peer, talks = assert(server:websocket "/talk"), assert(server:websocket "/talk")
        server:reload(app("two", "limits = { message_bytes = 10, messages_per_second = 1 }"))
        peer:text(("x"):rep(11))
        assert.equal(1009, (peer:read_close()))
        talks:text "a"
        talks:text "b"
        talks:text "c"
        local opcode, payload
        repeat
            opcode, payload = talks:read_frame()
        until opcode ~= frame.TEXT
        assert.equal(1008, (frame.parse_close(payload)))
    end)

    it("is pinged when it has been silent for as long as its route says now", function()
        for _, before in ipairs { "'1h'", "0" } do
            server = servers.start(app("one", ("limits = { idle_seconds = %s }"):format(before)))
            local peer = assert(server:websocket "/talk")
            server:reload(app("two", "limits = { idle_seconds = 1 }"))
            assert.equal(frame.PING, (peer:read_frame()))
            server:stop()
        end
    end)

    it("of an eager route is told once, however many there are", function()
        local count = 450
        local source = app("one", 'reload = "eager"', [[
            function talk.on_reload(ws, from, to) ws:send(from .. " to " .. to) end
        ]])
        server = servers.start(source)
        local peers = {}
        for i = 1, count do
            peers[i] = assert(server:websocket "/talk")
        end
        server:reload()
        for i = 1, count do
            assert.equal("1 to 2", peers[i]:read_text())
            peers[i]:text "x"
            assert.equal("one string string", peers[i]:read_text())
        end
    end)
end)

describe("the connections of a route that is gone", function()
    local server, peers
    local COUNT = 60
    local other = [[mw.ws("/other", { on_message = function(ws, data) ws:send(data) end })]]

    before_each(function()
        server = servers.start(app("one", nil, other))
        peers = {}
        for i = 1, COUNT do
            peers[i] = assert(server:websocket "/talk")
        end
    end)

    after_each(function()
        server:stop()
    end)

    local function without()
        return (app("two", nil, other):gsub('mw.ws%("/talk", {  }%)', "{}"))
    end

    it("are closed over drain_seconds, and served as before meanwhile", function()
        local last = peers[COUNT]
        server:reload(without())
        local began = socket.gettime()
        last:text "x"
        assert.equal("one string string", last:read_text())
        for _, peer in ipairs(peers) do
            local code, reason = peer:read_close()
            assert.equal(1012, code)
            assert.equal("this address is not served any more", reason)
        end
        local seconds = socket.gettime() - began
        assert.is_true(seconds > 0.4, ("all were closed within %.3f s"):format(seconds))
        local peer = assert(server:websocket "/other")
        peer:text "x"
        assert.equal("x", peer:read_text())
        assert.equal(404, (select(2, server:websocket "/talk")))
    end)

    it("stay when the route comes back", function()
        local last = peers[COUNT]
        server:reload(without())
        server:reload(app("three", nil, other))
        last:text "x"
        assert.equal("three string string", last:read_text())
        assert.equal(1012, (peers[1]:read_close()))
    end)

    it("are closed soon in a storm of reloads too", function()
        local done = false
        server:edit(without())
        for i = 1, 400 do
            server:reload()
            peers[COUNT]:text "x"
            local opcode, payload = peers[COUNT]:read_frame()
            if opcode == frame.CLOSE then
                assert.equal(1012, (frame.parse_close(payload)))
                done = i
                break
            end
        end
        assert.is_truthy(done)
    end)
end)
