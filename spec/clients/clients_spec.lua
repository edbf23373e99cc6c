-- Real clients: Node's ws and python3-websockets, plain and over TLS, with and without compression.
-- The scripts beside this file say what they saw; what they should have seen is here.

local cjson = require "cjson"
local certificates = require "spec.support.certificates"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
io.stdout:setvbuf "line"
mw.limits { message_bytes = "64M", queued_bytes = "80M", close_seconds = 2 }
local function on_message(ws, data, is_binary)
    if data == "ping me" then
        ws:ping "from the server"
    elseif data == "close" then
        ws:close()
    elseif #data < 20 and data:find "^close %d" then
        local code = tonumber(data:match "%d+")
        ws:close(code, "reason " .. code)
    else
        ws:send(data, is_binary)
    end
end
local function on_close(ws, code, reason, was_clean)
    if not was_clean then print("not clean:", code, reason) end
end
local function on_error(ws, problem) print("error:", problem) end
local hooks = { on_message = on_message, on_close = on_close, on_error = on_error }
mw.ws("/plain", hooks)
hooks.compress = { min_bytes = 0 }
mw.ws("/deflate", hooks)
mw.ws("/protocols", { protocols = { "v2.chat", "chat" }, on_close = on_close })
mw.ws("/refused", { on_upgrade = function(req) return req:reject(403, "not you") end })
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

local sizes = { 0, 1, 125, 126, 65535, 65536, 1048576 }
local largest = 67108864

-- What each of them shall report, in any order: name → value. extensions(agreed): how this client
-- names them.
local function expected(secure, compressed, extensions)
    local out = { extensions = extensions(compressed) }
    for _, n in ipairs(sizes) do
        out["text " .. n] = { bytes = n, binary = false, same = true }
        out["binary " .. n] = { bytes = n, binary = true, same = true }
    end
    out[(secure and "binary " or "text ") .. largest] = {
        bytes = largest, binary = secure, same = true,
    }
    out["1000 messages"] = 1000
    out["100 connections"] = 100
    out["fragments text"] = { pong = "between", binary = false, same = true }
    out["fragments binary"] = { pong = "between", binary = true, same = true }
    out["ping 0"], out["ping 125"] = true, true
    for code, reason in pairs {
        [1000] = "", [1001] = "away", [3000] = "\195\188", [4999] = ("x"):rep(123),
    } do
        out["close " .. code] = { code, reason }
    end
    for _, code in ipairs { 1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999 } do
        out["closed " .. code] = { code, "reason " .. code }
    end
    out["closed"] = { 1005, "" }
    out["protocols v2.chat"], out["protocols chat,v2.chat"] = "v2.chat", "v2.chat"
    out["protocols x,chat"] = "chat"
    for _, name in ipairs { "none", "no context", "small windows", "defaults" } do
        out["deflate " .. name] = {
            extensions = extensions(compressed and name ~= "none"),
            same = 15,
        }
    end
    return out
end

local clients = {
    {
        name = "Node's ws",
        command = { [0] = "node", "spec/clients/ws.js" },
        extensions = function(agreed)
            return agreed and "permessage-deflate" or ""
        end,
        more = {
            pinged = "from the server",
            close = { 1005, "" },
            protocols = "",
            nothing = "Unexpected server response: 404",
            refused = "Unexpected server response: 403",
        },
    },
    {
        name = "python3-websockets",
        command = { [0] = "/usr/bin/python3", "spec/clients/python_websockets.py" },
        extensions = function(agreed)
            return agreed and { "permessage-deflate" } or {}
        end,
        more = {
            ["protocols x"] = cjson.null,
            protocols = cjson.null,
            nothing = 404,
            refused = 403,
        },
    },
}

for _, client in ipairs(clients) do
    describe(client.name, function()
        local server, secure_port, running

        before_each(function()
            server = servers.start(app, {
                listen = {},
                setup = function(folder)
                    certificates.make(folder.path, "a", { "localhost" })
                end,
            })
            secure_port = server.process:port()
        end)

        after_each(function()
            running:finish()
            local _, printed = server:stop()
            assert.equal("", printed)
        end)

        for _, secure in ipairs { false, true } do
            for _, route in ipairs { "plain", "deflate" } do
                it(("gets and gives everything: %s, %s"):format(secure and "wss" or "ws", route),
                    function()
                        local wanted = expected(secure, route == "deflate",
                            client.extensions)
                        for name, value in pairs(client.more) do
                            wanted[name] = value
                        end
                        running = process.start {
                            [0] = client.command[0], client.command[1],
                            ("%s://localhost:%d/%s"):format(secure and "wss" or "ws",
                                secure and secure_port or server.port, route),
                            secure and server.folder.path .. "/a.pem" or nil,
                        }
                        local left = 0
                        for _ in pairs(wanted) do
                            left = left + 1
                        end
                        for _ = 1, left do
                            local name, result = running:wait_for("^([^\t]+)\t(.*)$", "out")
                            assert.same({ name, wanted[name] }, { name, cjson.decode(result) })
                            wanted[name] = nil
                        end
                        assert.equal(0, running:wait().status, running.err)
                        assert.equal("", running.err)
                    end)
            end
        end
    end)
end
