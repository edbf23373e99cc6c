-- What HTTP handlers get, what they may return, and what happens when they fail or wait.

local json = require "cjson"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.get("/string", function() return "text" end)
mw.get("/empty", function() return "" end)
mw.get("/nothing", function() end)
mw.get("/table", function() return { a = { 1, 2 }, b = "x" } end)
mw.get("/status", function() return 404, "no such thing\n" end)
mw.get("/status/alone", function() return 202 end)
mw.get("/status/table", function() return 422, { problem = "no" } end)
mw.get("/headers", function(req)
    req:set_header("Set-Cookie", "a=1")
    req:set_header("Set-Cookie", "b=2")
    return 201, "<p>", { ["Content-Type"] = "text/html", ["X-Number"] = 7, Link = { "<a>", "<b>" } }
end)
mw.get("/redirect", function() return 303, nil, { Location = "/string" } end)
mw.get("/not/modified", function() return 304, "never sent" end)
mw.get("/no/content", function() return 204, "never sent" end)

mw.get("/fails", function() local function inner() error "out of cheese" end inner() end)
mw.get("/fails/with/table", function() error { code = 7 } end)
mw.get("/fails/later", function() mw.sleep("1ms") error "too late" end)
mw.get("/bad/status", function() return 99 end)
mw.get("/bad/101", function() return 101 end)
mw.get("/bad/type", function() return print end)
mw.get("/bad/header", function() return 200, "", { ["X-A"] = "b\r\nX-Evil: 1" } end)
mw.get("/bad/length", function() return 200, "abc", { ["Content-Length"] = "1" } end)
mw.get("/bad/json", function() return { print } end)

mw.any("/see/:name/*rest", function(req)
    return {
        method = req.method, target = req.target, path = req.path, query = req.query,
        params = req.params, headers = req.headers, cookies = req.cookies,
        remote_address = req.remote_address, secure = req.secure, body = req.body,
    }
end)
mw.get("/hello/:name", function(req) return "hello " .. tostring(req.params.name) end)
mw.get("/hello/world", function() return "literal" end)

local waiting = {}
mw.get("/wait/until/let/go", function()
    waiting[#waiting + 1] = true
    local mine = #waiting
    while waiting[mine] do mw.sleep("1ms") end
    return "let go"
end)
mw.get("/waiting", function() return tostring(#waiting) end)
mw.get("/let/go", function() for i = 1, #waiting do waiting[i] = false end return "done" end)
mw.get("/abandoned", function(req)
    waiting[#waiting + 1] = true
    local mine = #waiting
    local ok, problem = pcall(function()
        while waiting[mine] do mw.sleep("1ms") end
    end)
    print("still here", ok, tostring(problem))
    print("asked for", req.path, req.headers.host, req.remote_address)
    return "to nobody"
end)

mw.post("/only/post", function() return "posted" end)
mw.options("/own/options", function() return 200, "mine" end)
mw.ws("/chat", {})
]]

describe("an HTTP handler", function()
    local server = servers.shared(app)
    local p

    before_each(function()
        p = assert(server:connect())
    end)

    local function request(path, method)
        p:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(method or "GET", path))
        return assert(p:response(method == "HEAD"))
    end

    local function is(status, body, type, r)
        assert.equal(status, r.status)
        assert.equal(body, r.body)
        assert.equal(type, r.headers["content-type"])
    end

    -- The line of the app that holds the text.
    local function line_of(text)
        local before = app:sub(1, app:find(text, 1, true))
        return select(2, before:gsub("\n", "")) + 1
    end

    local TEXT, JSON = "text/plain; charset=utf-8", "application/json"

    describe("returns", function()
        it("a string: 200 with it", function()
            is(200, "text", TEXT, request "/string")
            local r = request "/empty"
            assert.equal(200, r.status)
            assert.equal("0", r.headers["content-length"])
        end)

        it("nothing: 204", function()
            local r = request "/nothing"
            is(204, "", nil, r)
            assert.is_nil(r.headers["content-length"]) -- RFC 9110 §8.6
            assert.equal(200, request("/string").status) -- and no byte of a body
        end)

        it("a table: JSON", function()
            local r = request "/table"
            assert.equal(JSON, r.headers["content-type"])
            assert.same({ a = { 1, 2 }, b = "x" }, json.decode(r.body))
            r = request "/status/table"
            is(422, '{"problem":"no"}', JSON, r)
        end)

        it("a status, alone or with a body", function()
            is(404, "no such thing\n", TEXT, request "/status")
            local r = request "/status/alone"
            assert.equal(202, r.status)
            assert.equal("0", r.headers["content-length"])
        end)

        it("a status, a body and headers", function()
            local r = request "/headers"
            is(201, "<p>", "text/html", r)
            assert.equal("7", r.headers["x-number"])
            assert.equal("<a>\n<b>", r.headers.link)
            assert.equal("a=1\nb=2", r.headers["set-cookie"])
        end)

        it("a redirection", function()
            local r = request "/redirect"
            assert.equal(303, r.status)
            assert.equal("/string", r.headers.location)
            assert.equal("0", r.headers["content-length"])
        end)

        it("no body where the status has none (RFC 9110 §15.3.5, §15.4.5)", function()
            for path, status in pairs { ["/not/modified"] = 304, ["/no/content"] = 204 } do
                assert.equal(status, request(path).status)
                assert.equal(200, request("/string").status)
            end
        end)
    end)

    it("answers HEAD as GET, without the body (RFC 9110 §9.3.2)", function()
        for _, path in ipairs {
            "/string", "/table", "/headers", "/nothing", "/status", "/fails",
        } do
            local get, head = request(path), request(path, "HEAD")
            get.headers.date, head.headers.date = nil, nil
            assert.equal(get.status, head.status)
            assert.same(get.headers, head.headers)
        end
        is(200, "text", TEXT, request "/string")
    end)

    describe("that fails", function()
        it("is a 500 that tells nothing, with file, line and traceback in the log", function()
            is(500, "internal error\n", TEXT, request "/fails")
            local at = "app%.lua:" .. line_of "out of cheese" .. ": "
            server:logged("error the handler of GET /fails failed: .*" .. at .. "out of cheese$")
            server:logged(at .. "in function 'inner'$")
            server:logged(at .. "in function")
        end)

        it("with a table as its error is one too", function()
            is(500, "internal error\n", TEXT, request "/fails/with/table")
            server:logged "the handler of GET /fails/with/table failed:"
        end)

        it("after it waited is one too", function()
            is(500, "internal error\n", TEXT, request "/fails/later")
            server:logged("/fails/later failed: .*:" .. line_of "too late" .. ": too late$")
        end)

        it("to return what can be sent is one too, and the log says what was wrong", function()
            for path, why in pairs {
                ["/bad/status"] = "the status is a whole number from 200 to 599, got 99",
                ["/bad/101"] = "the status is a whole number from 200 to 599, got 101",
                ["/bad/type"] = "the body is a string, or a table for JSON, got function",
                ["/bad/header"] = "the header \"X%-A\"",
                ["/bad/length"] = "the header \"Content%-Length\"",
                ["/bad/json"] = "the body cannot be written as JSON",
            } do
                local r = request(path)
                is(500, "internal error\n", TEXT, r)
                assert.is_nil(r.headers["x-evil"])
                server:logged("GET " .. path .. " failed: .*" .. why)
            end
        end)

        it("leaves its connection as it was", function()
            assert.equal(500, request("/fails").status)
            is(200, "text", TEXT, request "/string")
        end)
    end)

    describe("gets", function()
        it("everything of the request", function()
            p:send("POST /see/J%C3%BCrgen/a%2Fb/c?x=1&y=a+b&y=%26 HTTP/1.1\r\nHost: h:1\r\n"
                .. "Cookie: a=1; b=\"2\"\r\nX-Two: one\r\nx-two: two\r\nContent-Length: 4\r\n\r\n"
                .. "body")
            local got = json.decode(p:response().body)
            assert.equal("POST", got.method)
            assert.equal("/see/J%C3%BCrgen/a%2Fb/c?x=1&y=a+b&y=%26", got.target)
            assert.equal("Jürgen", got.params.name)
            assert.equal("a/b/c", got.params.rest)
            assert.equal("1", got.query.x)
            assert.equal("h:1", got.headers.host)
            assert.equal("one, two", got.headers["x-two"])
            assert.equal("1", got.cookies.a)
            assert.equal("127.0.0.1", got.remote_address)
            assert.is_false(got.secure)
            assert.equal("body", got.body)
        end)

        it("a parameter that is not empty; a literal goes before it", function()
            is(200, "hello me", TEXT, request "/hello/me")
            is(200, "literal", TEXT, request "/hello/world")
            assert.equal(404, request("/hello/").status)
            assert.equal(404, request("/hello/a/b").status)
        end)

        it("what is not escaped text as it came", function()
            is(200, "hello %zz", TEXT, request "/hello/%zz")
            is(200, "hello %ff", TEXT, request "/hello/%ff")
        end)
    end)

    describe("that waits", function()
        it("holds nobody else up", function()
            local waiting = {}
            for i = 1, 10 do
                waiting[i] = assert(server:connect())
                waiting[i]:send "GET /wait/until/let/go HTTP/1.1\r\nHost: a\r\n\r\n"
            end
            repeat until request("/waiting").body == "10"
            for _, one in ipairs(waiting) do
                assert.equal("", one:available())
            end
            is(200, "text", TEXT, request "/string")
            is(200, "done", TEXT, request "/let/go")
            for _, one in ipairs(waiting) do
                is(200, "let go", TEXT, one:response())
            end
        end)

        it("is cancelled when the peer has gone, and still knows its request", function()
            local before = tonumber(request("/waiting").body)
            local gone = assert(server:connect())
            gone:send "GET /abandoned HTTP/1.1\r\nHost: me\r\n\r\n"
            repeat until tonumber(request("/waiting").body) > before
            gone.socket:setoption("linger", { on = true, timeout = 0 }) -- a reset
            gone:close()
            server:printed "^still here\tfalse\t.*cancelled"
            server:printed "^asked for\t/abandoned\tme\t127%.0%.0%.1$"
            is(200, "text", TEXT, request "/string")
        end)
    end)

    describe("is not needed for OPTIONS (RFC 9110 §9.3.7)", function()
        it("of a path: the methods that it takes", function()
            for path, allowed in pairs {
                ["/string"] = "GET, HEAD, OPTIONS",
                ["/only/post"] = "POST, OPTIONS",
                ["/chat"] = "GET, OPTIONS",
            } do
                local r = request(path, "OPTIONS")
                assert.equal(204, r.status)
                assert.equal(allowed, r.headers.allow)
            end
        end)

        it("of the server", function()
            local r = request("*", "OPTIONS")
            assert.equal(204, r.status)
            assert.equal("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS", r.headers.allow)
        end)

        it("but may take it over", function()
            is(200, "mine", TEXT, request("/own/options", "OPTIONS"))
        end)

        it("of a path that is nowhere: 404", function()
            assert.equal(404, request("/nowhere", "OPTIONS").status)
        end)
    end)

    it("is reached whatever the form of the target (RFC 9112 §3.2.2)", function()
        p:send "GET http://example.com/string?x HTTP/1.1\r\nHost: other\r\n\r\n"
        is(200, "text", TEXT, p:response())
    end)
end)
