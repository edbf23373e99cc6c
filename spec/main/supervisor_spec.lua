-- What the service manager is told (sd_notify(3)).

local managers = require "spec.support.service_manager"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { drain_seconds = 1, close_seconds = 1 }
mw.get("/", function() return "first" end)
mw.get("/env", function()
    return tostring(os.getenv "NOTIFY_SOCKET") .. tostring(os.getenv "WATCHDOG_USEC")
end)
mw.get("/stop", function() mw.stop() return "" end)
mw.ws("/never", { on_message = function() while true do end end })
]]

describe("a service manager", function()
    local folder, manager, server

    local function start(options)
        options = options or {}
        local name = options.name or folder.path .. "/notify"
        manager = managers.new(name)
        options.env = options.env or {}
        options.env.NOTIFY_SOCKET = name
        server = servers.start(options.app or app, options)
    end

    before_each(function()
        folder = process.folder()
    end)

    after_each(function()
        if server then
            server.process:finish()
            server:close_peers()
            server.folder:remove()
        end
        if manager then
            manager:close()
        end
        manager, server = nil, nil
        folder:remove()
    end)

    it("is told when the server can be reached, and when it ends", function()
        start()
        assert.equal("READY=1\nSTATUS=Generation 1 serves", manager:next())
        assert.equal("first", (server:get "/"))
        server.process:signal "TERM"
        assert.equal("STOPPING=1\nSTATUS=Closing connections", manager:next())
        server:stop()
        assert.is_nil(manager:next(true))
    end)

    it("may listen in the abstract namespace", function()
        start { name = "@moonwire-spec-" .. folder.path }
        manager:told "READY=1"
    end)

    it("is told when the app ends it", function()
        start()
        manager:told "READY=1"
        server:get "/stop"
        assert.equal("STOPPING=1\nSTATUS=Closing connections", manager:next())
    end)

    it("is told of a reload from its beginning to its end", function()
        start { arguments = { "--workers", "2" } }
        manager:told "READY=1"
        local before = assert(io.open "/proc/uptime"):read "*n"
        for generation = 2, 3 do
            server.process:signal "HUP"
            local text = manager:next()
            local us = tonumber(text:match "^RELOADING=1\nMONOTONIC_USEC=(%d+)\nSTATUS=Reloading$")
            assert.is_true(us / 1e6 >= before - 0.02) -- the file has hundredths of a second
            assert.equal(("READY=1\nSTATUS=Generation %d serves"):format(generation),
                manager:next())
        end
    end)

    it("is told of one that fails, too, since the old code serves", function()
        start()
        manager:told "READY=1"
        server:edit "x y"
        server.process:signal "HUP"
        assert.matches("^RELOADING=1\n", manager:next())
        assert.equal("READY=1\nSTATUS=Generation 1 serves", manager:next())
    end)

    it("is told nothing by an app that does not start", function()
        manager = managers.new(folder.path .. "/notify")
        local path = folder:write("app.lua", "x y")
        local done = process.run({ path }, { env = { NOTIFY_SOCKET = folder.path .. "/notify" } })
        assert.equal(1, done.status)
        assert.is_nil(manager:next(true))
    end)

    it("is told by a script, too", function()
        manager = managers.new(folder.path .. "/notify")
        local path = folder:write("app.lua", "print 'hello'")
        process.run({ path }, { env = { NOTIFY_SOCKET = folder.path .. "/notify" } })
        manager:told "READY=1"
    end)

    it("is not named to programs that hooks start", function()
        start { env = { WATCHDOG_USEC = "10000000" } }
        assert.equal("nilnil", (server:get "/env"))
    end)

    describe("with a watchdog", function()
        local function start_watched(more)
            start { env = { WATCHDOG_USEC = "200000", WATCHDOG_PID = more } }
            manager:told "READY=1"
        end

        it("hears that all workers turn, again and again", function()
            start_watched()
            for _ = 1, 5 do
                assert.equal("WATCHDOG=1", manager:next())
            end
        end)

        it("hears nothing while a worker does not", function()
            start { env = { WATCHDOG_USEC = "200000" }, arguments = { "--workers", "2" } }
            manager:told "WATCHDOG=1"
            local client = assert(server:websocket "/never")
            client:text "x"
            server:logged("error worker %d has been at one turn for 0.1 s .*the service manager's "
                .. "watchdog is not told")
            while manager:next(true) do end -- what was sent before
            server.process:signal "TERM"
            local _, before = manager:told "STOPPING=1"
            assert.same({}, before)
        end)

        it("that is another process's hears nothing", function()
            start_watched "1"
            server.process:signal "HUP"
            server:reloaded()
            server.process:signal "TERM"
            local _, before = manager:told "STOPPING=1"
            for _, text in ipairs(before) do
                assert.not_equal("WATCHDOG=1", text)
            end
        end)
    end)

    it("that cannot be reached is told of once, and the server serves", function()
        for name, why in pairs {
            [folder.path .. "/none"] = "the service manager cannot be told: No such file",
            ["relative"] = "NOTIFY_SOCKET is neither a path nor an abstract socket: relative",
            ["/" .. ("x"):rep(200)] = "is neither a path nor an abstract socket: /xxx",
        } do
            server = servers.start(app, { env = { NOTIFY_SOCKET = name } })
            assert.equal("first", (server:get "/"))
            server:reload()
            local log = server:stop()
            assert.matches(why, log, 1, true)
            assert.equal(1, select(2, log:gsub("the service manager cannot be told", "")))
            server = nil
        end
    end)
end)
