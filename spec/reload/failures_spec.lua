-- What fails to load changes nothing: the old generation serves on, and the log says what and why.

local build = require "spec.support.build"
local servers = require "spec.support.server"
local peer = require "spec.support.peer"

local good = [[
local mw = require "moonwire"
mw.limits { reload_seconds = 1 }
local talk = mw.ws "/talk"
function talk.on_message(ws, data) ws:send("good " .. data) end
mw.get("/counters", function() return mw.counters() end)
]]

describe("a reload that fails", function()
    local server, client

    local function start(source, options)
        server = servers.start(source or good, options)
        client = assert(server:websocket "/talk")
    end

    local function goes_on()
        client:text "on"
        assert.equal("good on", client:read_text())
        local other = assert(server:websocket "/talk")
        other:text "new"
        assert.equal("good new", other:read_text())
    end

    after_each(function()
        server:stop()
    end)

    for title, case in pairs {
        ["a syntax error"] = { "x y", "app%.lua:6: '=' expected near 'y'" },
        ["an error of its top level"] = { "nothing()", "app%.lua:6: attempt to call global" },
        ["a hook that is no function"] = { "talk.on_open = 5",
            "app%.lua:6: on_open is a function" },
        ["a hook that does not exist"] = { "function talk.on_opne() end",
            "app%.lua:6: on_opne is not a hook of a route; did you mean on_open" },
        ["a pattern that is none"] = { 'mw.ws "/*a/b"', 'app%.lua:6: route "/%*a/b"' },
        ["a limit that is none"] = { "mw.limits { nothing = 1 }",
            "app%.lua:6: mw.limits: limits%.nothing" },
        ["a timer by a name that is none"] = { 'mw.every(1, "tick")',
            'app%.lua:6: mw%.every%(1, "tick"%) .* there is no global function' },
        ["a module that is not there"] = { 'require "nothing"', "app%.lua:6: module 'nothing'" },
        ["mw.reload at the top level"] = { "mw.reload()",
            "app%.lua:6: mw.reload: the top level" },
    } do
        it("by " .. title .. " shows file and line, and changes nothing", function()
            start()
            server:edit(good .. case[1] .. "\n")
            server.process:signal "HUP"
            local why = server:reload_failed()
            assert.matches(case[2], why)
            assert.truthy(server:logged("    >    6 | (.*)"))
            goes_on()
            assert.equal(2, server:reload(good))
            goes_on()
        end)
    end

    it("since the file is empty changes nothing", function()
        start()
        server:edit "\n"
        server.process:signal "HUP"
        assert.matches("app.lua: the file is empty", server:reload_failed(), 1, true)
        goes_on()
    end)

    it("since the file is gone changes nothing", function()
        start()
        os.remove(server.folder.path .. "/app.lua")
        server.process:signal "HUP"
        assert.matches("app.lua: No such file", server:reload_failed(), 1, true)
        goes_on()
    end)

    local loops = {
        ["a loop"] = "while true do end",
        ["a loop that catches errors"] = "while true do pcall(error) end",
        ["a loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    }
    for title, code in pairs(build.has_watchdog and loops or {}) do
        it("since its top level never ends (" .. title .. ") changes nothing", function()
            start()
            server:edit(good .. code)
            server.process:signal "HUP"
            assert.matches("app.lua:6: the top level had not ended after 1 seconds",
                server:reload_failed(), 1, true)
            goes_on()
            assert.equal(2, server:reload(good))
            goes_on()
        end)
    end

    it("has not published, stopped, or started a timer", function()
        start(good .. "function talk.on_open(ws) ws:subscribe 'x' end")
        server:edit(good .. [[
            mw.publish("x", "published")
            mw.stop()
            mw.after("1ms", function() mw.publish("x", "fired") end)
            error "broken"
        ]])
        server.process:signal "HUP"
        server:reload_failed()
        client:text "a"
        assert.equal("good a", client:read_text())
        -- The same without the error: at the commit.
        server:reload(good .. [[
            mw.publish("x", "published")
            mw.after("1ms", function() mw.publish("x", "fired") end)
        ]])
        assert.equal("published", client:read_text())
        assert.equal("fired", client:read_text())
    end)

    it("in one worker of several fails in all", function()
        start(nil, { arguments = { "--workers", "3" } })
        server:edit(good .. "if mw.worker.index == 2 then error 'only here' end")
        server.process:signal "HUP"
        assert.matches("only here", server:reload_failed(), 1, true)
        goes_on()
        server:edit(good .. "if mw.worker.index == 2 then mw.get('/x', print) end")
        server.process:signal "HUP"
        assert.matches("must declare the same routes", server:reload_failed(), 1, true)
        goes_on()
        assert.equal(2, server:reload(good))
        goes_on()
    end)

    it("since a port is taken opens none of its ports", function()
        local taken = require("socket").bind("127.0.0.1", 0)
        local _, port = taken:getsockname()
        local unix = os.tmpname()
        os.remove(unix)
        local function listening(more)
            return good .. "mw.listen { port = 0, host = '127.0.0.1' }\n" .. (more or "")
        end
        start(listening(), { listen = {} })
        server:edit(listening(("mw.listen { host = 'unix:%s' }\nmw.listen { host = '127.0.0.1', "
            .. "port = %d }"):format(unix, port)))
        server.process:signal "HUP"
        assert.matches(tostring(port), server:reload_failed(), 1, true)
        goes_on()
        assert.is_nil((peer.connect(unix)))
        taken:close()
        server.process:signal "HUP"
        server:reloaded()
        assert.truthy((peer.connect(unix)))
        goes_on()
    end)

    it("since a hook keeps its worker busy leaves the answer that comes late alone", function()
        start(good .. [[
            mw.ws("/busy", { limits = { hook_ms = 0 }, on_message = function(ws)
                ws:send "busy"
                mw.sleep "1ms"
                mw.log.info "spinning"
                local until_time = os.time() + 4
                while os.time() < until_time do end
                ws:send "done"
            end })
        ]], { arguments = { "--workers", "2" } })
        local busy = assert(server:websocket "/busy")
        busy:text "x"
        assert.equal("busy", busy:read_text())
        server:logged "(spinning)"
        server:edit((good:gsub('"good "', '"new "')))
        server.process:signal "HUP"
        assert.matches("a worker does not answer", server:reload_failed(), 1, true)
        goes_on()
        assert.equal("done", busy:read_text())
        server:edit(good)
        assert.equal(2, server:reload())
        goes_on()
    end)

    it("for one connection (on_reload raises) costs that one", function()
        start()
        local other = assert(server:websocket "/talk")
        for _, one in ipairs { client, other } do
            one:text "a"
            one:read_text()
        end
        server:reload(good .. [[
            local first = true
            function talk.on_reload(ws)
                if first then first = false error "cannot move" end
            end
            function talk.on_error(ws, err) mw.log.info("told " .. err) end
        ]])
        client:text "b"
        assert.matches("cannot move", server:logged "told (.*)", 1, true)
        assert.equal(1011, (client:read_close()))
        other:text "c"
        assert.equal("good c", other:read_text())
    end)
end)
