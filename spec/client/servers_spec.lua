-- The client against servers: ours, Node's ws and python3-websockets, plain and over TLS, with and
-- without compression.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local process = require "spec.support.process"

local app = [[
local mw = require "moonwire"
local hooks = { protocols = { "chat" } }
function hooks.on_message(ws, data, is_binary)
    if data == "close" then
        ws:close(3001, "as you wish")
    elseif data == "ping" then
        ws:ping "anybody?"
        ws:send "pinged"
    else
        ws:send(data, is_binary)
    end
end
hooks.limits = { message_bytes = "32M", queued_bytes = "64M" }
mw.ws("/", hooks)
hooks.compress = { min_bytes = 0 }
mw.ws("/deflate", hooks)
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

-- What the client does with each; it prints one line for each step.
local script = [[
local mw = require "moonwire"
local WebSocket = require "moonwire.websocket"
local url, authority, compress = arg[1], arg[2], arg[3] == "deflate"
local function open()
    local ws = WebSocket.new(url, { "x", "chat" }, {
        ca_file = authority ~= "" and authority or nil,
        compress = compress,
        message_bytes = "32M",
        queued_bytes = "64M",
    })
    ws:opened()
    return ws
end
local ws = open()
print("open", ws.protocol, ws.extensions ~= "")
for _, n in ipairs { 0, 1, 125, 126, 65535, 65536, 1048576, 16777216 } do
    local text = ("moon "):rep(math.ceil(n / 5)):sub(1, n)
    ws:send(text)
    print("text", n, ws:receive "20s" == text)
    ws:send(text, true)
    local data = ws:receive "20s"
    print("binary", n, data == text)
end
for i = 1, 1000 do ws:send("message " .. i) end
local same = true
for i = 1, 1000 do same = ws:receive "20s" == "message " .. i and same end
print("1000", same)
ws:send "ping"
print((ws:receive "20s"))
local done
ws.onclose = function(e) done = true print("closed", e.code, e.reason, e.wasClean) end
ws:send "close"
while not done do mw.sleep "5ms" end
ws = open()
ws.onclose = function(e) print("closed", e.code, e.reason, e.wasClean) end
ws:close(1000, "thank you")
]]

local function expected(compressed)
    local out = { "open\tchat\t" .. tostring(compressed) }
    for _, n in ipairs { 0, 1, 125, 126, 65535, 65536, 1048576, 16777216 } do
        out[#out + 1] = ("text\t%d\ttrue"):format(n)
        out[#out + 1] = ("binary\t%d\ttrue"):format(n)
    end
    out[#out + 1] = "1000\ttrue"
    out[#out + 1] = "pinged"
    out[#out + 1] = "closed\t3001\tas you wish\ttrue"
    out[#out + 1] = "closed\t1000\tthank you\ttrue"
    return table.concat(out, "\n") .. "\n"
end

describe("The client talks to", function()
    local folder, certificate, key, server

    setup(function()
        folder = process.folder()
        certificate, key = certificates.make(folder.path, "a", { "localhost" })
    end)

    teardown(function()
        folder:remove()
    end)

    after_each(function()
        server:finish()
    end)

    local function talks(port, scheme, path, compressed)
        local client = acceptors.run(script, {
            ("%s://localhost:%d%s"):format(scheme, port, path),
            scheme == "wss" and certificate or "",
            compressed and "deflate" or "plain",
        })
        local ok, out = pcall(client.ended, client)
        client:discard()
        assert.is_true(ok, tostring(out))
        assert.equal(expected(compressed), out)
    end

    it("ours", function()
        server = process.start { folder:write("app.lua", app) }
        local plain, secure = server:port(), server:port()
        talks(plain, "ws", "/", false)
        talks(plain, "ws", "/deflate", true)
        talks(plain, "ws", "/", false)
        talks(secure, "wss", "/", false)
        talks(secure, "wss", "/deflate", true)
    end)

    for name, command in pairs {
        ["Node's ws"] = { "node", "spec/client/ws_server.js" },
        ["python3-websockets"] = { "/usr/bin/python3", "spec/client/python_server.py" },
    } do
        it(name, function()
            server = process.start { [0] = command[1], command[2], certificate, key }
            local plain = tonumber(server:wait_for("^plain (%d+)", "out"))
            local secure = tonumber(server:wait_for("^secure (%d+)", "out"))
            talks(plain, "ws", "/", false)
            talks(plain, "ws", "/", true)
            talks(secure, "wss", "/", false)
            talks(secure, "wss", "/", true)
        end)
    end
end)
