-- HTTP connections: how long they live, and many requests on one (RFC 9112 §9).

local frame = require "spec.support.frame"
local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { keep_alive_seconds = 1, handshake_seconds = 1, request_seconds = 1, close_seconds = 1 }
mw.get("/", function() return "hello" end)
mw.get("/n/:n", function(req) return req.params.n end)
mw.post("/echo", function(req) return req.body end)
mw.get("/wait", function() mw.sleep("50ms") return "waited" end)
mw.get("/much", function() return ("x"):rep(8 * 1024 * 1024) end)
mw.ws("/chat", { on_message = function(ws, data) ws:send("echo " .. data) end })
mw.ws("/asks", {
    on_upgrade = function() mw.sleep("50ms") end,
    on_message = function(ws, data) ws:send("echo " .. data) end,
})
mw.get("/counters", function() return mw.counters() end)
]]

describe("an HTTP connection", function()
    local server = servers.shared(app)
    local p

    before_each(function()
        p = assert(peer.connect(server.port))
    end)

    after_each(function()
        p:close()
    end)

    local function get(path, fields)
        return "GET " .. path .. " HTTP/1.1\r\nHost: a\r\n" .. (fields or "") .. "\r\n"
    end

    -- Reads one answer: its body and the response.
    local function answer()
        local r = assert(p:response())
        assert.equal(200, r.status)
        return r.body, r
    end

    local upgrade = peer.upgrade_request
    local message = frame.build(frame.TEXT, "hi")

    describe("§9.3", function()
        it("lives on in HTTP/1.1", function()
            for _ = 1, 3 do
                p:send(get "/")
                local body, r = answer()
                assert.equal("hello", body)
                assert.is_nil(r.headers.connection)
            end
        end)

        it("ends after Connection: close, in any case and among others", function()
            p:send(get("/", "Connection: Keep-Alive, CLOSE\r\n"))
            local body, r = answer()
            assert.equal("hello", body)
            assert.equal("close", r.headers.connection)
            assert.equal("", p:rest())
        end)

        it("ends in HTTP/1.0", function()
            p:send "GET / HTTP/1.0\r\n\r\n"
            local _, r = answer()
            assert.truthy(r.head:find "^HTTP/1%.1 200 OK\n")
            assert.equal("close", r.headers.connection)
            assert.equal("", p:rest())
        end)

        it("lives on in HTTP/1.0 when it was asked to", function()
            for _ = 1, 2 do
                p:send "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                local _, r = answer()
                assert.equal("keep-alive", r.headers.connection)
            end
        end)

        it("drops what comes behind a request that ends it", function()
            p:send(get("/n/1", "Connection: close\r\n") .. get "/n/2")
            assert.equal("1", (answer()))
            assert.equal("", p:rest())
        end)
    end)

    describe("§9.3.2 takes requests before it has answered the last:", function()
        it("all in one segment, answered in order", function()
            local all = {}
            for i = 1, 200 do
                all[i] = get("/n/" .. i)
            end
            p:send(table.concat(all))
            for i = 1, 200 do
                assert.equal(tostring(i), (answer()))
            end
        end)

        it("byte by byte", function()
            local text = get "/n/1" .. "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
                .. "hello" .. get "/n/2"
            p:trickle(text)
            for _, expected in ipairs { "1", "hello", "2" } do
                assert.equal(expected, (answer()))
            end
        end)

        it("behind one whose handler waits", function()
            p:send(get "/n/1" .. get "/wait" .. get "/n/2" .. get "/wait" .. get "/n/3")
            for _, expected in ipairs { "1", "waited", "2", "waited", "3" } do
                assert.equal(expected, (answer()))
            end
        end)

        it("more of them than it keeps, while a handler waits", function()
            local n = 3000
            local more = {}
            for i = 1, n do
                more[i] = get("/n/" .. i, "X-Long: " .. ("x"):rep(100) .. "\r\n")
            end
            p:send(get "/wait" .. table.concat(more))
            assert.equal("waited", (answer()))
            for i = 1, n do
                assert.equal(tostring(i), (answer()))
            end
        end)

        it("while the answers are long and nobody reads them", function()
            p:send(get "/much" .. get "/much" .. get "/n/1")
            for _ = 1, 2 do
                assert.equal(8 * 1024 * 1024, #answer())
            end
            assert.equal("1", (answer()))
        end)

        it("an upgrade as the last one, with the first message behind it", function()
            p:send(get "/n/1" .. get "/wait" .. upgrade "/chat" .. message)
            assert.equal("1", (answer()))
            assert.equal("waited", (answer()))
            assert.equal(101, select(2, p:head()))
            assert.equal("echo hi", p:read_text())
        end)

        it("an upgrade that the app thinks about, with the first messages behind it", function()
            p:send(upgrade "/asks" .. message .. message)
            assert.equal(101, select(2, p:head()))
            for _ = 1, 2 do
                assert.equal("echo hi", p:read_text())
            end
        end)

        it("an upgrade that is refused, behind which nothing is a request", function()
            p:send(upgrade("/chat", { ["Sec-WebSocket-Version"] = "8" }) .. get "/n/1")
            local r = p:response()
            assert.equal(426, r.status)
            assert.equal("13", r.headers["sec-websocket-version"])
            assert.is_true(p:is_ended())
        end)
    end)

    describe("§9.6 whose client ends its side", function()
        it("is answered first, then it ends", function()
            p:send(get "/n/1" .. get "/wait" .. get "/n/2")
            p:shutdown()
            for _, expected in ipairs { "1", "waited", "2" } do
                assert.equal(expected, (answer()))
            end
            assert.equal("", p:rest())
        end)

        it("is given all of a long answer", function()
            p:send(get "/much")
            p:shutdown()
            assert.equal(8 * 1024 * 1024, #answer())
            assert.equal("", p:rest())
        end)

        it("in the middle of a head or a body, ends without an answer to that", function()
            for _, part in ipairs {
                "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n",
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            } do
                local other = assert(peer.connect(server.port))
                other:send(get "/n/1" .. part)
                other:shutdown()
                local all = other:rest()
                other:close()
                local _, count = all:gsub("HTTP/1%.1", "")
                assert.equal(1, count, all)
                assert.truthy(all:find "\r\n\r\n1$", all)
            end
        end)

        it("before it said anything, ends without a word", function()
            p:shutdown()
            assert.equal("", p:rest())
        end)
    end)

    describe("§9.5 that is idle", function()
        it("ends after keep_alive_seconds, without a word", function()
            local before = server:counter "handshake_timeouts"
            p:send(get "/")
            answer()
            assert.equal("", p:rest())
            assert.equal(before, server:counter "handshake_timeouts")
        end)

        it("ends after handshake_seconds when it never said anything, and is counted", function()
            local before = server:counter "handshake_timeouts"
            assert.equal("", p:rest())
            assert.equal(before + 1, server:counter "handshake_timeouts")
        end)

        it("ends with 408 when a later request stays half", function()
            p:send(get "/")
            answer()
            p:send "GET / HTTP/1.1\r\n"
            assert.equal(408, select(2, p:head()))
            assert.truthy(p:rest():find "^the request did not come in time\n$")
        end)
    end)

    it("is cut when its peer takes none of an answer for request_seconds", function()
        local lazy = assert(peer.connect(server.port, { receive_buffer = 4096 }))
        lazy:send(get "/much")
        repeat
            assert.equal(200, select(2, server:get "/wait")) -- time passes on the server
        until server:counter "dropped_bytes" > 0
        assert.is_true(#lazy:rest() < 8 * 1024 * 1024)
        lazy:close()
    end)
end)
