-- Tasks of the top level across reloads.

local servers = require "spec.support.server"

describe("across a reload a task", function()
    local server, client

    local function source(name, more)
        return ([[
            local mw = require "moonwire"
            local name = %q
            local function tick() mw.publish("ticks", name) end
            mw.ws("/", {
                on_open = function(ws) ws:subscribe "ticks" end,
                on_message = function(ws, data) ws:send("answer " .. data) end,
            })
            mw.get("/rollback", function() mw.rollback() return "soon" end)
            %s
        ]]):format(name, more)
    end

    local function start(more)
        server = servers.start(source("one", more))
        client = assert(server:websocket "/")
        assert.equal("one", client:read_text())
    end

    -- After what was on its way, only this comes.
    local function only(name, past)
        local text
        repeat
            text = client:read_text()
        until text ~= past
        for _ = 1, 10 do
            assert.equal(name, text)
            text = client:read_text()
        end
    end

    after_each(function()
        server:stop()
    end)

    local loop = "while true do mw.sleep '5ms' tick() end"
    local ways = {
        ["of the top level"] = ("mw.spawn(function() %s end)"):format(loop),
        ["that a task of the top level spawned"] =
            ("mw.spawn(function() mw.spawn(function() mw.sleep(0) mw.spawn(function() %s end) end) "
            .. "end)"):format(loop),
        ["that mw.all runs in a task"] =
            ("mw.spawn(function() mw.all { function() %s end } end)"):format(loop),
        ["of a module"] = "require 'loop' (tick)",
        ["that a function of the app's wraps"] =
            ("local function go(f) return mw.spawn(f) end go(function() %s end)"):format(loop),
        ["that made a timer"] = "mw.spawn(function() mw.sleep(0) mw.every('5ms', tick) end)",
        ["that a timer is"] = ("mw.after('1ms', function() %s end)"):format(loop),
        ["that a timer is, again and again"] =
            ("mw.every('1ms', function() %s end)"):format(loop),
        ["that a timer spawned"] =
            ("mw.after(0, function() mw.spawn(function() %s end) end)"):format(loop),
        ["that is a chain of timers"] =
            "local function go() tick() mw.after('5ms', go) end mw.after(0, go)",
        ["that mw.await woke"] = "mw.spawn(function() while true do mw.await(function(resume) "
            .. "mw.after('5ms', resume) end) tick() end end)",
    }
    for title, way in pairs(ways) do
        it(title .. " ends, and the new one begins", function()
            server = servers.start(source("one", way), { files = { ["loop.lua"] = [[
                local mw = require "moonwire"
                return function(tick)
                    mw.spawn(function() while true do mw.sleep "5ms" tick() end end)
                end
            ]] } })
            client = assert(server:websocket "/")
            assert.equal("one", client:read_text())
            server:reload(source("two", way))
            only("two", "one")
            server:reload(source("three", way))
            only("three", "two")
        end)
    end

    it("that the app's file is itself ends, too", function()
        start(loop)
        server:reload(source("two", ("mw.spawn(function() %s end)"):format(loop)))
        only("two", "one")
    end)

    it("is cancelled, which it can catch to tidy up", function()
        start [[mw.spawn(function()
            tick()
            mw.spawn(function() while true do mw.sleep "5ms" tick() end end)
            local ok, problem = pcall(mw.sleep, 1000)
            mw.sleep "5ms"
            print("tidied up: " .. tostring(problem))
        end)]]
        server:reload(source("two", ""))
        assert.equal("cancelled: the task was cancelled", server:printed "^tidied up: (.*)$")
    end)

    it("that catches everything is ended all the same, and the log says so", function()
        start [[mw.spawn(function() while true do pcall(mw.sleep, 0.005) tick() end end)
            mw.spawn(function() while true do pcall(mw.sleep, 0) tick() end end)
            mw.spawn(function() while true do pcall(function()
                mw.spawn(function() while true do mw.sleep "5ms" tick() end end):join()
            end) mw.every("5ms", tick) end end)]]
        server:reload(source("two", "mw.every('5ms', tick)"))
        for line = 9, 11 do
            server:logged(("the task of [^ ]*app.lua:%d is ended: it went on for 5 s"):format(line))
        end
        client:text "x"
        repeat
            local text = client:read_text()
        until text == "answer x"
        only "two"
    end)

    it("that mw.keep holds lasts, with the timers that mw.keep holds", function()
        local kept = [[
            mw.keep("task", function()
                return mw.spawn(function() while true do mw.sleep "5ms" tick() end end)
            end)
            mw.keep("timer", function() return mw.every("5ms", function()
                mw.publish("ticks", "timer of " .. name)
            end) end)
        ]]
        server = servers.start(source("one", kept))
        client = assert(server:websocket "/")
        server:reload(source("two", kept))
        client:text "x"
        repeat
            local text = client:read_text()
        until text == "answer x"
        local seen = {}
        for _ = 1, 20 do
            seen[client:read_text()] = true
        end
        assert.same({ one = true, ["timer of one"] = true }, seen)
    end)

    it("that a hook spawned goes on", function()
        local more = ([[
            mw.get("/start", function() mw.spawn(function() %s end) return "started" end)
        ]]):format(loop)
        server = servers.start(source("one", more))
        client = assert(server:websocket "/")
        server:get "/start"
        assert.equal("one", client:read_text())
        server:reload(source("two", more))
        client:text "x"
        repeat
            local text = client:read_text()
        until text == "answer x"
        assert.equal("one", client:read_text())
    end)

    it("goes on when the new code does not load", function()
        start(ways["of the top level"])
        server:edit(source("two", ways["of the top level"] .. " error 'no'"))
        server.process:signal "HUP"
        server:logged "reload failed"
        only "one"
    end)

    it("that was ended begins anew with a rollback, and one that was done does not", function()
        server = servers.start(source("one", [[
            mw.spawn(function(...) print("arguments: " .. select("#", ...)) end, nil, nil)
            mw.spawn(function(pause, last)
                assert(last == nil)
                while true do mw.sleep(pause) mw.publish("ticks", "loop of " .. name) end
            end, "5ms", nil)
        ]]))
        client = assert(server:websocket "/")
        assert.equal("loop of one", client:read_text())
        server:reload(source("two", "mw.every('5ms', tick)"))
        repeat until client:read_text() == "two"
        server:get "/rollback"
        repeat
            local text = client:read_text()
        until text ~= "two"
        for _ = 1, 10 do
            assert.equal("loop of one", client:read_text())
        end
        local _, printed = server:stop()
        assert.equal("arguments: 2\n", printed)
    end)
end)
