-- on_upgrade: the app's word in the opening handshake (RFC 6455 §4.2.2).

local frame = require "spec.support.frame"
local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
local opened = 0

local door = mw.ws "/door/:room"
function door.on_upgrade(req)
    if not req.query.user then
        return req:reject(401, "say who you are", { ["WWW-Authenticate"] = "Bearer" })
    end
    req:set_header("Set-Cookie", "a=1; HttpOnly")
    req:set_header("Set-Cookie", "b=2")
    return {
        user = req.query.user, room = req.params.room, cookie = req.cookies.session,
        agent = req.headers["user-agent"], address = req.remote_address, path = req.path,
        method = req.method, secure = req.secure,
    }
end
function door.on_open(ws)
    opened = opened + 1
    ws:send(mw.json.encode(ws.state))
end

mw.get("/opened", function() return tostring(opened) end)

mw.ws("/string", {
    on_upgrade = function() return "any value" end,
    on_open = function(ws) ws:send(ws.state) end,
})
mw.ws("/none", {
    on_upgrade = function() end,
    on_message = function(ws, data) ws:send(data .. tostring(ws.state)) end,
})
mw.ws("/false", { on_upgrade = function() return false end })
for name, results in pairs {
    number = { 401 }, idiom = { nil, "bad token" }, many = { {}, "extra" }, called = { true, "x" },
    code = { print }, counted = { ("a b"):gsub(" ", "") },
    third = { nil, nil, "expired" }, behind = { {}, nil, nil, false },
} do
    mw.ws("/meant/" .. name, {
        on_upgrade = function() return unpack(results, 1, 4) end, -- the line that the log names
        on_open = function() opened = opened + 1 end,
    })
end
mw.ws("/true", { on_upgrade = function() return true, nil end,
    on_open = function(ws) ws:send(tostring(ws.state)) end })
mw.ws("/false-and-why", { on_upgrade = function() return false, "why" end })
mw.ws("/rejected-and", { on_upgrade = function(req) return req:reject(401), 5 end })
mw.ws("/away", { on_upgrade = function(req)
    return req:reject(302, nil, { Location = "/elsewhere" })
end })
mw.ws("/raises", { on_upgrade = function() error "nobody should read this" end })
mw.ws("/bad-header", { on_upgrade = function(req)
    req:set_header("X-A", "a\r\nX-Forged: 1")
end })
mw.ws("/own-header", { on_upgrade = function(req)
    req:set_header("Sec-WebSocket-Accept", "mine")
end })
mw.ws("/protocol", {
    on_upgrade = function(req)
        req.protocol = req.query.want or req.protocols[#req.protocols]
    end,
    on_open = function(ws) ws:send(ws.protocol) end,
})
mw.ws("/waits", {
    on_upgrade = function(req)
        print "waiting"
        local ok, problem = pcall(mw.sleep, "20ms")
        print(ok and "waited" or problem)
        if not ok then
            error(problem, 0)
        end
        if req.query.no then
            return req:reject(403, "no")
        end
        return { text = req.query.text, agent = req.headers["user-agent"] }
    end,
    on_open = function(ws)
        opened = opened + 1
        ws:send(ws.state.text .. ws.state.agent)
    end,
    on_close = function(ws, code, reason, was_clean) print("closed", code, was_clean) end,
    on_message = function(ws, data) ws:send(data) end,
})
]]

describe("on_upgrade", function()
    local server = servers.fresh(app)

    local function refused(path, fields)
        local p, status, r = server:websocket(path, { fields = fields })
        assert.is_nil(p)
        return status, r
    end

    it("sees the request, returns the state and adds headers to the 101", function()
        local p = server:websocket("/door/the%20hall?user=Eve%26co", {
            fields = { Cookie = "x=1; session=abc", ["User-Agent"] = "spec" },
        })
        assert.equal("a=1; HttpOnly\nb=2", p.response_101.headers["set-cookie"])
        assert.same({
            user = "Eve&co", room = "the hall", cookie = "abc", agent = "spec",
            address = "127.0.0.1", path = "/door/the hall", method = "GET", secure = false,
        }, require("cjson").decode(p:read_text()))
    end)

    it("returns any value as the state, or none", function()
        assert.equal("any value", server:websocket("/string"):read_text())
        local p = server:websocket "/none"
        p:text "state: "
        assert.equal("state: nil", p:read_text())
    end)

    it("refuses with a status, a text and headers, and nothing is opened", function()
        local status, r = refused "/door/hall"
        assert.equal(401, status)
        assert.equal("say who you are", r.body)
        assert.equal("Bearer", r.headers["www-authenticate"])
        assert.equal("text/plain; charset=utf-8", r.headers["content-type"])
        assert.equal("0", (server:get "/opened"))
        status, r = refused "/away"
        assert.equal(302, status)
        assert.equal("/elsewhere", r.headers.location)
    end)

    it("refuses with 403 when it returns false", function()
        assert.equal(403, (refused "/false"))
    end)

    it("lets nobody in when it returns what is neither a state nor a refusal", function()
        local line
        local number = 0
        for text in app:gmatch "([^\n]*)\n" do
            number = number + 1
            line = line or text:find "the line that the log names" and number
        end
        for name, got in pairs {
            number = "401", idiom = "more than one value %(nil and string%)", code = "a function",
            many = "more than one value %(table and string%)",
            called = "more than one value %(boolean and string%)",
            counted = "more than one value %(string and number%)",
            third = "more than one value %(nil and string%)",
            behind = "more than one value %(table and boolean%)",
        } do
            assert.equal(500, (refused("/meant/" .. name)))
            server:logged(("on_upgrade of /meant/%s failed: [^ ]*app%%.lua:%d: it returned %s: "
                .. "to refuse, return req:reject"):format(name, line, got))
        end
        assert.equal("0", (server:get "/opened"))
    end)

    it("takes true as the state, and a refusal whatever stands behind it", function()
        assert.equal("true", server:websocket("/true"):read_text())
        assert.equal(403, (refused "/false-and-why"))
        assert.equal(401, (refused "/rejected-and"))
    end)

    it("is asked only after all checks of the server's own", function()
        local status = refused("/waits", { Origin = "http://evil.example" })
        assert.equal(403, status)
        status = refused("/waits", { ["Sec-WebSocket-Key"] = "short" })
        assert.equal(400, status)
        local _, out = server:stop()
        assert.is_nil(out:find "waiting")
    end)

    it("that raises is a 500 that tells the peer nothing, and the log the line", function()
        local status, r = refused "/raises"
        assert.equal(500, status)
        assert.is_nil(r.body:find "nobody")
        server:logged "error on_upgrade of /raises failed: .-app%.lua:%d+: nobody should read this"
    end)

    it("cannot forge headers nor replace those of the handshake", function()
        for _, path in ipairs { "/bad-header", "/own-header" } do
            local status, r = refused(path)
            assert.equal(500, status)
            assert.is_nil(r.headers["x-forged"])
            server:logged("set_header: the header")
        end
    end)

    describe("chooses a subprotocol", function()
        local offer = { ["Sec-WebSocket-Protocol"] = "one, two" }

        it("of those that the client offers", function()
            local p = server:websocket("/protocol", { fields = offer })
            assert.equal("two", p.response_101.headers["sec-websocket-protocol"])
            assert.equal("two", p:read_text())
        end)

        it("and no other (§4.1)", function()
            assert.equal(500, (refused("/protocol?want=three", offer)))
            server:logged "req%.protocol is \"three\", which the client did not offer"
        end)
    end)

    describe("that waits", function()
        it("holds the 101 back, and knows its request afterwards", function()
            local p = server:connect()
            p:send(peer.upgrade_request("/waits?text=hello%20", { ["User-Agent"] = "spec" }))
            server:printed "^waiting"
            assert.equal(101, p:response().status)
            server:printed "^waited"
            assert.equal("hello spec", p:read_text())
        end)

        it("keeps what the client sent right behind its request", function()
            local p = server:connect()
            p:send(peer.upgrade_request("/waits?text=a", { ["User-Agent"] = "b" })
                .. frame.build(1, "one") .. frame.build(1, "two"))
            server:printed "^waiting"
            p:trickle(frame.build(1, "three"))
            assert.equal(101, p:response().status)
            assert.equal("ab", p:read_text())
            for _, text in ipairs { "one", "two", "three" } do
                assert.equal(text, p:read_text())
            end
        end)

        it("may refuse", function()
            assert.equal(403, (refused "/waits?no=1"))
        end)

        it("does not hold others back", function()
            local p = server:connect()
            p:send(peer.upgrade_request("/waits?text=a", { ["User-Agent"] = "b" }))
            server:printed "^waiting"
            assert.equal("any value", server:websocket("/string"):read_text())
            assert.equal(101, p:response().status)
        end)

        it("opens what is closed at once when the client is gone meanwhile (1006)", function()
            local p = server:connect()
            p:send(peer.upgrade_request("/waits?text=a", { ["User-Agent"] = "b" }))
            server:printed "^waiting"
            p:close()
            server:printed "^waited"
            server:printed "^closed\t1006\tfalse"
            assert.equal("1", (server:get "/opened"))
        end)

        it("opens nothing when the client has reset the connection meanwhile", function()
            local p = server:connect()
            p:send(peer.upgrade_request "/waits?text=a")
            server:printed "^waiting"
            p:reset()
            server:printed "cancelled"
            assert.equal("0", (server:get "/opened"))
        end)
    end)
end)
