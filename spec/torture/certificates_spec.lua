-- Certificates are swapped under TLS clients that come all the time (handshake.js), by SIGHUP and
-- by the watch, with pairs that do not match in between: no handshake fails.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local certificates = require "spec.support.certificates"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local shell = require "spec.support.shell"

local SWAPS = figures.pick(300, 12)
local CLIENTS = figures.pick(24, 12)

local app = [[
local mw = require "moonwire"
mw.get("/", function() return "hello" end)
mw.get("/counters", function() return mw.counters() end)
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "now.pem", key = "now.key" } }
mw.listen { port = 0, host = "127.0.0.1" }
]]

local function copy(folder, from, to)
    shell(("cd '%s' && cp %s %s.new && mv %s.new %s"):format(folder, from, to, to, to))
end

describe("certificates that are swapped under load", function()
    local server, clients, plain

    before_each(function()
        server = servers.start(app, {
            listen = {}, arguments = { "--workers", "2", "--watch" },
            setup = function(folder)
                certificates.make(folder.path, "a", { "a.test" })
                certificates.make(folder.path, "b", { "b.test" })
                copy(folder.path, "a.pem", "now.pem")
                copy(folder.path, "a.key", "now.key")
            end,
        })
        plain = server.process:port()
        clients = process.start({
            [0] = "node", "spec/torture/handshake.js", tostring(server.port), tostring(CLIENTS),
        }, { input = true })
        clients:wait_for("(ready)", "out")
    end)

    after_each(function()
        clients:finish()
        server:stop()
    end)

    local function shown()
        local p = assert(server:connect { tls = {} })
        local name = p.socket:shows "a.test" and "a" or p.socket:shows "b.test" and "b"
        p:close()
        return name
    end

    it("make no handshake fail", function()
        local path, mismatches = server.folder.path, 0
        for swap = 1, SWAPS do
            local name = swap % 2 == 1 and "b" or "a"
            if swap % 3 == 0 then
                -- One half, and it is looked at before the other comes.
                copy(path, name .. ".pem", "now.pem")
                server.process:signal "HUP"
                assert.matches("now%.pem", (server:logged "keeps its certificate: (.*)"))
                server:reloaded()
                mismatches = mismatches + 1
                copy(path, name .. ".key", "now.key")
                server:reloaded()
            else
                copy(path, name .. ".key", "now.key")
                copy(path, name .. ".pem", "now.pem")
                if swap % 3 == 1 then
                    server.process:signal "HUP"
                end
                server:reloaded()
            end
            process.eventually(function()
                return shown() == name
            end)
        end
        pcall(clients.write, clients, "stop\n")
        local ok, text = pcall(clients.wait_for, clients, "^({.*})$", "out")
        assert(ok, clients.out .. clients.err)
        local said, total, list = cjson.decode(text), 0, {}
        for kind, count in pairs(said) do
            total = total + count
            list[#list + 1] = ("%s %d"):format(kind, count)
        end
        table.sort(list)
        local counters = cjson.decode((require("spec.support.peer").get(plain, "/counters")))
        assert.is_true(counters.certificate_failures >= mismatches)
        figures.say("certificates: %d swaps, %d mismatched pairs kept out, %d handshakes (%s), "
            .. "none failed", SWAPS, mismatches, total, table.concat(list, ", "))
    end)
end)
