local core = require "spec.support.cdef"
local http = require "spec.support.http"
local C = core.C

local accept, refuse = http.accept, http.refuse
local request, with_host, target = http.request, http.with_host, http.target

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
            local parsed = refuse(400, with_host "A: b\r\n c\r\n")
            assert.is_truthy(parsed.why:find "folded")
            refuse(400, with_host "A: b\r\n\tc\r\n")
            refuse(400, request " Host: a\r\n")
        end)

        it("§5.5 of RFC 9110: refuses control characters in a value, wherever they are", function()
            for byte = 0, 31 do
                if byte ~= 9 then
                    local c = string.char(byte)
                    refuse(400, with_host("A: b" .. c .. "c\r\n"))
                    refuse(400, with_host("A: " .. c .. "\r\n"))
                    local long = with_host("A: 0123456789" .. c .. "0123456789012345\r\n")
                    assert.are.equal(400, http.parse(long).status)
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
