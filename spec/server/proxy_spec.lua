-- The PROXY protocol on a listener: whose address the app sees, and who is refused. The header
-- itself is the business of spec/protocol/proxy_header_spec.lua.

local certificates = require "spec.support.certificates"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local servers = require "spec.support.server"

local routes = [[
    local mw = require "moonwire"
    mw.get("/", function(req)
        return req.remote_address .. (req.secure and " secure" or "")
    end)
    mw.get("/counters", function() return mw.counters() end)
    mw.ws("/ws", { on_open = function(ws) ws:send(ws.remote_address) end,
        on_message = function(ws, text) ws:send(text) end })
]]

local v1 = proxy.v1 "TCP4 192.0.2.10 198.51.100.1 56324 443"
local v1_of_6 = proxy.v1 "TCP6 2001:db8::7 ::1 56324 443"
local v1_mapped = proxy.v1 "TCP6 ::ffff:192.0.2.11 ::1 56324 443"
local v2 = proxy.v2(proxy.TCP4, proxy.ipv4("192.0.2.20", "198.51.100.1", 1, 2)
    .. proxy.tlv(1, "h2"))
local v2_unix = proxy.v2(proxy.UNIX, ("x"):rep(216))
local v2_local = proxy.v2(0, "", { first = 0x20 })
local request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

describe("A listener with the option proxy", function()
    local server

    local function start(listen, options)
        options = options or {}
        options.listen = {}
        server = servers.start(routes .. listen, options)
    end

    after_each(function()
        if server then
            server:stop()
            server = nil
        end
    end)

    local function get(first, options)
        options = options or {}
        options.first = first
        return (peer.get(options.port or server.port, "/", options))
    end

    -- It is closed without an answer.
    local function refuses(bytes, pattern)
        local p = assert(server:connect())
        p:try_send(bytes)
        server:logged("(127%.0%.0%.1: connection refused: " .. pattern .. ")")
        assert.is_true(p:is_ended())
    end

    for _, workers in ipairs { "1", "2" } do
        it("takes the address from the header, with " .. workers .. " workers", function()
            start([[mw.listen { port = 0, host = "127.0.0.1", proxy = { "127.0.0.1" } }]],
                { arguments = { "--workers", workers } })
            for first, address in pairs { [v1] = "192.0.2.10", [v1_of_6] = "2001:db8::7",
                [v1_mapped] = "192.0.2.11", [v2] = "192.0.2.20", [v2_unix] = "unix",
                [v2_local] = "127.0.0.1", [proxy.v1 "UNKNOWN"] = "127.0.0.1" } do
                assert.equal(address, get(first))
                local ws = assert(server:websocket("/ws", { first = first }))
                assert.equal(address, ws:read_text())
                assert.equal("a", ws:ask "a")
            end
        end)
    end

    it("reads no byte beyond it, however it comes", function()
        start [[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]]
        for _, first in ipairs { v1, v2, proxy.checked(proxy.TCP4,
            proxy.ipv4("192.0.2.10", "1.1.1.1", 1, 1) .. proxy.tlv(4, ("x"):rep(3000))) } do
            local whole = assert(server:connect())
            whole:send(first .. request)
            local slow = assert(server:connect())
            slow:trickle(first:sub(1, 60))
            slow:send(first:sub(61))
            slow:trickle(request)
            for _, p in ipairs { whole, slow } do
                assert.matches("^192%.0%.2%.%d+$", p:response().body)
            end
        end
    end)

    it("comes before TLS", function()
        start([[
            mw.listen { port = 0, host = "127.0.0.1", proxy = true,
                tls = { cert = "a.pem", key = "a.key" } }
        ]], { setup = function(folder)
            certificates.make(folder.path, "a", { "a.test" })
        end })
        assert.equal("192.0.2.10 secure", get(v1, { tls = {} }))
        assert.equal("192.0.2.20 secure", get(v2, { tls = {} }))
        local ws = assert(server:websocket("/ws", { first = v2, tls = {} }))
        assert.equal("192.0.2.20", ws:read_text())
        refuses("\22\3\1\0\5hello", ".*there is none")
    end)

    it("may be a unix socket", function()
        local folder = process.folder()
        finally(function()
            folder:remove()
        end)
        local path = folder.path .. "/a.sock"
        start(([[
            mw.listen { host = "unix:%s", proxy = { "unix:" } }
            mw.listen { port = 0, host = "127.0.0.1" }
        ]]):format(path))
        assert.equal("192.0.2.10", (peer.get(path, "/", { first = v1 })))
        assert.equal("127.0.0.1", get())
        local p = assert(peer.connect(path))
        p:send(request)
        server:logged "(unix: connection refused: .*there is none)"
        assert.is_true(p:is_ended())
    end)

    it("refuses whoever it does not name, with a line in the log", function()
        start [[mw.listen { port = 0, host = "127.0.0.1", proxy = { "10.0.0.0/8", "unix:" } }]]
        local p = assert(server:connect())
        p:try_send(v1 .. request)
        server:logged("(connection from 127%.0%.0%.1 refused: it is not in the option proxy of the "
            .. "listener http://127%.0%.0%.1:" .. server.port .. ")")
        assert.is_true(p:is_ended())
    end)

    it("refuses a connection without a header, or with a broken one", function()
        start [[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]]
        refuses(request, "the listener has the option proxy, but the PROXY header is not as it "
            .. "should be: there is none")
        refuses(proxy.v1 "TCP4 1.1.1.1 1.1.1.1 1", ".*has not the five fields")
        refuses(proxy.checked(proxy.TCP4, proxy.ipv4("1.1.1.1", "1.1.1.1", 1, 1), true),
            ".*its checksum is wrong")
        assert.equal("192.0.2.10", get(v1))
        local p = assert(peer.connect(server.port))
        p:close() -- as a proxy does that only looks whether somebody listens
        assert.equal(3, tonumber((peer.get(server.port, "/counters", { first = v1 })):match
            '"refused_connections":(%d+)'))
    end)

    it("has the time of a handshake for it", function()
        start [[
            mw.limits { handshake_seconds = 1 }
            mw.listen { port = 0, host = "127.0.0.1", proxy = true }
        ]]
        local silent, slow = assert(server:connect()), assert(server:connect())
        slow:send(v1:sub(1, -2))
        assert.is_true(silent:is_ended())
        assert.is_true(slow:is_ended())
        assert.equal(2, tonumber((peer.get(server.port, "/counters", { first = v1 })):match
            '"handshake_timeouts":(%d+)'))
    end)

    it("counts clients by their own addresses, and proxies not at all", function()
        start [[
            mw.limits { connections_per_address = 2 }
            mw.listen { port = 0, host = "127.0.0.1", proxy = true }
        ]]
        for _ = 1, 5 do -- their headers have not come
            assert(server:connect()):send(v1:sub(1, 5))
        end
        local open = {}
        for i = 1, 2 do
            open[i] = assert(server:websocket("/ws", { first = v1 }))
        end
        local p = assert(server:connect())
        p:try_send(v1 .. request)
        server:logged "(192%.0%.2%.10: connection refused: over limits%.connections_per_address)"
        assert.is_true(p:is_ended())
        assert.equal("192.0.2.20", get(v2))
        for _, ws in ipairs(open) do
            ws:close_cleanly(1000)
        end
        process.eventually(function()
            local again = assert(peer.connect(server.port, { first = v1 .. request }))
            local r = again:response()
            again:close()
            return r and r.body == "192.0.2.10"
        end)
    end)

    it("counts a /64 of IPv6 as one client", function()
        start [[
            mw.limits { connections_per_address = 2 }
            mw.listen { port = 0, host = "127.0.0.1", proxy = true }
        ]]
        local function from(address)
            return proxy.v1("TCP6 " .. address .. " ::1 56324 443")
        end
        for i = 1, 2 do
            assert(server:websocket("/ws", { first = from("2001:db8::" .. i) }))
        end
        local p = assert(server:connect())
        p:try_send(from "2001:db8::3:3:3:3" .. request)
        server:logged "(2001:db8::3:3:3:3: connection refused: over limits%.connections_per_)"
        assert.is_true(p:is_ended())
        assert.equal("2001:db8:0:1::1", get(from "2001:db8:0:1::1"))
    end)

    it("follows a reload", function()
        start [[mw.listen { port = 0, host = "127.0.0.1" }]]
        assert.equal("127.0.0.1", get())
        server:reload(routes
            .. [[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]])
        assert.equal("192.0.2.10", get(v1))
        server:reload(routes
            .. [[mw.listen { port = 0, host = "127.0.0.1", proxy = "10.0.0.5" }]])
        local p = assert(server:connect())
        p:try_send(v1 .. request)
        server:logged "(refused: it is not in the option proxy)"
        assert.is_true(p:is_ended())
        server:reload(routes .. [[mw.listen { port = 0, host = "127.0.0.1" }]])
        assert.equal("127.0.0.1", get())
    end)

    it("lets connections go whose header has not come when the server ends", function()
        start [[mw.listen { port = 0, host = "127.0.0.1", proxy = true }]]
        local p = assert(server:connect())
        p:send(v2:sub(1, 20))
        assert.equal("192.0.2.10", get(v1)) -- it was taken up before this
        server.process:signal "TERM"
        assert.is_true(p:is_ended())
        assert.equal(0, server.process:wait().status)
    end)

    it("does not start with what is no address", function()
        local folder = process.folder()
        finally(function()
            folder:remove()
        end)
        local path = folder:write("app.lua", routes
            .. '\nmw.listen { port = 0, proxy = { "localhost" } }')
        local ended = process.run { path }
        assert.equal(1, ended.status)
        assert.matches('app%.lua:%d+: listen: proxy: "localhost" is not an address: write ',
            ended.err)
    end)
end)
