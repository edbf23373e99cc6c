-- TLS sessions that a client resumes: with whom, how often, and never where trust differs.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local server = require "spec.support.server"

-- An echo server of Node's ws with one version of TLS; says whether it resumed.
local node = [[
const fs = require("fs"), https = require("https");
const { WebSocketServer } = require(process.argv[2]);
const [cert, key] = process.argv.slice(3, 5).map((name) => fs.readFileSync(name));
const version = process.argv[5];
const server = https.createServer({ cert, key, minVersion: version, maxVersion: version,
    sessionTimeout: +process.argv[6] });
new WebSocketServer({ server }).on("connection", (ws, req) => {
    ws.send(req.socket.getProtocol() + " " + req.socket.isSessionReused());
});
server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
]]

-- Opens the URLs of a list, one after another, each with its options; prints what the server says
-- of each, and whether it was resumed.
local script = [[
local mw = require "moonwire"
local WebSocket = require "moonwire.websocket"
for _, one in ipairs { %s } do
    local before = mw.counters().tls_resumed
    local ws = WebSocket.new(one[1], nil, one[2])
    assert(ws:opened())
    local said = ws:receive "5s"
    print(said, mw.counters().tls_resumed - before)
    ws:close()
    ws:receive()
end
]]

describe("A client's TLS session", function()
    local folder, certificate, key, other, both, served

    setup(function()
        folder = process.folder()
        certificate, key = certificates.make(folder.path, "s", { "localhost" })
        other = folder.path .. "/other.pem"
        assert(os.execute(("cp %s %s"):format(certificate, other)) == 0)
        both = folder.path .. "/both.pem"
        assert(os.execute(("cat %s %s > %s"):format(certificate, key, both)) == 0)
    end)

    teardown(function()
        folder:remove()
    end)

    after_each(function()
        if served then
            served:finish()
        end
        served = nil
    end)

    local function opened(list)
        local client = acceptors.run(script:format(table.concat(list, ", ")))
        local out = client:ended()
        local lines = {}
        for line in out:gmatch "[^\n]+" do
            lines[#lines + 1] = line
        end
        return lines
    end

    local function entry(port, options)
        return ("{ 'wss://localhost:%s/', %s }"):format(port,
            options or ("{ ca_file = %q }"):format(certificate))
    end

    -- At each of these times, in hours from now, the script opens a connection: "resumed",
    -- "new", or why it failed.
    local function at(port, hours)
        local library = preload.build(folder, "clock", [[
            #include <time.h>

            static long ahead;

            void set_clock(long seconds)
            {
                ahead = seconds;
            }

            time_t time(time_t *out)
            {
                struct timespec now;
                clock_gettime(CLOCK_REALTIME, &now);
                now.tv_sec += ahead;
                if (out)
                    *out = now.tv_sec;
                return now.tv_sec;
            }
        ]])
        local client = acceptors.run(([[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local ffi = require "ffi"
            ffi.cdef "void set_clock(long seconds);"
            for _, hour in ipairs { %s } do
                ffi.C.set_clock(hour * 3600)
                local before = mw.counters().tls_resumed
                local ws = WebSocket.new("wss://localhost:%s/", nil,
                    { ca_file = %q })
                local ok, why = ws:opened()
                local how = mw.counters().tls_resumed > before and "resumed" or "new"
                if ok then ws:receive "5s" ws:close() ws:receive() end
                print(ok and how or why)
            end
        ]]):format(table.concat(hours, ", "), port, certificate), {},
            preload.env(library))
        return (client:ended())
    end

    -- The port of Node's server.
    local function serve(version, seconds)
        local module = io.popen("cd spec/node_modules/ws && pwd"):read "*l"
        served = process.start { [0] = "node", folder:write("server.js", node), module, certificate,
            key, version, tostring(seconds) }
        return (served:wait_for("^port (%d+)", "out"))
    end

    -- Node gives two tickets with a full handshake and none with a resumed one: of TLS 1.3 they are
    -- used up after two.
    for version, last in pairs { ["TLSv1.2"] = " true\t1", ["TLSv1.3"] = " false\t0" } do
        it("is resumed by Node's server with " .. version, function()
            local port = serve(version, 3600)
            local e = entry(port)
            assert.same({ version .. " false\t0", version .. " true\t1", version .. " true\t1",
                version .. last }, opened { e, e, e, e })
        end)
    end

    it("is resumed for two hours", function()
        assert.equal("new\nresumed\nnew\n", at(serve("TLSv1.3", 24 * 3600), { 0, 1.95, 2.05 }))
    end)

    it("is not resumed when it is older than its server wants", function()
        assert.equal("new\nresumed\nnew\n", at(serve("TLSv1.3", 360), { 0, 0.09, 0.11 }))
    end)

    describe("with our server", function()
        local app

        before_each(function()
            app = server.start([[
                local mw = require "moonwire"
                mw.ws("/", { on_open = function(ws)
                    ws:send(tostring(mw.counters().tls_resumed))
                end })
                mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "s.pem", key = "s.key" } }
            ]], { listen = {}, setup = function(f)
                assert(os.execute(("cp %s %s %s"):format(certificate, key, f.path)) == 0)
            end })
        end)

        after_each(function()
            app:stop()
        end)

        it("is resumed, and both ends count it", function()
            local e = entry(app.port)
            assert.same({ "0\t0", "1\t1", "2\t1", "3\t1", "4\t1", "5\t1" },
                opened { e, e, e, e, e, e })
        end)

        it("is not resumed when the certificate's time is over", function()
            local out = at(app.port, { 47, 47.5, 48.1 }) -- it is valid for two days
            assert.matches("^new\nresumed\nTLS: the certificate of localhost has expired on ", out)
        end)

        it("is resumed with its own server only, by host and port", function()
            local e = entry(app.port)
            assert.same({ "0\t0", "TLSv1.3 false\t0", "1\t1" },
                opened { e, entry(serve("TLSv1.3", 3600)), e })
        end)

        it("is never resumed with other options", function()
            local list = { entry(app.port, "{ insecure = true }"),
                entry(app.port, ("{ ca_file = %q, insecure = true }"):format(certificate)),
                entry(app.port),
                entry(app.port, ("{ ca_file = %q }"):format(other)),
                entry(app.port, ("{ ca_file = %q, cert = %q, key = %q }"):format(certificate,
                    certificate, key)),
                entry(app.port, ("{ ca_file = %q, cert = %q, key = %q }"):format(certificate,
                    other, key)),
                entry(app.port, ("{ ca_file = %q, cert = %q }"):format(certificate, both)),
                entry(app.port, ("{ ca_file = %q, cert = %q, key = %q }"):format(certificate,
                    both, key)) }
            local none = {}
            for i = 1, #list do
                none[i] = "0\t0"
            end
            assert.same(none, opened(list))
        end)
    end)
end)
