local fake = require "spec.lua.fake"
local notes = require "spec.lua.notes"

describe("WebSocket", function()
    local engine, seen, WebSocket
    local NO_ROUTE = require("ffi").C.MW_NO_ROUTE

    local function load(source)
        local problem
        engine, problem = notes.load([[
            local WebSocket = require "moonwire.websocket"
            local function listen(ws)
                for _, kind in ipairs { "open", "message", "error", "close" } do
                    ws:addEventListener(kind, function(e)
                        note(e.type, e.target.readyState, e.data or "", e.code or "",
                            e.reason or "", tostring(e.wasClean))
                    end)
                end
            end
            seen.WebSocket = WebSocket
        ]] .. source)
        assert.is_nil(problem)
        seen = engine.seen
        WebSocket = seen.WebSocket
    end
    local function log()
        return notes.take(engine)
    end
    local function event(kind, more)
        local e = { kind = kind, conn = 9001, route = NO_ROUTE }
        for name, value in pairs(more or {}) do
            e[name] = value
        end
        engine:queue_event(e)
    end
    local function opens(more)
        for name, value in pairs(more or {}) do
            engine.conns[9001][name] = value
        end
        engine.conns[9001].ready_state = 1
        event "open"
    end
    local function message(data, is_binary)
        event("message", { data = data, flag = is_binary })
    end
    local function closes(code, reason, was_clean)
        event("close", { code = code, data = reason or "", flag = was_clean })
    end

    describe("as a class", function()
        before_each(function()
            load ""
        end)

        it("has the four states, on itself and on each object", function()
            local ws = WebSocket.new "ws://h/"
            for _, from in ipairs { WebSocket, ws } do
                assert.same({ 0, 1, 2, 3 },
                    { from.CONNECTING, from.OPEN, from.CLOSING, from.CLOSED })
            end
        end)

        it("may be called instead of its new", function()
            assert.equal("ws://h/x", WebSocket("ws://h/x", "chat").url)
            assert.equal("chat", engine.dialed[9001].protocols)
        end)

        it("says what to write when it is used otherwise", function()
            fake.raises("WebSocket.open does not exist; write WebSocket.new(url)", function()
                local _ = WebSocket.open
            end)
        end)

        it("connects to the serialised URL", function()
            assert.equal("wss://h/", WebSocket.new("https://h").url)
            assert.equal("wss://h/", engine.dialed[9001].url)
            local long = "ws://h/" .. ("x"):rep(5000)
            assert.equal(long, WebSocket.new(long).url)
        end)

        it("refuses URLs with a SyntaxError", function()
            for url, problem in pairs {
                ["chat"] = 'SyntaxError: WebSocket: the URL "chat" is not one that can be opened: '
                    .. "the URL is not absolute: it begins with ws:// or wss://",
                ["ws://h/#x"] = "the URL has a fragment",
                ["ws://refused/"] = "WebSocket: it is refused",
            } do
                fake.raises(problem, function()
                    WebSocket.new(url)
                end)
                fake.raises(problem, function()
                    WebSocket(url)
                end)
            end
            fake.raises('the URL is a string, as in WebSocket.new("ws://localhost:8080/chat"), got '
                .. "nil", function()
                WebSocket.new()
            end)
        end)

        it("offers subprotocols, in order", function()
            WebSocket.new("ws://h/", { "v2.chat", "v1.chat" })
            WebSocket.new("ws://h/", {})
            WebSocket.new("ws://h/", "a!#$%&'*+-.^_`|~9Z")
            assert.equal("v2.chat, v1.chat", engine.dialed[9001].protocols)
            assert.equal("", engine.dialed[9002].protocols)
            assert.equal("a!#$%&'*+-.^_`|~9Z", engine.dialed[9003].protocols)
        end)

        it("refuses subprotocols that are no tokens or come twice with a SyntaxError", function()
            local bad = { "", " ", "a b", "a,b", "é", "\127", "a\n" }
            for c in ("()<>@,;:\\\"/[]?={}"):gmatch "." do
                bad[#bad + 1] = "a" .. c
            end
            for _, name in ipairs(bad) do
                for _, protocols in ipairs { name, { "ok", name } } do
                    fake.raises("SyntaxError: WebSocket: ", function()
                        WebSocket.new("ws://h/", protocols)
                    end)
                end
            end
            fake.raises("SyntaxError: WebSocket: the subprotocol a comes twice", function()
                WebSocket.new("ws://h/", { "a", "b", "a" })
            end)
            fake.raises("subprotocol 1 is a string, got number", function()
                WebSocket.new("ws://h/", { 5 })
            end)
            fake.raises("the subprotocols are a string or a list of strings, got number", function()
                WebSocket.new("ws://h/", 5)
            end)
            WebSocket.new("ws://h/", { "a", "A" })
            assert.same(9001, engine.last_dialed)
        end)

        it("hands its options to C", function()
            WebSocket.new("wss://h/", nil, {
                headers = { Origin = "https://h", Cookie = { "a=1", "b=2" } },
                connect_timeout = "250ms", handshake_timeout = 3, compress = true,
                message_bytes = "64k", queued_bytes = 7, idle_seconds = "1m", pong_seconds = 0.5,
                close_seconds = 2, ca_file = "ca.pem", cert = "/c.pem", key = "k.pem",
                insecure = true,
            })
            assert.same({
                url = "wss://h/", protocols = "",
                headers = "Cookie: a=1\r\nCookie: b=2\r\nOrigin: https://h\r\n",
                connect_seconds = 0.25, handshake_seconds = 3, compress = true,
                message_bytes = 65536, queued_bytes = 7, idle_seconds = 60, pong_seconds = 1,
                close_seconds = 2, ca_file = engine.folder .. "/ca.pem", cert = "/c.pem",
                key = engine.folder .. "/k.pem", insecure = true,
            }, engine.dialed[9001])
            assert.equal(1, #engine.logged)
            assert.equal(2, engine.logged[1].level)
            assert.matches("wss://h: its certificate is NOT VERIFIED", engine.logged[1].text)
            WebSocket.new("ws://h/", nil, { insecure = false })
            assert.equal(1, #engine.logged)
            assert.same({
                url = "ws://h/", protocols = "", headers = "", connect_seconds = 0,
                handshake_seconds = 0, message_bytes = 0, queued_bytes = 0, idle_seconds = 0,
                pong_seconds = 0, close_seconds = 0, insecure = false, compress = false,
            }, engine.dialed[9002])
        end)

        it("refuses options that are none", function()
            for _, case in ipairs {
                { 5, "the options are a table, { name = value }, got number" },
                { { header = {} }, "there is no option header; did you mean headers?" },
                { { headers = { Host = "x" } }, "the header Host is written by the WebSocket" },
                { { headers = { ["Sec-WebSocket-Key"] = "x" } }, "is written by the WebSocket" },
                { { headers = { ["a b"] = "x" } }, 'the header "a b": "x" cannot be set' },
                { { connect_timeout = "soon" }, 'connect_timeout: "soon" is not a duration' },
                { { handshake_timeout = 0 }, "handshake_timeout: a duration of more than 0" },
                { { message_bytes = {} }, "message_bytes: expected a size" },
                { { insecure = "yes" }, "insecure: true or false, got string" },
                { { ca_file = 5 }, "ca_file: the name of a PEM file, got number" },
                { { key = "k" }, "the option key needs the option cert" },
            } do
                fake.raises(case[2], function()
                    WebSocket.new("ws://h/", nil, case[1])
                end)
            end
            assert.same({}, engine.dialed)
        end)

        it("raises when C has no room", function()
            engine.answers.connect = -9
            fake.raises("too many connections", function()
                WebSocket.new "ws://h/"
            end)
        end)
    end)

    describe("as an object", function()
        it("is CONNECTING, then OPEN with what was agreed, then CLOSED", function()
            load 'seen.ws = WebSocket.new("ws://h:81/x?y") listen(seen.ws)'
            local ws = seen.ws
            assert.same({ 0, "", "", "ws://h:81/x?y", 42, "string" },
                { ws.readyState, ws.protocol, ws.extensions, ws.url, ws.bufferedAmount,
                    ws.binaryType })
            opens { protocol = "chat", extensions = "permessage-deflate", headers = "server: x\n" }
            engine:run()
            assert.same({ 1, "chat", "permessage-deflate" },
                { ws.readyState, ws.protocol, ws.extensions })
            assert.same({ server = "x" }, ws.headers)
            message "hello"
            message("\1\2", true)
            closes(1000, "bye", true)
            engine:run()
            assert.equal("open 1    nil, message 1 hello   nil, message 1 \1\2   nil, "
                .. "close 3  1000 bye true", log())
            assert.equal(3, ws.readyState)
            assert.equal("chat", ws.protocol)
        end)

        it("fires message events as the standard has them", function()
            load [[
                seen.ws = WebSocket.new "ws://h:81/x?y"
                seen.ws.onmessage = function(event) seen.event = event end
            ]]
            opens()
            message "hello"
            engine:run()
            assert.same({ type = "message", target = seen.ws, data = "hello", is_binary = false,
                origin = "ws://h:81" }, seen.event)
        end)

        it("gives messages the origin of its URL, without the user and the password", function()
            for url, origin in pairs {
                ["ws://u:p@h/x"] = "ws://h",
                ["wss://u@h:444?y@z"] = "wss://h:444",
                ["ws://h/a@b"] = "ws://h",
                ["http://[::1]:81/"] = "ws://[::1]:81",
            } do
                load(([[
                    seen.ws = WebSocket.new %q
                    seen.ws.onmessage = function(event) seen.origin = event.origin end
                ]]):format(url))
                opens()
                message "hello"
                engine:run()
                assert.equal(origin, seen.origin)
            end
        end)

        it("gives binary messages as its binaryType says when they come", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws.onmessage = function(event)
                    note(type(event.data), tostring(event.data), tostring(event.is_binary))
                end
                seen.ws = ws
            ]]
            opens()
            message("\1a", true)
            engine:run()
            assert.equal("string \1a true", log())
            seen.ws.binaryType = "buffer"
            assert.equal("buffer", seen.ws.binaryType)
            message("\1a", true)
            message "text"
            engine:run()
            assert.matches("^cdata [^,]*1a true, string text false$", (log():gsub("\1", "1")))
            fake.raises('binaryType is "string" or "buffer", got "blob"', function()
                seen.ws.binaryType = "blob"
            end)
        end)

        it("lives as long as its connection, though nothing but C knows of it", function()
            load [[
                WebSocket.new("ws://h/").onmessage = function(event) note(event.data) end
            ]]
            for _, data in ipairs { "a", "b" } do
                collectgarbage()
                collectgarbage()
                if data == "a" then
                    opens()
                end
                message(data)
                engine:run()
            end
            assert.equal("a, b", log())
        end)

        it("fires error just before close when it fails, CLOSED both times", function()
            load 'seen.ws = WebSocket.new "ws://h/" listen(seen.ws)'
            event("error", { data = "connection refused", code = 1006 })
            engine:run()
            assert.equal("", log())
            assert.equal(2, seen.ws.readyState)
            closes(1006, "", false)
            engine:run()
            assert.equal("error 3  1006  nil, close 3  1006  false", log())
            assert.same({}, engine.logged)
        end)

        it("delivers nothing between an error and the close", function()
            load 'seen.ws = WebSocket.new "ws://h/" listen(seen.ws)'
            opens()
            event("error", { data = "bad frame", code = 1002 })
            message "late"
            closes(1006, "", false)
            engine:run()
            assert.equal("open 1    nil, error 3  1006  nil, close 3  1006  false", log())
        end)

        it("raises InvalidStateError for send while CONNECTING", function()
            load 'seen.ws = WebSocket.new "ws://h/"'
            fake.raises("InvalidStateError: send: the connection is not open yet", function()
                seen.ws:send "x"
            end)
            fake.raises("expected a string or an FFI buffer, got number", function()
                seen.ws:send(5)
            end)
            opens()
            engine:run()
            assert.is_true(seen.ws:send "x")
        end)

        it("counts in bufferedAmount what is sent in vain, and does not reset it", function()
            load 'seen.ws = WebSocket.new "ws://h/"'
            opens()
            engine:run()
            local ws = seen.ws
            ws:close()
            assert.same({ nil, "closed" }, { ws:send "12345" })
            assert.same({ nil, "closed" }, { ws:send("1234567", true) })
            assert.equal(42 + 12, ws.bufferedAmount)
            closes(1006, "", false)
            engine:run()
            assert.equal(42 + 12, ws.bufferedAmount)
            ws:send "1"
            assert.equal(42 + 13, ws.bufferedAmount)
        end)

        it("counts what C did not take because the peer closed", function()
            load 'seen.ws = WebSocket.new "ws://h/"'
            opens()
            engine:run()
            engine.conns[9001] = nil
            assert.same({ nil, "closed" }, { seen.ws:send "12345" })
            assert.equal(5, seen.ws.bufferedAmount)
        end)

        it("closes with 1000 and 3000 to 4999 only", function()
            load 'seen.ws = WebSocket.new "ws://h/"'
            opens()
            engine:run()
            local ws = seen.ws
            for _, code in ipairs { 0, 999, 1001, 1005, 1006, 1011, 2999, 5000, 1000.5, "1000" } do
                fake.raises("InvalidAccessError: close: the code is 1000 (normal) or your own of "
                    .. "3000 to 4999, got ", function()
                    ws:close(code)
                end)
            end
            fake.raises("SyntaxError: close: the reason has at most 123 bytes, got 124", function()
                ws:close(1000, ("é"):rep(62))
            end)
            fake.raises("SyntaxError: close: the reason is not UTF-8", function()
                ws:close(1000, "\255")
            end)
            assert.equal(1, ws.readyState)
            assert.is_true(ws:close(3000, ("é"):rep(61) .. "x"))
            assert.equal(2, ws.readyState)
            assert.same({ nil, "closed" }, { ws:close(4999) })
            assert.equal(1, #engine:called "close")
        end)

        it("fails when it is closed while CONNECTING, and is never open", function()
            load 'seen.ws = WebSocket.new "ws://h/" listen(seen.ws)'
            assert.is_true(seen.ws:close())
            assert.equal(2, seen.ws.readyState)
            opens() -- was on its way
            event("error", { data = "closed by the script", code = 1006 })
            closes(1006, "", false)
            engine:run()
            assert.equal("error 3  1006  nil, close 3  1006  false", log())
        end)

        it("calls handlers and listeners in the order they were added", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws:addEventListener("message", function() note "first" end)
                ws.onmessage = function() note "old" end
                ws:addEventListener("message", function() error "oops" end)
                local function last() note "last" end
                ws:addEventListener("message", last)
                ws:addEventListener("message", last)
                ws:addEventListener("message", function() note "once" end, { once = true })
                ws.onmessage = function() note "handler" end
                seen.ws, seen.last = ws, last
            ]]
            opens()
            message "x"
            engine:run()
            assert.equal("first, handler, last, once", log())
            assert.equal(1, engine.failures)
            assert.matches('^a listener for "message" failed: .*oops\nstack', engine.logged[1].text)
            seen.ws:removeEventListener("message", seen.last)
            seen.ws.onmessage = nil
            message "y"
            engine:run()
            assert.equal("first", log())
            assert.equal(1, seen.ws.readyState)
        end)

        it("holds back its next events while a listener waits", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws.onmessage = function(e) mw.sleep(1) note(e.data) end
                ws.onclose = function() note "closed" end
            ]]
            opens()
            message "a"
            message "b"
            engine:run()
            assert.equal("", log())
            engine:fire()
            assert.equal("a", log())
            engine:fire()
            assert.equal("b", log())
            closes(1000, "", true)
            engine:run()
            assert.equal("closed", log())
        end)
    end)

    describe("with code that waits", function()
        it("opens, receives and closes in straight lines", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                note("opened", tostring(ws:opened()))
                ws:send "hello"
                for _ = 1, 3 do note((ws:receive())) end
                local data, is_binary = ws:receive()
                note(data, tostring(is_binary))
                note(select(2, ws:receive()))
                note(select(2, ws:receive()))
                note(select(2, ws:opened()))
            ]]
            opens()
            message "a" -- in the same batch as the opening
            engine:run()
            assert.equal("opened true, a", log())
            message "b"
            message "c"
            message("d", true)
            closes(4000, "why", true)
            engine:run()
            assert.equal("b, c, d true, closed 4000 why, closed 4000 why, 4000 why", log())
            assert.same({}, engine.logged)
        end)

        it("says why it did not open", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                note(select(2, ws:opened()))
                note(select(2, ws:opened()))
                note(select(2, ws:receive()))
            ]]
            event("error", { data = "connection refused", code = 1006 })
            closes(1006, "", false)
            engine:run()
            assert.equal("connection refused, connection refused, closed 1006 ", log())
        end)

        it("receives while CONNECTING what comes later", function()
            load 'note((WebSocket.new("ws://h/"):receive()))'
            opens()
            message "a"
            engine:run()
            assert.equal("a", log())
        end)

        it("bounds the wait for a message", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws:opened()
                note(select(2, ws:receive(0)))
                note(select(2, ws:receive "2s"))
                note((ws:receive "3s"))
            ]]
            opens()
            engine:run()
            assert.equal("timeout", log())
            engine:fire(2)
            assert.equal("timeout", log())
            message "a"
            engine:run()
            assert.equal("a", log())
            assert.same({}, engine.timers)
            fake.raises('receive: "x" is not a duration', function()
                WebSocket.new("ws://h/"):receive "x"
            end)
        end)

        it("keeps messages meanwhile up to the limit, and reads on when they are taken", function()
            load [[
                mw.limits { waiting_messages = 4 }
                local ws = WebSocket.new "ws://h/"
                ws:opened()
                mw.sleep(1)
                for _ = 1, 7 do note((ws:receive())) end
                seen.done = true
            ]]
            opens()
            for i = 1, 3 do
                message(tostring(i))
            end
            engine:run()
            assert.same({}, engine.calls)
            message "4"
            message "5" -- had been read already
            engine:run()
            assert.same({ { "pause", 9001 } }, engine.calls)
            engine:fire()
            assert.equal("1, 2, 3, 4, 5", log())
            assert.same({ { "pause", 9001 }, { "resume", 9001 } }, engine.calls)
            message "6"
            message "7"
            engine:run()
            assert.equal("6, 7", log())
        end)

        it("gives one message to each that waits, in order", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                for i = 1, 3 do
                    mw.spawn(function() note(i, (ws:receive(i == 2 and 5 or nil))) end)
                end
            ]]
            opens()
            engine:fire(0)
            engine:fire(5)
            message "a"
            message "b"
            engine:run()
            assert.equal("2, 1 a, 3 b", log())
        end)

        it("drops what was not received when it closes, and tells the close", function()
            load [[
                mw.limits { waiting_messages = 2 }
                local ws = WebSocket.new "ws://h/"
                ws:opened()
                mw.sleep(1)
                ws:close(3001)
                note(select(2, ws:receive()))
            ]]
            opens()
            message "a"
            message "b"
            engine:run()
            engine:fire()
            assert.equal("", log())
            assert.same({ { "pause", 9001 }, { "close", 9001, 3001, "" }, { "resume", 9001 } },
                engine.calls)
            closes(3001, "", true)
            engine:run()
            assert.equal("closed 3001 ", log())
        end)

        it("still gives what had come when the peer closed", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws.onclose = function() note "event" end
                ws:opened()
                mw.sleep(1)
                note((ws:receive()))
                note(select(2, ws:receive()))
            ]]
            opens()
            engine:run()
            message "a"
            closes(1000, "bye", true)
            engine:run()
            assert.equal("event", log())
            engine:fire()
            assert.equal("a, closed 1000 bye", log())
        end)

        it("hands messages that wait to a listener that is added", function()
            load [[
                local ws = WebSocket.new "ws://h/"
                ws:opened()
                mw.sleep(1)
                ws.onmessage = function(e) mw.sleep(2) note(e.data) end
            ]]
            opens()
            message "a"
            message "b"
            engine:run()
            engine:fire(1)
            message "c"
            engine:run()
            assert.equal("", log())
            engine:fire()
            engine:fire()
            engine:fire()
            assert.equal("a, b, c", log())
        end)
    end)
end)

describe("the server's ws", function()
    local engine

    local function load(source)
        local problem
        engine, problem = notes.load('local r = mw.ws "/x"\n' .. source)
        assert.is_nil(problem)
    end
    local function log()
        return notes.take(engine)
    end

    it("gives a hook that receives the messages that would come to on_message next", function()
        load [[
            function r.on_message(ws, data)
                note("hook", data)
                if data == "ask" then
                    ws:send "name?"
                    note("name", (ws:receive()))
                    note("age", (ws:receive()))
                end
            end
        ]]
        engine:open(1)
        engine:message(1, "ask")
        engine:message(1, "ann")
        engine:run()
        assert.equal("hook ask, name ann", log())
        engine:message(1, "30")
        engine:message(1, "more")
        engine:run()
        assert.equal("age 30, hook more", log())
        engine:message(1, "last")
        engine:run()
        assert.equal("hook last", log())
        -- Its messages cost no more than another's.
        local connection = require "moonwire.connection.connection"
        assert.is_false(connection.find(1)[connection.QUEUE])
    end)

    it("keeps the order of what came while the hook waited for something else", function()
        load [[
            function r.on_open(ws)
                mw.sleep(1)
                note("got", (ws:receive()))
                mw.sleep(1)
            end
            function r.on_message(ws, data) note(data) end
            function r.on_drain() note "drain" end
        ]]
        engine:open(1)
        engine:queue_event { kind = "drain", conn = 1 }
        for _, data in ipairs { "a", "b", "c" } do
            engine:message(1, data)
        end
        engine:run()
        engine:fire()
        assert.equal("got a", log())
        engine:fire()
        assert.equal("drain, b, c", log())
    end)

    it("tells a hook that receives of the close, then on_close", function()
        load [[
            function r.on_open(ws)
                note(select(2, ws:receive()))
                mw.sleep(1)
                note "slept"
            end
            function r.on_close(_, code) note("close", code) end
        ]]
        engine:open(1)
        engine:run()
        engine:close(1, 1001, "going")
        engine:run()
        assert.equal("closed 1001 going", log())
        engine:fire()
        assert.equal("slept, close 1001", log())
        assert.same({}, engine.logged)
    end)

    it("may be read by a task, which gets messages instead of on_message while it waits", function()
        load [[
            function r.on_open(ws)
                mw.spawn(function()
                    note("task", (ws:receive()))
                    mw.sleep(1)
                    note("task", (ws:receive()))
                end)
            end
            function r.on_message(_, data) note("hook", data) end
        ]]
        engine:open(1)
        engine:run()
        engine:message(1, "a")
        engine:message(1, "b")
        engine:run()
        assert.equal("task a, hook b", (log():gsub("^(hook b), (task a)$", "%2, %1")))
        engine:fire()
        engine:message(1, "c")
        engine:run()
        assert.equal("task c", log())
    end)

    it("is open at once, and opened says so", function()
        load "function r.on_open(ws) note(tostring(ws:opened())) end"
        engine:open(1)
        engine:run()
        assert.equal("true", log())
    end)
end)
