-- The life of the process: where it listens, how its workers share the work, and how it ends.

local peer = require "spec.support.peer"
local process = require "spec.support.process"
local socket = require "socket"

local app = [[
local mw = require "moonwire"
local me = tostring({}) -- another one in each worker's Lua state
local seen = {}
mw.limits { drain_seconds = 1, close_seconds = 1 }
mw.get("/", function() return "hello" end)
mw.get("/arg", function() return #arg .. ":" .. table.concat(arg, "|") end)
mw.ws("/who", { on_message = function(ws, data) ws:send(me) end })
mw.ws("/close", { on_close = function(ws, code, reason, was_clean)
    print("on_close", code, was_clean)
end })
mw.ws("/never", { limits = { hook_ms = 0 }, on_message = function()
    print "looping"
    while true do end
end })
]]

describe("a server", function()
    local folder, path, server

    before_each(function()
        folder = process.folder()
        path = folder:write("app.lua", app)
    end)

    after_each(function()
        if server then
            server:finish()
        end
        server = nil
        folder:remove()
    end)

    local function start(...)
        server = process.start { path, ... }
        return server
    end

    -- It ended as it was told to, and said nothing that is wrong.
    local function ends_well()
        server:wait()
        assert.is_nil(server.signal_number)
        assert.equal(0, server.status, server.err)
        assert.is_nil(server.err:find " error ", server.err)
    end

    describe("listens", function()
        it("on every address of the command line, in place of the app's own", function()
            path = folder:write("app.lua", app .. "mw.listen { port = 1, host = '192.0.2.1' }")
            local unix = folder.path .. "/a.sock"
            start("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--listen", "unix:" .. unix)
            local first, second = server:port(), server:port()
            server:wait_for("listening on unix:" .. unix:gsub("%p", "%%%0"))
            assert.not_equal(first, second)
            assert.equal("hello", (peer.get(first, "/")))
            assert.equal("hello", (peer.get(second, "/")))
            assert.equal("hello", (peer.get(unix, "/")))
            server:signal "TERM"
            ends_well()
            assert.is_false(process.exists(unix))
        end)

        it("on a local socket that a killed server left, not on a living one's", function()
            local unix = folder.path .. "/a.sock"
            start("--listen", "unix:" .. unix):wait_for "listening on unix:"
            local second = process.run { path, "--listen", "unix:" .. unix }
            assert.equal(1, second.status)
            assert.truthy(second.err:find "^moonwire: [^\n]*a%.sock[^\n]* in use[^\n]*\n$",
                second.err)
            assert.equal("hello", (peer.get(unix, "/")))
            server:finish() -- by SIGKILL
            assert.is_true(process.exists(unix))
            start("--listen", "unix:" .. unix):wait_for "listening on unix:"
            assert.equal("hello", (peer.get(unix, "/")))
        end)

        it("where the app says when the command line says nothing", function()
            path = folder:write("app.lua", app .. "mw.listen { port = 0 }")
            start()
            assert.equal("hello", (peer.get(server:port(), "/")))
        end)

        it("with the development certificate, made once and kept", function()
            path = folder:write("app.lua", app .. "mw.listen { port = 0, tls = true }")
            local state = { env = { XDG_STATE_HOME = folder.path .. "/state" } }
            local function certificate()
                server = process.start({ path }, state)
                local file = server:wait_for "development: (%S+) is self%-signed"
                assert.equal(folder.path .. "/state/moonwire/", file:match "^(.*/)[^/]*$")
                server:wait_for "listening on (https://localhost:%d+)"
                server:signal "TERM"
                ends_well()
                return assert(io.open(file)):read "*a"
            end
            local made = certificate()
            assert.truthy(made:find("BEGIN CERTIFICATE", 1, true))
            assert.equal(made, certificate())
        end)

        it("in a private folder when the user has no home", function()
            path = folder:write("app.lua", app .. "mw.listen { port = 0, tls = true }")
            server = process.start({ path }, { env = { XDG_STATE_HOME = false, HOME = false } })
            local file = server:wait_for "development: (%S+) is self%-signed"
            local listing = io.popen("stat -c '%a %u' " .. file:match "^(.*)/")
            local mode = listing:read "*l"
            listing:close()
            assert.equal("700 " .. require("posix.unistd").geteuid(), mode)
        end)
    end)

    it("gives the app its own arguments", function()
        start("one", "--listen", "127.0.0.1:0", "two words", "--", "--listen")
        assert.equal("3:one|two words|--listen", (peer.get(server:port(), "/arg")))
    end)

    it("logs lines of JSON when told to", function()
        start("--log-format", "json", "--listen", "127.0.0.1:0")
        local line = server:wait_for "^{.*}$" and server.err:match "^[^\n]*"
        local entry = require("cjson").decode(line)
        assert.equal("info", entry.level)
        assert.truthy(entry.message:find "^listening on http://127%.0%.0%.1:%d+$")
    end)

    it("logs nothing below its level", function()
        local unix = folder.path .. "/a.sock"
        start("--log-level", "off", "--listen", "unix:" .. unix)
        process.eventually(function() -- it does not say when it listens
            return peer.connect(unix)
        end)
        server:signal "TERM"
        assert.equal(0, server:wait().status)
        assert.equal("", server.err)
    end)

    describe("with two workers", function()
        it("deals connections out evenly", function()
            start("--workers", "2", "--listen", "127.0.0.1:0")
            local port = server:port()
            local peers, counts = {}, {}
            for i = 1, 60 do
                peers[i] = assert(peer.websocket(port, "/who"))
            end
            for _, p in ipairs(peers) do
                p:frame(1, "who?")
                local _, who = p:read_frame()
                counts[who] = (counts[who] or 0) + 1
            end
            local numbers = {}
            for _, n in pairs(counts) do
                numbers[#numbers + 1] = n
            end
            assert.same({ 30, 30 }, numbers)
        end)

        it("gives new connections to the one that lost some", function()
            start("--workers", "2", "--listen", "127.0.0.1:0")
            local port = server:port()
            local peers = {}
            local function who(p)
                p:frame(1, "who?")
                return select(2, p:read_frame())
            end
            for i = 1, 20 do
                peers[i] = assert(peer.websocket(port, "/who"))
            end
            local first = who(peers[1])
            local left = 0
            for _, p in ipairs(peers) do
                if who(p) == first then
                    p:frame(8, "")
                    assert.equal(8, (p:read_frame()))
                    assert.is_nil(p:bytes(1))
                    p:close()
                    left = left + 1
                end
            end
            assert.equal(10, left)
            -- The next ten make it even again. One may come before the last end was noticed.
            local returned = 0
            for _ = 1, 10 do
                local p = assert(peer.websocket(port, "/who"))
                peers[#peers + 1] = p
                returned = returned + (who(p) == first and 1 or 0)
            end
            assert.is_true(returned >= 8, returned .. " of 10")
        end)

        it("ends when both have", function()
            start("--workers", "2", "--listen", "127.0.0.1:0")
            local port = server:port()
            local peers = {}
            for i = 1, 4 do
                peers[i] = assert(peer.websocket(port, "/close"))
            end
            server:signal "TERM"
            for _, p in ipairs(peers) do
                local opcode, payload = p:read_frame()
                assert.equal(8, opcode)
                p:frame(8, payload)
                assert.is_nil(p:bytes(1))
                p:close()
            end
            ends_well()
            local _, closed = server.out:gsub("on_close\t1001\ttrue\n", "")
            assert.equal(4, closed)
        end)
    end)

    describe("told to end", function()
        it("accepts no more, says 1001 to every client and ends with 0", function()
            for _, signal in ipairs { "TERM", "INT" } do
                start("--listen", "127.0.0.1:0")
                local port = server:port()
                local p = assert(peer.websocket(port, "/close"))
                server:signal(signal)
                local opcode, payload = p:read_frame()
                assert.equal(8, opcode)
                assert.equal("\3\233", payload:sub(1, 2)) -- 1001
                assert.is_nil((peer.connect(port)))
                p:frame(8, "\3\233")
                assert.is_nil(p:bytes(1))
                p:close()
                ends_well()
                assert.equal("on_close\t1001\ttrue\n", server.out)
            end
        end)

        it("closes many clients one after another, over drain_seconds", function()
            start("--listen", "127.0.0.1:0")
            local port = server:port()
            local peers = {}
            for i = 1, 40 do
                peers[i] = assert(peer.websocket(port, "/who"))
            end
            server:signal "TERM"
            local times = {}
            for i, p in ipairs(peers) do -- in the order that they came
                local opcode, payload = p:read_frame()
                assert.equal(8, opcode)
                assert.equal("\3\233", payload:sub(1, 2))
                times[i] = socket.gettime()
                p:frame(8, "\3\233")
                p:close()
            end
            ends_well()
            assert.is_true(times[40] - times[1] >= 0.3, "all at once")
            local steps = 0
            for i = 2, 40 do
                steps = steps + (times[i] - times[i - 1] > 0.01 and 1 or 0)
            end
            assert.is_true(steps >= 5, steps .. " steps")
        end)

        it("does not wait for ever for a client that does not answer", function()
            start("--listen", "127.0.0.1:0")
            local p = assert(peer.websocket(server:port(), "/close"))
            server:signal "TERM"
            assert.equal(8, (p:read_frame()))
            ends_well() -- p never answers
            assert.equal("on_close\t1006\tfalse\n", server.out)
            p:close()
        end)

        it("ends at once when nobody is there", function()
            start("--listen", "127.0.0.1:0")
            server:port()
            server:signal "TERM"
            ends_well()
        end)

        it("ends idle HTTP connections too", function()
            start("--listen", "127.0.0.1:0")
            local p = assert(peer.connect(server:port()))
            p:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.equal(200, select(2, p:head()))
            assert.equal("hello", p:bytes(5))
            server:signal "TERM"
            assert.is_nil(p:bytes(1))
            p:close()
            ends_well()
        end)

        it("twice at almost the same time, as timeout sends it, still says 1001", function()
            start("--listen", "127.0.0.1:0")
            local p = assert(peer.websocket(server:port(), "/close"))
            for _, signal in ipairs { "TERM", "INT", "TERM", "TERM" } do
                server:signal(signal)
            end
            server:wait_for "closing all connections"
            server:signal "TERM"
            local opcode, payload = p:read_frame()
            assert.same({ 8, "\3\233" }, { opcode, payload:sub(1, 2) })
            p:frame(8, "\3\233")
            p:close()
            ends_well()
            assert.equal("on_close\t1001\ttrue\n", server.out)
        end)

        -- It has ended, and nobody has asked how.
        local function is_zombie(pid)
            local file = assert(io.open(("/proc/%d/stat"):format(pid)))
            local state = file:read("*a"):match "%) (%a)"
            file:close()
            return state == "Z"
        end

        it("again, a second later, ends at once by the signal", function()
            -- However long the second takes to come, the server is not done by itself before.
            path = folder:write("app.lua", app .. "mw.limits { close_seconds = 60 }")
            for signal, number in pairs { TERM = 15, INT = 2 } do
                start("--listen", "127.0.0.1:0")
                local p = assert(peer.websocket(server:port(), "/close"))
                server:signal(signal)
                server:wait_for("SIG" .. signal .. ": closing")
                local began = socket.gettime()
                process.eventually(function()
                    server:signal(signal)
                    return is_zombie(server.pid)
                end)
                assert.is_true(socket.gettime() - began >= 0.9)
                assert.equal(number, server:wait().signal_number)
                p:close()
            end
        end)

        it("ends with 3 when a hook never returns", function()
            start("--listen", "127.0.0.1:0")
            local p = assert(peer.websocket(server:port(), "/never"))
            p:frame(1, "for ever")
            server:wait_for("looping", "out")
            server:signal "TERM"
            assert.equal(3, server:wait().status)
            assert.truthy(server.err:find "1 of 1 workers do not end: a hook never returns")
            p:close()
        end)
    end)

    describe("refuses connections", function()
        -- Peers to the port until one is refused; how many were not.
        local function fill(port, most, address)
            local peers = {}
            while #peers < most do
                local p = peer.websocket(port, "/who", address)
                if not p then
                    break
                end
                peers[#peers + 1] = p
            end
            return peers
        end

        for _, workers in ipairs { 1, 2 } do
            it("over limits.connections, with --workers " .. workers, function()
                path = folder:write("app.lua", app .. "mw.limits { connections = 3 }")
                start("--workers", tostring(workers), "--listen", "127.0.0.1:0")
                local port = server:port()
                local peers = fill(port, 5)
                assert.equal(3, #peers)
                server:wait_for "from 127%.0%.0%.1 refused: over limits%.connections$"
                -- One that goes makes room for one, as soon as its end was noticed.
                peers[1]:frame(8, "")
                assert.equal(8, (peers[1]:read_frame()))
                assert.is_nil(peers[1]:bytes(1))
                peers[1]:close()
                process.eventually(function()
                    return (peer.websocket(port, "/who"))
                end)
                assert.equal(0, #fill(port, 1))
            end)
        end

        it("over limits.connections_per_address", function()
            path = folder:write("app.lua", app .. "mw.limits { connections_per_address = 2 }")
            start("--listen", "127.0.0.1:0", "--listen", "[::1]:0")
            local port = server:port()
            local other = server:port()
            assert.equal(2, #fill(port, 4))
            server:wait_for "refused: over limits%.connections_per_address"
            assert.equal(2, #fill(other, 4, "::1"))
        end)
    end)

    it("out of file descriptors, waits and goes on", function()
        path = folder:write("app.lua", app .. [[
            files = {}
            for i = 1, 40 do files[i] = assert(io.open "/dev/null") end
        ]])
        server = process.start {
            [0] = "sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", process.binary, path, "--listen",
            "127.0.0.1:0",
        }
        local port = server:port()
        local peers = {}
        for i = 1, 30 do
            peers[i] = assert(peer.connect(port))
        end
        server:wait_for "no more connections for now: out of descriptors"
        for _, p in ipairs(peers) do
            p:close()
        end
        process.eventually(function() -- the old ones end first
            local p = assert(peer.connect(port))
            p:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            local _, status = p:head()
            p:close()
            return status == 200
        end)
        server:signal "TERM"
        ends_well()
    end)
end)
