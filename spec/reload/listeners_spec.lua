-- Listeners and certificates across reloads.

local certificates = require "spec.support.certificates"
local free_port = require "spec.support.free_port"
local peer = require "spec.support.peer"
local servers = require "spec.support.server"

local hello = [[
local mw = require "moonwire"
mw.get("/", function() return "hello" end)
mw.get("/counters", function() return mw.counters() end)
mw.ws("/echo", { on_message = function(ws, data) ws:send(data) end })
]]

local function listen(port, more)
    return ("mw.listen { host = '127.0.0.1', port = %d%s }\n"):format(port, more or "")
end

for _, workers in ipairs { 1, 2 } do
    describe(("with %d workers a reload"):format(workers), function()
        local server

        local function start(source, setup)
            server = servers.start(source, { listen = {}, setup = setup,
                arguments = { "--workers", tostring(workers) } })
        end

        after_each(function()
            server:stop()
        end)

        it("leaves listeners that stay as they are", function()
            start(hello .. listen(0))
            local port = server.port
            for i = 2, 20 do
                server.process:signal "HUP"
                -- Connections that come meanwhile are all served.
                for _ = 1, 10 do
                    assert.equal("hello", (peer.get(port, "/")))
                end
                assert.equal(i, server:reloaded())
            end
            assert.is_nil(server:stop():find("no longer listening", 1, true))
        end)

        it("opens new ones, and closes those that are gone but not their connections", function()
            start(hello .. listen(0))
            local old_port = server.port
            local stays = assert(server:websocket "/echo")
            local new_port = free_port()
            server:edit(hello .. listen(new_port))
            server.process:signal "HUP"
            assert.equal(tostring(new_port), server:logged "info  listening on .*:(%d+)")
            assert.truthy(server:logged "no longer listening on (.*)")
            server:reloaded()
            assert.equal("hello", (peer.get(new_port, "/")))
            stays:text "still here"
            assert.equal("still here", stays:read_text())
            require("spec.support.process").eventually(function()
                local p = peer.connect(old_port)
                return p == nil
            end)
            -- And back, to the same port.
            server:reload(hello .. listen(old_port) .. listen(new_port))
            assert.equal("hello", (peer.get(old_port, "/")))
            assert.equal("hello", (peer.get(new_port, "/")))
            stays:text "and here"
            assert.equal("and here", stays:read_text())
        end)

        it("closes several at once", function()
            local ports = { free_port(), free_port(), free_port() }
            start(hello .. listen(0) .. listen(ports[1]) .. listen(ports[2]) .. listen(ports[3]))
            server:reload(hello .. listen(0))
            local log = server:stop()
            for _, port in ipairs(ports) do
                local _, lines = log:gsub("no longer listening on http://127.0.0.1:" .. port, "")
                assert.equal(1, lines)
            end
        end)

        local secure = hello .. listen(0, ", tls = { cert = 'a.pem', key = 'a.key' }")

        it("takes up a new certificate for new handshakes, and keeps one that fits", function()
            start(secure, function(folder)
                certificates.make(folder.path, "a", { "a.test" })
                certificates.make(folder.path, "b", { "b.test" })
            end)
            local path = server.folder.path
            local function shown()
                local p = assert(server:connect { tls = {} })
                local name = p.socket:shows "a.test" and "a" or p.socket:shows "b.test" and "b"
                p:close()
                return name
            end
            local stays = assert(server:websocket("/echo", { tls = {} }))
            server:reload()
            assert.equal("a", shown())
            -- Half of a new pair: its key is still the old one.
            os.execute(("cp '%s/b.pem' '%s/a.pem'"):format(path, path))
            server.process:signal "HUP"
            assert.matches("keeps its certificate: .*a%.pem", (server:logged "error (.*)"))
            server:reloaded()
            assert.equal("a", shown())
            -- The other half.
            os.execute(("cp '%s/b.key' '%s/a.key'"):format(path, path))
            server:reload()
            assert.equal("b", shown())
            stays:text "x"
            assert.equal("x", stays:read_text())
        end)
    end)
end

describe("with --watch a certificate", function()
    it("that is renewed is taken up by itself, with no handshake that fails", function()
        local server = servers.start(hello .. listen(0,
            ", tls = { cert = 'a.pem', key = 'a.key' }"), {
            listen = {}, arguments = { "--watch", "--workers", "2" },
            setup = function(folder)
                for i = 1, 4 do
                    certificates.make(folder.path, "new" .. i, { "localhost" })
                end
                os.execute(("cd '%s' && cp new4.pem a.pem && cp new4.key a.key"):format(
                    folder.path))
            end,
        })
        for i = 1, 3 do
            -- As certbot does: links that are replaced, the certificate first.
            os.execute(("cd '%s' && ln -sf new%d.pem a.pem && ln -sf new%d.key a.key"):format(
                server.folder.path, i, i))
            for _ = 1, 20 do
                assert(server:connect { tls = {} }):close()
            end
            assert.equal(i + 1, server:reloaded())
        end
        server:stop()
    end)
end)
