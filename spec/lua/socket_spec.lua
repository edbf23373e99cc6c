local fake = require "spec.lua.fake"
local ffi = require "ffi"

describe("the ws object", function()
    local engine, ws

    before_each(function()
        engine = fake.new()
        assert.is_nil(engine:load [[
            local mw, seen = require "moonwire", require "seen"
            local chat = mw.ws "/chat/:room/:who"
            function chat.on_open(ws) seen.ws = ws end
            function chat.on_close(ws) seen.closed = ws end
        ]])
        engine:open(77, {
            url = "ws://localhost:8080/chat/a%20b/me?x=1&y=a+b",
            params = { "a%20b", "me" },
            protocol = "v2",
            extensions = "permessage-deflate",
            headers = "host: localhost\nx-a: 1\nx-a: 2\n",
        })
        engine:run()
        ws = engine.seen.ws
    end)

    it("has the browser's properties", function()
        assert.equal(1, ws.readyState)
        assert.same({ 0, 1, 2, 3 }, { ws.CONNECTING, ws.OPEN, ws.CLOSING, ws.CLOSED })
        assert.equal("ws://localhost:8080/chat/a%20b/me?x=1&y=a+b", ws.url)
        assert.equal("v2", ws.protocol)
        assert.equal("permessage-deflate", ws.extensions)
        assert.equal(42, ws.bufferedAmount)
        assert.equal("string", ws.binaryType)
    end)

    it("has a server's properties, decoded", function()
        assert.equal(77, ws.id)
        assert.same({ room = "a b", who = "me" }, ws.params)
        assert.same({ x = "1", y = "a b" }, ws.query)
        assert.same({ host = "localhost", ["x-a"] = "1, 2" }, ws.headers)
        assert.equal("127.0.0.1", ws.remote_address)
        assert.is_nil(ws.state)
        assert.equal(ws.params, ws.params)
    end)

    it("takes fields of the app's own, and refuses to lose its own", function()
        ws.score = 3
        ws.state = { a = 1 }
        assert.equal(3, ws.score)
        assert.equal(1, ws.state.a)
        for _, name in ipairs { "send", "readyState", "id", "OPEN", "bufferedAmount" } do
            fake.raises("ws." .. name .. " cannot be changed", function()
                ws[name] = 1
            end)
        end
    end)

    it("refuses misspelt handlers", function()
        fake.raises("ws.onmesage is not an event handler; did you mean onmessage?", function()
            ws.onmesage = print
        end)
        fake.raises("onmessage is a function or nil, got number", function()
            ws.onmessage = 5
        end)
        fake.raises('there is no event "mesage"; did you mean message?', function()
            ws:addEventListener("mesage", print)
        end)
        fake.raises("a listener is a function, got string", function()
            ws:addEventListener("message", "print")
        end)
        ws.on_fire = true
        ws.once_more = print
    end)

    it("sends text, and binary when told so", function()
        assert.is_true(ws:send "hi")
        assert.is_true(ws:send("\255", true))
        assert.same({ { "send", 77, "hi", false }, { "send", 77, "\255", true } },
            engine:called "send")
    end)

    it("sends FFI data as binary, as text when told so", function()
        ws:send(ffi.new("uint8_t[3]", 1, 2, 3))
        ws:send(ffi.new("struct { char a[2]; }", { { 104, 105 } }))
        ws:send(ffi.new("char[2]", "ab"), false)
        assert.same({ { "send", 77, "\1\2\3", true }, { "send", 77, "hi", true },
            { "send", 77, "ab", false } }, engine:called "send")
    end)

    it("says what to write when the data is of another type", function()
        local cases = {
            { 42, "expected a string or an FFI buffer, got number; write tostring(data)" },
            { {}, "got table; write mw.json.encode(data)" },
            { 1LL, "write tostring(data)" },
            { ffi.cast("const char *", "x"), "a pointer has no length (ctype<const char *>)" },
        }
        for _, case in ipairs(cases) do
            local ok, problem = pcall(function()
                ws:send(case[1])
            end)
            assert.is_false(ok)
            assert.matches("socket_spec.lua:%d+: send: ", problem)
            assert.matches(case[2], problem, 1, true)
        end
        fake.raises("got nil", function()
            ws:send()
        end)
        fake.raises("write ws:send(data), with a colon", function()
            ws.send "hi"
        end)
        fake.raises("write ws:subscribe(…), with a colon", function()
            ws.subscribe "news"
        end)
        assert.same({}, engine.calls)
    end)

    it("raises for arguments that mean nothing to its methods", function()
        local rest = "takes no more arguments than these, got a number behind them"
        for form, call in pairs {
            ["ws:send(data, is_binary) " .. rest] = function() ws:send("a", false, 1) end,
            ["is_binary is true or false, got a number; string.gsub gives two values"] =
                function() ws:send(("a b"):gsub(" ", "")) end,
            ["publish(topic, data, is_binary) " .. rest] =
                function() ws:publish("a", "b", true, 1) end,
            ["publish(topic, data, is_binary): is_binary is true or false, got a string"] =
                function() ws:publish("a", "b", "binary") end,
            ["ws:close(code, reason) " .. rest] = function() ws:close(1000, "a", 1) end,
            ["ws:ping(data) " .. rest] = function() ws:ping("a", 1) end,
            ["ws:subscribe(topic) takes no more arguments than these, got a string behind them: "
                .. "call it for each topic"] = function() ws:subscribe("a", "b") end,
            ["ws:unsubscribe(topic) " .. rest] = function() ws:unsubscribe("a", 1) end,
            ["ws:addEventListener(type, fn, options) " .. rest] =
                function() ws:addEventListener("message", print, {}, 1) end,
        } do
            fake.raises(form, call)
        end
        assert.same({}, engine.calls)
        assert.is_true(ws:send("a", nil, nil))
        assert.is_true(ws:send("a", false))
    end)

    it("raises for text that is not UTF-8, at the line that sends it", function()
        fake.raises("SyntaxError: send: this text is not UTF-8", function()
            ws:send "\255"
        end)
    end)

    it("tells that output is queued, and that a queue is full", function()
        engine.answers.send = 1
        assert.same({ true, "queued" }, { ws:send "x" })
        assert.equal(1, #engine.calls) -- and it was sent once
        engine.answers.send = -9
        assert.same({ nil, "over the limit queued_bytes: closing with 1008" }, { ws:send "x" })
        assert.equal(2, ws.readyState)
        engine.answers.send = nil
        assert.same({ nil, "closed" }, { ws:send "x" })
    end)

    it("closes with the codes that a server may use", function()
        assert.is_true(ws:close(4000, "why"))
        assert.same({ { "close", 77, 4000, "why" } }, engine:called "close")
        assert.equal(2, ws.readyState)
        assert.same({ nil, "closed" }, { ws:close() })
        assert.same({ nil, "closed" }, { ws:send "late" })
        assert.equal(1, #engine.calls)
    end)

    it("closes without a code", function()
        ws:close()
        assert.same({ { "close", 77, 1005, "" } }, engine.calls)
    end)

    it("refuses other codes and long reasons, as the standard says", function()
        local bad = { 0, 999, 1002, 1005, 1006, 1010, 1015, 2999, 5000, 1000.5, "1000" }
        for _, code in ipairs(bad) do
            fake.raises("InvalidAccessError: close: the code is 1000", function()
                ws:close(code)
            end)
        end
        fake.raises("InvalidAccessError: close: a reason needs a code", function()
            ws:close(nil, "why")
        end)
        fake.raises("SyntaxError: close: the reason has at most 123 bytes, got 124", function()
            ws:close(1000, ("x"):rep(124))
        end)
        fake.raises("SyntaxError: close: the reason is not UTF-8", function()
            ws:close(1000, "\255")
        end)
        assert.equal(1, ws.readyState)
        local codes = { 1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999 }
        for _, code in ipairs(codes) do
            engine:open(100 + code)
            engine:run()
            assert.is_true(engine.seen.ws:close(code, ("x"):rep(123)))
        end
    end)

    it("subscribes, publishes to all but itself, and unsubscribes", function()
        assert.is_true(ws:subscribe "room/a")
        assert.is_true(ws:subscribe "room/a")
        assert.is_true(ws:publish("room/a", "hello"))
        assert.is_true(ws:publish("room/a", "\1", true))
        assert.same({ { "publish", 77, "room/a", "hello", false },
            { "publish", 77, "room/a", "\1", true } }, engine:called "publish")
        assert.is_true(ws:unsubscribe "room/a")
        assert.is_false(ws:unsubscribe "room/a")
        fake.raises("publish: a topic is a string, got nil", function()
            ws:publish(nil, "x")
        end)
        fake.raises("publish: expected a string or an FFI buffer, got number", function()
            ws:publish("t", 5)
        end)
        engine.answers.subscribe = -9
        assert.same({ nil, "over the limit subscriptions" }, { ws:subscribe "more" })
    end)

    it("pings and terminates", function()
        ws:ping()
        ws:ping "data"
        fake.raises("at most 125 bytes, got 126", function()
            ws:ping(("x"):rep(126))
        end)
        ws:terminate()
        assert.same({ { "ping", 77, "" }, { "ping", 77, "data" }, { "terminate", 77 } },
            engine.calls)
        assert.equal(2, ws.readyState)
    end)

    it("keeps its last values when it is closed, and its methods then return nil", function()
        engine.buffered = 0
        engine:close(77, 1001, "bye")
        engine:run()
        assert.equal(ws, engine.seen.closed)
        assert.equal(3, ws.readyState)
        assert.equal("ws://localhost:8080/chat/a%20b/me?x=1&y=a+b", ws.url)
        assert.equal("v2", ws.protocol)
        assert.same({ room = "a b", who = "me" }, ws.params)
        assert.same({ x = "1", y = "a b" }, ws.query)
        assert.equal(0, ws.bufferedAmount)
        for _, name in ipairs { "send", "close", "ping", "terminate" } do
            assert.same({ nil, "closed" }, { ws[name](ws, name == "send" and "x" or nil) }, name)
        end
        assert.same({ nil, "closed" }, { ws:subscribe "t" })
        assert.is_true(ws:publish("t", "left"))
        assert.same({ { "publish", 0, "t", "left", false } }, engine:called "publish")
    end)

    it("is one object as long as the connection lives, and another for the next", function()
        local users = setmetatable({ [ws] = "ann" }, { __mode = "k" })
        engine.seen.ws, ws = nil, nil
        collectgarbage()
        engine:open(77)
        engine:run()
        assert.equal("ann", users[engine.seen.ws])
        engine:close(77)
        engine:run()
        local before = engine.seen.ws
        engine:open(77 + 2 ^ 20)
        engine:run()
        assert.are_not.equal(before, engine.seen.ws)
        assert.equal(3, before.readyState)
    end)
end)

describe("a view", function()
    local view

    before_each(function()
        fake.new()
        view = require "moonwire.connection.view"
    end)

    it("has a length, bytes from 0, and parts as strings", function()
        local v = view.new(ffi.cast("const char *", "hello"), 5)
        assert.equal(5, #v)
        assert.equal(104, v[0])
        assert.equal(111, v[4])
        assert.is_nil(v[5])
        assert.is_nil(v[-1])
        assert.equal("hello", tostring(v))
        assert.equal("ell", v:string(1, 3))
        assert.equal("llo", v:string(2))
        assert.equal("", v:string(3, 2))
        assert.equal("hello", v:string(-5, 99))
        assert.equal(0, #view.new(nil, 0))
        assert.equal("", tostring(view.new(nil, 0)))
    end)

    it("cannot be written", function()
        local v = view.new(ffi.cast("const char *", "hello"), 5)
        for _, key in ipairs { 0, "len", "data", "other" } do
            assert.is_false((pcall(function()
                v[key] = 1
            end)))
        end
        assert.equal("hello", tostring(v))
    end)

    it("is gone after its hook", function()
        local v = view.new(ffi.cast("const char *", "hello"), 5)
        view.release(v)
        assert.equal(0, #v)
        fake.raises("a view is valid only in the hook that got it", function()
            local _ = v[0]
        end)
        fake.raises("keep tostring(view) instead", function()
            local _ = v:string()
        end)
    end)
end)
