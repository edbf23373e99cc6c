-- What the server refuses by itself, over a raw socket: the status, a text for people, and whether
-- the connection goes on (RFC 9110 §15.5, §15.6; RFC 9112 §9.3).

local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits {
    target_bytes = 100, head_bytes = 2000, header_count = 10, body_bytes = 50,
    handshake_seconds = 1, request_seconds = 1,
}
mw.get("/", function() return "hello" end)
mw.post("/", function(req) return "posted " .. #req.body end)
mw.put("/only/put", function() return "put" end)
mw.ws("/chat", {})
mw.get("/counters", function() return mw.counters() end)
]]

describe("a request that is refused", function()
    local server = servers.shared(app)

    -- Sends the text and reads one answer; the connection is left open.
    local function exchange(p, text)
        p:send(text)
        return assert(p:response())
    end

    local function check_answer(expected, r)
        assert.equal(expected, r.status)
        assert.truthy(r.headers.date:find "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$")
        assert.equal("text/plain; charset=utf-8", r.headers["content-type"])
        assert.equal(tostring(#r.body), r.headers["content-length"])
        assert.truthy(r.body:find "^%l.*%w\n$", "not a text for people: " .. r.body)
    end

    -- The answer is all that comes, and then the connection is closed.
    local function ends(expected, text)
        local before = server:counter "refused_requests"
        local p = assert(peer.connect(server.port))
        local r = exchange(p, text)
        check_answer(expected, r)
        assert.equal("close", r.headers.connection)
        assert.equal("", p:rest())
        p:close()
        assert.equal(before + 1, server:counter "refused_requests")
    end

    -- After the answer the next request of the connection is served.
    local function goes_on(expected, text)
        local p = assert(peer.connect(server.port))
        local r = exchange(p, text)
        check_answer(expected, r)
        assert.not_equal("close", r.headers.connection)
        assert.equal("hello", exchange(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").body)
        p:close()
        return r.headers
    end

    local function request(line, fields)
        return line .. " HTTP/1.1\r\nHost: a\r\n" .. (fields or "") .. "\r\n"
    end

    it("400 is not HTTP: what a TLS client says", function()
        ends(400, "\22\3\1\2\0\1\0\1\252\3\3")
    end)

    it("400 is not HTTP: a line that is no request", function()
        ends(400, "hello\r\n\r\n")
    end)

    it("400 has no Host (RFC 9112 §3.2)", function()
        ends(400, "GET / HTTP/1.1\r\n\r\n")
    end)

    it("404 names nothing, and the connection goes on", function()
        goes_on(404, request "GET /nothing")
    end)

    it("405 names what the path takes, and the connection goes on (RFC 9110 §15.5.6)", function()
        assert.equal("GET, HEAD, POST, OPTIONS", goes_on(405, request "DELETE /").allow)
        assert.equal("PUT, OPTIONS", goes_on(405, request "GET /only/put").allow)
    end)

    it("405 closes when a body follows that nobody reads", function()
        ends(405, request("DELETE /", "Content-Length: 5\r\n") .. "hello"
            .. request "GET /")
    end)

    it("408 does not come to its end in time (RFC 9110 §15.5.9)", function()
        ends(408, "GET / HTTP/1.1\r\nHost:")
    end)

    it("408 has a body that does not come to its end in time", function()
        ends(408, request("POST /", "Content-Length: 5\r\n") .. "hell")
        ends(408, request("POST /", "Transfer-Encoding: chunked\r\n") .. "5\r\nhell")
    end)

    it("411 has a body of a length that it does not say (RFC 9110 §15.5.12)", function()
        ends(411, request("POST /", "Content-Type: text/plain\r\n"))
        ends(411, "POST / HTTP/1.0\r\n\r\nhello")
    end)

    it("413 says that its body is too long, before the body comes", function()
        ends(413, request("POST /", "Content-Length: 51\r\n"))
        ends(413, request("POST /", "Content-Length: 18446744073709551615\r\n"))
    end)

    it("413 has a body of chunks that grows too long", function()
        ends(413, request("POST /", "Transfer-Encoding: chunked\r\n") .. "32\r\n"
            .. ("x"):rep(50) .. "\r\n1\r\n")
    end)

    it("a body just as long as is allowed is not", function()
        for _, text in ipairs {
            request("POST /", "Content-Length: 50\r\n") .. ("x"):rep(50),
            request("POST /", "Transfer-Encoding: chunked\r\n") .. "32\r\n" .. ("x"):rep(50)
                .. "\r\n0\r\n\r\n",
        } do
            local p = assert(peer.connect(server.port))
            local r = exchange(p, text)
            assert.equal(200, r.status)
            assert.equal("posted 50", r.body)
            p:close()
        end
    end)

    it("414 has a target that is too long, one of the allowed length has not", function()
        ends(414, "GET /" .. ("x"):rep(100))
        goes_on(404, request("GET /" .. ("x"):rep(99)))
    end)

    it("417 expects what nobody can fulfil (RFC 9110 §10.1.1)", function()
        ends(417, request("POST /", "Content-Length: 5\r\nExpect: 200-ok\r\n"))
    end)

    it("426 is for a path that speaks WebSocket, and says how (RFC 9110 §15.5.22)", function()
        local p = assert(peer.connect(server.port))
        local r = exchange(p, request "GET /chat" .. request "GET /")
        check_answer(426, r)
        assert.equal("websocket", r.headers.upgrade)
        assert.truthy(r.headers.connection:find "Upgrade")
        assert.equal("13", r.headers["sec-websocket-version"])
        assert.equal("", p:rest()) -- it may have been a handshake: the connection ends
        p:close()
    end)

    it("431 has too many fields, the allowed number is not (RFC 6585 §5)", function()
        ends(431, request("GET /", ("X-A: b\r\n"):rep(10)))
        goes_on(404, request("GET /nothing", ("X-A: b\r\n"):rep(9)))
    end)

    it("431 has a head that is too long, wherever it ends", function()
        ends(431, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " .. ("x"):rep(1967) .. "\r\n")
        ends(431, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " .. ("x"):rep(10000))
        local fits = "GET /nothing HTTP/1.1\r\nHost: a\r\nX-Long: "
        goes_on(404, fits .. ("x"):rep(2000 - #fits - 4) .. "\r\n\r\n")
        ends(431, fits .. ("x"):rep(2000 - #fits - 3) .. "\r\n\r\n")
    end)

    it("501 has a method that nobody knows", function()
        ends(501, request "BREW /")
        ends(501, request "TRACE /")
        ends(501, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
    end)

    it("501 has a transfer coding that nobody knows (RFC 9112 §6.1)", function()
        ends(501, request("POST /", "Transfer-Encoding: gzip, chunked\r\n"))
    end)

    it("505 is of another version", function()
        ends(505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n")
        ends(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    end)

    it("is answered without a body where HEAD asked", function()
        local p = assert(peer.connect(server.port))
        p:send(request "HEAD /nothing" .. request "GET /")
        local head, status = p:head()
        assert.equal(404, status)
        assert.truthy(head:find "\nContent%-Length: [1-9]")
        local _, next_status = p:head()
        assert.equal(200, next_status)
        p:close()
    end)

    it("is answered whole when the peer sends on after its fault", function()
        -- Unread input would reset the connection and take the answer away (RFC 9112 §9.6).
        local p = assert(peer.connect(server.port))
        p:send("nonsense\r\n\r\n" .. ("x"):rep(300000))
        local _, status = p:head()
        assert.equal(400, status)
        assert.truthy(p:rest():find "^%l")
        p:close()
    end)
end)
