local fake = require "spec.lua.fake"
local notes = require "spec.lua.notes"

describe("the dispatcher", function()
    local engine, seen

    local function load(source)
        local problem
        engine, problem = notes.load('local r = mw.ws "/x"\n' .. source)
        assert.is_nil(problem)
        seen = engine.seen
    end
    local function log()
        return notes.take(engine)
    end

    it("calls the hooks of a connection with the ws first", function()
        load [[
            function r.on_open(ws) note("open", ws.id) end
            function r.on_message(ws, data, is_binary) note(ws.id, data, tostring(is_binary)) end
            function r.on_drain(ws) note("drain", ws.id) end
            function r.on_error(ws, err) note("error", err) end
            function r.on_close(ws, ...) note("close", (tostring(...)), select(2, ...),
                tostring((select(3, ...)))) end
        ]]
        engine:open(1)
        engine:open(2)
        engine:message(1, "a")
        engine:message(2, "\0\255", true)
        engine:message(1, "")
        engine:queue_event { kind = "drain", conn = 1 }
        engine:queue_event { kind = "error", conn = 1, data = "bad frame", code = 1002 }
        engine:close(1, 1006, "bad", false)
        engine:run()
        assert.equal("open 1, open 2, 1 a false, 2 \0\255 true, 1  false, drain 1, "
            .. "error bad frame, close 1006 bad false", log())
    end)

    it("loses one connection when it has failed itself, and goes on with the batch", function()
        load [[
            function r.on_open(ws) note("open", ws.id) end
            function r.on_message(ws, data) note(ws.id, data) end
        ]]
        engine:open(1)
        engine:open(2)
        engine:queue_event { kind = "message", conn = 1, data = "lost", route = 77 } -- no route
        engine:message(1, "a")
        engine:message(2, "a")
        engine:run()
        assert.equal("open 1, open 2, 2 a", log())
        assert.same({ { "close", 1, 1011, "" } }, engine.calls)
        assert.matches("^the dispatcher failed: .*attempt to index.*stack traceback",
            engine.logged[1].text)
        engine:message(2, "b")
        engine:run()
        assert.equal("2 b", log())
    end)

    it("finds the connections of all slots, and not who had the slot before", function()
        load [[
            function r.on_message(ws, data)
                note(ws.id, data, tostring(ws.state))
                ws.state = data
            end
        ]]
        local all = { 0, 1, 1023, 1024, 4096, 2 ^ 20 - 1 }
        for turn = 1, 2 do
            for i, slot in ipairs(all) do
                if turn == 1 then
                    engine:open(2 ^ 20 + slot)
                end
                engine:message(2 ^ 20 + slot, ("%d"):format(i + 10 * turn))
            end
            engine:run()
        end
        local lines = {}
        for turn = 1, 2 do
            for i, slot in ipairs(all) do
                lines[#lines + 1] = ("%d %d %s"):format(2 ^ 20 + slot, i + 10 * turn,
                    turn == 1 and "nil" or i + 10)
            end
        end
        assert.equal(table.concat(lines, ", "), log())
        engine:message(2 ^ 20 + 1024, "x")
        engine:open(2 ^ 21 + 1024) -- the slot's next generation: its events are not the other's
        engine:message(2 ^ 21 + 1024, "new")
        engine:run()
        assert.equal(("%d x 24, %d new nil"):format(2 ^ 20 + 1024, 2 ^ 21 + 1024), log())
    end)

    it("asks nothing of C for events that nobody wants", function()
        load ""
        engine:open(1)
        engine:message(1, "a")
        engine:close(1)
        engine:run()
        assert.is_nil(require("moonwire.connection.connection").find(1))
        assert.same({}, engine.lent)
    end)

    it("uses a hook that is set or replaced later", function()
        load [[
            seen.route = r
        ]]
        engine:open(1)
        engine:run()
        function seen.route.on_message()
            seen.log[1] = "new"
        end
        engine:message(1, "a")
        engine:run()
        assert.equal("new", log())
    end)

    it("gives on_upgrade's result as ws.state, and refuses on false", function()
        load [[
            function r.on_upgrade(req)
                if req.query.no then return false end
                if req.query.out then return req:reject(401, "who?", { ["X-A"] = "1" }) end
                req:set_header("Set-Cookie", "a=1")
                req:set_header("Set-Cookie", "b=2")
                return { user = req.query.user, list = req.protocols }
            end
            function r.on_open(ws) note(ws.state.user, ws.state.list[2]) end
        ]]
        engine:request { kind = "upgrade", conn = 1, target = "/x?user=ann",
            headers = { ["Sec-WebSocket-Protocol"] = "a, b" } }
        engine:request { kind = "upgrade", conn = 2, target = "/x?no" }
        engine:request { kind = "upgrade", conn = 3, target = "/x?out=1" }
        engine:run()
        engine:open(1)
        engine:run()
        assert.equal("ann b", log())
        assert.same({ { "accept", 1, false, "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" } },
            engine:called "accept")
        local text = "Content-Type: text/plain; charset=utf-8\r\n"
        assert.same({ { "respond", 2, 403, text, "forbidden\n" },
            { "respond", 3, 401, text .. "X-A: 1\r\n", "who?" } }, engine:called "respond")
    end)

    it("lets on_upgrade choose a subprotocol, of those offered", function()
        load [[
            function r.on_upgrade(req) req.protocol = req.query.p end
        ]]
        for i, p in ipairs { "b", "c" } do
            engine:request { kind = "upgrade", conn = i, target = "/x?p=" .. p,
                headers = { ["Sec-WebSocket-Protocol"] = "a, b" } }
        end
        engine:run()
        assert.same({ { "accept", 1, "b", "" } }, engine:called "accept")
        assert.equal(500, engine:called("respond")[1][3])
        assert.matches('req.protocol is "c", which the client did not offer',
            engine.logged[1].text, 1, true)
    end)

    it("delivers no message after ws:close()", function()
        load [[
            function r.on_message(ws, data) note(data) ws:close() end
            function r.on_close() note "closed" end
        ]]
        engine:open(1)
        engine:message(1, "a")
        engine:message(1, "b")
        engine:close(1)
        engine:run()
        assert.equal("a, closed", log())
    end)

    it("logs a hook that raises with its line, tells on_error, closes 1011 only that", function()
        load [[
            function r.on_message(ws, data)
                if data == "boom" then
                    local nothing
                    nothing.x = 1
                end
                note(ws.id, data)
            end
            function r.on_error(ws, err)
                note("error", ws.id, ws.readyState, err:match "app.lua:%d+")
            end
        ]]
        engine:open(1)
        engine:open(2)
        engine:message(1, "boom")
        engine:message(1, "after")
        engine:message(2, "b")
        engine:run()
        assert.equal("error 1 1 app.lua:9, 2 b", log())
        assert.same({ { "close", 1, 1011, "" } }, engine.calls)
        assert.equal(1, engine.failures)
        assert.equal(1, #engine.logged)
        assert.equal(3, engine.logged[1].level)
        assert.matches("^on_message of /x failed: .*app.lua:9: attempt to index local 'nothing'.*"
            .. "stack traceback:\n\t[^\n]*app.lua:9: in function", engine.logged[1].text)
        assert.is_nil(engine.logged[1].text:find("moonwire/", 1, true))
        assert.is_nil(engine.logged[1].text:find("xpcall", 1, true))
    end)

    it("survives what can be raised: tables, nil, and an on_error that raises too", function()
        load [[
            function r.on_message(ws, data)
                if data == "table" then error({ code = 7 }) end
                if data == "nil" then error() end
                if data == "stack" then local function f() return 1 + f() end f() end
            end
            function r.on_error(ws, err)
                note(type(err), type(err) == "table" and err.code or "")
                error "again"
            end
        ]]
        for i, data in ipairs { "table", "nil", "stack" } do
            engine:open(i)
            engine:message(i, data)
        end
        engine:run()
        assert.equal("table 7, nil , string ", log())
        assert.equal(3, #engine:called "close")
        assert.equal(6, engine.failures)
        assert.matches('an error that is a table: {"code":7}', engine.logged[1].text, 1, true)
    end)

    it("fires listeners after the hook; one that raises does not stop the others", function()
        load [[
            function r.on_open(ws)
                ws.onmessage = function(event)
                    note(event.type, event.data, tostring(event.is_binary), event.origin,
                        tostring(event.target == ws))
                end
                ws:addEventListener("message", function() error "oops" end)
                ws:addEventListener("message", function() note "third" end, { once = true })
                ws.onclose = function(e) note(e.type, e.code, e.reason, tostring(e.wasClean)) end
                ws.onerror = function(e) note(e.type, e.message, e.code) end
            end
            function r.on_message() note "hook" end
        ]]
        engine:open(1, { headers = "origin: http://localhost:8080\n" })
        engine:message(1, "a")
        engine:message(1, "b", true)
        engine:queue_event { kind = "error", conn = 1, data = "too big", code = 1009 }
        engine:message(1, "never")
        engine:close(1, 1006, "", false)
        engine:run()
        assert.equal("hook, message a false http://localhost:8080 true, third, "
            .. "hook, message b true http://localhost:8080 true, "
            .. "error too big 1009, close 1006  false", log())
        assert.equal(2, engine.failures)
        assert.same({}, engine:called "close")
    end)

    it("gives binary messages as views that end with the hook", function()
        load [[
            function r.on_open(ws) ws.binaryType = "buffer" end
            function r.on_message(ws, data, is_binary)
                note(type(data), tostring(data), tostring(is_binary))
                ws:send(data)
                seen.kept = data
            end
        ]]
        engine:open(1)
        engine:message(1, "text")
        engine:message(1, "\1\2", true)
        engine:run()
        assert.equal("string text false, cdata \1\2 true", log())
        assert.same({ { "send", 1, "text", false }, { "send", 1, "\1\2", true } },
            engine:called "send")
        assert.is_false((pcall(tostring, seen.kept)))
    end)

    describe("with hooks that wait", function()
        it("holds back that connection's events only, and keeps their order", function()
            load [[
                function r.on_message(ws, data)
                    note(ws.id, "begin", data)
                    if data:find "wait" then mw.sleep "1s" end
                    note(ws.id, "end", data)
                end
                function r.on_close(ws, code) note(ws.id, "close", code, ws.readyState) end
            ]]
            engine:open(1)
            engine:open(2)
            engine:message(1, "wait")
            engine:message(2, "b")
            engine:message(1, "c")
            engine:run()
            assert.equal("1 begin wait, 2 begin b, 2 end b", log())
            engine:message(1, "wait again")
            engine:message(1, "d")
            engine:message(2, "e")
            engine:run()
            assert.equal("2 begin e, 2 end e", log())
            assert.equal(1, engine.timers[1].after)
            engine:fire()
            assert.equal("1 end wait, 1 begin c, 1 end c, 1 begin wait again", log())
            engine:fire()
            assert.equal("1 end wait again, 1 begin d, 1 end d", log())
            engine:close(1, 1001)
            engine:run()
            assert.equal("1 close 1001 3", log())
        end)

        it("cancels what hooks of a connection that closes wait for, each once", function()
            load [[
                function r.on_message(ws, data)
                    note("begin", data, ws.readyState)
                    local ok, problem = pcall(mw.sleep, "1s")
                    note(data, tostring(ok), tostring(problem))
                    if data == "a" then mw.sleep "2s" note "slept" end
                end
                function r.on_close(ws, code) mw.sleep(3) note("close", code) end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:message(1, "b")
            engine:close(1, 1001)
            engine:run()
            assert.equal("begin a 1, a false cancelled: the connection is closed", log())
            assert.same({ [2] = { after = 2, every = 0 } }, engine.timers)
            engine:fire()
            assert.equal("slept, begin b 2, b false cancelled: the connection is closed", log())
            engine:fire()
            assert.equal("close 1001", log())
            assert.same({}, engine.timers)
            assert.equal(0, engine.failures)
        end)

        it("takes a cancelled hook that catches nothing as one that is done", function()
            load [[
                function r.on_message() note "begin" mw.sleep(1) note "never" end
                function r.on_error() note "error" end
                function r.on_close() note "closed" end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:message(1, "b")
            engine:run()
            engine:close(1)
            engine:run()
            assert.equal("begin, begin, closed", log())
            assert.same({}, engine.timers)
            assert.same({}, engine.logged)
            assert.same({}, engine.calls)
            assert.is_false(require("moonwire.connection.connection").find(1) or false)
        end)

        it("does not cancel what waits after a hook that met no cancellation", function()
            load [[
                function r.on_message(_, data) if data == "a" then mw.sleep(1) end note(data) end
                function r.on_close() mw.sleep(1) note "closed" end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:run()
            engine:queue_event { kind = "timer", conn = 1, flag = true }
            engine:message(1, "b")
            engine:close(1)
            engine:run()
            assert.equal("a, b", log())
            engine:fire()
            assert.equal("closed", log())
            engine:open(2)
            engine:message(2, "a")
            engine:run()
            engine:queue_event { kind = "timer", conn = 3, flag = true }
            engine:close(2)
            engine:run()
            assert.equal("a", log())
            engine:fire()
            assert.equal("closed", log())
        end)

        it("lets a hook that was woken go on before it hears of the close", function()
            load [[
                function r.on_message()
                    mw.sleep(1)
                    note "woken"
                    note(select(2, pcall(mw.sleep, 1)))
                end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:run()
            engine:queue_event { kind = "timer", conn = 1, flag = true }
            engine:close(1)
            engine:run()
            assert.equal("woken, cancelled: the connection is closed", log())
        end)

        it("copies what the loop reuses", function()
            load [[
                function r.on_message(ws, data)
                    if type(data) == "cdata" then mw.sleep(1) end
                    note(tostring(data))
                end
                function r.on_open(ws) ws.binaryType = "buffer" end
            ]]
            engine:open(1)
            engine:message(1, "view", true)
            engine:message(1, "queued")
            engine:message(1, "queued view", true)
            engine:run()
            collectgarbage()
            engine:fire()
            assert.equal("view, queued", log())
            engine:fire()
            assert.equal("queued view", log())
        end)

        it("stops reading past the limit waiting_messages, and goes on afterwards", function()
            load [[
                mw.limits { waiting_messages = 3 }
                function r.on_message(ws, data) if data == "1" then mw.sleep(1) end note(data) end
            ]]
            engine:open(1)
            for i = 1, 6 do
                engine:message(1, tostring(i))
            end
            engine:run()
            assert.same({ { "pause", 1 } }, engine.calls)
            engine:fire()
            assert.equal("1, 2, 3, 4, 5, 6", log())
            assert.same({ { "pause", 1 }, { "resume", 1 } }, engine.calls)
        end)

        it("drops what waits behind a hook that closes", function()
            load [[
                function r.on_message(ws, data) mw.sleep(1) note(data) ws:close() end
                function r.on_close() note "closed" end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:message(1, "b")
            engine:run()
            engine:fire()
            engine:close(1)
            engine:run()
            assert.equal("a, closed", log())
        end)

        it("keeps a slot's next connection apart from one whose hook waits", function()
            load [[
                function r.on_message(ws, data) mw.sleep(1) note(ws.id, data) end
                function r.on_close(ws) mw.sleep(2) note(ws.id, "closed") end
            ]]
            local second = 1 + 2 ^ 20
            engine:open(1)
            engine:message(1, "a")
            engine:close(1)
            engine:open(second)
            engine:message(second, "b")
            engine:run()
            engine:fire()
            assert.equal(("%.14g"):format(second) .. " b, 1 closed", log())
        end)

        it("reports an error after the wait as any other", function()
            load [[
                function r.on_message(ws, data) mw.sleep(1) error "late" end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:message(1, "b")
            engine:run()
            engine:fire()
            assert.equal(1, engine.failures)
            assert.same({ { "close", 1, 1011, "" } }, engine.calls)
            engine:fire()
            assert.equal(1, engine.failures)
        end)

        it("takes a bare yield as letting others go first", function()
            load [[
                function r.on_message(ws, data) coroutine.yield() note(data) end
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:run()
            assert.equal("", log())
            assert.equal(0, engine.timers[1].after)
            engine:fire()
            assert.equal("a", log())
        end)

        it("says where nothing can wait", function()
            load [[
                function r.on_message(ws)
                    note(select(2, pcall(coroutine.wrap(function() mw.sleep(1) end))))
                    note(select(2, pcall(table.sort, { 1, 2 }, function() mw.sleep(1) end)))
                end
                seen.mw = mw
            ]]
            engine:open(1)
            engine:message(1, "a")
            engine:run()
            assert.matches("app.lua:%d+: mw.sleep cannot wait inside a coroutine of your own",
                seen.log[1])
            assert.matches("app.lua:%d+: mw.sleep cannot wait here: a function of C", seen.log[2])
            fake.raises("mw.sleep waits, which is possible in hooks", function()
                seen.mw.sleep(1)
            end)
        end)
    end)
end)

describe("timers", function()
    local engine, seen

    local function load(source)
        engine = fake.new()
        seen = engine.seen
        assert.is_nil(engine:load('local mw, seen = require "moonwire", require "seen"\n'
            .. source))
    end

    it("start when the app serves", function()
        load [[
            seen.n = 0
            mw.after("250ms", function() seen.n = seen.n + 1 end)
            seen.every = mw.every(2, function() seen.n = seen.n + 10 end)
            mw.after(1, error):stop()
        ]]
        assert.same({ { after = 0.25, every = 0 }, { after = 2, every = 2 } }, engine.timers)
        engine:fire()
        engine:fire()
        assert.equal(21, seen.n)
        assert.is_true(seen.every:stop())
        assert.is_false(seen.every:stop())
        assert.same({}, engine.timers)
    end)

    it("are logged when they raise, and an every goes on", function()
        load [[
            seen.n = 0
            mw.every("1s", function() seen.n = seen.n + 1 error "tick" end)
        ]]
        engine:fire()
        engine:fire()
        assert.equal(2, seen.n)
        assert.equal(2, engine.failures)
        assert.matches("^mw.every%(1s%) of .*app.lua:3 failed: .*app.lua:3: tick\nstack traceback",
            engine.logged[1].text)
    end)

    it("do not start a function again that still waits", function()
        load [[
            seen.n = 0
            mw.every("1s", function() seen.n = seen.n + 1 mw.sleep("5s") seen.done = true end)
        ]]
        engine:fire()
        engine:queue_event { kind = "timer", conn = 1 }
        engine:run()
        assert.equal(1, seen.n)
        engine:queue_event { kind = "timer", conn = 2, flag = true }
        engine:run()
        assert.is_true(seen.done)
        engine:queue_event { kind = "timer", conn = 1 }
        engine:run()
        assert.equal(2, seen.n)
    end)

    it("refuse durations and functions that are none", function()
        load ""
        local mw = require "moonwire.app.api".new { collecting = true, timers = {} }
        for _, case in ipairs {
            { "after", "soon", print, "mw.after: \"soon\" is not a duration" },
            { "after", 1, nil, "mw.after: expected a function, or the name of one, got nil" },
            { "every", 0, print, "mw.every: the duration is at least a millisecond" },
        } do
            local ok, problem = pcall(function()
                local _ = mw[case[1]](case[2], case[3])
            end)
            assert.is_false(ok)
            assert.matches("^[^\n]*dispatch_spec.lua:%d+: ", problem)
            assert.matches(case[4], problem, 1, true)
        end
    end)
end)
