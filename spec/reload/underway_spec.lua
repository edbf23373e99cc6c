-- What is under way when the app is loaded again: requests half read or half answered, handshakes
-- that the script thinks about, on routes that stay and on routes that are gone.

local servers = require "spec.support.server"

local function app(name, routes)
    return ([[
        local mw = require "moonwire"
        local name = %q
        local function decide(req)
            mw.log.info("asked " .. name)
            mw.sleep "150ms"
            return { by = name }
        end
        local function say(ws, data)
            ws:send(("%%s %%s %%s"):format(name, ws.state.by, ws.protocol))
        end
        local function echo(req)
            if req.query.wait then mw.log.info("asked " .. name) mw.sleep "150ms" end
            return ("%%s %%s"):format(name, req.body or "")
        end
        mw.get("/here", function() return name end)
        %s
    ]]):format(name, routes or "")
end

local both = [[
    mw.ws("/chat/:room", { on_upgrade = decide, on_message = say, protocols = { "old", "both" } })
    mw.post("/echo", echo)
]]

describe("while the app is loaded again", function()
    local server = servers.fresh(app("one", both))

    -- An upgrade that the script thinks about while routes are loaded.
    local function upgrade_across(routes)
        local peer = assert(server:connect())
        peer:send(require("spec.support.peer").upgrade_request("/chat/a",
            { ["Sec-WebSocket-Protocol"] = "old" }))
        assert.equal("one", server:logged "asked (%w+)")
        server:reload(app("two", routes))
        local r = assert(peer:response())
        assert.equal(101, r.status)
        assert.equal("old", r.headers["sec-websocket-protocol"])
        return peer
    end

    it("a handshake is accepted as it began, and the next event is the new code's", function()
        local peer = upgrade_across((both:gsub('"old", ', '"new", ')))
        peer:text "x"
        assert.equal("two one old", peer:read_text())
    end)

    it("a handshake for a route that is gone is accepted, and closed with 1012", function()
        local peer = upgrade_across ""
        assert.equal(1012, (peer:read_close()))
    end)

    local head = "POST /echo%s HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"

    it("a request that is half read goes to the new code", function()
        local peer = assert(server:connect())
        peer:send(head:format "" .. "01234")
        server:get "/here" -- the first half was read by then
        server:reload(app("two", "mw.get('/first', print) " .. both))
        peer:send "56789"
        assert.equal("two 0123456789", assert(peer:response()).body)
    end)

    it("a request that is half read for a route that is gone is answered by the old one", function()
        local peer = assert(server:connect())
        peer:send(head:format "" .. "01234")
        server:get "/here"
        server:reload(app "two")
        -- And again: it is kept as long as it takes.
        server:reload(app "three")
        peer:send "56789"
        assert.equal("one 0123456789", assert(peer:response()).body)
        peer:send(head:format "" .. "0123456789")
        assert.equal(404, assert(peer:response()).status)
    end)

    it("a handler that waits answers, also when its route is gone", function()
        local peer = assert(server:connect())
        peer:send(head:format "?wait=1" .. "0123456789")
        assert.equal("one", server:logged "asked (%w+)")
        server:reload(app "two")
        assert.equal("one 0123456789", assert(peer:response()).body)
    end)

    it("a client that leaves meanwhile is no trouble", function()
        for _ = 1, 5 do
            local peer = assert(server:connect())
            peer:send(head:format "?wait=1" .. "0123456789")
            server:logged "asked (%w+)"
            local other = assert(server:connect())
            other:send(require("spec.support.peer").upgrade_request "/chat/a")
            server:logged "asked (%w+)"
            server:reload(app "two")
            peer:reset()
            other:reset()
            server:reload(app("one", both))
        end
        assert.equal("one", (server:get "/here"))
    end)
end)
