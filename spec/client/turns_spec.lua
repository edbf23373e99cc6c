-- RFC 6455 §4.1, item 2: of connections to one address and port one is CONNECTING, others wait for
-- their turn. That nothing comes is seen by what comes later: a connection to another port, for
-- which nobody waits.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local frame = require "spec.support.frame"
local process = require "spec.support.process"

local prologue = [[
    local mw = require "moonwire"
    local WebSocket = require "moonwire.websocket"
    local function connect(url, options)
        local ws = WebSocket.new(url, nil, options)
        local name = url:match "[^/]*$"
        ws.onopen = function() print("open " .. name) end
        ws.onerror = function(e) print("error " .. name .. ": " .. e.message) end
        ws.onclose = function(e) print("close " .. name) end
        ws.onmessage = function(e) print("message " .. name .. " " .. e.data) end
        return ws
    end
    local url, other = arg[1], arg[2]
    local _, _ = mw, other
]]

describe("Connections to one address and port", function()
    local acceptor, other, clients, folder

    before_each(function()
        acceptor, other = acceptors.new(), acceptors.new()
        clients = {}
        folder = process.folder()
    end)

    after_each(function()
        for _, client in ipairs(clients) do
            client:discard()
        end
        acceptor:close()
        other:close()
        folder:remove()
    end)

    local function run(script, ...)
        local client = acceptors.run(prologue .. script, { acceptor:url "/", other:url "/", ... })
        clients[#clients + 1] = client
        return client
    end

    local function nobody_comes(at)
        local listener = (at or acceptor).listener
        listener:settimeout(0)
        local one = listener:accept()
        listener:settimeout(20)
        assert.is_nil(one)
    end

    -- The next connection, and the last part of its path.
    local function next_asks(at)
        local one = assert((at or acceptor):accept())
        local head, key = one:request()
        return one, head:match "^GET /(%S*)", key
    end

    -- Whatever the script asked for before this, it has begun.
    local function other_opens(client)
        local one, name, key = next_asks(other)
        one:switch(key)
        client:prints("open " .. name)
        return one
    end

    it("are opened one after the other, in the order in which they were made", function()
        local client = run [[
            for i = 1, 4 do connect(url .. i) end
            connect(other .. "other")
        ]]
        other_opens(client)
        for i = 1, 4 do
            local peer, name, key = next_asks()
            assert.equal(tostring(i), name)
            nobody_comes()
            peer:switch(key)
            client:prints("open " .. i)
        end
        nobody_comes()
    end)

    it("wait until the one before has failed, however far it came", function()
        local client = run [[
            for i = 1, 4 do connect(url .. i) end
            connect(other .. "other")
        ]]
        other_opens(client)
        acceptor:accept_tcp():close()
        client:printed "^error 1: "
        client:prints "close 1"
        local peer = next_asks()
        nobody_comes()
        peer:send "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        client:prints "error 2: the server answered 503 Service Unavailable instead of 101"
        client:prints "close 2"
        local third, _, key = next_asks()
        third:switch(key, { ["Sec-WebSocket-Accept"] = "no" })
        client:printed "^error 3: "
        client:prints "close 3"
        local fourth, name
        fourth, name, key = next_asks()
        assert.equal("4", name)
        fourth:switch(key)
        client:prints "open 4"
    end)

    it("wait for TLS too", function()
        local certificate, key_file = certificates.make(folder.path, "s", { "localhost" })
        acceptor:close()
        acceptor = acceptors.new { tls = { certificate = certificate, key = key_file } }
        local client = run [[
            for i = 1, 2 do connect(url .. i, { insecure = true }) end
            connect(other .. "other")
        ]]
        other_opens(client)
        local first = acceptor:accept_tcp()
        nobody_comes()
        first:close()
        client:printed "^error 1: "
        local second, name, key = next_asks()
        assert.equal("2", name)
        second:switch(key)
        client:prints "close 1"
        client:prints "open 2"
    end)

    it("wait whatever name the address is given by", function()
        local client = run [[
            connect(url .. "first")
            for _, host in ipairs { "localhost", "a.localhost", "[::ffff:127.0.0.1]", "0.0.0.0",
                "0x7f.1" } do
                connect(url:gsub("127.0.0.1", host) .. "more")
            end
            mw.after("100ms", function() connect(other .. "other") end)
        ]]
        other_opens(client)
        for i = 1, 6 do
            local peer, name, key = next_asks()
            assert.equal(i == 1 and "first" or "more", name)
            nobody_comes()
            peer:switch(key)
            client:prints("open " .. name)
        end
    end)

    it("wait for a silent server as long as its handshake may last, and no longer", function()
        local client = run [[
            connect(url .. "silent", { handshake_timeout = "0.6s" })
            connect(url .. "hasty", { connect_timeout = "0.2s" })
            connect(url .. "patient")
        ]]
        local silent, name = next_asks()
        assert.equal("silent", name)
        client:prints("error hasty: no connection to 127.0.0.1:" .. acceptor.port .. " within 0.2 "
            .. "seconds: others to the same address were opened before, one at a time (RFC 6455 "
            .. "§4.1); give connect_timeout more")
        client:prints "close hasty"
        nobody_comes()
        client:printed "^error silent: .* did not answer the opening handshake within 0.6 seconds"
        client:prints "close silent"
        local patient, key
        patient, name, key = next_asks()
        assert.equal("patient", name)
        patient:switch(key)
        client:prints "open patient"
        silent:close()
    end)

    it("leave the line when they are closed, and give their turn on", function()
        local client = run [[
            local all = {}
            for i = 1, 6 do all[i] = connect(url .. i) end
            local control = connect(other .. "other")
            control.onmessage = function(e)
                for n in e.data:gmatch "%d" do all[tonumber(n)]:close() end
            end
        ]]
        local control = other_opens(client)
        local first, name = next_asks()
        assert.equal("1", name)
        control:say(frame.TEXT, "24") -- these wait
        client:printed "^error 2: "
        client:prints "close 2"
        client:printed "^error 4: "
        client:prints "close 4"
        nobody_comes()
        control:say(frame.TEXT, "13") -- the first has the turn; so 3 gets it, and knows it not yet
        client:printed "^error 1: "
        client:prints "close 1"
        client:printed "^error 3: "
        client:prints "close 3"
        local key
        for _, expected in ipairs { "5", "6" } do
            local peer
            peer, name, key = next_asks()
            assert.equal(expected, name)
            nobody_comes()
            peer:switch(key)
            client:prints("open " .. name)
        end
        first:close()
    end)

    it("leave the line when what waits for them gives up and closes them", function()
        local client = run [[
            connect(url .. 1)
            local second = connect(url .. 2)
            local waiter = mw.spawn(function() second:opened() end)
            print(mw.timeout("50ms", function() second:opened() end))
            waiter:cancel()
            print("state", second.readyState) -- those who wait have gone; the connection waits on
            connect(url .. 3)
            second:close()
        ]]
        client:printed "^nil"
        client:prints "state\t0"
        client:printed "^error 2: "
        for _, expected in ipairs { "1", "3" } do
            local peer, name, key = next_asks()
            assert.equal(expected, name)
            peer:switch(key)
            client:printed("^open " .. expected)
        end
    end)

    it("do not keep each other from another address of the same host (RFC 8305)", function()
        local v6 = acceptors.new { address = "::1", port = acceptor.port }
        finally(function()
            v6:close()
        end)
        local client = run [[
            local v6 = url:gsub("127.0.0.1", "[::1]")
            connect(v6 .. 1)
            connect(url:gsub("127.0.0.1", "localhost") .. "either")
            connect(v6 .. 2)
        ]]
        local first, name, first_key = next_asks(v6)
        assert.equal("1", name)
        local either, key
        either, name, key = next_asks() -- after a quarter of a second
        assert.equal("either", name)
        either:switch(key)
        client:prints "open either"
        nobody_comes(v6)
        first:switch(first_key)
        client:prints "open 1"
        local second
        second, name, key = next_asks(v6) -- nobody waits for what has another address now
        assert.equal("2", name)
        second:switch(key)
        client:prints "open 2"
    end)

    it("fail when more than waiting_connects would wait", function()
        local client = run [[
            for i = 1, 4 do connect(url .. i) end
            mw.limits { waiting_connects = 2 }
            local control = connect(other .. "other")
            control.onmessage = function()
                local all = {}
                for i = 5, 7 do all[i] = connect(url .. i) end
                all[6]:close()
                connect(url .. 8)
                connect(url .. 9)
            end
        ]]
        client:prints(("error 4: cannot connect to 127.0.0.1 port %d: 2 connections wait for their "
            .. "turn already (limit waiting_connects)"):format(acceptor.port))
        client:prints "close 4"
        local control = other_opens(client)
        local function opens(i)
            local peer, name, key = next_asks()
            assert.equal(tostring(i), name)
            peer:switch(key)
            client:prints("open " .. i)
        end
        for i = 1, 3 do
            opens(i)
        end
        control:say(frame.TEXT, "more") -- who has left the line, by either end, does not count
        client:printed "^error 6: "
        client:prints "close 6"
        client:printed "^error 9: .*2 connections wait"
        client:prints "close 9"
        for _, i in ipairs { 5, 7, 8 } do
            opens(i)
        end
    end)

    it("do not wait, nor are waited for, when the script says so", function()
        local client = run [[
            connect(url .. 1)
            connect(url .. 2)
            for i = 3, 5 do connect(url .. i, { concurrent = true }) end
        ]]
        local seen, first = {}, nil
        for _ = 1, 4 do
            local peer, name, key = next_asks()
            seen[name] = true
            if name == "1" then
                first = function()
                    peer:switch(key)
                end
            end
        end
        assert.same({ ["1"] = true, ["3"] = true, ["4"] = true, ["5"] = true }, seen)
        nobody_comes()
        first()
        client:prints "open 1"
        local peer, name, key = next_asks()
        assert.equal("2", name)
        peer:switch(key)
        client:prints "open 2"
    end)

    -- How many turns of the loop others get while connections fail, each in its own turn.
    local counting = [[
        local count, n, turns = tonumber(arg[3]), 0, 0
        local function one_failed()
            n = n + 1
            if n == 1 then
                mw.spawn(function()
                    while n < count do mw.sleep(0) turns = turns + 1 end
                end)
            elseif n == count then
                print("others came", turns > count / 10)
            end
        end
    ]]

    it("fail one by one, ten thousand of them, and hold nobody up", function()
        acceptor:close()
        local client = run(counting .. [[
            for _ = 1, count do
                WebSocket.new(url).onclose = one_failed
            end
        ]], "10000")
        client:prints "others came\ttrue"
        client:ended()
    end)

    it("fail when their turn comes and there is no descriptor, and hold nobody up", function()
        local client = run(counting .. [[
            local ffi = require "ffi"
            ffi.cdef "int setrlimit(int what, const unsigned long *limits);"
            local RLIMIT_NOFILE = 7
            local files = {}
            connect(url .. 1).onopen = function()
                ffi.C.setrlimit(RLIMIT_NOFILE, ffi.new("unsigned long[2]", 64, 64))
                repeat
                    local file = io.open "/dev/null"
                    files[#files + 1] = file
                until not file
            end
            for i = 2, count + 1 do
                local ws = i == 2 and connect(url .. 2) or WebSocket.new(url .. i)
                ws:addEventListener("close", one_failed)
            end
        ]], "1000")
        local peer, _, key = next_asks()
        peer:switch(key)
        client:prints(("error 2: cannot connect to 127.0.0.1 port %d: Too many open files"):format(
            acceptor.port))
        client:prints "close 2"
        client:prints "others came\ttrue"
    end)

    describe("of all workers", function()
        local app = [[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local ws = mw.keep("ws", function() return WebSocket.new(os.getenv "URL") end)
            ws.onopen = function() io.write "open\n" end
            ws.onerror = function(e) io.write(("error %s\n"):format(e.message)) end
            mw.get("/", function() return "" end)
            io.write "asked\n"
        ]]

        local function serve(workers)
            local server = process.start({
                folder:write("app.lua", app), "--listen", "127.0.0.1:0",
                "--workers", tostring(workers),
            }, { env = { URL = acceptor:url "/" } })
            clients[#clients + 1] = { discard = function() server:finish() end }
            for _ = 1, workers do
                server:wait_for("^asked", "out")
            end
            server:port()
            return server
        end

        it("wait in one line", function()
            local server = serve(3)
            for i = 1, 3 do
                local peer, _, key = next_asks()
                nobody_comes()
                if i == 2 then
                    peer:close()
                    server:wait_for("^error ", "out")
                else
                    peer:switch(key)
                    server:wait_for("^open", "out")
                end
            end
        end)

        it("end with the process, in line or not", function()
            local server = serve(3)
            next_asks()
            server:signal "TERM"
            for _ = 1, 3 do
                assert.equal("the process is ending", (server:wait_for("^error (.*)", "out")))
            end
            assert.equal(0, server:wait().status)
        end)

        it("keep their places when the app is loaded again", function()
            local server = serve(2)
            local first, _, first_key = next_asks()
            folder:write("app.lua", [[
                local mw = require "moonwire"
                mw.get("/", function() return "" end)
                print "again"
            ]])
            server:signal "HUP"
            server:wait_for "generation 2"
            nobody_comes()
            first:switch(first_key)
            server:wait_for("^open", "out")
            local second, _, key = next_asks()
            second:switch(key)
            server:wait_for("^open", "out")
        end)
    end)
end)
