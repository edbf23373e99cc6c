-- Request smuggling (RFC 9112 §11.2): whatever two parsers could read as one request or as two is
-- refused, the connection ends after it, and nothing that follows is taken for a request.

local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
io.stdout:setvbuf "line"
mw.any("/", function(req) return "body: " .. req.body end)
mw.any("/smuggled", function() print "smuggled" return "smuggled" end)
mw.ws("/chat", {})
mw.ws("/rejects", { on_upgrade = function(req) return req:reject(403) end })
]]

local smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

describe("request smuggling", function()
    local server = servers.shared(app)

    -- All that comes back when text is sent, until the server closes.
    local function answers(text)
        local p = assert(peer.connect(server.port))
        p:send(text)
        local all = p:rest()
        p:close()
        return all
    end

    local function refused(status, text)
        local all = answers(text .. smuggled)
        local got = tonumber(all:match "^HTTP/1%.1 (%d+)")
        local _, count = all:gsub("HTTP/1%.1 %d+", "")
        assert.equal(status, got, text)
        assert.equal(1, count, all)
        assert.truthy(all:find("\r\nConnection: close\r\n", 1, true), all)
        assert.is_nil(all:find("\nsmuggled", 1, true), all)
    end

    local function fields(text, line)
        return (line or "POST /") .. " HTTP/1.1\r\nHost: a\r\n" .. text .. "\r\n"
    end

    local function chunks(text)
        return fields "Transfer-Encoding: chunked\r\n" .. text
    end

    local vectors = {
        { "§6.1 Content-Length with Transfer-Encoding", {
            { 400, fields "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" .. "0\r\n\r\n" },
            { 400, fields "Content-Length: 0\r\ntransfer-encoding: CHUNKED\r\n" .. "0\r\n\r\n" },
        } },
        { "§6.3 lengths that are repeated, even when they are the same", {
            { 400, fields "Content-Length: 5\r\nContent-Length: 5\r\n" .. "hello" },
            { 400, fields "Content-Length: 5\r\nContent-Length: 0\r\n" .. "hello" },
            { 400, fields "Content-Length: 5\r\ncontent-length: 5\r\n" .. "hello" },
            { 400, fields "Content-Length: 5, 5\r\n" .. "hello" },
            { 400, fields "Content-Length: 5,\r\n" .. "hello" },
        } },
        { "§6.2 lengths that are not plain digits", {
            { 400, fields "Content-Length: +5\r\n" .. "hello" },
            { 400, fields "Content-Length: -5\r\n" .. "hello" },
            { 400, fields "Content-Length: -0\r\n" },
            { 400, fields "Content-Length: 0x5\r\n" .. "hello" },
            { 400, fields "Content-Length: 5.0\r\n" .. "hello" },
            { 400, fields "Content-Length: 5e0\r\n" .. "hello" },
            { 400, fields "Content-Length: 1 0\r\n" .. "hello" },
            { 400, fields "Content-Length: 5;\r\n" .. "hello" },
            { 400, fields "Content-Length: \"5\"\r\n" .. "hello" },
            { 400, fields "Content-Length:\r\n" },
            { 400, fields "Content-Length: 5\0\r\n" .. "hello" },
            { 400, fields "Content-Length: 5\11\r\n" .. "hello" },
            { 400, fields "Content-Length: \226\128\1355\r\n" .. "hello" },
        } },
        { "§6.2 a length over 64 bits", {
            { 400, fields "Content-Length: 18446744073709551621\r\n" .. "hello" },
            { 400, fields "Content-Length: 99999999999999999999999\r\n" .. "hello" },
        } },
        { "§6.1 transfer codings that do not end with one chunked", {
            { 400, fields "Transfer-Encoding: chunked, chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
                .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunked, identity\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: identity\r\n" },
            { 501, fields "Transfer-Encoding: gzip, chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: xchunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunkedx\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunk\r\nTransfer-Encoding: ed\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: \"chunked\"\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: chunked;q=1\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding: \11chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Transfer-Encoding:\r\n" },
        } },
        { "§6.1 chunked in HTTP/1.0", {
            { 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        } },
        { "§5.1 blanks in, before or after a field's name", {
            { 400, fields "Content-Length : 5\r\n" .. "hello" },
            { 400, fields "Transfer-Encoding\t: chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "Content Length: 5\r\n" .. "hello" },
            { 400, fields "Transfer-Encoding\0: chunked\r\n" .. "0\r\n\r\n" },
            { 400, "POST / HTTP/1.1\r\n Host: a\r\nContent-Length: 0\r\n\r\n" },
        } },
        { "§5.2 folded fields", {
            { 400, fields "X-A: b\r\n Content-Length: 5\r\n" .. "hello" },
            { 400, fields "Transfer-Encoding:\r\n chunked\r\n" .. "0\r\n\r\n" },
            { 400, fields "X-A: b\r\n\tc\r\n" },
            { 400, fields "X-A: b\r\n \r\n" },
        } },
        { "§5 fields without a name or a colon", {
            { 400, fields ": 5\r\n" },
            { 400, fields ":\r\n" },
            { 400, fields "Content-Length\r\n" },
            { 400, fields "(x): 5\r\n" },
        } },
        { "§2.2 a CR or an LF that stands alone in the head", {
            { 400, "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello" },
            { 400, fields "X-A: b\nContent-Length: 5\r\n" .. "hello" },
            { 400, fields "X-A: b\rContent-Length: 5\r\n" .. "hello" },
            { 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\nhello" },
            { 400, "POST / HTTP/1.1\r\nHost: a\r\n\n" },
            { 400, "POST / HTTP/1.1\rHost: a\r\n\r\n" },
            { 400, fields "X-A: b\r\r\n" },
        } },
        { "§3 request lines that others would split elsewhere", {
            { 400, "POST  / HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST\t/ HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST / x HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST /\11HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST / HTTP/1.1 \r\nHost: a\r\n\r\n" },
            { 400, "POST / HTTP/1.10\r\nHost: a\r\n\r\n" },
            { 400, "POST /\r\nHost: a\r\n\r\n" },
            { 400, " POST / HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST /#x HTTP/1.1\r\nHost: a\r\n\r\n" },
            { 400, "POST /\200 HTTP/1.1\r\nHost: a\r\n\r\n" },
        } },
        { "§3.2 more than one Host, or none that is one", {
            { 400, fields "Host: b\r\n" },
            { 400, fields "host: a\r\n" },
            { 400, "POST / HTTP/1.1\r\nHost: a, b\r\n\r\n" },
            { 400, "POST / HTTP/1.1\r\nHost: a b\r\n\r\n" },
            { 400, "POST / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
            { 400, "POST / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
        } },
        { "§7.1 chunk sizes that are not plain hexadecimal digits", {
            { 400, chunks "0x5\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "+5\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "-5\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks " 5\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "5h\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "\r\n" },
            { 400, chunks ";x\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "10000000000000005\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "5\0\r\nhello\r\n0\r\n\r\n" },
        } },
        { "§7.1 chunk lines that do not end with CRLF", {
            { 400, chunks "5\nhello\r\n0\r\n\r\n" },
            { 400, chunks "5\rhello\r\n0\r\n\r\n" },
            { 400, chunks "5;a\nhello\r\n0\r\n\r\n" },
            { 400, chunks "5;a\rb\r\nhello\r\n0\r\n\r\n" },
            { 400, chunks "5\r\nhello\n0\r\n\r\n" },
            { 400, chunks "5\r\nhello0\r\n\r\n" },
            { 400, chunks "5\r\nhello, and more\r\n0\r\n\r\n" },
            { 400, chunks "5\r\nhello\r\n0\n\r\n" },
            { 400, chunks "5\r\nhello\r\n0\r\n\n" },
        } },
        { "§7.1.2 trailers that are no fields", {
            { 400, chunks "0\r\n: x\r\n\r\n" },
            { 400, chunks "0\r\nX Y: x\r\n\r\n" },
            { 400, chunks "0\r\nX: a\nY: b\r\n\r\n" },
            { 400, chunks "0\r\nX: a\rb\r\n\r\n" },
            { 400, chunks("0\r\nX: " .. ("x"):rep(20000) .. "\r\n\r\n") },
        } },
        { "an upgrade that carries a body (RFC 6455 §4.1)", {
            { 400, fields("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                .. "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 5\r\n",
                "GET /chat") .. "hello" },
            { 400, fields("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                .. "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nTransfer-Encoding: chunked"
                .. "\r\n", "GET /chat") .. "0\r\n\r\n" },
        } },
    }

    local handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
        .. "dGhlIHNhbXBsZSBub25jZQ==\r\n"

    -- A proxy that takes any Upgrade for a tunnel would pass what follows past its own rules.
    vectors[#vectors + 1] = { "a refused handshake, behind which a proxy may see a tunnel", {
        { 426, fields(handshake .. "Sec-WebSocket-Version: 777\r\n", "GET /chat") },
        { 426, fields(handshake, "GET /chat") },
        { 426, fields("", "GET /chat") },
        { 426, fields("Upgrade: websocket\r\n", "GET /chat") },
        { 426, fields("Connection: upgrade\r\n", "GET /chat") },
        { 426, fields("Upgrade: h2c\r\nConnection: upgrade\r\n", "GET /chat") },
        { 400, fields("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
            .. "\r\nSec-WebSocket-Key: short\r\n", "GET /chat") },
        { 403, fields(handshake .. "Sec-WebSocket-Version: 13\r\nOrigin: http://b\r\n",
            "GET /chat") },
        { 403, fields(handshake .. "Sec-WebSocket-Version: 13\r\n", "GET /rejects") },
        { 404, fields(handshake .. "Sec-WebSocket-Version: 13\r\n", "GET /nothing") },
        { 200, fields(handshake .. "Sec-WebSocket-Version: 13\r\n", "GET /") },
        { 200, fields("Upgrade: websocket\r\n", "GET /") },
        { 405, fields(handshake .. "Sec-WebSocket-Version: 13\r\n", "POST /chat") },
    } }

    for _, group in ipairs(vectors) do
        it("is not possible with " .. group[1], function()
            for _, vector in ipairs(group[2]) do
                refused(vector[1], vector[2])
            end
        end)
    end

    describe("is no matter when the body's end is clear:", function()
        -- The body goes to the request that it belongs to, the next request is the next.
        local function two(body, text)
            local all = answers(text .. "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            local _, count = all:gsub("HTTP/1%.1 200 OK", "")
            assert.equal(2, count, all)
            assert.truthy(all:find("\r\n\r\nbody: " .. body .. "HTTP/1.1 ", 1, true), all)
            assert.truthy(all:find "\r\n\r\nbody: $", all)
        end

        it("a GET with a body", function()
            two(smuggled, fields("Content-Length: " .. #smuggled .. "\r\n", "GET /") .. smuggled)
            two("hello", fields("Transfer-Encoding: chunked\r\n", "GET /")
                .. "5\r\nhello\r\n0\r\n\r\n")
        end)

        it("a length with zeros before it, and with blanks around it", function()
            two("hello", fields "Content-Length: 0005\r\n" .. "hello")
            two("hello", fields "Content-Length:\t 5 \t\r\n" .. "hello")
        end)

        it("chunks with extensions and trailers", function()
            two("hello", chunks "005;a=b;c=\"d\"\r\nhello\r\n000;x\r\nX-A: b\r\nHost: z\r\n\r\n")
        end)

        it("an HTTP/1.0 request with a length", function()
            two("hello", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"
                .. "hello")
        end)
    end)

    it("has reached no handler, also where no answer said so", function()
        local _, printed = server:stop()
        assert.equal("", printed)
    end)
end)
