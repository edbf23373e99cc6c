local core = require "spec.support.cdef"
local http = require "spec.support.http"
local C = core.C

-- Parses the bytes whole, byte by byte and cut at every place; all must say the same. Returns it.
local function parse(text, options)
    local first, wanted
    core.split(text, function(pieces, how)
        local parsed = http.parse(pieces, options)
        if not first then
            first, wanted = parsed, http.describe(parsed)
        end
        assert.are.equal(wanted, http.describe(parsed), how)
    end)
    return first
end

local function accept(text, options)
    local parsed = parse(text, options)
    assert.are.equal(1, parsed.result, ("%s: %s"):format(parsed.status, parsed.why))
    assert.are.equal(#text, parsed.head.len)
    return parsed, parsed.head
end

local function refuse(status, text, options)
    local parsed = parse(text, options)
    assert.are.equal(C.ERR_PROTOCOL, parsed.result, "not refused: " .. text)
    assert.are.equal(status, parsed.status, parsed.why)
    assert.is_string(parsed.why)
    return parsed
end

local function request(fields, line)
    return (line or "GET / HTTP/1.1") .. "\r\n" .. fields .. "\r\n"
end

local function with_host(fields, line)
    return request("Host: a\r\n" .. fields, line)
end

local function target(text, method)
    return with_host("", (method or "GET") .. " " .. text .. " HTTP/1.1")
end

describe("an HTTP head (RFC 9112)", function()
    describe("§2 message", function()
        it("§2.1 is read into spans", function()
            local parsed, head = accept("GET /chat/a%20b?user=x&y HTTP/1.1\r\n"
                .. "Host: example.com:80\r\nX-Empty:\r\n"
                .. "X-Blanks: \t one two \t\r\nX-Plain:three\r\n\r\n")
            assert.are.equal(C.HTTP_GET, head.method)
            assert.are.equal(1, head.minor)
            assert.are.equal("GET", http.span(parsed, head.method_name))
            assert.are.equal("/chat/a%20b?user=x&y", http.span(parsed, head.target))
            assert.are.equal("/chat/a%20b", http.span(parsed, head.path))
            assert.are.equal("user=x&y", http.span(parsed, head.query))
            assert.are.equal("example.com:80", http.span(parsed, head.host))
            assert.are.equal(4, head.field_count)
            assert.are.equal("X-Empty", http.span(parsed, head.fields[1].name))
            assert.are.equal("", http.span(parsed, head.fields[1].value))
            assert.are.equal("one two", http.span(parsed, head.fields[2].value))
            assert.are.equal("three", http.span(parsed, head.fields[3].value))
        end)

        it("§2.1 ends at its blank line, whatever follows", function()
            local text = with_host ""
            local parsed = http.parse(text .. "GET /next")
            assert.are.equal(1, parsed.result)
            assert.are.equal(#text, parsed.head.len)
        end)

        it("§2.1 is incomplete until its last byte", function()
            local text = with_host "A: b\r\n"
            for n = 0, #text - 1 do
                assert.are.equal(0, http.parse(text:sub(1, n)).result)
            end
        end)

        it("§2.2 may come behind one empty line", function()
            local parsed, head = accept("\r\n" .. with_host "")
            assert.are.equal("GET", http.span(parsed, head.method_name))
        end)

        it("§2.2 may not come behind two empty lines, or half of one", function()
            refuse(400, "\r\n\r\n" .. with_host "")
            refuse(400, "\n" .. with_host "")
            refuse(400, "\rG" .. with_host "")
        end)

        it("§2.2 refuses an LF without CR, at each line", function()
            refuse(400, "GET / HTTP/1.1\nHost: a\r\n\r\n")
            refuse(400, "GET / HTTP/1.1\r\nHost: a\n\r\n")
            refuse(400, "GET / HTTP/1.1\r\nHost: a\r\n\n")
        end)

        it("§2.2 refuses a CR without LF, wherever it stands", function()
            refuse(400, "GET / HTTP/1.1\rHost: a\r\n\r\n")
            refuse(400, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n")
            refuse(400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")
            refuse(400, "GET / HTTP/1.1\r\nHost: a\r\n\rX")
            refuse(400, "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n")
        end)

        it("repeats its refusal", function()
            local parsed = http.parse({ "GET / HTTP/3.0\r\n" })
            assert.are.equal(505, parsed.status)
            local limits = require "ffi".new("struct http_head_limits", { 100, 100, 100 })
            local base = core.copy(with_host "", "char *")
            assert.are.equal(C.ERR_PROTOCOL,
                C.http_head_parse(parsed.parser, base, 10, limits, parsed.head))
            assert.are.equal(505, parsed.parser.status)
        end)

        it("does not read again what it has read", function()
            -- The bytes before the parser's place are overwritten between the calls.
            local ffi = require "ffi"
            local limits = ffi.new("struct http_head_limits", { 100, 1000, 100 })
            local parser, head = ffi.new "struct http_head_parser", ffi.new "struct http_head"
            local base = core.copy(with_host "X-Value: abcdefghijklmnopqrstuvwxyz\r\n", "char *")
            assert.are.equal(0, C.http_head_parse(parser, base, 50, limits, head))
            base[49] = 1
            assert.are.equal(1, C.http_head_parse(parser, base, 64, limits, head))
        end)
    end)

    describe("§2.3 version", function()
        it("is 1.0 or 1.1", function()
            local _, head = accept(request("", "GET / HTTP/1.0"))
            assert.are.equal(0, head.minor)
        end)

        it("answers 505 to other ones", function()
            for _, version in ipairs { "2.0", "1.2", "0.9", "3.0", "9.9" } do
                refuse(505, with_host("", "GET / HTTP/" .. version))
            end
            refuse(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        end)

        it("answers 400 to what is no version", function()
            for _, version in ipairs { "HTTP/1", "HTTP/1.", "HTTP/1.10", "HTTP/11", "HTTP/ 1.1",
                "http/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/a.b", "XTTP/1.1", "HTTP/+1.1",
                "HTTP/1.1x" } do
                refuse(400, with_host("", "GET / " .. version))
            end
        end)

        it("is needed: HTTP/0.9 is refused", function()
            refuse(400, "GET /\r\n")
            refuse(400, "GET / \r\n")
        end)
    end)

    describe("§3.1 method", function()
        it("is one bit for each that is known", function()
            for _, name in ipairs { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH" } do
                local _, head = accept(target("/", name))
                assert.are.equal(tonumber(C["HTTP_" .. name]), head.method)
            end
        end)

        it("is 0 for a token that is not known, in any case of letters", function()
            for _, name in ipairs { "BREW", "get", "GE", "GETS", "TRACE", "M-SEARCH",
                "!#$%&'*+.^_`|~" } do
                local parsed, head = accept(target("/", name))
                assert.are.equal(0, head.method)
                assert.are.equal(name, http.span(parsed, head.method_name))
            end
        end)

        it("must be a token", function()
            for _, name in ipairs { "", "G(T", "G\0T", "GET\t", "\22\3\1", "G\200", "GET:" } do
                refuse(400, target("/", name))
            end
        end)

        it("is followed by exactly one blank", function()
            refuse(400, with_host("", "GET  / HTTP/1.1"))
            refuse(400, with_host("", "GET\t/ HTTP/1.1"))
            refuse(400, with_host("", "GET /  HTTP/1.1"))
            refuse(400, with_host("", " GET / HTTP/1.1"))
        end)
    end)

    describe("§3.2 target", function()
        it("§3.2.1 in origin form begins with a slash", function()
            refuse(400, target "chat")
            refuse(400, target "?a=b")
            refuse(400, target "")
        end)

        it("§3.2.1 splits at its first question mark", function()
            local parsed, head = accept(target "/a?b?c")
            assert.are.equal("/a", http.span(parsed, head.path))
            assert.are.equal("b?c", http.span(parsed, head.query))
            parsed, head = accept(target "/a?")
            assert.are.equal("/a", http.span(parsed, head.path))
            assert.are.equal("", http.span(parsed, head.query))
        end)

        it("§3.2.1 keeps a double slash in the path", function()
            local parsed, head = accept(target "//a//b")
            assert.are.equal("//a//b", http.span(parsed, head.path))
            assert.are.equal("a", http.span(parsed, head.host))
        end)

        it("holds no fragment, blank, control character or byte outside ASCII", function()
            for _, bad in ipairs { "#", "#x", "\t", "\0", "\127", "\128", "\255", "\195\169", "\n",
                "\r", "\r\n" } do
                refuse(400, target("/a" .. bad))
            end
        end)

        it("may hold what browsers send unescaped", function()
            local text = "/a|b[c]{d}^`\\\"<>'?x[]=|{}"
            local parsed, head = accept(target(text))
            assert.are.equal(text, http.span(parsed, head.target))
        end)

        it("§3.2.2 in absolute form gives host, path and query", function()
            for _, scheme in ipairs { "http", "https", "ws", "wss", "HTTP" } do
                local parsed, head = accept(target(scheme .. "://example.com:81/p?q"))
                assert.are.equal("example.com:81", http.span(parsed, head.host))
                assert.are.equal("/p", http.span(parsed, head.path))
                assert.are.equal("q", http.span(parsed, head.query))
            end
        end)

        it("§3.2.2 in absolute form wins over Host", function()
            local parsed, head = accept("GET http://one/ HTTP/1.1\r\nHost: two\r\n\r\n")
            assert.are.equal("one", http.span(parsed, head.host))
        end)

        it("§3.2.2 in absolute form without a path means the root", function()
            local parsed, head = accept(target "http://example.com")
            assert.are.equal("/", http.span(parsed, head.path))
            parsed, head = accept(target "http://example.com?q")
            assert.are.equal("/", http.span(parsed, head.path))
            assert.are.equal("q", http.span(parsed, head.query))
            assert.are.equal("example.com", http.span(parsed, head.host))
        end)

        it("§3.2.2 in absolute form is refused with another scheme or a bad authority", function()
            for _, bad in ipairs { "ftp://a/", "http:/a", "http:a", "http://", "http:///p",
                "http://a@b/", "http://a:x/", "http://a:70000/", "://a/", "http://a b/",
                "file:///etc", "http://?q",
                "http://[::1/", "http://a\\b/" } do
                refuse(400, target(bad))
            end
        end)

        it("§3.2.3 of CONNECT is an authority with a port, and has no path", function()
            local _, head = accept(target("example.com:443", "CONNECT"))
            assert.are.equal(0, head.method)
            assert.are.equal(0, head.path.len)
            refuse(400, target("/", "CONNECT"))
            refuse(400, target("example.com", "CONNECT"))
            refuse(400, target("example.com:443", "GET"))
        end)

        it("§3.2.4 is an asterisk only with OPTIONS", function()
            local parsed, head = accept(target("*", "OPTIONS"))
            assert.are.equal("*", http.span(parsed, head.path))
            refuse(400, target "*")
            refuse(400, target("*", "POST"))
            refuse(400, target("**", "OPTIONS"))
        end)
    end)

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

    describe("§4 status line", function()
        local function response(line, fields)
            return line .. "\r\n" .. (fields or "") .. "\r\n"
        end
        local reading = { response = true }

        it("gives version and status", function()
            local _, head = accept(response("HTTP/1.1 101 Switching Protocols", "A: b\r\n"),
                reading)
            assert.are.equal(101, head.status)
            assert.are.equal(1, head.minor)
            assert.are.equal(1, head.field_count)
            _, head = accept(response "HTTP/1.0 599 odd \t reason \255", reading)
            assert.are.equal(599, head.status)
            assert.are.equal(0, head.minor)
        end)

        it("may lack its reason, and then the blank as well", function()
            local _, head = accept(response "HTTP/1.1 200 ", reading)
            assert.are.equal(200, head.status)
            _, head = accept(response "HTTP/1.1 204", reading)
            assert.are.equal(204, head.status)
        end)

        it("needs no Host", function()
            accept(response("HTTP/1.1 200 OK", "Content-Length: 5\r\n"), reading)
        end)

        it("is refused when it is malformed", function()
            for _, line in ipairs { "HTTP/1.1 99 x", "HTTP/1.1 600 x", "HTTP/1.1 1000 x",
                "HTTP/1.1  200 x", "HTTP/1.1 20 x", "HTTP/1.1 2x0 x", "HTTP/1.1", "HTTP/1.1 ",
                "HTTP/1.1 200\tx", "HTTP/1.1 200 a\0b", "HTTP/1.1 200 a\nb", "GET / HTTP/1.1",
                "\r\nHTTP/1.1 200 OK" } do
                refuse(400, response(line), reading)
            end
            refuse(505, response "HTTP/2.0 200 OK", reading)
        end)

        it("comes with the same strictness about lengths", function()
            refuse(400, response("HTTP/1.1 200 OK", "Content-Length: 5\r\nContent-Length: 5\r\n"),
                reading)
            refuse(400, response("HTTP/1.1 200 OK",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), reading)
            refuse(501, response("HTTP/1.1 200 OK", "Transfer-Encoding: gzip\r\n"), reading)
        end)
    end)

    describe("§5 fields", function()
        it("§5.1 refuses a blank before the colon", function()
            refuse(400, with_host "A : b\r\n")
            refuse(400, with_host "A\t: b\r\n")
            refuse(400, with_host "Content-Length : 5\r\n")
        end)

        it("§5.1 refuses an empty name", function()
            refuse(400, with_host ": b\r\n")
            refuse(400, request ":\r\nHost: a\r\n")
        end)

        it("§5.1 refuses a line without a colon", function()
            refuse(400, with_host "A\r\n")
            refuse(400, with_host "A b\r\n")
        end)

        it("§5.1 refuses a name that is not a token", function()
            for _, byte in ipairs { "(", ")", "<", ">", "@", ",", ";", "\\", "\"", "/", "[", "]",
                "?", "=", "{", "}", "\0", "\1", "\127", "\128", "\255" } do
                refuse(400, with_host("A" .. byte .. "B: c\r\n"))
            end
        end)

        it("§5.2 refuses a folded line", function()
            refuse(400, with_host "A: b\r\n c\r\n")
            refuse(400, with_host "A: b\r\n\tc\r\n")
            refuse(400, request " Host: a\r\n")
        end)

        it("§5.5 of RFC 9110: refuses control characters in a value, wherever they are", function()
            for byte = 0, 31 do
                if byte ~= 9 then
                    local c = string.char(byte)
                    refuse(400, with_host("A: b" .. c .. "c\r\n"))
                    refuse(400, with_host("A: " .. c .. "\r\n"))
                end
            end
            refuse(400, with_host "A: \127\r\n")
            for place = 0, 40 do
                local value = ("x"):rep(place) .. "\1" .. ("y"):rep(40 - place)
                assert.are.equal(400, http.parse(with_host("A: " .. value .. "\r\n")).status)
            end
        end)

        it("§5.5 of RFC 9110: takes tabs and bytes from 0x80 on, wherever they are", function()
            for place = 1, 40 do
                local value = ("x"):rep(place) .. "\t\128\255~ " .. ("y"):rep(41 - place)
                local parsed = http.parse(with_host("A: " .. value .. "\r\n"))
                assert.are.equal(1, parsed.result)
                assert.are.equal(value, http.span(parsed, parsed.head.fields[1].value))
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

        it("§6.1 answers 501 to another coding", function()
            for _, value in ipairs { "gzip", "gzip, chunked", "chunked, gzip", "identity",
                "xchunked", "chunkedx", "chunked;a=b", "\"chunked\"", "\11chunked" } do
                local status = value:find "\11" and 400 or 501
                refuse(status, with_host("Transfer-Encoding: " .. value .. "\r\n"))
            end
            refuse(501, with_host "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
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

    describe("limits", function()
        it("take a target of target_bytes, and answer 414 to the byte after", function()
            local options = { target_bytes = 20 }
            accept(target("/" .. ("x"):rep(19)), options)
            local text = target("/" .. ("x"):rep(20))
            refuse(414, text, options)
            local pieces = {}
            for i = 1, #text do
                pieces[i] = text:sub(i, i)
            end
            assert.are.equal(#"GET " + 21, http.parse(pieces, options).fed)
        end)

        it("take a head of head_bytes, and answer 431 to a longer one", function()
            local text = with_host "A: b\r\n"
            accept(text, { head_bytes = #text })
            refuse(431, text, { head_bytes = #text - 1 })
            refuse(431, with_host("A: " .. ("x"):rep(1000)), { head_bytes = 500 })
            refuse(431, ("X"):rep(600), { head_bytes = 500 })
        end)

        it("answer 414 when the target alone passes head_bytes", function()
            refuse(414, target("/" .. ("x"):rep(600)), { head_bytes = 500 })
        end)

        it("take header_count fields, and answer 431 to the first byte of the next", function()
            local fields = ("A: b\r\n"):rep(4)
            accept(with_host(fields), { header_count = 5 })
            local parsed = refuse(431, "GET / HTTP/1.1\r\nHost: a\r\n" .. fields .. "C",
                { header_count = 5 })
            assert.are.equal(C.ERR_PROTOCOL, parsed.result)
        end)

        it("never take more fields than a head has room for", function()
            local room = tonumber(C.HTTP_FIELDS_MAX)
            local options = { header_count = 100000, head_bytes = 100000 }
            local parsed = http.parse(with_host(("A: b\r\n"):rep(room - 1)), options)
            assert.are.equal(1, parsed.result)
            assert.are.equal(room, parsed.head.field_count)
            assert.are.equal(431, http.parse(with_host(("A: b\r\n"):rep(room)), options).status)
        end)
    end)

    describe("asked afterwards", function()
        local text = with_host "X-A: 1\r\nx-a: 2\r\nX-B: three\r\nList: a, B ,,c\r\nList: D\r\n"

        it("gives the only field of a name", function()
            local ffi = require "ffi"
            local parsed, head = accept(text)
            local count = ffi.new "unsigned[1]"
            local field = C.http_head_field(head, parsed.base, "x-b", count)
            assert.are.equal(1, count[0])
            assert.are.equal("three", http.span(parsed, field.value))
            assert.is_true(C.http_head_field(head, parsed.base, "x-a", count) == nil)
            assert.are.equal(2, count[0])
            assert.is_true(C.http_head_field(head, parsed.base, "x-", count) == nil)
            assert.are.equal(0, count[0])
            assert.is_true(C.http_head_field(head, parsed.base, "x-b", nil) ~= nil)
        end)

        it("finds tokens in all fields of a name", function()
            local parsed, head = accept(text)
            for _, token in ipairs { "a", "b", "c", "d" } do
                assert.is_true(C.http_head_has_token(head, parsed.base, "list", token), token)
            end
            assert.is_false(C.http_head_has_token(head, parsed.base, "list", "e"))
            assert.is_false(C.http_head_has_token(head, parsed.base, "list", ""))
            assert.is_false(C.http_head_has_token(head, parsed.base, "lis", "a"))
        end)
    end)
end)
