-- TLS as clients meet it (RFC 8446, RFC 5246, RFC 7301, RFC 6066 §3).

local certificates = require "spec.support.certificates"
local frame = require "spec.support.frame"
local peer = require "spec.support.peer"
local servers = require "spec.support.server"
local tls = require "spec.support.tls"

local app = [[
local mw = require "moonwire"
io.stdout:setvbuf "line"
mw.limits { handshake_seconds = 1, close_seconds = 1, request_seconds = 5 }
mw.get("/", function(req) return tostring(req.secure) end)
mw.get("/worker", function() return tostring(mw.worker.index) end)
mw.get("/counters", function() return mw.counters() end)
mw.get("/second", function() mw.sleep("1s") return "over" end)
mw.post("/echo", function(req) return req.body end)
mw.limits { body_bytes = "4M" }
local parts = {}
for i = 1, 1024 * 1024 do parts[i] = ("%07d\n"):format(i) end
local much = table.concat(parts)
mw.get("/much", function() return much end)
mw.ws("/chat", {
    on_message = function(ws, data)
        if data == "flood" then
            local part = ("x"):rep(65536)
            for i = 1, 200 do ws:send(part) end
        elseif data == "print" then
            print "printed"
        else
            ws:send("echo " .. data)
        end
    end,
    on_close = function(ws, code, reason, was_clean) print("on_close", code, was_clean) end,
})
]]
local listeners = [[
mw.listen { port = 0, host = "127.0.0.1", tls = { { cert = "a.pem", key = "a.key" },
    { cert = "b.pem", key = "b.key" } } }
mw.listen { port = 0, host = "127.0.0.1" }
]]

describe("a TLS listener", function()
    local server, plain_port

    local function start(workers)
        server = servers.start(app .. listeners, {
            listen = {},
            arguments = { "--workers", tostring(workers) },
            setup = function(folder)
                certificates.make(folder.path, "a", { "a.test", "www.a.test" })
                certificates.make(folder.path, "b", { "b.test", "*.b.test" })
            end,
        })
        plain_port = server.process:port()
    end

    local function open(options)
        return server:connect { tls = options or {} }
    end

    local function get(p, path)
        p:send("GET " .. (path or "/") .. " HTTP/1.1\r\nHost: a\r\n\r\n")
        return assert(p:response()).body
    end

    local function counter(name)
        return require("cjson").decode((peer.get(plain_port, "/counters")))[name]
    end

    describe("with one worker", function()
        setup(function()
            start(1)
        end)

        teardown(function()
            server:stop()
        end)

        after_each(function()
            server:close_peers()
        end)

        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            it("speaks " .. version, function()
                local p = assert(open { version = version })
                assert.equal(version, p.socket:version())
                assert.equal("true", get(p))
                p:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                assert.equal("true", p:response().body)
                assert.equal("", p:rest())
            end)
        end

        it("speaks no older TLS (RFC 8996)", function()
            local before = counter "tls_failures"
            local p, why = open { version = "TLSv1.1" }
            assert.is_nil(p)
            assert.equal("tlsv1 alert protocol version", why)
            assert.equal(before + 1, counter "tls_failures")
        end)

        it("tells its handlers which connection is secure", function()
            assert.equal("true", get(assert(open())))
            assert.equal("false", (peer.get(plain_port, "/")))
        end)

        describe("chooses by ALPN (RFC 7301)", function()
            it("http/1.1", function()
                for _, offer in ipairs { { "http/1.1" }, { "h2", "http/1.1" } } do
                    local p = assert(open { alpn = offer })
                    assert.equal("http/1.1", p.socket:protocol())
                    assert.equal("true", get(p))
                end
            end)

            it("nothing when nothing is offered", function()
                local p = assert(open())
                assert.is_nil(p.socket:protocol())
                assert.equal("true", get(p))
            end)

            it("an alert when it speaks none of what is offered", function()
                for _, offer in ipairs { { "h2" }, { "http/1.0", "spdy/3" } } do
                    local p, why = open { alpn = offer }
                    assert.is_nil(p)
                    assert.matches("no application protocol", why)
                end
            end)
        end)

        describe("shows the certificate of the name that was asked for (RFC 6066 §3)", function()
            local function shows(expected, name)
                local p = assert(open { name = name })
                assert.is_true(p.socket:shows(expected), ("%s: not %s's"):format(name, expected))
                assert.equal("true", get(p))
            end

            it("the same name in any case", function()
                shows("a.test", "a.test")
                shows("a.test", "WWW.A.Test")
                shows("b.test", "b.test")
            end)

            it("one label in a wildcard's place, and not two", function()
                shows("x.b.test", "x.b.test")
                shows("b.test", "X.B.TEST")
                shows("a.test", "x.y.b.test")
            end)

            it("the first one for names that it does not know, and for none", function()
                shows("a.test", "c.test")
                shows("a.test", nil)
            end)

            it("also when the session begins with TLS 1.2", function()
                local p = assert(open { name = "b.test", version = "TLSv1.2" })
                assert.is_true(p.socket:shows "b.test")
            end)
        end)

        it("never renegotiates, and lives on", function()
            local p = assert(open { version = "TLSv1.2" })
            assert.equal("true", get(p))
            local ok, why = p.socket:renegotiate()
            assert.is_nil(ok)
            assert.equal("no renegotiation", why)
            assert.equal("true", get(assert(open())))
        end)

        it("takes the first request in the segment that ends the handshake", function()
            local request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            local p = assert(open { version = "TLSv1.3", early = request })
            assert.equal("true", p:response().body)
            -- In TLS 1.2 the client's Finished is the last message of a resumed handshake.
            local first = assert(open { version = "TLSv1.2" })
            get(first)
            p = assert(open { version = "TLSv1.2", session = first.socket:session(),
                early = request .. request })
            assert.is_true(p.socket:was_resumed())
            assert.equal("true", p:response().body)
            assert.equal("true", p:response().body)
        end)

        it("takes the last frames in the segment that ends the connection", function()
            local p = assert(peer.websocket(server.port, "/chat", { tls = {} }))
            p.socket:encrypt(frame.build(frame.TEXT, "one") .. frame.build(frame.TEXT, "print"))
            p.socket:encrypt(frame.build(frame.CLOSE, frame.close(1000)))
            p.socket:encrypt_end()
            p.socket:flush()
            server:printed "^printed$"
            server:printed "^on_close\t1000\ttrue$"
            assert.equal("echo one", p:read_text())
            assert.equal(1000, (p:read_close()))
            assert.is_true(p:is_ended())
            p:close()
        end)

        it("takes a request byte by byte, in records of one byte", function()
            local p = assert(open())
            p:trickle "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
            assert.equal("hello", p:response().body)
        end)

        it("takes records that are cut anywhere", function()
            local p = assert(open())
            p.socket:encrypt "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            local bytes = p.socket:outgoing()
            for i = 1, #bytes do
                assert(p.socket.raw:send(bytes:sub(i, i)))
            end
            assert.equal("true", p:response().body)
        end)

        it("takes and gives bodies of many records", function()
            local p = assert(open())
            local body = ("0123456789abcdef"):rep(200000)
            p:send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " .. #body .. "\r\n\r\n"
                .. body)
            assert.is_true(p:response().body == body)
        end)

        it("drops who speaks without TLS, and counts it", function()
            local before = counter "tls_failures"
            local p = assert(server:connect())
            p:send "GETTING / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.is_nil(p:rest():find "HTTP/")
            assert.equal(before + 1, counter "tls_failures")
            p = assert(server:connect())
            p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.matches("^HTTP/1.1 400 ", p:rest())
            assert.equal(before + 2, counter "tls_failures")
        end)

        it("drops who breaks a record, after the handshake too", function()
            local p = assert(open())
            get(p)
            local before = counter "tls_failures"
            p.socket.raw:send(("\23\3\3\0\32"):sub(1, 5) .. ("x"):rep(32))
            local _, why = p.socket:receive(1)
            assert.truthy(why:find "alert bad record mac", why)
            assert.equal(before + 1, counter "tls_failures")
        end)

        -- A socket that is closed with unread bytes is reset, and the alert may be lost.
        it("reads on after a fault until the client ends, so that it learns why", function()
            local junk = ("x"):rep(2 ^ 21)
            local p = assert(server:connect())
            local before = counter "tls_failures"
            p:send("\22\3\1\0\16" .. ("x"):rep(16) .. junk)
            assert.equal("\21\3", p:bytes(2))
            assert.truthy(p:try_send(junk))
            p:shutdown()
            assert.equal(5, #p:rest()) -- the rest of the alert

            p = assert(open())
            get(p)
            p.socket.raw:send("\23\3\3\0\32" .. ("x"):rep(32) .. junk)
            local _, why = p.socket:receive(1)
            assert.truthy(why:find "alert bad record mac", why)
            assert.equal(#junk, p.socket.raw:send(junk))
            assert.equal(before + 2, counter "tls_failures")
        end)

        it("sends nothing in the clear after a fault, and tells the app of the end", function()
            local p = assert(server:websocket("/chat", { tls = {} }))
            p.socket:encrypt(frame.build(1, "flood"))
            p.socket:flush()
            p.socket.raw:send("\23\3\3\0\32" .. ("y"):rep(32))
            local all = p.socket.raw:receive "*a"
            assert.is_nil(all:find(("x"):rep(8), 1, true))
            server:printed "^on_close\t1006\tfalse"
        end)

        it("answers messages that end with close_notify in one segment", function()
            local p = assert(server:websocket("/chat", { tls = {} }))
            p.socket:encrypt(frame.build(1, "a") .. frame.build(1, "b"))
            p.socket:shutdown()
            assert.equal("echo a", p:read_text())
            assert.equal("echo b", p:read_text())
            assert.is_true(p:is_ended())
            server:printed "^on_close\t1006\tfalse"
        end)

        describe("gives up a handshake that is not done in handshake_seconds:", function()
            -- What a client says first.
            local function hello()
                local listener = assert(require("socket").bind("127.0.0.1", 0))
                local _, port = listener:getsockname()
                local client = require("socket").tcp()
                assert(client:connect("127.0.0.1", port))
                local accepted = listener:accept()
                tls.wrap(client, {}, 0) -- times out at once, having sent its hello
                client:close()
                local bytes = accepted:receive "*a"
                accepted:close()
                listener:close()
                return bytes
            end

            for what, part in pairs {
                ["nothing at all"] = function()
                    return ""
                end,
                ["half a hello"] = function()
                    local bytes = hello()
                    return bytes:sub(1, math.floor(#bytes / 2))
                end,
                ["a hello and no more"] = hello,
            } do
                it(what, function()
                    local before = counter "handshake_timeouts"
                    local p = assert(server:connect())
                    local bytes = part()
                    if #bytes > 0 then
                        p:send(bytes)
                    end
                    p:rest()
                    assert.equal(before + 1, counter "handshake_timeouts")
                end)
            end

            it("a handshake and no request", function()
                local before = counter "handshake_timeouts"
                local p = assert(open())
                assert.is_true(p:is_ended())
                assert.equal(before + 1, counter "handshake_timeouts")
            end)
        end)

        -- Seconds of processor that the server has used.
        local function cpu()
            local file = assert(io.open("/proc/" .. server.process.pid .. "/stat"))
            local fields = file:read("*a"):match "%) (.*)"
            file:close()
            local list = {}
            for field in fields:gmatch "%S+" do
                list[#list + 1] = field
            end
            return (list[12] + list[13]) / 100
        end

        it("waits for a slow reader without turning, and loses nothing", function()
            local p = assert(server:connect { receive_buffer = 4096, tls = {} })
            p:send "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"
            local head = p:head()
            assert.equal(tostring(8 * 1024 * 1024), head:match "\nContent%-Length: (%d+)\n")
            local parts = { p:bytes(100000) }
            local before = cpu()
            assert.equal("over", (peer.get(plain_port, "/second")))
            assert.is_true(cpu() - before <= 0.1, cpu() - before .. " s of processor in a second")
            parts[2] = assert(p:bytes(8 * 1024 * 1024 - 100000))
            local all, expected = table.concat(parts), {}
            for i = 1, 1024 * 1024 do
                expected[i] = ("%07d\n"):format(i)
            end
            assert.is_true(all == table.concat(expected))
            assert.equal("true", get(p))
        end)

        for _, how in ipairs { "plain", "TLS" } do
            it("answers a ping while output is blocked: " .. how, function()
                local secure = how == "TLS"
                local p = assert(peer.websocket(secure and server.port or plain_port, "/chat",
                    { receive_buffer = 4096, tls = secure and {} or nil }))
                p:text "flood"
                assert.equal(65536, #p:read_text()) -- the rest waits
                p:frame(frame.PING, "old")
                p:frame(frame.PING, "new")
                p:text "print"
                server:printed "^printed$" -- so the pings were read
                local at
                for i = 1, 200 do
                    local opcode, payload = p:read_frame()
                    if opcode == frame.PONG then
                        assert.equal("new", payload) -- of unread pongs only the newest is kept
                        assert.is_nil(at)
                        at = i
                    else
                        assert.equal(65536, #payload)
                    end
                end
                assert.is_true(at <= 150, "the pong came as number " .. at)
                p:close_cleanly(1000)
                server:printed "^on_close\t1000\ttrue$"
                p:close()
            end)
        end

        it("says close_notify before it ends, whoever began (RFC 8446 §6.1)", function()
            local p = assert(peer.websocket(server.port, "/chat", { tls = {} }))
            p:frame(frame.CLOSE, frame.close(1000))
            assert.equal(1000, (p:read_close()))
            local _, why = p:bytes(1)
            assert.equal("closed", why) -- "truncated" without
            p:close()
            server:printed "^on_close\t1000\ttrue$"
            p = assert(peer.websocket(server.port, "/chat", { tls = {} }))
            p.socket:shutdown() -- a close_notify without a Close
            server:printed "^on_close\t1006\tfalse$"
            _, why = p:bytes(1)
            assert.equal("closed", why)
            p:close()
        end)
    end)

    for workers = 1, 2 do
        describe("resumes sessions with --workers " .. workers, function()
            setup(function()
                start(workers)
            end)

            teardown(function()
                server:stop()
            end)

            for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
                it("in every worker: " .. version, function()
                    local p = assert(open { version = version, name = "b.test" })
                    local first = get(p, "/worker")
                    assert.is_false(p.socket:was_resumed())
                    local session = p.socket:session()
                    local seen = { [first] = true }
                    for _ = 1, 5 do -- they stay open, so both workers get some
                        p = assert(open { version = version, name = "b.test", session = session })
                        seen[get(p, "/worker")] = true
                        assert.is_true(p.socket:was_resumed())
                        session = p.socket:session()
                    end
                    assert.same(workers == 2 and { ["1"] = true, ["2"] = true }
                        or { ["1"] = true }, seen)
                end)
            end
        end)
    end
end)
