local http = require "spec.support.http"

local accept, refuse = http.accept, http.refuse
local target = http.target

describe("a request's target (RFC 9112)", function()
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
end)
