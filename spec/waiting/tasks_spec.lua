-- Code that waits, in the real binary: order, cancellation, many at once, memory.

local peer = require "spec.support.peer"
local process = require "spec.support.process"
local server = require "spec.support.server"

describe("code that waits", function()
    local app

    after_each(function()
        if app then
            app:stop()
        end
        app = nil
    end)

    it("holds back its own connection's messages, and no other's", function()
        app = server.start [[
            local mw = require "moonwire"
            local r = mw.ws "/x"
            local release
            function r.on_message(ws, data)
                if data == "wait" then mw.await(function(resume) release = resume end) end
                if data == "release" then release() end
                ws:send(data)
            end
        ]]
        local one, two = app:websocket "/x", app:websocket "/x"
        one:text "wait"
        one:text "next"
        two:text "hello"
        assert.equal("hello", two:read_text())
        two:text "release"
        assert.equal("release", two:read_text())
        assert.equal("wait", one:read_text())
        assert.equal("next", one:read_text())
    end)

    it("reads answers in a straight line, in a hook", function()
        app = server.start [[
            local mw = require "moonwire"
            local r = mw.ws "/x"
            function r.on_open(ws)
                ws:send "name?"
                local name = ws:receive()
                ws:send "age?"
                ws:send(name .. " is " .. ws:receive "5s")
                ws:send(tostring(select(2, ws:receive "10ms")))
            end
            function r.on_message(ws, data) ws:send("on_message " .. data) end
        ]]
        local one = app:websocket "/x"
        assert.equal("name?", one:read_text())
        one:text "ann"
        assert.equal("age?", one:read_text())
        one:text "30"
        assert.equal("ann is 30", one:read_text())
        assert.equal("timeout", one:read_text())
        one:text "more"
        assert.equal("on_message more", one:read_text())
    end)

    it("is cancelled when its connection closes, and on_close comes last", function()
        app = server.start [[
            local mw = require "moonwire"
            local r = mw.ws "/x"
            function r.on_message(ws, data)
                print("begin " .. data)
                if data == "all" then
                    mw.all { function()
                        print("inner " .. select(2, pcall(mw.sleep, "1h")))
                    end }
                end
                print(data .. " " .. select(2, pcall(mw.sleep, "1h")))
            end
            function r.on_close(ws, code) mw.sleep(0.01) print("close " .. code) end
        ]]
        local one = app:websocket "/x"
        one:text "a"
        app:printed "^(begin a)$"
        one:text "b"
        one:close()
        assert.equal("connection", app:printed "^a cancelled: the (%w+) is closed$")
        app:printed "^(begin b)$"
        app:printed "^(b cancelled: the connection is closed)$"
        app:printed "^(close 1006)$"
        one = app:websocket "/x"
        one:text "all"
        app:printed "^(begin all)$"
        one:close()
        app:printed "^(inner cancelled: the task was cancelled)$"
        app:printed "^(close 1006)$"
        assert.is_nil(app:stop():find(" error ", 1, true))
    end)

    it("is cancelled in a handler whose client is gone", function()
        app = server.start [[
            local mw = require "moonwire"
            mw.get("/", function()
                print "asked"
                print(select(2, pcall(mw.sleep, "1h")))
                return "late"
            end)
        ]]
        local one = app:connect()
        one:send "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        app:printed "^(asked)$"
        one:reset()
        app:printed "^(cancelled: the connection is closed)$"
    end)

    describe("when the client has ended its side", function()
        local one

        before_each(function()
            app = server.start [[
                local mw = require "moonwire"
                local go_on
                local function wait()
                    print "asked"
                    print(select(2, pcall(mw.await, function(resume) go_on = resume end)))
                end
                mw.get("/", function()
                    mw.after("1.5s", function() print "later" end)
                    wait()
                    return "late"
                end)
                mw.get("/go", function() go_on "went on" return "" end)
                mw.ws("/ws", { on_upgrade = wait, on_close = function(_, code)
                    print("closed", code)
                end })
            ]]
            one = app:connect()
        end)

        it("still answers: it may want to read that", function()
            one:send "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            one:shutdown()
            app:printed "^(asked)$"
            app:get "/go"
            app:printed "^(went on)$"
            local response = one:response()
            assert.equal("late", response.body)
            assert.equal("close", response.headers.connection) -- RFC 9112 §9.6
            assert.is_true(one:is_ended())
        end)

        it("is cancelled when that client then is gone", function()
            one:send "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            one:shutdown()
            app:printed "^(asked)$"
            app:printed "^(later)$" -- it was asked after once, and was there
            one:reset()
            app:printed "^(cancelled: the connection is closed)$"
        end)

        it("is cancelled in on_upgrade: no WebSocket can come of it", function()
            one:send(peer.upgrade_request "/ws")
            app:printed "^(asked)$"
            one:shutdown()
            app:printed "^(cancelled: the connection is closed)$"
            assert.is_true(one:is_ended())
        end)

        it("gets a WebSocket that is closed, when on_upgrade was done before we knew", function()
            one:send(peer.upgrade_request "/ws")
            app:printed "^(asked)$"
            one:shutdown()
            app:get "/go"
            app:printed "^(went on)$"
            assert.equal("1006", (app:printed "^closed\t(%d+)$"))
            one:response()
            assert.is_true(one:is_ended())
        end)
    end)

    it("tells in the log where an error came from that others raise again", function()
        app = server.start [[
            local mw = require "moonwire"
            local function deep() error "boom" end
            local function work() mw.sleep(0.001) deep() end
            mw.spawn(function()
                pcall(mw.sleep, 0.001)
                local function waits() mw.all { work, function() mw.sleep "1h" end } end
                mw.spawn(waits):join()
            end)
            mw.spawn(function()
                local task = mw.spawn(function() error({}) end)
                pcall(task.join, task)
                mw.sleep(0.01)
                error "another"
            end)
        ]]
        app:logged "another"
        local log = app:stop()
        local trace = assert(log:match "failed: [^\n]*boom(.-)\n%d%d%d%d%-")
        local _, count = trace:gsub("stack traceback:", "")
        assert.equal(3, count, trace)
        local origin, first, second = trace:match(
            "^(.-)raised again by[^\n]*(.-)raised again by[^\n]*(.*)$")
        assert.matches("in function 'deep'", origin, 1, true)
        assert.matches("in function 'all'", first, 1, true)
        assert.matches("in function 'join'", second, 1, true)
        local other = assert(log:match "failed: [^\n]*another(.*)$")
        assert.is_nil(other:find("raised again", 1, true))
    end)

    it("may be 10,000 at once", function()
        local done = process.run { "-e", [[
            local mw = require "moonwire"
            local tasks = {}
            for i = 1, 10000 do
                tasks[i] = mw.spawn(function() mw.sleep(0.05 + i % 7 / 100) return i end)
            end
            local results, sum = mw.all(tasks), 0
            for i = 1, results.n do
                assert(results[i] == i)
                sum = sum + 1
            end
            print(sum)
        ]] }
        assert.same({ 0, "10000\n", "" }, { done.status, done.out, done.err })
    end)

    it("leaves no memory behind, however it ends", function()
        local done = process.run { "-e", [[
            jit.off() -- compiled code is memory too: bounded, but not small
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local function rounds(n)
                for _ = 1, n do
                    pcall(mw.all, {
                        function() mw.sleep "1h" end,
                        function() mw.timeout("1h", function() mw.sleep "1h" end) end,
                        function() mw.await(function() end) end,
                        function() error "end" end,
                    })
                    mw.race { function() mw.sleep "1h" end, function() return 1 end }
                    pcall(WebSocket.new, "none")
                end
                for _ = 1, n / 20 do
                    local ws = WebSocket.new "ws://127.0.0.1:1/"
                    assert(not ws:opened())
                end
                collectgarbage()
                collectgarbage()
                return collectgarbage "count"
            end
            rounds(1000)
            local before = rounds(1000)
            rounds(4000)
            local after = rounds(1000)
            print(after - before < 8, after, before)
        ]], "--log-level", "error" }
        assert.equal(0, done.status, done.err)
        assert.equal("", done.err)
        assert.equal("true", done.out:match "^%w+", done.out)
    end)
end)
