-- OpenSSL is loaded when TLS is first wanted, and not before.

local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local shell = require "spec.support.shell"

local app = [[
local mw = require "moonwire"
mw.get("/", function() return "hello" end)
mw.ws("/echo", { on_message = function(ws, data) ws:send(data) end })
mw.listen { host = "127.0.0.1", port = 0 }
]]

local secure = app .. [[
mw.listen { host = "localhost", port = 0, tls = { cert = "a.pem", key = "a.key" } }
]]

-- Each worker connects, all at about the same time.
local function connecting(port)
    return app .. ([[
    local WebSocket = require "moonwire.websocket"
    mw.after("10ms", function()
        local ws = WebSocket.new("wss://localhost:%d/echo", {}, { insecure = true })
        ws.onopen = function() ws:send "over TLS" end
        ws.onmessage = function(e) print("heard " .. e.data) ws:close() end
        ws.onerror = function(e) print("error " .. e.message) end
    end)
    ]]):format(port)
end

local function make_certificate(folder)
    certificates.make(folder.path, "a", { "localhost" })
end

local function has_mapped(server, library)
    return files.read(("/proc/%d/maps"):format(server.process.pid)):find(library, 1, true) ~= nil
end

-- Of its second listener.
local function secure_port(server)
    return tonumber((server:logged "listening on https://.*:(%d+)"))
end

local function greets_over_tls(server)
    local one = assert(server:connect_to(secure_port(server), { tls = {} }))
    one:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal("hello", one:response().body)
end

local function start(source, options)
    options = options or {}
    options.listen, options.setup = {}, make_certificate
    return servers.start(source, options)
end

describe("OpenSSL", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("is not loaded by a server without TLS", function()
        server = start(app)
        assert.equal("hello", (server:get "/"))
        local one = assert(server:websocket "/echo")
        one:text "plain"
        assert.equal("plain", one:read_text())
        assert.is_true(has_mapped(server, "libluajit"))
        for _, library in ipairs { "libssl", "libcrypto" } do
            assert.is_false(has_mapped(server, library), library)
        end
    end)

    it("is loaded before a server with TLS listens", function()
        server = start(secure)
        assert.is_true(has_mapped(server, "libssl"))
        greets_over_tls(server)
    end)

    it("is loaded by a reload that adds TLS", function()
        server = start(app)
        assert.is_false(has_mapped(server, "libssl"))
        local stays = assert(server:websocket "/echo")
        server:edit(secure)
        server.process:signal "HUP"
        greets_over_tls(server)
        assert.is_true(has_mapped(server, "libssl"))
        stays:text "still here"
        assert.equal("still here", stays:read_text())
    end)

    it("is loaded by the first clients, of all workers at once", function()
        local other = start(secure)
        local port = secure_port(other)
        for _ = 1, 3 do
            server = start(connecting(port), { arguments = { "--workers", "8" } })
            for _ = 1, 8 do
                assert.equal("over TLS", server:printed "^heard (.*)")
            end
            assert.is_true(has_mapped(server, "libssl"))
            server:stop()
        end
        other:stop()
    end)
end)

-- Where the linker looks before the system's folders.
describe("Without an OpenSSL that works", function()
    local libraries, server, env

    before_each(function()
        libraries = process.folder()
        env = { LD_LIBRARY_PATH = libraries.path }
    end)

    after_each(function()
        libraries:remove()
        if server then
            server:stop()
            server = nil
        end
    end)

    local reason = "cannot load OpenSSL 3, which https and wss need "
        .. "(Debian: apt-get install libssl3): "

    local function break_it()
        return libraries:write("libssl.so.3", "no library")
    end

    local function refused(source)
        local folder = process.folder()
        make_certificate(folder)
        local done = process.run({ folder:write("app.lua", source) }, { env = env })
        folder:remove()
        assert.equal(1, done.status)
        return done.err
    end

    it("a server without TLS serves", function()
        break_it()
        server = start(app, { env = env })
        assert.equal("hello", (server:get "/"))
    end)

    it("a server with TLS does not start, and says why", function()
        local path = break_it()
        local line = "moonwire: " .. reason .. path .. ": file too short\n"
        assert.equal(line, refused(secure))
        assert.equal(line, refused(app .. "mw.listen { port = 0, tls = true }"))
    end)

    it("one that lacks functions is not used", function()
        local source = libraries:write("other.c", "int SSL_new(void) { return 0; }\n")
        local path = libraries.path .. "/libssl.so.3"
        shell(("gcc -shared -fPIC -o %s %s"):format(path, source))
        local line = "moonwire: " .. reason .. path .. ": undefined symbol: "
        local err = refused(secure)
        assert.equal(line, err:sub(1, #line))
        assert.matches("^[%w_]+\n$", err:sub(#line + 1))
    end)

    it("a reload that adds TLS fails, and works when OpenSSL is there", function()
        local path = break_it()
        server = start(app, { env = env })
        server:edit(secure)
        server.process:signal "HUP"
        assert.equal(reason .. path .. ": file too short", server:reload_failed())
        assert.equal("hello", (server:get "/"))
        os.remove(path)
        server.process:signal "HUP"
        greets_over_tls(server)
    end)

    it("a client hears of it", function()
        local path = break_it()
        server = start(connecting(443), { env = env })
        assert.equal("TLS: " .. reason .. path .. ": file too short", server:printed "^error (.*)")
        assert.equal("hello", (server:get "/"))
    end)

    it("--version says so", function()
        local path = break_it()
        local done = process.run({ "--version" }, { env = env })
        assert.equal(0, done.status)
        assert.truthy(done.out:find("\n" .. reason .. path .. ": file too short\n", 1, true))
        assert.matches("\nzlib 1%.", done.out)
    end)
end)
