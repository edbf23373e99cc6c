-- The opening handshake from the client's side (RFC 6455 §4.1; WHATWG WebSockets), against servers
-- that say what they like.

local acceptors = require "spec.support.acceptor"
local frame = require "spec.support.frame"

describe("A WebSocket that a script opens", function()
    local acceptor = acceptors.fresh()

    local function finish(peer, client)
        peer:say(frame.CLOSE, frame.close(1000, "done"))
        assert.equal(frame.CLOSE, (peer:hear()))
        peer:close()
        client:printed "^close 1000 %[done%] true"
        client:ended()
    end

    describe("asks", function()
        it("as RFC 6455 says", function()
            local client = acceptor:client "/a/b?c=%20d"
            local peer = acceptor:accept()
            local head, key = peer:request()
            assert.same({
                "GET /a/b?c=%20d HTTP/1.1",
                "Host: 127.0.0.1:" .. acceptor.port,
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: " .. key,
                "Sec-WebSocket-Version: 13",
                "",
            }, (function()
                local lines = {}
                for line in (head .. "\n"):gmatch "([^\n]*)\n" do
                    lines[#lines + 1] = line
                end
                return lines
            end)())
            assert.equal(24, #key)
            peer:switch(key)
            client:prints "open [] []"
            finish(peer, client)
        end)

        it("with another key each time", function()
            local keys = {}
            for _ = 1, 3 do
                local client = acceptor:client()
                local peer, head = acceptor:open()
                keys[head:match "Key: (%S+)"] = true
                finish(peer, client)
            end
            local n = 0
            for _ in pairs(keys) do
                n = n + 1
            end
            assert.equal(3, n)
        end)

        it("for subprotocols, with compression and with headers of the script's", function()
            local client = acceptor:client("/", [[{
                compress = true,
                headers = { Origin = "http://a.example", Cookie = "b=c" },
            }]], '{ "v2.chat", "chat" }')
            local peer, head = acceptor:open {
                ["Sec-WebSocket-Protocol"] = "chat",
                ["Sec-WebSocket-Extensions"] = "permessage-deflate",
            }
            assert.truthy(head:find("\nSec-WebSocket-Protocol: v2.chat, chat\n", 1, true))
            assert.truthy(head:find("\nSec-WebSocket-Extensions: permessage-deflate; "
                .. "client_max_window_bits\n", 1, true))
            assert.truthy(head:find("\nOrigin: http://a.example\n", 1, true))
            assert.truthy(head:find("\nCookie: b=c\n", 1, true))
            client:prints "open [chat] [permessage-deflate]"
            finish(peer, client)
        end)

        it("without the user and the password of its URL", function()
            local url = ("ws://me:secret@127.0.0.1:%d/"):format(acceptor.port)
            local client = acceptors.client(url)
            local peer = acceptor:accept()
            local head = peer:request()
            assert.is_nil(head:find "secret")
            assert.is_nil(head:find "Authorization")
            peer:send "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
            client:prints("error the server answered 401 Unauthorized instead of 101: user and "
                .. "password of a URL are not sent; give the header Authorization")
            local _, log = client:ended()
            assert.is_nil(log:find "secret")
        end)
    end)

    describe("is open when the answer", function()
        it("comes one byte at a time", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            local _, key = peer:request()
            peer:trickle(acceptors.response_101(key))
            client:prints "open [] []"
            peer:trickle(frame.from_server(frame.TEXT, "slow"))
            client:prints "message slow"
            finish(peer, client)
        end)

        it("has frames behind it in one write, and the Close too", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            local _, key = peer:request()
            peer:send(acceptors.response_101(key) .. frame.from_server(frame.TEXT, "one")
                .. frame.from_server(frame.TEXT, "two")
                .. frame.from_server(frame.CLOSE, frame.close(1001)))
            client:prints "open [] []"
            client:prints "message one"
            client:prints "message two"
            client:prints "close 1001 [] true"
            assert.equal(frame.CLOSE, (peer:hear()))
            peer:close()
            client:ended()
        end)

        it("is cut anywhere, with a frame behind it", function()
            for _, cut in ipairs { 1, 12, 32, 60, 100, 128, 129, 130, 131, 132, 135 } do
                local client = acceptor:client()
                local peer = acceptor:accept()
                local _, key = peer:request()
                local bytes = acceptors.response_101(key) .. frame.from_server(frame.TEXT, "abc")
                peer:send(bytes:sub(1, cut))
                peer:send(bytes:sub(cut + 1))
                client:prints "open [] []"
                client:prints "message abc"
                finish(peer, client)
            end
        end)

        it("comes after others that are on the way (1xx)", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            local _, key = peer:request()
            peer:send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                .. acceptors.response_101(key))
            client:prints "open [] []"
            finish(peer, client)
        end)
    end)

    describe("fails with 1006 and says why when the server", function()
        local function answered(make, text, options, protocols)
            local client = acceptor:client("/", options, protocols)
            local peer = acceptor:accept()
            local _, key = peer:request()
            peer:send(make(key))
            client:fails(text)
            assert.is_true(peer:is_ended())
            peer:close()
        end

        local function fields(changed, text, options, protocols)
            answered(function(key)
                return acceptors.response_101(key, changed)
            end, text, options, protocols)
        end

        it("proves nothing", function()
            local text = "the answer's Sec-WebSocket-Accept does not fit the key"
            fields({ ["Sec-WebSocket-Accept"] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }, text)
            fields({ ["Sec-WebSocket-Accept"] = false }, text)
            answered(function(key)
                local accept = acceptors.accept_of(key)
                return acceptors.response_101(key, {
                    ["Sec-WebSocket-Accept"] = { accept, accept },
                })
            end, text)
        end)

        it("does not switch rightly", function()
            local text = "the answer's Upgrade is not websocket"
            fields({ Upgrade = false }, text)
            fields({ Upgrade = "h2c" }, text)
            fields({ Upgrade = { "websocket", "websocket" } }, text)
            text = "the answer's Connection does not say upgrade"
            fields({ Connection = false }, text)
            fields({ Connection = "keep-alive" }, text)
            answered(function(key)
                return (acceptors.response_101(key):gsub("HTTP/1.1", "HTTP/1.0"))
            end, "the server answered with HTTP/1.0")
        end)

        it("chooses a subprotocol that was not offered, or none", function()
            local text = "the answer names a subprotocol that was not offered"
            fields({ ["Sec-WebSocket-Protocol"] = "chat" }, text)
            fields({ ["Sec-WebSocket-Protocol"] = "Chat" }, text, nil, '"chat"')
            fields({ ["Sec-WebSocket-Protocol"] = "chat, v2" }, text, nil, '{ "chat", "v2" }')
            fields({ ["Sec-WebSocket-Protocol"] = { "chat", "chat" } }, text, nil, '"chat"')
            fields({}, "the server speaks none of the subprotocols", nil, '"chat"')
        end)

        it("uses an extension that was not offered so", function()
            local function extension(value, options)
                fields({ ["Sec-WebSocket-Extensions"] = value },
                    "the answer names an extension that was not offered so", options)
            end
            extension("permessage-deflate")
            extension("x-other", "{ compress = true }")
            extension("permessage-deflate, permessage-deflate", "{ compress = true }")
            extension("permessage-deflate; client_max_window_bits=8", "{ compress = true }")
        end)

        it("answers with another status", function()
            for status, text in pairs { [200] = "OK", [404] = "Not Found", [503] =
                "Service Unavailable" } do
                answered(function()
                    return ("HTTP/1.1 %d %s\r\nContent-Length: 5\r\n\r\nhello"):format(status, "x")
                end, ("the server answered %d %s instead of 101"):format(status, text))
            end
        end)

        it("redirects, which is not followed", function()
            answered(function()
                return "HTTP/1.1 302 Found\r\nLocation: ws://other.example/a\r\n\r\n"
            end, "the server redirects to ws://other.example/a (302 Found): redirects are not "
                .. "followed")
            answered(function()
                return "HTTP/1.1 307 x\r\nLocation: ws://a b\1\r\n\r\n"
            end, "the server's answer is not HTTP/1.1: a control character in a header field")
            answered(function()
                return "HTTP/1.1 308 x\r\n\r\n"
            end, "the server redirects (308 Permanent Redirect): redirects are not followed")
        end)

        it("does not speak HTTP", function()
            for _, bytes in ipairs {
                "SSH-2.0-OpenSSH_9.2\r\n\r\n",
                "\129\5hello",
                "HTTP/2 101\r\n\r\n",
                "HTTP/1.1 101 x\nUpgrade: websocket\n\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            } do
                local client = acceptor:client()
                local peer = acceptor:accept()
                peer:request()
                peer:send(bytes)
                client:printed "^error the server's answer is not HTTP/1.1: "
                client:prints "close 1006 [] false"
                client:ended()
            end
        end)

        it("answers with a head that has no end", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            peer:request()
            peer:send "HTTP/1.1 101 Switching Protocols\r\n"
            while peer:try_send(("X-%d: y\r\n"):format(math.random(1e9)):rep(50)) do
            end
            client:printed "^error the server's answer is not HTTP/1.1: "
            client:ended()
        end)

        it("answers with interim answers that have no end", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            peer:request()
            while peer:try_send "HTTP/1.1 103 Early Hints\r\n\r\n" do
            end
            client:prints "error the server answered 103  instead of 101"
            client:ended()
        end)

        it("never answers", function()
            local client = acceptor:client("/", '{ handshake_timeout = "0.3s" }')
            local peer = acceptor:accept()
            local _, key = peer:request()
            peer:send(acceptors.response_101(key):sub(1, -2)) -- nearly
            client:fails(("127.0.0.1:%d did not answer the opening handshake within 0.3 seconds")
                :format(acceptor.port))
        end)

        it("answers so slowly that it never ends", function()
            local client = acceptor:client("/", '{ handshake_timeout = "0.5s" }')
            local peer = acceptor:accept()
            peer:request()
            peer:send "HTTP/1.1 101 x\r\nX: "
            while peer:try_send "y" do
                require("socket").select({ peer.socket }, nil, 0.02)
                if peer:available() == "" and select(2, peer.socket:getstats()) > 200 then
                    break
                end
            end
            client:printed "did not answer the opening handshake within 0.5 seconds"
            client:ended()
        end)

        it("ends the connection at any stage", function()
            local gone = "the server ended the connection before it answered"
            local client = acceptor:client()
            acceptor:accept():close()
            client:printed "^error "
            client:prints "close 1006 [] false"
            client:ended()

            client = acceptor:client()
            local peer = acceptor:accept()
            peer:request()
            peer:close()
            client:fails(gone)

            client = acceptor:client()
            peer = acceptor:accept()
            local _, key = peer:request()
            peer:send(acceptors.response_101(key):sub(1, 60))
            peer:close()
            client:fails(gone)

            client = acceptor:client()
            peer = acceptor:open()
            peer:close()
            client:prints "open [] []"
            client:prints "close 1006 [] false"
            client:ended()

            client = acceptor:client()
            peer = acceptor:open()
            peer:send(frame.from_server(frame.TEXT, "hello"):sub(1, 4))
            peer:close()
            client:prints "open [] []"
            client:prints "close 1006 [] false"
            client:ended()
        end)

        it("resets the connection", function()
            local client = acceptor:client()
            local peer = acceptor:accept()
            peer:request()
            peer:reset()
            client:printed "^error the connection was lost before the server answered: "
            client:prints "close 1006 [] false"
            client:ended()
        end)
    end)

    it("fails when it is closed before it is open", function()
        local client = acceptor:client("/", nil, nil, "ws:close() print('state', ws.readyState)")
        client:prints "state\t2"
        client:fails "it was closed before it was open"
    end)

    it("fails when it is closed while the answer is awaited", function()
        local client = acceptor:client("/", nil, nil, 'mw.after("0.2s", function() ws:close() end)')
        local peer = acceptor:accept()
        peer:request()
        client:fails "it was closed before it was open"
        assert.is_true(peer:is_ended())
    end)

    describe("and that fails is for the log", function()
        local url = "ws://u:secret@127.0.0.1:1/path?token=secret"

        local function logged(more, level)
            local client = acceptors.run(([[
                local mw = require "moonwire"
                local WebSocket = require "moonwire.websocket"
                local ws = WebSocket.new %q
                %s
            ]]):format(url, more), { "--log-level", level })
            local _, err = client:ended()
            return err
        end

        it("when no code hears of it, without what may be secret", function()
            local err = logged("ws.onmessage = print", "info")
            assert.matches("warn  ws://127.0.0.1:1/path: cannot connect to 127.0.0.1 port 1: "
                .. "Connection refused\n", err, 1, true)
            assert.is_nil(err:find("secret", 1, true))
        end)

        it("only at debug level when a listener or code that waits hears of it", function()
            for _, more in ipairs { "ws.onerror = print", 'ws:addEventListener("close", print)',
                "ws:opened()", "ws:close()" } do
                assert.equal("", logged(more, "info"), more)
            end
            assert.matches("debug ws://127.0.0.1:1/path: cannot connect",
                logged("ws.onclose = print", "debug"), 1, true)
        end)
    end)
end)
