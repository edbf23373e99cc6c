-- TLS 1.3 after the handshake, when the server protects records itself (RFC 8446 §4.6.3, §5, §6),
-- as real clients meet it. What they do beside that is in tls_spec.lua and spec/clients.

local certificates = require "spec.support.certificates"
local openssl = require "spec.support.openssl"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { body_bytes = "4M", message_bytes = "4M", queued_bytes = "8M" }
mw.get("/", function() return "hello" end)
mw.get("/counters", function() return mw.counters() end)
mw.post("/echo", function(req) return req.body end)
mw.ws("/echo", { on_message = function(ws, data, is_binary) ws:send(data, is_binary) end })
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]
local request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
local suites = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
}

describe("records over TLS 1.3", function()
    local server, port

    setup(function()
        server = servers.start(app, {
            listen = {},
            setup = function(folder)
                certificates.make(folder.path, "a", { "a.test", "localhost" })
            end,
        })
        port = server.process:port()
    end)
    teardown(function()
        server:stop()
    end)
    after_each(function()
        server:close_peers()
    end)

    local function open(options)
        options = options or {}
        options.version = "TLSv1.3"
        return assert(server:connect_to(port, { tls = options }))
    end
    local function get(p)
        p:send(request)
        return assert(p:response()).body
    end
    local function assert_echo(p, body)
        p:send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
        assert.is_true(assert(p:response()).body == body)
    end

    local function failures()
        return server:counter "tls_failures"
    end
    -- The client changes its keys before it sends more; kind 1: the server is to change its, too.
    local function update(p, kind)
        assert.equal(1, openssl.C.SSL_key_update(p.socket.ssl, kind))
    end

    for _, suite in ipairs(suites) do
        describe("with " .. suite, function()
            it("carry 1 MiB both ways, on new and resumed sessions", function()
                local body = ("0123456789abcdef"):rep(65536)
                local session
                for _, resumed in ipairs { false, true } do
                    local p = open { suites = suite, session = session }
                    assert.equal(resumed, p.socket:was_resumed())
                    assert_echo(p, body)
                    session = p.socket:session()
                end
                local p = assert(peer.websocket(port, "/echo",
                    { tls = { version = "TLSv1.3", suites = suite } }))
                p:text(body)
                assert.is_true(p:read_text() == body)
                p:text ""
                assert.equal("", p:read_text())
                p:close()
            end)

            it("go on when the client changes its keys, and asks for the server's", function()
                local p = open { suites = suite }
                for i = 1, 20 do
                    update(p, i % 2)
                    assert.equal("hello", get(p))
                    assert.equal("hello", get(p))
                end
            end)

            it("may come byte by byte, with changes of keys between them", function()
                local p = open { suites = suite }
                update(p, 1)
                p.socket:encrypt(request:sub(1, 7))
                update(p, 1)
                p.socket:encrypt(request:sub(8))
                local bytes = p.socket:outgoing()
                for i = 1, #bytes do
                    assert(p.socket.raw:send(bytes:sub(i, i)))
                end
                assert.equal("hello", p:response().body)
                assert.equal("hello", get(p))
            end)
        end)
    end

    it("are as short as the client asked for (RFC 6066 §4), on new and resumed sessions", function()
        local body = ("0123456789abcdef"):rep(4096)
        for mode = 1, 4 do
            local session
            for _, resumed in ipairs { false, true } do
                local p = open { max_fragment = mode, session = session }
                assert.equal(resumed, p.socket:was_resumed())
                assert_echo(p, body) -- the client's OpenSSL refuses a longer one
                session = p.socket:session()
            end
        end
    end)

    it("that were changed on their way get bad_record_mac, and count", function()
        local p = open()
        assert.equal("hello", get(p))
        local before = failures()
        p.socket:encrypt(request)
        local bytes = p.socket:outgoing()
        p.socket.raw:send(bytes:sub(1, 20) .. string.char(bit.bxor(bytes:byte(21), 1))
            .. bytes:sub(22))
        local _, why = p.socket:receive(1)
        assert.matches("alert bad record mac", why)
        assert.equal(before + 1, failures())
    end)

    it("that come twice, or not in order, are not taken", function()
        for _, order in ipairs { "twice", "order" } do
            local p = open()
            assert.equal("hello", get(p))
            p.socket:encrypt(request)
            local first = p.socket:outgoing()
            p.socket:encrypt(request)
            local second = p.socket:outgoing()
            if order == "twice" then
                p.socket.raw:send(first)
                assert.equal("hello", p:response().body)
            end
            p.socket.raw:send(order == "twice" and first or second)
            local _, why = p.socket:receive(1)
            assert.matches("alert bad record mac", why)
        end
    end)

    it("end with an alert that says why", function()
        for bytes, alert in pairs {
            ["\23\3\3\65\1"] = "alert record overflow",
            ["\21\3\3\0\2\1\0"] = "unexpected message",
            ["\20\3\3\0\1\1"] = "unexpected message",
            ["GET / HTTP/1.1\r\n"] = "unexpected message",
        } do
            local p = open()
            assert.equal("hello", get(p))
            p.socket.raw:send(bytes)
            local _, why = p.socket:receive(1)
            assert.matches(alert, why)
        end
    end)

    it("that only change keys are too many some time", function()
        local p = open()
        assert.equal("hello", get(p))
        local before = failures()
        for _ = 1, 40 do
            update(p, 1)
            assert.equal(1, openssl.C.SSL_do_handshake(p.socket.ssl)) -- alone
        end
        p.socket:flush()
        local _, why = p.socket:receive(1)
        assert.matches("unexpected message", why)
        assert.equal(before + 1, failures())
    end)

    it("of an end that comes in the middle of one are left unread", function()
        local p = open()
        p.socket:encrypt(request)
        p.socket.raw:send(p.socket:outgoing():sub(1, 20))
        p.socket.raw:shutdown "send"
        local _, why = p.socket:receive(1)
        assert.equal("closed", why) -- by close_notify
    end)

    describe("work with", function()
        it("openssl s_client, which changes keys on both sides", function()
            local client = process.start({
                [0] = "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-tls1_3",
            }, { input = true })
            local ok, problem = pcall(function()
                client:wait_for("^ *Verify return code: .*()", "out")
                for _, command in ipairs { "k\n", "K\n", "K\n" } do
                    client:write(command)
                    client:wait_for("^(KEYUPDATE)", "err")
                    client:write(request)
                    client:wait_for("(HTTP/1.1 200 OK)", "out")
                end
                client:write "Q\n"
                assert.equal(0, client:wait().status)
            end)
            client:finish()
            assert(ok, problem)
        end)

        it("Python's ssl", function()
            local client = process.run { [0] = "python3", "-c", [[
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
session = None
for turn in range(2):
    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    with context.wrap_socket(raw, server_hostname="a.test", session=session) as s:
        body = bytes(range(256)) * 4096
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
                  b"Connection: close\r\n\r\n" % len(body) + body)
        reply = b""
        while chunk := s.recv(100000):
            reply += chunk
        session = s.session
        print(s.version(), s.session_reused, reply.endswith(body))
]], tostring(port), server.folder.path .. "/a.pem" }
            assert.equal("TLSv1.3 False True\nTLSv1.3 True True\n", client.out .. client.err)
        end)

        it("Node's tls", function()
            local client = process.run { [0] = "node", "-e", [[
const tls = require("tls"), fs = require("fs");
const body = Buffer.alloc(1 << 20, "0123456789");
const s = tls.connect({ port: +process.argv[1], host: "127.0.0.1", servername: "a.test",
    ca: fs.readFileSync(process.argv[2]) }, () => {
    s.write(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n` +
        "Connection: close\r\n\r\n");
    s.write(body);
});
const parts = [];
s.on("data", (part) => parts.push(part));
s.on("end", () => {
    console.log(s.getProtocol(), Buffer.concat(parts).subarray(-body.length).equals(body));
});
]], tostring(port), server.folder.path .. "/a.pem" }
            assert.equal("TLSv1.3 true\n", client.out .. client.err)
        end)
    end)
end)
