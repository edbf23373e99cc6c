-- --workers 2: two threads that share listeners, topics and counters, and nothing else; and the
-- limits on connections, which count for both together.

local cjson = require "cjson"
local certificates = require "spec.support.certificates"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local socket = require "socket"

local app = [[
local mw = require "moonwire"
local asked = 0
mw.get("/", function()
    asked = asked + 1
    return { worker = mw.worker.index, of = mw.worker.count, asked = asked }
end)
mw.get("/counters", function() return mw.counters() end)
mw.ws("/room", {
    on_open = function(ws) ws:subscribe "room" ws:send(tostring(mw.worker.index)) end,
    on_message = function(ws, data) ws:publish("room", data) end,
})
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

describe("workers", function()
    local server, secure_port

    local function start(limits, workers)
        server = servers.start(app .. (limits or ""), {
            listen = {},
            arguments = { "--workers", tostring(workers or 2) },
            setup = function(folder)
                certificates.make(folder.path, "a", { "localhost" })
            end,
        })
        secure_port = server.process:port()
    end

    after_each(function()
        server:stop()
    end)

    local function ask(p, path)
        p:send("GET " .. (path or "/") .. " HTTP/1.1\r\nHost: a\r\n\r\n")
        return cjson.decode(assert(p:response()).body)
    end

    it("get the same number of connections, whatever the listener", function()
        start()
        local counts, all = { 0, 0 }, {}
        for i = 1, 40 do
            local secure = i % 4 >= 2
            local p = assert(server:connect_to(secure and secure_port or server.port,
                { tls = secure and {} or nil }))
            all[i] = p
            local got = ask(p)
            assert.equal(2, got.of)
            counts[got.worker] = counts[got.worker] + 1
        end
        assert.same({ 20, 20 }, counts)
        -- A connection stays where it is, and each worker has a Lua state of its own.
        for _, p in ipairs(all) do
            local before, after = ask(p), ask(p)
            assert.equal(before.worker, after.worker)
            assert.equal(before.asked + 1, after.asked)
        end
    end)

    it("get no connections while a hook keeps them from their loop", function()
        local fifo_app = [[
            mw.ws("/block", { limits = { hook_ms = 0 },
                on_open = function(ws) ws:send(tostring(mw.worker.index)) end,
                on_message = function(ws, path)
                    print "blocked"
                    ws:send(io.open(path):read "*a")
                end,
            })
        ]]
        start(fifo_app)
        local fifo = server.folder.path .. "/fifo"
        assert(require("posix.sys.stat").mkfifo(fifo, 384))
        -- The worker that is stuck has one connection, and the other has many.
        local by_worker = { {}, {} }
        for _ = 1, 100 do
            local p = assert(server:websocket "/block")
            table.insert(by_worker[tonumber(p:read_text())], p)
        end
        local blocker = table.remove(by_worker[1])
        for _, p in ipairs(by_worker[1]) do
            p:close()
        end
        process.eventually(function()
            return server:counter "closed" >= #by_worker[1]
        end)
        blocker:text(fifo)
        server:printed "^blocked"
        local began, asked, in_a_row = socket.gettime(), 0, 0
        while in_a_row < 30 and asked < 45 do
            local p = assert(server:connect())
            p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            p.socket:settimeout(0.1)
            in_a_row = p.socket:receive(1) and in_a_row + 1 or 0
            asked = asked + 1
        end
        assert.equal(30, in_a_row)
        assert.is_true(socket.gettime() - began >= 0.9)
        -- It gets its share again as soon as it is back.
        local file = assert(io.open(fifo, "w"))
        file:write "free"
        file:close()
        assert.equal("free", blocker:read_text())
        local seen = process.eventually(function()
            local p = assert(server:connect())
            return ask(p).worker == 1
        end)
        assert.is_true(seen)
    end)

    it("carry what is published from one to the other", function()
        start()
        local all, seen = {}, {}
        for i = 1, 6 do
            all[i] = assert(server:websocket "/room")
            seen[all[i]:read_text()] = true
        end
        assert.same({ ["1"] = true, ["2"] = true }, seen)
        for i, sender in ipairs(all) do
            for n = 1, 20 do
                sender:text(("%d from %d"):format(n, i))
            end
            for j, p in ipairs(all) do
                for n = 1, j ~= i and 20 or 0 do
                    assert.equal(("%d from %d"):format(n, i), p:read_text())
                end
            end
        end
    end)

    it("count together", function()
        start()
        for _ = 1, 10 do
            peer.get(server.port, "/")
        end
        local got = ask(assert(server:connect()), "/counters")
        assert.equal(11, got.accepted)
        assert.equal(10, got.requests) -- this one is answered when it was counted
    end)

    -- Connections that are served, one after the other, until one is not; at most so many.
    local function fill(most, options)
        local all = {}
        for i = 1, most do
            local p = assert(server:connect_to(server.port, options))
            if not p:try_send "GET / HTTP/1.1\r\nHost: a\r\n\r\n" or not p:response() then
                break
            end
            all[i] = p
        end
        return all
    end

    for workers = 1, 2 do
        describe("with --workers " .. workers, function()
            it("refuse what is over limits.connections, and count it", function()
                start("mw.limits { connections = 5 }", workers)
                local all = fill(8)
                assert.equal(5, #all)
                server:logged "from 127%.0%.0%.1 refused: over limits%.connections$"
                assert.equal(1, ask(all[1], "/counters").refused_connections)
                all[5]:close()
                repeat -- its end was not noticed at once
                    local one = fill(1)
                until #one == 1
            end)

            it("refuse what is over limits.connections_per_address, not another's", function()
                start("mw.limits { connections_per_address = 2 }", workers)
                local all = fill(4)
                assert.equal(2, #all)
                server:logged "refused: over limits%.connections_per_address$"
                assert.equal(1, ask(all[1], "/counters").refused_connections)
                assert.equal("ok", ask(all[2]) and "ok")
            end)
        end)
    end
end)
