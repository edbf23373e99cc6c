-- TLS sessions that a client resumes: with whom, how often, and never where trust differs.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local process = require "spec.support.process"
local server = require "spec.support.server"

-- An echo server of Node's ws with one version of TLS; says whether it resumed.
local node = [[
const fs = require("fs"), https = require("https");
const { WebSocketServer } = require(process.argv[2]);
const [cert, key] = process.argv.slice(3, 5).map((name) => fs.readFileSync(name));
const version = process.argv[5];
const server = https.createServer({ cert, key, minVersion: version, maxVersion: version });
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
    local folder, certificate, key, other, served

    setup(function()
        folder = process.folder()
        certificate, key = certificates.make(folder.path, "s", { "localhost" })
        other = folder.path .. "/other.pem"
        assert(os.execute(("cp %s %s"):format(certificate, other)) == 0)
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

    -- Node gives two tickets with a full handshake and none with a resumed one: of TLS 1.3 they are
    -- used up after two.
    for version, last in pairs { ["TLSv1.2"] = " true\t1", ["TLSv1.3"] = " false\t0" } do
        it("is resumed by Node's server with " .. version, function()
            local module = io.popen("cd spec/node_modules/ws && pwd"):read "*l"
            served = process.start { [0] = "node", folder:write("server.js", node), module,
                certificate, key, version }
            local port = served:wait_for("^port (%d+)", "out")
            local e = entry(port)
            assert.same({ version .. " false\t0", version .. " true\t1", version .. " true\t1",
                version .. last }, opened { e, e, e, e })
        end)
    end

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

        it("is never resumed with other options", function()
            local list = { entry(app.port, "{ insecure = true }"), entry(app.port),
                entry(app.port, ("{ ca_file = %q }"):format(other)),
                entry(app.port, ("{ ca_file = %q, cert = %q, key = %q }"):format(certificate,
                    certificate, key)) }
            assert.same({ "0\t0", "0\t0", "0\t0", "0\t0" }, opened(list))
        end)
    end)
end)
