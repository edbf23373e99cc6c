-- wss from the client's side: whom it believes.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local frame = require "spec.support.frame"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local folder

-- A certificate that the authority signs. alternatives: its subjectAltName; "": it has none. from,
-- to: dates as YYYYMMDDHHMMSSZ.
local function signed(name, alternatives, from, to)
    local base = folder.path .. "/" .. name
    local script = folder:write("sign.sh", ([[
        set -e
        cd %s
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s \
            -keyout %s.key -out %s.csr
        printf '%s\n' > %s.ext
        mkdir -p db && : > db/index && echo %s > db/serial
        openssl ca -batch -notext -config ca.cnf -in %s.csr -out %s.pem -extfile %s.ext \
            -startdate %s -enddate %s
    ]]):format(folder.path, name, name, name,
        alternatives == "" and "" or "subjectAltName=" .. alternatives, name,
        ("%04x"):format(#name * 997 + name:byte()), name, name, name,
        from or "20200101000000Z", to or "20991231000000Z"))
    shell("sh " .. script .. " >" .. base .. ".log 2>&1")
    return { certificate = base .. ".pem", key = base .. ".key" }
end

describe("A client over TLS", function()
    local acceptor, good, authority

    setup(function()
        folder = process.folder()
        authority = certificates.make(folder.path, "ca", { "ca.test" })
        folder:write("ca.cnf", ([[
            [ca]
            default_ca = d
            [d]
            dir = %s
            database = $dir/db/index
            serial = $dir/db/serial
            new_certs_dir = $dir/db
            certificate = $dir/ca.pem
            private_key = $dir/ca.key
            default_md = sha256
            policy = p
            [p]
            commonName = supplied
        ]]):format(folder.path))
        good = signed("good", "DNS:localhost,IP:127.0.0.1,IP:::1")
    end)

    teardown(function()
        folder:remove()
    end)

    after_each(function()
        if acceptor then
            acceptor:close()
        end
    end)

    local function trusting(more)
        return ("{ ca_file = %q, %s }"):format(authority, more or "")
    end

    local function talk(url, options)
        local client = acceptors.client(url, options)
        local peer, head = acceptor:open()
        client:prints "open [] []"
        peer:say(frame.TEXT, "hello")
        client:prints "message hello"
        peer:say(frame.CLOSE, frame.close(1000))
        assert.equal(frame.CLOSE, (peer:hear()))
        peer:close()
        client:prints "close 1000 [] true"
        local _, log = client:ended()
        return head, log
    end

    it("believes the authorities in ca_file, for names and for addresses", function()
        acceptor = acceptors.new { tls = good }
        local head = talk("wss://localhost:" .. acceptor.port, trusting())
        assert.truthy(head:find("\nHost: localhost:" .. acceptor.port .. "\n", 1, true))
        talk(acceptor:url "/", trusting())
    end)

    it("speaks TLS 1.2 too", function()
        acceptor = acceptors.new {
            tls = { certificate = good.certificate, key = good.key, protocol = "tlsv1_2" },
        }
        talk(acceptor:url "/", trusting())
    end)

    -- The server's handshake fails too.
    local function refused(parameters, url, options, text)
        acceptor = acceptors.new { tls = parameters }
        local client = acceptors.client(url:gsub("PORT", acceptor.port), options)
        acceptor:accept()
        client:fails(text)
    end

    it("does not believe an authority that it does not know", function()
        refused(good, "wss://localhost:PORT", nil,
            "TLS: the certificate of localhost is signed by an unknown authority")
    end)

    it("does not believe a certificate that signed itself", function()
        local certificate, key = certificates.make(folder.path, "self", { "localhost" })
        refused({ certificate = certificate, key = key }, "wss://localhost:PORT", trusting(),
            "TLS: the certificate of localhost is signed by itself, not by a known authority")
        acceptor:close()
        acceptor = acceptors.new { tls = { certificate = certificate, key = key } }
        talk("wss://localhost:" .. acceptor.port, ("{ ca_file = %q }"):format(certificate))
    end)

    it("does not believe a certificate of another host", function()
        local other = signed("other", "DNS:other.test,DNS:*.b.test")
        refused(other, "wss://localhost:PORT", trusting(), "TLS: the certificate of localhost does "
            .. "not match the host name: it is for other.test, *.b.test")
        acceptor:close()
        refused(other, "wss://127.0.0.1:PORT", trusting(), "TLS: the certificate of 127.0.0.1 does "
            .. "not match the address: it is for other.test, *.b.test")
    end)

    it("does not believe a certificate without subjectAltName, whatever its common name (RFC 9525)",
        function()
            local named = signed("localhost", "")
            refused(named, "wss://localhost:PORT", trusting(), "TLS: the certificate of localhost "
                .. "does not match the host name: it has no subjectAltName, and its common name "
                .. "does not count (RFC 9525)")
        end)

    it("does not believe a certificate whose time is over, or has not come", function()
        refused(signed("old", "DNS:localhost", "20200101000000Z", "20210203000000Z"),
            "wss://localhost:PORT", trusting(),
            "TLS: the certificate of localhost has expired on 2021-02-03")
        acceptor:close()
        refused(signed("young", "DNS:localhost", "20900101000000Z"), "wss://localhost:PORT",
            trusting(), "TLS: the certificate of localhost is not valid before 2090-01-01")
    end)

    it("believes anybody when it is told to, and says so", function()
        acceptor = acceptors.new { tls = signed("any", "DNS:other.test", nil, "20210203000000Z") }
        local _, log = talk("wss://localhost:" .. acceptor.port, "{ insecure = true }")
        assert.truthy(log:lower():find "not verified")
    end)

    it("shows its certificate when it has one", function()
        local own = signed("me", "DNS:me.test")
        acceptor = acceptors.new {
            tls = {
                certificate = good.certificate, key = good.key, cafile = authority,
                verify = { "peer", "fail_if_no_peer_cert" },
            },
        }
        talk(acceptor:url "/", trusting(("cert = %q, key = %q"):format(own.certificate, own.key)))
        local client = acceptors.client(acceptor:url "/", trusting())
        acceptor:accept()
        client:printed "^error .*certificate required"
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("says which file is wrong", function()
        acceptor = acceptors.new()
        local url = "wss://127.0.0.1:" .. acceptor.port
        acceptors.client(url, '{ ca_file = "/none/x.pem" }'):fails(
            "TLS: cannot read the authorities' file /none/x.pem")
        acceptors.client(url, ("{ ca_file = %q }"):format(good.key)):fails(
            "TLS: " .. good.key .. " holds no certificate in PEM form")
        acceptors.client(url, '{ cert = "/none/y.pem" }'):fails(
            "TLS: cannot read the certificate /none/y.pem: No such file or directory")
        local pair = ("{ cert = %q, key = %q }"):format(good.certificate, authority)
        acceptors.client(url, pair):fails(
            "TLS: " .. authority .. " holds no private key in PEM form")
    end)

    describe("fails when the server", function()
        before_each(function()
            acceptor = acceptors.new()
        end)

        it("does not speak TLS", function()
            local client = acceptors.client("wss://127.0.0.1:" .. acceptor.port)
            local peer = acceptor:accept()
            peer:bytes(5)
            peer:send "HTTP/1.1 400 Bad Request\r\n\r\n"
            client:printed "^error TLS: "
            client:prints "close 1006 [] false"
            client:ended()
        end)

        it("says nothing", function()
            local client = acceptors.client("wss://127.0.0.1:" .. acceptor.port,
                '{ connect_timeout = "0.3s" }')
            acceptor:accept()
            client:fails(("TLS: 127.0.0.1:%d did not finish the handshake within 0.3 seconds")
                :format(acceptor.port))
        end)

        it("leaves in the handshake", function()
            local client = acceptors.client("wss://127.0.0.1:" .. acceptor.port)
            local peer = acceptor:accept()
            peer:bytes(5)
            peer:close()
            client:printed "^error TLS: "
            client:prints "close 1006 [] false"
            client:ended()
        end)
    end)

    it("fails when TLS is cut off before the answer", function()
        acceptor = acceptors.new { tls = good }
        local client = acceptors.client(acceptor:url "/", trusting())
        local peer = acceptor:accept()
        peer:request()
        peer:close()
        client:printed "^error the server ended the connection before it answered"
        client:ended()
    end)

    it("takes a certificate that was renewed in the same file", function()
        acceptor = acceptors.new { tls = good }
        folder:write("live.pem", assert(io.open(good.certificate)):read "*a")
        local client = acceptors.run(([[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local function try(file)
                local ws = WebSocket.new(%q, nil, { ca_file = file })
                local ok, why = pcall(ws.opened, ws)
                print(ok and "open" or tostring(why))
                ws:terminate()
            end
            local file = %q
            try(file)
            local text = io.open(%q):read "*a"
            local out = io.open(file, "w")
            out:write(text)
            out:close()
            try(file)
        ]]):format("wss://localhost:" .. acceptor.port, folder.path .. "/live.pem", authority))
        -- Trust in the certificate itself is enough, and so is its authority afterwards.
        for _ = 1, 2 do
            acceptor:open()
            client:prints "open"
        end
        client:ended()
    end)
end)
