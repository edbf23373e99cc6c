-- A server whose standard error nobody reads: a pipe that is full.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { drain_seconds = 0, close_seconds = 1 }
local long = ("x"):rep(8000)
mw.ws("/shout", { on_message = function(ws, data)
    mw.log.info("shout " .. data .. " " .. long)
    ws:send("first " .. data)
end })
mw.get("/counters", function() return mw.counters() end)
]]

-- Of 8 KB each: more than the pipe and the queue take.
local SHOUTS = 200

local function shout(clients)
    for i = 1, SHOUTS do
        for _, client in ipairs(clients) do
            client:text(tostring(i))
            assert.equal("first " .. i, client:read_text())
        end
    end
end

describe("a log that nobody reads", function()
    it("holds up no client, no reload and no command, and says what was dropped", function()
        local server = servers.start(app, { arguments = { "--workers", "2" } })
        local clients = { assert(server:websocket "/shout"), assert(server:websocket "/shout") }
        shout(clients)
        assert.is_true(server:counter "dropped_log_lines" > 0)
        server.folder:write("app.lua", (app:gsub("first", "second")))
        local done = process.run { "reload", tostring(server.process.pid) }
        assert.equal(0, done.status, done.err)
        for _, client in ipairs(clients) do
            client:text "a"
            assert.equal("second a", client:read_text())
        end
        local dropped = server:counter "dropped_log_lines"
        local log = server:stop() -- which reads
        local lines, told = 0, 0
        for _ in log:gmatch "info  shout " do
            lines = lines + 1
        end
        for count in log:gmatch "warn  (%d+) lines? of the log dropped: " do
            told = told + count
        end
        assert.is_true(told >= dropped, ("%d told, %d dropped"):format(told, dropped))
        -- At most four of those that were dropped are none of these: of the reload and of the end.
        local shouts = 2 * SHOUTS + #clients
        assert.is_true(lines + told >= shouts and lines + told <= shouts + 4,
            ("%d lines and %d"):format(lines, told))
    end)

    it("does not keep a server from its end", function()
        local folder = process.folder()
        local path = folder:write("app.lua", app .. "print 'loaded'\n")
        local unix = folder.path .. "/a.sock"
        -- Open for reading too, by itself: so it is never broken, and never read.
        local server = process.start { [0] = "sh", "-c", ([[mkfifo %s/log; exec 2<>%s/log
            exec "$@"]]):format(folder.path, folder.path), "sh", process.binary, path, "--listen",
            "unix:" .. unix }
        server:wait_for("loaded", "out")
        local peer = require "spec.support.peer"
        local client = process.eventually(function()
            return process.exists(unix) and peer.websocket(unix, "/shout")
        end)
        shout { client }
        server:signal "TERM"
        server:wait()
        assert.equal(0, server.status)
        client:close()
        folder:remove()
    end)
end)
