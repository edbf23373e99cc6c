-- Editing an app while clients are connected: nobody is disconnected, and the very next event is
-- handled by the new code.

local cjson = require "cjson"
local flood = require "spec.support.flood"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local function app(answer, more)
    return ([[
        local mw = require "moonwire"
        local talk = mw.ws "/talk"
        function talk.on_open(ws) ws.state = { opened = %q } end
        function talk.on_message(ws, data) ws:send(%q .. " " .. data) end
        mw.get("/versions", function() return mw.versions() end)
        %s
        mw.listen { port = 0, host = "127.0.0.1" }
    ]]):format(answer, answer, more or "")
end

describe("an edit while clients are connected", function()
    local server

    local function start(source, options)
        options = options or {}
        options.arguments = options.arguments or { "--watch" }
        server = servers.start(source, options)
        return assert(server:websocket "/talk")
    end

    after_each(function()
        server:stop()
    end)

    it("is taken up by the next message, on the same connection", function()
        local peer = start(app "one")
        assert.equal("one a", peer:ask "a")
        server:edit(app "two")
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
        server:edit(app "three")
        assert.equal(3, server:reloaded())
        assert.equal("three c", peer:ask "c")
    end)

    it("is seen when the editor writes a new file and renames it", function()
        local peer = start(app "one")
        os.rename(server.folder:write(".app.lua.swp", app "two"), server.folder.path .. "/app.lua")
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
    end)

    it("is seen when there were more changes before it than the system remembers", function()
        local peer = start(app "one")
        flood(server.process, server.folder.path, function()
            server:edit(app "two")
        end)
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
        server:edit(app "three")
        assert.equal(3, server:reloaded())
    end)

    it("is one edit when it comes in two writes", function()
        local peer = start(app "one")
        local text = app "two"
        local path = server.folder.path .. "/app.lua"
        local file = assert(io.open(path, "w"))
        file:write(text:sub(1, 100))
        file:flush()
        file:write(text:sub(101))
        file:close()
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
        -- Closed in between.
        text = app "three"
        server:edit(text:sub(1, 100))
        file = assert(io.open(path, "a"))
        file:write(text:sub(101))
        file:close()
        assert.equal(3, server:reloaded())
        assert.equal("three b", peer:ask "b")
        assert.is_nil(server:stop():find("reload failed", 1, true))
    end)

    it("waits for a file that is being written, whoever asks", function()
        local peer = start(app "one")
        local file = assert(io.open(server.folder.path .. "/app.lua", "w"))
        file:write "local mw = require 'moonwire'\n" -- as good as any app, but without a route
        file:flush()
        server.process:signal "HUP"
        for _ = 1, 20 do
            assert.equal("one x", peer:ask "x")
            require("posix.time").nanosleep { tv_sec = 0, tv_nsec = 5000000 }
        end
        file:write(app "two")
        file:close()
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
    end)

    it("that comes while another is loaded is not missed", function()
        local peer = start(app "one", { arguments = {} })
        server:edit(app "three", "next.lua")
        -- While this is loaded, the file changes; nobody else says so.
        assert.equal(2, server:reload(app("two", [[
            os.rename(arg[0]:gsub("app.lua$", "next.lua"), arg[0])
        ]])))
        assert.equal("three b", peer:ask "b")
    end)

    it("is none when the file holds what it held", function()
        local peer = start(app "one")
        server:edit(app "one")
        server:edit("return 1", "other.lua")
        server:edit(app "two")
        assert.equal(2, server:reloaded())
        assert.equal("two b", peer:ask "b")
    end)

    it("may be one of a module, of what that requires, or of a module that was missing", function()
        local peer = start(app("one", [[
            local a = require "a"
            function talk.on_message(ws, data) ws:send(a() .. data) end
        ]]), { files = {
            ["a.lua"] = 'local b = require "lib.b" return function() return "a1 " .. b end',
            ["lib.b.lua"] = "",
        }, setup = function(folder)
            os.execute(("mkdir '%s/lib'"):format(folder.path))
            folder:write("lib/b.lua", 'return "b1 "')
        end })
        assert.equal("a1 b1 x", peer:ask "x")
        server:edit('return "b2 "', "lib/b.lua")
        server:reloaded()
        assert.equal("a1 b2 x", peer:ask "x")
        server:edit('return require "c"', "a.lua")
        assert.matches("module 'c' not found", server:reload_failed(), 1, true)
        assert.equal("a1 b2 x", peer:ask "x")
        server:edit('return function() return "c " end', "c.lua")
        server:reloaded()
        assert.equal("c x", peer:ask "x")
    end)

    it("comes by SIGHUP and mw.reload too, without --watch", function()
        local source = app("one", 'mw.post("/reload", function() mw.reload() return "soon" end)')
        local peer = start(source, { arguments = {} })
        assert.equal(2, server:reload(app "two"))
        assert.equal("two a", peer:ask "a")
        server:reload(source)
        local p = assert(server:connect())
        p:send "POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        assert.equal("soon", assert(p:response()).body)
        assert.equal(4, server:reloaded())
    end)

    it("keeps state, subscriptions, mw.keep and half-received messages, but no globals", function()
        local source = [[
            local mw = require "moonwire"
            count = (count or 0) + 1
            local kept = mw.keep("kept", function() return { loads = 0 } end)
            kept.loads = kept.loads + 1
            local talk = mw.ws "/talk/:name"
            function talk.on_open(ws) ws.state = { n = 0 } ws.mine = "field" ws:subscribe "all" end
            function talk.on_message(ws, data)
                ws.state.n = ws.state.n + 1
                mw.publish("all", mw.json.encode { data = data, n = ws.state.n, mine = ws.mine,
                    count = count, loads = kept.loads, name = ws.params.%s })
            end
        ]]
        server = servers.start(source:format "name")
        local peer = assert(server:websocket "/talk/ada")
        local bob = assert(server:websocket "/talk/bob")
        local whole = frame.build(frame.TEXT, ("x"):rep(300))
        assert.equal(1, cjson.decode(peer:ask "a").n)
        bob:read_text()
        peer:send(whole:sub(1, 150))
        -- Renaming a parameter leaves the route the same, as does one that fits this path better.
        server:reload((source:format "called":gsub("/:name", "/:called")) .. 'mw.ws "/talk/bob"')
        assert.equal("bob", cjson.decode(bob:ask "b").name)
        peer:read_text()
        peer:send(whole:sub(151))
        assert.same({ data = ("x"):rep(300), n = 2, mine = "field", count = 1, loads = 2,
            name = "ada" }, cjson.decode(peer:read_text()))
    end)

    it("tells on_reload from which generation to which, before the next event", function()
        local with = [[
            function talk.on_reload(ws, from, to)
                ws:send(("from %d to %d, opened in %s"):format(from, to, ws.state.opened))
            end
        ]]
        local peer = start(app "one", { arguments = {} })
        assert.equal("one a", peer:ask "a")
        server:reload(app("two", with))
        server:reload(app("three", with))
        peer:text "b"
        assert.equal("from 1 to 3, opened in one", peer:read_text())
        assert.equal("three b", peer:read_text())
        assert.equal("three c", peer:ask "c")
        local late = assert(server:websocket "/talk")
        assert.equal("three d", late:ask "d")
    end)

    it("tells on_reload at once where the route is eager, and of connections nobody met", function()
        local source = [[
            local mw = require "moonwire"
            local talk = mw.ws("/talk", { reload = "eager" })
            function talk.on_message(ws, data) ws:send(data) end
            function talk.on_reload(ws, from, to) ws:send(from .. " to " .. to) end
        ]]
        local peer = start(source, { arguments = {} })
        server:reload()
        assert.equal("1 to 2", peer:read_text())
        server:reload()
        assert.equal("2 to 3", peer:read_text())
        assert.equal("x", peer:ask "x")
    end)

    it("lets on_reload wait, with the events behind it in order", function()
        local peer = start(app "one", { arguments = {} })
        peer:ask "a"
        server:reload(app("two", [[
            function talk.on_reload(ws) mw.sleep "20ms" ws:send "moved" end
        ]]))
        for i = 1, 5 do
            peer:text(tostring(i))
        end
        assert.equal("moved", peer:read_text())
        for i = 1, 5 do
            assert.equal("two " .. i, peer:read_text())
        end
    end)

    it("lets hooks and handlers that wait finish as they began", function()
        local function waits(name)
            return app(name, ([[
                function talk.on_upgrade(req) mw.sleep "30ms" return { opened = %q } end
                talk.on_open = nil
                function talk.on_message(ws, data)
                    if data == "wait" then
                        ws:send "waiting"
                        mw.sleep "100ms"
                    end
                    ws:send(%q .. " " .. data .. " " .. ws.state.opened)
                end
                mw.get("/wait", function() mw.publish("x", "y") mw.sleep "100ms" return %q end)
            ]]):format(name, name, name))
        end
        local peer = start(waits "one", { arguments = {} })
        peer:text "wait"
        assert.equal("waiting", peer:read_text())
        peer:text "next"
        local asking = assert(server:connect())
        asking:send "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
        local versions
        repeat -- until both wait
            versions = server:versions()
        until versions[1].waiting == 2
        server:reload(waits "two")
        versions = server:versions()
        assert.same({ 2, true }, { versions[1].number, versions[1].serving })
        assert.equal(40, #versions[1].files[1].sha1)
        assert.equal("one wait one", peer:read_text())
        assert.equal("two next one", peer:read_text())
        assert.equal("one", assert(asking:response()).body)
        asking:send "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.equal("two", assert(asking:response()).body)
    end)

    it("closes the connections of a route that is gone, as its last generation would", function()
        local peer = start(app("one", [[
            function talk.on_close(ws, code, reason, clean)
                mw.log.info(("closed %d %s %s"):format(code, tostring(clean), ws.state.opened))
            end
        ]]), { arguments = {} })
        peer:ask "a"
        server:edit [[
            local mw = require "moonwire"
            mw.ws("/other", { on_message = function(ws, data) ws:send("other " .. data) end })
        ]]
        server:reload()
        local code, reason = peer:read_close()
        assert.equal(1012, code)
        assert.equal("this address is not served any more", reason)
        peer:frame(frame.CLOSE, frame.close(1012))
        assert.equal("closed 1012 true one", server:logged "(closed %d.*)")
        local other = assert(server:websocket "/other")
        assert.equal("other x", other:ask "x")
        server:reload()
        assert.equal("other y", other:ask "y")
    end)

    it("names the functions of an old generation that connections hold", function()
        local source = [[
            function talk.on_message(ws, data)
                ws.state.deep = { callback = function() return data end }
                ws:addEventListener("drain", function() end)
                ws:send(data)
            end
        ]]
        local peer = start(app("one", source), { arguments = {} })
        peer:ask "a"
        server:reload(app "two")
        assert.matches("generation 1, .*listeners.* of /talk %(1%), state.deep.callback of /talk",
            server:logged "connections hold functions of (.*)")
        local versions = server:versions()
        assert.equal(1, versions[2].number)
        assert.equal("state.deep.callback", versions[2].held[2].key)
        assert.equal("two b", peer:ask "b")
    end)
end)
