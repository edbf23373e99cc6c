-- Lua that does not return is stopped at its own line, and everybody else is served.

local build = require "spec.support.build"
local process = require "spec.support.process"
local servers = require "spec.support.server"

-- All in one line, which the log must name.
local loops = {
    ["a loop"] = "while true do end",
    ["a loop with work"] = "local x = 0 while true do x = x + 1 x = x % 7 end",
    ["a numeric loop"] = "for i = 1, math.huge do end",
    ["a loop of branches"] = "local x, i = 0, 0 while true do i = i % 97 + 1 if i % 3 == 0 then "
        .. "x = x + 1 elseif i % 5 == 0 then x = x - 1 end end",
    ["tail calls"] = "local function f() return f() end f()",
    ["recursion"] = "local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end "
        .. "fib(100)",
    ["a loop that catches errors"] = "while true do pcall(function() while true do end end) end",
    ["errors that are caught"] = "while true do pcall(error, 'x') end",
    ["an error handler"] = "while true do xpcall(error, function() while true do end end) end",
    ["pcall inside pcall"] = "local function f(n) while true do if n < 50 then pcall(f, n + 1) end "
        .. "end end f(1)",
    ["a coroutine"] = "while true do coroutine.resume(coroutine.create(function() while true do "
        .. "end end)) end",
    ["a generator"] = "local g = coroutine.wrap(function() while true do coroutine.yield(1) end "
        .. "end) while true do g() end",
    ["garbage"] = "local t while true do t = { t and 1 } end",
    ["strings"] = "local s = '' while true do s = s .. 'x' if #s > 1000 then s = '' end end",
    ["metamethods"] = "local t = setmetatable({}, { __index = function() while true do end end }) "
        .. "return t.x",
    ["a comparison of table.sort"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ["a callback of string.gsub"] = "string.gsub('a', 'a', function() while true do end end)",
    ["a callback of the FFI"] = "local ffi = require 'ffi' ffi.cast('int (*)(void)', function() "
        .. "while true do end end)()",
    ["a call that sleeps"] = "local ffi = require 'ffi' ffi.cdef 'int poll(void *, unsigned long, "
        .. "int)' while true do ffi.C.poll(nil, 0, -1) end",
    ["machine code that is thrown away"] = "while true do jit.flush() end",
    ["a compiler that is switched on and off"] = "while true do jit.off() jit.on() end",
    ["hooks that are taken away"] = "while true do debug.sethook() end",
    ["code that is compiled"] = "local i = 0 while true do i = i + 1 loadstring('return ' .. i) "
        .. "end",
    ["a finaliser"] = "local p = newproxy(true) getmetatable(p).__gc = function() while true do "
        .. "end end p = nil collectgarbage() while true do end",
    ["functions of ours"] = "local mw = require 'moonwire' while true do mw.json.encode { 1, 2 } "
        .. "mw.publish('t', 'x') end",
}

local app = [[
    local mw = require "moonwire"
    mw.limits { hook_ms = 100 }
    local kept = { 1 }
    local function loop()
        %s
    end
    mw.get("/loop", function() loop() end)
    mw.ws("/", { on_message = function(ws, data)
        if data == "loop" then loop() end
        ws:send(data .. #kept)
    end })
]]

describe("Lua that does not return", function()
    if not build.has_watchdog then
        return
    end

    local server

    after_each(function()
        if server then
            server:stop()
        end
    end)

    for name, code in pairs(loops) do
        it("(" .. name .. ") is stopped, and all others are served", function()
            server = servers.start(app:format(code))
            local bystander = server:websocket "/"
            local _, status = server:get "/loop"
            assert.equal(500, status)
            server:logged "GET /loop failed: [^\n]*app.lua:5: stopped after 100 ms"
            assert.equal("here1", bystander:ask "here")
            local p = server:websocket "/"
            p:text "loop"
            assert.equal(1011, p:read_close())
            server:logged "on_message of / failed: [^\n]*app.lua:5: stopped after 100 ms"
            assert.equal("here1", bystander:ask "here")
        end)
    end

    it("is stopped wherever an app's code runs", function()
        server = servers.start [[
            local mw = require "moonwire"
            mw.limits { hook_ms = 100, idle_seconds = 0 }
            local function loop() while true do end end
            local function work() local x = 0 for i = 1, 10000 do x = x + i % 7 end end
            mw.get("/timer", function() mw.after("1ms", loop) return "" end)
            mw.get("/task", function() mw.spawn(loop) return "" end)
            mw.get("/later", function()
                mw.spawn(function() mw.sleep "1ms" loop() end)
                return ""
            end)
            mw.get("/waits", function() mw.sleep "1ms" loop() end)
            mw.get("/all", function() mw.all({ loop, loop }) end)
            mw.get("/gc", function()
                getmetatable(newproxy(true)).__gc = loop
                collectgarbage()
                work()
                return "the hook around the finaliser goes on"
            end)
            mw.ws("/open", { on_open = loop })
            mw.ws("/close", { on_close = loop })
            mw.ws("/upgrade", { on_upgrade = loop })
            mw.ws("/error", { on_message = function() error "x" end, on_error = loop })
            mw.ws("/told", { on_message = loop, on_error = function(ws, problem)
                work()
                print("told", problem)
            end })
            mw.ws("/listener", { on_open = function(ws)
                ws:addEventListener("message", loop)
                ws:addEventListener("message", function()
                    work()
                    ws:send "the next listener"
                end)
            end })
            mw.ws("/waits", { on_message = function(ws, data)
                if data == "loop" then mw.sleep "1ms" loop() end
                ws:send(data)
            end })
        ]]
        local bystander = server:websocket "/waits"
        local function stopped(what)
            server:logged(what .. " failed: [^\n]*app.lua:3: stopped after 100 ms")
            assert.equal("served", bystander:ask "served")
        end
        server:get "/timer"
        stopped "mw.after[^\n]*"
        server:get "/task"
        stopped "[^\n]*"
        server:get "/later"
        stopped "[^\n]*"
        local _, status = server:get "/waits"
        assert.equal(500, status)
        stopped "GET /waits"
        _, status = server:get "/all"
        assert.equal(500, status)
        assert.equal("the hook around the finaliser goes on", (server:get "/gc"))
        stopped "the finaliser[^\n]*"
        for _, what in ipairs { "open", "close", "error", "waits" } do
            local p = server:websocket("/" .. what)
            if what == "close" then
                p:close()
            else
                p:text "loop"
                assert.equal(1011, (p:read_close()))
            end
            stopped "on_%w+ of /%w+"
        end
        local upgrade = server:connect()
        upgrade:send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket"
            .. "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " .. ("A"):rep(22)
            .. "==\r\n\r\n")
        assert.matches("^HTTP/1.1 500 ", (upgrade:head()))
        stopped "on_upgrade of /upgrade"
        local p = server:websocket "/told"
        p:text "loop"
        assert.equal(1011, (p:read_close()))
        server:printed "^told\t[^\n]*app.lua:3: stopped after 100 ms"
        p = server:websocket "/listener"
        assert.equal("the next listener", p:ask "x")
        stopped 'a listener for "message"'
    end)

    it("is stopped at the top level, at the start and in a reload", function()
        local good = 'local mw = require "moonwire" mw.limits { hook_ms = 100 }\n'
            .. 'mw.get("/", function() return "before" end)\n'
        local folder = process.folder()
        local path = folder:write("app.lua", good .. "while true do end")
        local ended = process.run { path, "--listen", "127.0.0.1:0" }
        assert.equal(1, ended.status)
        assert.matches("app.lua:3: stopped after 100 ms (limits.hook_ms)", ended.err, 1, true)
        folder:remove()
        server = servers.start(good)
        server:edit(good .. "while true do pcall(error) end")
        server.process:signal "HUP"
        assert.matches("app.lua:3: stopped after 100 ms (limits.hook_ms)", server:reload_failed(),
            1, true)
        assert.equal("before", (server:get "/"))
    end)

    it("goes on where the limit of its route says so", function()
        server = servers.start [[
            local mw = require "moonwire"
            mw.limits { hook_ms = 100 }
            local function work(ws)
                local clock = os.clock()
                while os.clock() < clock + 0.4 do end
                ws:send "done"
            end
            local function waits(ws) mw.sleep "1ms" work(ws) end
            mw.ws("/never", { limits = { hook_ms = 0 }, on_message = work })
            mw.ws("/long", { limits = { hook_ms = 10000 }, on_message = work })
            mw.ws("/never_waits", { limits = { hook_ms = 0 }, on_message = waits })
            mw.ws("/long_waits", { limits = { hook_ms = "10s" }, on_message = waits })
            mw.ws("/app", { on_message = work })
        ]]
        for _, path in ipairs { "/never", "/long", "/never_waits", "/long_waits" } do
            assert.equal("done", server:websocket(path):ask "x", path)
        end
        local p = server:websocket "/app"
        p:text "x"
        assert.equal(1011, (p:read_close()))
    end)

    it("is not stopped in a script, for which nobody waits", function()
        local ended = process.run { "-e", [[
            require "moonwire".limits { hook_ms = 50 }
            local clock = os.clock()
            while os.clock() < clock + 0.3 do end
            print "done"
        ]] }
        assert.equal("done\n", ended.out)
        assert.equal(0, ended.status)
    end)

    it("has means that an app does not take away", function()
        server = servers.start([[
            local mw = require "moonwire"
            mw.limits { hook_ms = 100 }
            mw.get("/attach", function() jit.attach(function() end, "record") end)
            mw.get("/verbose", function() require("jit.v").on "/dev/null" return "on" end)
            mw.get("/profile", function(req)
                local profile = require "jit.profile"
                local samples = 0
                profile.start("li1", function(_, n) samples = samples + n end)
                local clock, x = os.clock(), 0
                while os.clock() < clock + 0.2 do x = x + 1 end
                profile.stop()
                return samples > 10 and "samples" or samples
            end)
            mw.get("/loop", function() while true do end end)
        ]])
        local _, status = server:get "/attach"
        assert.equal(500, status)
        server:logged "app.lua:3: jit.attach: not for apps"
        for _ = 1, 2 do
            assert.equal("samples", (server:get "/profile"))
            _, status = server:get "/loop"
            assert.equal(500, status)
        end
        assert.equal("on", (server:get "/verbose"))
        _, status = server:get "/loop"
        assert.equal(500, status)
    end)

    it("in a function of C is told in the log", function()
        server = servers.start [[
            local mw = require "moonwire"
            mw.limits { hook_ms = 100 }
            mw.get("/", function()
                return tostring(string.find(("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40) .. "b"))
            end)
        ]]
        local p = server:connect()
        p:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        server:logged "worker 0 is busy with find at [^\n]*app.lua:4 for 1.%d s now"
        server.process:signal "KILL"
        server = nil
    end)

    it("in a function of C has its worker given up after stuck_seconds", function()
        local stuck = servers.start([[
            local mw = require "moonwire"
            mw.limits { stuck_seconds = 2, drain_seconds = 0, close_seconds = 1 }
            local many = ("a?"):rep(40) .. ("a"):rep(40) .. "b"
            mw.get("/", function() return tostring(string.find(("a"):rep(40), many)) end)
            mw.get("/stuck", function() return tostring(mw.counters().stuck_workers) end)
            mw.ws("/ws", { on_message = function(ws, data) ws:send(data) end })
        ]], { arguments = { "--workers", "2" } })
        local p = stuck:connect()
        p:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        stuck:logged "worker %d is busy with find at [^\n]*app.lua:4"
        local others = {}
        for i = 1, 4 do -- new ones come to the other worker
            others[i] = stuck:websocket "/ws"
            assert.equal("served", others[i]:ask "served")
        end
        repeat until stuck:get "/stuck" == "1"
        stuck:logged "error worker %d has been stuck for 2 s %(limits.stuck_seconds%)"
        for _, other in ipairs(others) do
            assert.equal(1001, (other:read_close()))
        end
        stuck.process:wait()
        assert.equal(3, stuck.process.status)
    end)
end)
