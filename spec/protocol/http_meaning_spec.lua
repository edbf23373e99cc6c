local http = require "spec.support.http"

local accept, refuse = http.accept, http.refuse
local request, with_host = http.request, http.with_host

describe("what a head means (RFC 9112)", function()
    describe("§3.2 Host", function()
        it("is needed in HTTP/1.1", function()
            refuse(400, request "")
            refuse(400, request("", "GET http://a/ HTTP/1.1"))
            accept(request("", "GET / HTTP/1.0"))
        end)

        it("stands once, in either version", function()
            refuse(400, request "Host: a\r\nHost: a\r\n")
            refuse(400, request("Host: a\r\nhost: b\r\n", "GET / HTTP/1.0"))
        end)

        it("may be a name, an address, and a port", function()
            for _, host in ipairs { "localhost", "Example.COM", "a-b_c.d", "127.0.0.1:8080",
                "[::1]", "[2001:db8::1]:443", "a:", "a:0", "a:65535", "xn--bcher-kva.example",
                "a%20b" } do
                local parsed, head = accept(request("Host: " .. host .. "\r\n"))
                assert.are.equal(host, http.span(parsed, head.host))
            end
        end)

        it("may be nothing else", function()
            for _, host in ipairs { "", "a b", "a/b", "a@b", "a:b", "a:65536", "a:1:2", "a:-1",
                "[::1", "::1", "[]", "[::1]x", "[1.2.3.4]", "a\\b", "a?", "a#", "\"a\"", "<a>",
                "a\195\169", "a%2", "a%zz", ":80", "[::g]", "http://a", "a\tb" } do
                refuse(400, request("Host: " .. host .. "\r\n"))
            end
        end)
    end)

    describe("§6 the body's length", function()
        it("§6.2 is Content-Length", function()
            local _, head = accept(with_host "Content-Length: 0042\r\n")
            assert.is_true(head.has_length)
            assert.are.equal(42, tonumber(head.content_length))
            assert.is_false(head.chunked)
            _, head = accept(with_host "content-length: 18446744073709551615\r\n")
            assert.is_true(head.content_length == 18446744073709551615ULL)
        end)

        it("§6.2 is nothing without one", function()
            local _, head = accept(with_host "")
            assert.is_false(head.has_length)
            assert.are.equal(0, tonumber(head.content_length))
        end)

        it("§6.3 refuses a length that is not digits", function()
            for _, value in ipairs { "", "+5", "-5", "5, 5", "5,5", "0x5", "5 5", "5a", "a", "5.0",
                "\"5\"", "18446744073709551616", "99999999999999999999", "\1785" } do
                refuse(400, with_host("Content-Length: " .. value .. "\r\n"))
            end
        end)

        it("§6.3 refuses a second length, equal or not", function()
            refuse(400, with_host "Content-Length: 5\r\nContent-Length: 5\r\n")
            refuse(400, with_host "Content-Length: 5\r\nContent-length: 6\r\n")
        end)

        it("§6.1 is chunked, in any case of letters", function()
            for _, value in ipairs { "chunked", "Chunked", "CHUNKED", "\tchunked " } do
                local _, head = accept(with_host("Transfer-Encoding: " .. value .. "\r\n"))
                assert.is_true(head.chunked)
                assert.is_false(head.has_length)
            end
        end)

        it("§6.1 refuses Transfer-Encoding with Content-Length, in either order", function()
            refuse(400, with_host "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")
            refuse(400, with_host "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")
            refuse(400, with_host "Content-Length: 5\r\nTransfer-Encoding: gzip\r\n")
        end)

        it("§6.1 refuses Transfer-Encoding in HTTP/1.0", function()
            refuse(400, request("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0"))
        end)

        it("§6.1 answers 501 to another coding before chunked", function()
            refuse(501, with_host "Transfer-Encoding: gzip, chunked\r\n")
            refuse(501, with_host "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
        end)

        it("§6.3 refuses a body whose last coding is not chunked: where does it end?", function()
            for _, value in ipairs { "gzip", "chunked, gzip", "chunked, identity", "identity",
                "xchunked", "chunkedx", "chunked;a=b", "\"chunked\"", "\11chunked" } do
                refuse(400, with_host("Transfer-Encoding: " .. value .. "\r\n"))
            end
            refuse(400, with_host "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n")
        end)

        it("§6.1 refuses chunked twice, and an empty list", function()
            refuse(400, with_host "Transfer-Encoding: chunked, chunked\r\n")
            refuse(400, with_host "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")
            refuse(400, with_host "Transfer-Encoding:\r\n")
            refuse(400, with_host "Transfer-Encoding: ,\r\n")
        end)
    end)

    describe("§9.3 keep-alive", function()
        local function keeps(fields, line)
            local _, head = accept(with_host(fields, line))
            return head.keep_alive
        end

        it("is the rule in HTTP/1.1, until close is said", function()
            assert.is_true(keeps "")
            assert.is_false(keeps "Connection: close\r\n")
            assert.is_false(keeps "Connection: upgrade, Close\r\n")
            assert.is_false(keeps "Connection: keep-alive\r\nConnection: close\r\n")
            assert.is_true(keeps "Connection: closed\r\n")
        end)

        it("must be asked for in HTTP/1.0", function()
            assert.is_false(keeps("", "GET / HTTP/1.0"))
            assert.is_true(keeps("Connection: Keep-Alive\r\n", "GET / HTTP/1.0"))
            assert.is_false(keeps("Connection: keep-alive, close\r\n", "GET / HTTP/1.0"))
        end)
    end)

    describe("(RFC 9110 §7.8) upgrade to websocket", function()
        local function upgrades(fields, line)
            local _, head = accept(with_host(fields, line))
            return head.upgrade_websocket
        end

        it("needs both fields, in any case of letters and among others", function()
            assert.is_true(upgrades "Upgrade: websocket\r\nConnection: Upgrade\r\n")
            assert.is_true(upgrades
                "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n")
            assert.is_true(upgrades
                "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: a\r\nConnection: UPGRADE\r\n")
            assert.is_false(upgrades "Upgrade: websocket\r\n")
            assert.is_false(upgrades "Connection: upgrade\r\n")
            assert.is_false(upgrades "Upgrade: websocket/13\r\nConnection: upgrade\r\n")
            assert.is_false(upgrades "Upgrade: websocket\r\nConnection: upgraded\r\n")
        end)

        it("is ignored in HTTP/1.0", function()
            assert.is_false(upgrades("Upgrade: websocket\r\nConnection: upgrade\r\n",
                "GET / HTTP/1.0"))
        end)

        it("is refused with a body", function()
            local fields = "Upgrade: websocket\r\nConnection: upgrade\r\n"
            refuse(400, with_host(fields .. "Content-Length: 1\r\n"))
            refuse(400, with_host(fields .. "Transfer-Encoding: chunked\r\n"))
            refuse(400, with_host "Upgrade: websocket\r\nContent-Length: 1\r\n")
            assert.is_true(upgrades(fields .. "Content-Length: 0\r\n"))
        end)
    end)

    describe("(RFC 9110 §10.1.1) Expect", function()
        it("is 100-continue, which counts when a body follows", function()
            local _, head = accept(with_host "Expect: 100-Continue\r\nContent-Length: 5\r\n")
            assert.is_true(head.expect_continue)
            _, head = accept(with_host "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")
            assert.is_true(head.expect_continue)
            _, head = accept(with_host "Expect: 100-continue\r\n")
            assert.is_false(head.expect_continue)
        end)

        it("is answered 417 when it is anything else", function()
            refuse(417, with_host "Expect: 200-ok\r\n")
            refuse(417, with_host "Expect: 100-continue, more\r\nContent-Length: 5\r\n")
        end)

        it("is ignored in HTTP/1.0", function()
            local _, head = accept(request("Expect: 100-continue\r\nContent-Length: 5\r\n",
                "POST / HTTP/1.0"))
            assert.is_false(head.expect_continue)
            accept(request("Expect: x\r\n", "GET / HTTP/1.0"))
        end)
    end)
end)
