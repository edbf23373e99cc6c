local fake = require "spec.lua.fake"

describe("an app that is loaded again", function()
    local engine, app, path

    before_each(function()
        engine = fake.new()
        app = require "moonwire.app.app"
        path = os.tmpname()
    end)

    after_each(function()
        os.remove(path)
    end)

    local function call(name, source)
        local file = assert(io.open(path, "w"))
        file:write("local mw, seen = require 'moonwire', require 'seen'\n" .. source)
        file:close()
        return app[name](path, {}, nil)
    end

    local waits = [[
        local chat = mw.ws "/chat"
        function chat.on_message(ws, data)
            mw.sleep(1)
            ws:send(data)
        end
    ]]

    it("lets the hooks of the one that serves wait between prepare and commit", function()
        assert.is_nil(call("load", waits))
        engine:open(7)
        engine.route_count = 0 -- another site
        assert.is_nil(call("prepare", waits))
        engine:message(7, "between")
        engine:run()
        engine:fire()
        assert.same({ { "send", 7, "between", false } }, engine:called "send")
        engine.generation = 2
        app.commit()
        engine:message(7, "after")
        engine:run()
        engine:fire()
        assert.same({ "send", 7, "after", false }, engine:called "send"[2])
    end)

    it("begins its tasks at the commit, and never when it is abandoned", function()
        assert.is_nil(call("load", "seen.ran = {}"))
        local spawns = "mw.spawn(function() seen.ran[#seen.ran + 1] = %q end)"
        assert.is_nil(call("prepare", spawns:format "abandoned"))
        engine:run()
        app.abandon()
        engine:run()
        assert.same({}, engine.seen.ran)
        assert.is_nil(call("prepare", spawns:format "committed"))
        engine:run()
        assert.same({}, engine.seen.ran)
        engine.generation = 2
        app.commit()
        engine:run()
        assert.same({ "committed" }, engine.seen.ran)
    end)

    it("cannot wait, connect or end the process at its top level", function()
        assert.is_nil(call("load", ""))
        for source, problem in pairs {
            ["mw.sleep(1)"] = "mw.sleep waits, and the top level of an app that is loaded again",
            ["mw.all { function() end }"] = "mw.spawn(function() … end) around it",
            ["require('moonwire.websocket').new 'ws://localhost/'"] = "does not connect",
            ["os.exit()"] = "does not end the process",
        } do
            local text = call("prepare", source)
            assert.matches(":2: .*" .. problem:gsub("%p", "%%%0"), text)
            app.abandon()
        end
        assert.same({}, engine:called "exit")
        assert.same({}, engine.dialed)
    end)
end)
