-- Listeners that both generations have refuse nobody (connect.js), TCP and unix, while the app is
-- loaded again and again and other listeners come and go.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local RELOADS = figures.pick(500, 30)
local CLIENTS = 12

local app = [[
local mw = require "moonwire"
local n = %d
mw.get("/", function() return "hello" end)
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { host = "unix:%s/one.sock" }
if n %% 2 == 1 then mw.listen { host = "unix:%s/two.sock" } end
if n %% 3 == 1 then mw.listen { port = 0, host = "127.0.0.1", tls = true } end
if n %% 5 == 4 then error "broken" end
]]

for _, workers in ipairs { 1, 2 } do
    describe(("listeners that stay, with %d workers,"):format(workers), function()
        local server, clients

        after_each(function()
            clients:finish()
            server:stop()
        end)

        it("refuse nobody", function()
            local folder = process.folder()
            server = servers.start(app:format(0, folder.path, folder.path), {
                listen = {}, arguments = { "--workers", tostring(workers) },
                env = { XDG_STATE_HOME = folder.path },
            })
            server:logged "listening on unix"
            clients = process.start({
                [0] = "node", "spec/torture/connect.js", tostring(CLIENTS), tostring(server.port),
                folder.path .. "/one.sock",
            }, { input = true })
            clients:wait_for("(ready)", "out")
            for i = 1, RELOADS do
                server:edit(app:format(i, folder.path, folder.path))
                server.process:signal "HUP"
                if i % 5 == 4 then
                    server:reload_failed()
                else
                    server:reloaded()
                end
            end
            pcall(clients.write, clients, "stop\n")
            local ok, text = pcall(clients.wait_for, clients, "^({.*})$", "out")
            assert(ok, clients.out .. clients.err)
            local said, total = cjson.decode(text), 0
            for _, count in pairs(said) do
                assert.is_true(count > 0)
                total = total + count
            end
            folder:remove()
            figures.say("listeners, %d workers: %d connections through %d reloads, over TCP and "
                .. "unix, none refused or cut off", workers, total, RELOADS)
        end)
    end)
end
