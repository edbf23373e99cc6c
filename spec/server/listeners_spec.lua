-- Several listeners of both kinds in one app, and the certificates that they are given.

local certificates = require "spec.support.certificates"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local shell = require "spec.support.shell"

-- A certificate whose time was in 2020: folder/old.pem, folder/old.key.
local function expired_certificate(folder)
    local config = folder:write("ca.cnf", ([[
        [ca]
        default_ca = it
        [it]
        database = %s/index.txt
        new_certs_dir = %s
        serial = %s/serial
        default_md = sha256
        policy = any
        [any]
        commonName = supplied
    ]]):format(folder.path, folder.path, folder.path))
    folder:write("index.txt", "")
    folder:write("serial", "01\n")
    local base = folder.path .. "/old"
    local function run(command)
        shell(command .. " >/dev/null 2>&1")
    end
    run(("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
        .. " -keyout %s.key -out %s.csr"):format(base, base))
    run(("openssl ca -batch -selfsign -notext -config %s -startdate 20200101000000Z"
        .. " -enddate 20200201000000Z -keyfile %s.key -in %s.csr -out %s.pem"):format(config, base,
        base, base))
end

describe("listeners", function()
    local server

    after_each(function()
        if server then
            server:stop()
        end
        server = nil
    end)

    it("of both kinds, each with its certificate, serve one app", function()
        server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function(req)
                return (req.secure and "TLS " or "plain ") .. req.remote_address
            end)
            local sockets = 0
            mw.ws("/ws", { on_open = function(ws)
                sockets = sockets + 1
                ws:subscribe "all"
                ws:send("number " .. sockets .. " at " .. ws.url:match "^%w+")
                ws:publish("all", "another")
            end })
            mw.listen { port = 0, host = "127.0.0.1" }
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "b.pem", key = "b.key" } }
            mw.listen { port = 0, host = "::1" }
            mw.listen { host = "unix:" .. arg[0]:gsub("app.lua$", "a.sock") }
        ]], {
            listen = {},
            setup = function(folder)
                certificates.make(folder.path, "a", { "a.test" })
                certificates.make(folder.path, "b", { "b.test" })
            end,
        })
        local first, second, six = server.process:port(), server.process:port(),
            server.process:port()
        local unix = server:logged "listening on unix:(.*)$"
        assert.equal("plain 127.0.0.1", (server:get "/"))
        assert.equal("plain unix", (peer.get(unix, "/")))
        local p = assert(server:connect_to(six, "::1"))
        p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.equal("plain ::1", p:response().body)
        for port, name in pairs { [first] = "a.test", [second] = "b.test" } do
            p = assert(server:connect_to(port, { tls = {} }))
            assert.is_true(p.socket:shows(name))
            p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.equal("TLS 127.0.0.1", p:response().body)
        end
        -- They meet in the same app.
        local all = {}
        for i, to in ipairs { { server.port }, { first, { tls = {} } }, { second, { tls = {} } },
            { unix } } do
            all[i] = assert(peer.websocket(to[1], "/ws", to[2]))
            assert.equal(("number %d at %s"):format(i, to[2] and "wss" or "ws"), all[i]:read_text())
            for earlier = 1, i - 1 do
                assert.equal("another", all[earlier]:read_text())
            end
        end
        for _, one in ipairs(all) do
            one:close()
        end
    end)

    it("take a certificate and its key from one file, the chain behind it", function()
        server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function() return "hello" end)
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "both.pem" } }
        ]], {
            listen = {},
            setup = function(folder)
                local cert, key = certificates.make(folder.path, "a", { "a.test" })
                shell(("cat %s %s > %s/both.pem"):format(cert, key, folder.path))
            end,
        })
        local p = assert(server:connect { tls = {} })
        assert.is_true(p.socket:shows "a.test")
    end)

    it("serve with a certificate that has expired, and warn", function()
        server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function() return "hello" end)
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "old.pem", key = "old.key" } }
        ]], { listen = {}, setup = expired_certificate })
        local p = assert(server:connect { tls = {} })
        p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.equal("hello", p:response().body)
        local log = server:stop()
        local _, warnings = log:gsub(" warn ", "")
        assert.equal(1, warnings, log)
        assert.truthy(log:find("old%.pem expired on 2020%-02%-01: clients will refuse it\n"), log)
    end)

    describe("do not start with", function()
        local folder

        before_each(function()
            folder = process.folder()
            certificates.make(folder.path, "a", { "a.test" })
            certificates.make(folder.path, "b", { "b.test" })
            folder:write("text.pem", "this is no certificate\n")
            folder:write("broken.pem",
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
            folder:write("empty.pem", "")
            local lock = "openssl pkey -in %s/a.key -aes128 -passout pass:x -out %s/locked.key"
            shell(lock:format(folder.path, folder.path))
        end)

        after_each(function()
            folder:remove()
        end)

        for _, case in ipairs {
            { "a certificate that is not there", "none.pem", "a.key",
                "cannot read the certificate .*/none%.pem: No such file" },
            { "a key that is not there", "a.pem", "none.key",
                "cannot read the key .*/none%.key: No such file" },
            { "a certificate that is no PEM", "text.pem", "a.key",
                "text%.pem holds no certificate in PEM form" },
            { "an empty certificate", "empty.pem", "a.key",
                "empty%.pem holds no certificate in PEM form" },
            { "a damaged certificate", "broken.pem", "a.key",
                "the certificate .*/broken%.pem is damaged" },
            { "a key that is no PEM", "a.pem", "text.pem",
                "text%.pem holds no private key in PEM form" },
            { "a key in place of the certificate", "a.key", "a.key",
                "a%.key holds no certificate in PEM form" },
            { "a certificate without its key", "a.pem", nil,
                "a%.pem holds no private key in PEM form" },
            { "another certificate's key", "a.pem", "b.key",
                "the key .*/b%.key does not belong to the certificate .*/a%.pem" },
            { "a key that asks for a passphrase", "a.pem", "locked.key",
                "the key .*/locked%.key is encrypted" },
            { "a folder", ".", "a.key", "moonwire%-spec" },
        } do
            local what, cert, key, pattern = case[1], case[2], case[3], case[4]
            it(what, function()
                local app = folder:write("app.lua", ([[
                    local mw = require "moonwire"
                    mw.listen { port = 0, tls = { cert = %q, key = %s } }
                ]]):format(cert, key and ("%q"):format(key) or "nil"))
                for _, arguments in ipairs { { app }, { "--check", app } } do
                    local run = process.run(arguments)
                    assert.equal(1, run.status)
                    assert.equal("", run.out)
                    assert.truthy(run.err:match "^moonwire: [^\n]+\n$", run.err)
                    assert.truthy(run.err:find(pattern), run.err)
                end
            end)
        end
    end)

    it("leave a unix socket alone that another server has put in place of theirs", function()
        local folder = process.folder()
        finally(function()
            folder:remove()
        end)
        local path = folder.path .. "/a.sock"
        local function start(name)
            return servers.start(([[
                local mw = require "moonwire"
                mw.get("/", function() return "%s" end)
                mw.listen { host = "unix:%s" }
                mw.listen { port = 0, host = "127.0.0.1" }
            ]]):format(name, path), { listen = {} })
        end
        server = start "old"
        assert(os.remove(path))
        local new = start "new"
        server:edit [[
            local mw = require "moonwire"
            mw.listen { port = 0, host = "127.0.0.1" }
        ]]
        server:reload() -- which stops the listener
        assert.equal("new", (peer.get(path, "/")))
        server:stop()
        assert.equal("new", (peer.get(path, "/")))
        new:stop()
        assert.is_false(process.exists(path))
    end)
end)
