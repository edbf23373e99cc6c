-- mw.hosts, and in watch mode the hosts and peers that a developer's server is there for.

local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local servers = require "spec.support.server"
local sys_stat = require "posix.sys.stat"

local app = [[
local mw = require "moonwire"
mw.get("/", function(req) return req.headers.host or "none" end)
mw.post("/", function() return "posted" end)
mw.ws("/plain", { on_message = function(ws, data) ws:send(data) end })
mw.ws("/listed", { origins = "https://example.com" })
]]
local far = proxy.v1 "TCP4 192.0.2.10 198.51.100.1 56324 443"

describe("mw.hosts", function()
    local server

    local function start(more, options)
        server = servers.start(app .. more, options)
    end

    after_each(function()
        server:stop()
    end)

    -- The answer to a request; line: its first; host: false for none.
    local function ask(host, line, options)
        local p = assert(server:connect(options))
        p:send(("%s\r\n%sConnection: close\r\n\r\n"):format(line or "GET / HTTP/1.1",
            host and "Host: " .. host .. "\r\n" or ""))
        return assert(p:response()), p
    end

    local function upgrade(path, host, options)
        options = options or {}
        options.fields = options.fields or { Host = host }
        local client, status, r = server:websocket(path, options)
        return client and 101 or status, r
    end

    it("are those that are answered for, others get 421 (RFC 9110 §15.5.20)", function()
        start [[mw.hosts { "example.com", "*.example.com" } mw.hosts "127.0.0.1"]]
        for _, host in ipairs { "example.com", "EXAMPLE.COM:8080", "www.example.com.",
            "127.0.0.1:1" } do
            assert.equal(host, ask(host).body)
            assert.equal(101, (upgrade("/plain", host)))
        end
        for _, host in ipairs { "example.org", "localhost", "a.b.example.com", "[::1]" } do
            local r, p = ask(host)
            assert.same({ 421, "this server does not answer for this host\n", "close" },
                { r.status, r.body, r.headers.connection })
            assert.is_true(p:is_ended())
            assert.equal(421, (upgrade("/plain", host)))
        end
    end)

    it("are compared with what the request is about, wherever that stands", function()
        start [[mw.hosts "example.com"]]
        assert.equal(200, ask("example.com", "GET http://example.com/ HTTP/1.1").status)
        -- An absolute target comes before Host (RFC 9112 §3.2.2).
        assert.equal(200, ask("other.test", "GET http://example.com/ HTTP/1.1").status)
        assert.equal(421, ask("example.com", "GET http://other.test/ HTTP/1.1").status)
        assert.equal(421, ask(false, "GET / HTTP/1.0").status)
        assert.equal(421, ask("other.test", "OPTIONS * HTTP/1.1").status)
        assert.equal(400, ask("a b").status)
        assert.equal(400, ask(false).status)
    end)

    it("end the connection, so that a body is not taken for a request", function()
        start [[mw.hosts "example.com"]]
        local p = assert(server:connect())
        p:send "POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 4\r\n\r\n"
        assert.equal(421, assert(p:response()).status)
        assert.is_true(p:is_ended())
    end)

    it("are all without it", function()
        start ""
        assert.equal("evil.test", ask("evil.test").body)
        assert.equal(101, (upgrade("/plain", "evil.test")))
    end)

    it("follow a reload", function()
        start [[mw.hosts "example.com"]]
        server:reload(app .. [[mw.hosts "other.test"]])
        assert.equal(421, ask("example.com").status)
        assert.equal(200, ask("other.test").status)
        server:reload(app)
        assert.equal(200, ask("example.com").status)
    end)

    it("that are none are told at the app's line", function()
        start ""
        server:edit(app .. [[mw.hosts { "https://example.com" }]])
        server.process:signal "HUP"
        assert.matches('app.lua:6: host "https://example.com": write a host name or an address',
            server:reload_failed(), 1, true)
        server:edit(app .. [[mw.hosts { "a.test", "a.test" }]])
        server.process:signal "HUP"
        assert.matches('app.lua:6: host "a.test" is named twice', server:reload_failed(), 1, true)
    end)

    describe("in watch mode", function()
        local function watch(more, options)
            options = options or {}
            options.arguments = options.arguments or { "--watch" }
            function options.setup(folder)
                sys_stat.mkdir(folder.path .. "/public")
                folder:write("public/page.html", "<h1>page")
            end
            start('mw.static("/public", "public")\n' .. more, options)
        end

        local function overlay(host, options)
            return (upgrade("/.moonwire/overlay", host, options)),
                ask(host, "GET /.moonwire/overlay.js HTTP/1.1", options).status,
                ask(host, "GET /public/page.html HTTP/1.1", options).body:find("<script", 1, true)
                    ~= nil
        end

        it("are this machine's, for WebSockets without origins and for the overlay", function()
            watch ""
            for _, host in ipairs { "localhost", "a.localhost:8080", "127.0.0.1", "[::1]:80",
                "192.0.2.1" } do
                assert.equal(101, (upgrade("/plain", host)))
                assert.same({ 101, 200, true }, { overlay(host) })
            end
            -- A page of evil.test, whose name leads here now.
            local status, r = upgrade("/plain", nil, { fields = { Host = "evil.test:8080",
                Origin = "http://evil.test:8080" } })
            assert.equal(421, status)
            assert.matches('^Host "evil.test:8080" may not open WebSockets in watch mode', r.body)
            server:logged 'Host "evil.test:8080" may not open WebSockets in watch mode'
            assert.same({ 421, 421, false }, { overlay "evil.test" })
            -- Not for what cannot be read from a page, or has its own rule.
            assert.equal(403, (upgrade("/listed", nil, { fields = { Host = "evil.test",
                Origin = "http://evil.test" } })))
            assert.equal(101, (upgrade("/listed", nil, { fields = { Host = "evil.test",
                Origin = "https://example.com" } })))
            assert.equal(200, ask("evil.test").status)
        end)

        it("are also those of mw.hosts and of listeners", function()
            watch([[mw.listen { port = 0, host = "localhost" } mw.hosts "example.com"]],
                { listen = {} })
            for _, host in ipairs { "example.com", "localhost", "127.0.0.1" } do
                assert.equal(101, (upgrade("/plain", host)))
                assert.equal(200, ask(host).status)
            end
            assert.equal(421, ask("evil.test").status)
        end)

        it("show the overlay to peers on this machine only", function()
            watch([[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]], { listen = {} })
            local near = { first = proxy.v1 "TCP4 127.0.0.1 127.0.0.1 1 2" }
            assert.same({ 101, 200, true }, { overlay("localhost", near) })
            assert.same({ 404, 404, false }, { overlay("localhost", { first = far }) })
            assert.equal(101, (upgrade("/plain", "localhost", { first = far })))
        end)

        it("show it to all with --overlay all", function()
            watch([[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]],
                { listen = {}, arguments = { "--watch", "--overlay", "all" } })
            assert.same({ 101, 200, true }, { overlay("localhost", { first = far }) })
        end)

        it("are told of once, when others can reach them", function()
            watch("", { listen = { "127.0.0.1:0", "*:0", "*:0" } })
            server:logged "warn +files are watched, and http://localhost:%d+ %(on every address%)"
            server:reload()
            local log = server:stop()
            assert.equal(1, select(2, log:gsub("files are watched, and", "")))
        end)

        it("are not told of on this machine alone", function()
            watch("", { listen = { "127.0.0.1:0", "localhost:0" } })
            assert.is_nil(server:stop():find("files are watched, and", 1, true))
        end)
    end)

    it("without watch mode nobody warns, whoever can reach them", function()
        start("", { listen = { "*:0" } })
        assert.is_nil(server:stop():find("files are watched, and", 1, true))
    end)
end)

describe("--overlay", function()
    it("is local or all", function()
        local done = process.run { "--overlay", "none", "-e", "" }
        assert.equal(2, done.status)
        assert.matches("--overlay is local %(pages on this machine%) or all, not \"none\"",
            done.err)
    end)
end)
