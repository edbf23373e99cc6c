-- The opening handshake with the real binary (RFC 6455 §4).

local frame = require "spec.support.frame"
local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.ws("/echo", { on_message = function(ws, data) ws:send(data) end })
mw.ws("/chat", {
    protocols = { "v2.chat", "chat" },
    on_open = function(ws) ws:send(ws.protocol) end,
})
mw.ws("/list", { origins = { "https://example.com", "http://localhost:3000" } })
mw.ws("/labels", { origins = { "https://*.example.com" } })
mw.ws("/any", { origins = "*" })
mw.get("/page", function() return "a page" end)
]]

local key = "dGhlIHNhbXBsZSBub25jZQ=="

describe("The opening handshake", function()
    local server = servers.shared(app)

    -- The answer to a request that is not to become a WebSocket.
    local function answer(path, fields, line)
        local p = server:connect()
        p:send(peer.upgrade_request(path, fields, line))
        local r = assert(p:response())
        p:close()
        return r
    end

    local function refused(status, path, fields, line)
        local r = answer(path, fields, line)
        assert.equal(status, r.status, r.head)
        assert.is_nil(r.headers["sec-websocket-accept"])
        return r
    end

    local function accepted(path, fields)
        local p, status, r = server:websocket(path, { fields = fields })
        assert.truthy(p, ("%s: %s"):format(status, r and r.body))
        return p, p.response_101.headers
    end

    describe("(§4.2.2) is answered", function()
        it("with 101, the upgrade and the key's answer, and nothing that was not agreed", function()
            local _, headers = accepted "/echo"
            assert.equal("websocket", headers.upgrade:lower())
            assert.equal("upgrade", headers.connection:lower())
            assert.equal(peer.accept, headers["sec-websocket-accept"])
            assert.is_nil(headers["sec-websocket-protocol"])
            assert.is_nil(headers["sec-websocket-extensions"])
            assert.is_nil(headers["content-length"])
        end)

        it("the same when its bytes come one by one", function()
            local p = server:connect()
            p:trickle(peer.upgrade_request "/echo")
            assert.equal(101, p:response().status)
            p:text "hello"
            assert.equal("hello", p:read_text())
        end)

        it("and frames in the same packet as the request are read", function()
            local p = server:connect()
            p:send(peer.upgrade_request "/echo" .. frame.build(1, "one") .. frame.build(1, "two")
                .. frame.build(1, "three"):sub(1, 8))
            assert.equal(101, p:response().status)
            assert.equal("one", p:read_text())
            assert.equal("two", p:read_text())
            p:send(frame.build(1, "three"):sub(9))
            assert.equal("three", p:read_text())
        end)

        it("after other requests on the same connection", function()
            local p = server:connect()
            p:send("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n" .. peer.upgrade_request "/echo")
            assert.equal("a page", p:response().body)
            assert.equal(101, p:response().status)
        end)
    end)

    describe("(§4.2.1)", function()
        it("1: is a GET, or gets 405", function()
            assert.equal("GET", refused(405, "/echo", {}, "DELETE /echo HTTP/1.1").headers.allow)
        end)

        it("1: is of HTTP/1.1 at least, or its Upgrade is ignored (RFC 9110 §7.8)", function()
            refused(426, "/echo", {}, "GET /echo HTTP/1.0")
        end)

        it("carries no body, or gets 400 and the connection's end", function()
            local p = server:connect()
            p:send(peer.upgrade_request("/echo", { ["Content-Length"] = "3" }) .. "abc")
            assert.equal(400, p:response().status)
            assert.is_true(p:is_ended())
        end)

        it("2: names a Host, or gets 400", function()
            refused(400, "/echo", { Host = false })
            refused(400, "/echo", { Host = { "localhost", "localhost" } })
        end)

        it("3: asks for an Upgrade to websocket, or gets 426 that says so", function()
            for _, upgrade in ipairs { false, "h2c", "websocketx" } do
                local r = refused(426, "/echo", { Upgrade = upgrade })
                assert.equal("websocket", r.headers.upgrade)
                assert.equal("Upgrade", r.headers.connection:match "%u%a+")
                assert.equal("13", r.headers["sec-websocket-version"])
            end
            accepted("/echo", { Upgrade = "WebSocket" })
            accepted("/echo", { Upgrade = "h2c, websocket" })
        end)

        it("4: says so in Connection, or its Upgrade is ignored (RFC 9110 §7.8)", function()
            refused(426, "/echo", { Connection = false })
            refused(426, "/echo", { Connection = "keep-alive" })
            accepted("/echo", { Connection = "keep-alive, Upgrade" })
            accepted("/echo", { Connection = { "keep-alive", "upgrade" } })
        end)

        it("5: has one key of 16 bytes in base64, or gets 400", function()
            refused(400, "/echo", { ["Sec-WebSocket-Key"] = false })
            for _, bad in ipairs {
                "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ!==",
                "dGhlIHNhbXBsZSBub25jZTEy", "c2hvcnQ=",
            } do
                refused(400, "/echo", { ["Sec-WebSocket-Key"] = bad })
            end
            refused(400, "/echo", { ["Sec-WebSocket-Key"] = { key, key } })
        end)

        it("6: is of version 13, or gets 426 with that number", function()
            for _, version in ipairs { false, "8", "12", "14", "013", "13, 8" } do
                local r = refused(426, "/echo", { ["Sec-WebSocket-Version"] = version })
                assert.equal("13", r.headers["sec-websocket-version"])
            end
            refused(400, "/echo", { ["Sec-WebSocket-Version"] = { "13", "13" } })
        end)

        it("8: lists subprotocols that are tokens, each once, or gets 400", function()
            for _, bad in ipairs { "", "a b", "chat, chat", "chat/2", "\"chat\"" } do
                refused(400, "/chat", { ["Sec-WebSocket-Protocol"] = bad })
            end
        end)

        it("9: lists extensions as the grammar has it, or gets 400", function()
            for _, bad in ipairs { "permessage-deflate;", "=", "a b", "x; y=\"" } do
                refused(400, "/echo", { ["Sec-WebSocket-Extensions"] = bad })
            end
            local _, headers = accepted("/echo", {
                ["Sec-WebSocket-Extensions"] = "x-unknown; a=1",
            })
            assert.is_nil(headers["sec-websocket-extensions"])
        end)
    end)

    it("gets 404 where no route is, and for a page that is no WebSocket", function()
        refused(404, "/nowhere")
        assert.equal("a page", answer("/page").body)
    end)

    it("is possible on a connection whose request before it was none", function()
        local p = server:connect()
        p:send(peer.upgrade_request("/nowhere", { Upgrade = false, Connection = false }))
        assert.equal(404, p:response().status)
        p:send(peer.upgrade_request("/echo"))
        assert.equal(101, p:response().status)
    end)

    describe("chooses of the subprotocols (§4.2.2, §1.9)", function()
        local function chosen(offer)
            local p, headers = accepted("/chat", { ["Sec-WebSocket-Protocol"] = offer })
            assert.equal(headers["sec-websocket-protocol"] or "", p:read_text())
            return headers["sec-websocket-protocol"]
        end

        it("the route's first that the client names", function()
            assert.equal("chat", chosen "chat")
            assert.equal("v2.chat", chosen "chat, v2.chat")
            assert.equal("v2.chat", chosen { "other, chat", "v2.chat" })
        end)

        it("none when they have none in common", function()
            assert.is_nil(chosen "other")
            assert.is_nil(chosen "Chat")
            assert.is_nil(chosen(nil))
        end)
    end)

    describe("looks at the Origin (§4.2.1 item 7, §10.2)", function()
        it("which is the request's own host when the route says nothing", function()
            local host = "localhost:" .. server.port
            accepted("/echo", { Host = host, Origin = "http://" .. host })
            accepted("/echo", { Host = "a.example", Origin = "http://a.example:80" })
            accepted("/echo", { Host = "A.example", Origin = "http://a.EXAMPLE" })
            accepted "/echo" -- a client that is no browser
            for _, origin in ipairs {
                "http://evil.example", "https://" .. host, "http://localhost", "null", "",
                "http://" .. host .. ".evil.example", "http://x." .. host,
            } do
                refused(403, "/echo", { Host = host, Origin = origin })
            end
            refused(400, "/echo", { Host = host, Origin = { "http://" .. host, "http://x" } })
        end)

        it("which is one of the route's list", function()
            accepted("/list", { Origin = "https://example.com" })
            accepted("/list", { Origin = "https://example.com:443" })
            accepted("/list", { Origin = "http://localhost:3000" })
            for _, origin in ipairs {
                "http://example.com", "https://www.example.com", "http://localhost:3001",
                "http://localhost", "null",
            } do
                refused(403, "/list", { Origin = origin })
            end
        end)

        it("which has one label where the route's list has an asterisk", function()
            accepted("/labels", { Origin = "https://shop.example.com" })
            accepted("/labels", { Origin = "https://Blog.Example.com:443" })
            for _, origin in ipairs { "https://example.com", "https://a.b.example.com",
                "http://shop.example.com", "https://shopexample.com", "https://evil.com" } do
                refused(403, "/labels", { Origin = origin })
            end
        end)

        it("which is any where the route says \"*\"", function()
            accepted("/any", { Origin = "https://anything.example:1234" })
            accepted("/any", { Origin = "null" })
        end)
    end)
end)

describe("A refused Origin", function()
    local server

    after_each(function()
        server:stop()
    end)

    local function refused(path, origin, host)
        local p = server:connect()
        p:send(peer.upgrade_request(path, { Origin = origin, Host = host }))
        local r = assert(p:response())
        assert.equal(403, r.status)
        return r.body
    end

    it("is in the log, once a minute, with its Host and what to write", function()
        server = servers.start(app)
        assert.equal("this Origin may not connect here\n",
            refused("/echo", "http://localhost:5173", "localhost:8080"))
        server:logged('info  127%.0%.0%.1: /echo: Origin http://localhost:5173 may '
            .. 'not connect here %(Host localhost:8080%): to let it in, write origins = '
            .. '{ "http://localhost:5173", "http://localhost:8080" } among the options '
            .. 'of mw%.ws%("/echo"%)$')
        refused("/echo", "http://evil.example", "localhost:8080")
        refused("/list", "null", "localhost")
        assert.is_nil(server:stop():find("evil.example", 1, true))
    end)

    it("is in the log once, whichever worker has refused it", function()
        server = servers.start(app, { arguments = { "--workers", "4" } })
        for _ = 1, 12 do
            refused("/echo", "http://localhost:5173", "localhost:8080")
        end
        local _, count = server:stop():gsub("may not connect here", "")
        assert.equal(1, count)
    end)

    it("has its advice for each kind of route and Origin, in the body in watch mode", function()
        for _, case in ipairs {
            { "/list", "https://a.example", 'to let it in, add "https://a.example" to the origins '
                .. 'of mw.ws("/list")' },
            { "/echo", "null", 'write origins = { "null", "http://localhost" }' },
            { "/echo", "what", "no page has such an Origin" },
            { "/echo", "http://" .. ("x"):rep(5000), "no page has such an Origin" },
            { "/echo", "https://localhost",
                'origins = { "https://localhost", "http://localhost" }' },
        } do
            server = servers.start(app, { arguments = { "--watch" } })
            local body = refused(case[1], case[2], "localhost")
            assert.matches(case[3], body, 1, true)
            assert.is_true(#body < 800)
            assert.equal(body:sub(1, -2), (server:logged "info  127%.0%.0%.1: (/%a+: Origin .*)"))
            server:stop()
        end
    end)

    it("is named with what else is refused, however odd its Host is", function()
        server = servers.start(app, { arguments = { "--watch" } })
        assert.matches('origins = { "http://a.example" } among',
            refused("/echo", "http://a.example", ("h"):rep(300) .. ".localhost"), 1, true)
    end)
end)
