-- examples/tls: own certificates, chosen by name, and a redirection from http.

local example = require "spec.examples.example"
local frame = require "spec.support.frame"
local free_port = require "spec.support.free_port"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local socket = require "socket"
local ssl = require "ssl"

describe("the tls example", function()
    local folder, tls

    -- A copy, beside certificates made as its first lines say.
    setup(function()
        folder = process.folder()
        shell(("cp examples/tls/tls.lua examples/tls/make-certificates '%s'"):format(
            folder.path))
        shell(("'%s/make-certificates'"):format(folder.path))
    end)

    teardown(function()
        folder:remove()
    end)

    -- The example redirects to a port that it was told: one that is free now.
    before_each(function()
        local path = folder.path .. "/tls.lua"
        tls = example.start("tls", { path = path, arguments = { "0", tostring(free_port()) } })
    end)

    after_each(function()
        tls:stop()
    end)

    -- TLS that trusts the certificate of that name alone.
    local function connect(name, trusted)
        local s = socket.tcp4()
        s:settimeout(20)
        assert(s:connect("127.0.0.1", tls.tls_port))
        local wrapped = assert(ssl.wrap(s, {
            mode = "client",
            protocol = "any",
            verify = "peer",
            cafile = ("%s/%s.pem"):format(folder.path, trusted or name),
        }))
        wrapped:settimeout(20)
        wrapped:sni(name)
        local ok, why = wrapped:dohandshake()
        return ok and wrapped, why
    end

    local function curl(...)
        local command = ("curl -s --cacert %s/localhost.pem"):format(folder.path)
        for _, argument in ipairs { ... } do
            command = ("%s '%s'"):format(command, argument)
        end
        local pipe = io.popen(command)
        local out = pipe:read "*a"
        pipe:close()
        return out
    end

    it("shows the certificate of the name that is asked for, others the first", function()
        for _, name in ipairs { "localhost", "chat.localhost" } do
            local one = assert(connect(name))
            assert.same({ { oid = "2.5.4.3", name = "commonName", value = name } },
                one:getpeercertificate():subject())
            one:close()
        end
        assert(connect("other.localhost", "localhost")):close()
        assert.falsy((connect("chat.localhost", "localhost")))
    end)

    it("redirects http to https, path and query kept, as curl follows it", function()
        local _, status, response = tls:get "/a/b?c=d%20e"
        assert.equal(308, status)
        assert.equal(("https://localhost:%d/a/b?c=d%%20e"):format(tls.tls_port),
            response.headers.location)
        assert.equal("hello localhost, over TLS\n",
            curl("-L", ("http://localhost:%d/"):format(tls.port)))
    end)

    it("echoes over wss", function()
        local one = assert(connect "chat.localhost")
        assert(one:send(peer.upgrade_request("/echo", { Host = "chat.localhost" })))
        local line
        local head = {}
        repeat
            line = assert(one:receive "*l")
            head[#head + 1] = line
        until line == ""
        assert.truthy(head[1]:find("101", 1, true))
        one:send(frame.build(frame.TEXT, "hello"))
        local f = frame.read(function(n)
            return one:receive(n)
        end)
        assert.equal("hello", f.payload)
        one:close()
    end)

    it("refuses WebSockets in the clear", function()
        local one, status = tls:websocket "/echo"
        assert.is_nil(one)
        assert.equal(403, status)
    end)

    it("lets nobody but the owner read the keys", function()
        for _, name in ipairs { "localhost", "chat.localhost" } do
            local pipe = io.popen(("stat -c %%a '%s/%s.key'"):format(folder.path, name))
            assert.equal("600", pipe:read "*l")
            pipe:close()
        end
    end)
end)
