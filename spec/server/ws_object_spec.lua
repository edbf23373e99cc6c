-- The ws object: its fields, its methods, and what it says to misuse.

local frame = require "spec.support.frame"
local start = require("spec.support.server").start

describe("The ws object", function()
    local server

    after_each(function()
        server:stop()
    end)

    -- An app whose /run runs the text it is sent, with ws at hand, and sends what it returns.
    local runner = [[
local mw = require "moonwire"
local function run(ws, text)
    local chunk = assert(loadstring("local ws, mw = ... " .. text))
    local ok, result = pcall(chunk, ws, mw)
    ws:send((ok and "" or "error: ") .. tostring(result))
end
mw.ws("/run/:room", { on_message = run })
mw.ws("/run/:room/*rest", { on_message = run, protocols = "chat",
    compress = { min_bytes = 10000, server_max_window_bits = 15 } })
]]

    describe("knows of its request", function()
        local p

        before_each(function()
            server = start(runner)
            p = server:websocket("/run/a%20room/x/y%2Fz?user=Eve&x=%26&user=2&flag", {
                fields = {
                    ["Host"] = "chat.example:8080", ["User-Agent"] = "spec",
                    ["X-Twice"] = { "1", "2" }, ["Cookie"] = { "a=1", "b=2" },
                    ["Sec-WebSocket-Protocol"] = "other, chat",
                    ["Sec-WebSocket-Extensions"] = "permessage-deflate",
                },
            })
        end)

        local fields = {
            ["ws.url"] = "ws://chat.example:8080/run/a%20room/x/y%2Fz?user=Eve&x=%26&user=2&flag",
            ["ws.protocol"] = "chat",
            ["ws.extensions"] = "permessage-deflate",
            ["ws.remote_address"] = "127.0.0.1",
            ["ws.params.room"] = "a room",
            ["ws.params.rest"] = "x/y/z",
            ["ws.query.user"] = "Eve",
            ["ws.query.x"] = "&",
            ["ws.query.flag"] = "",
            ["ws.query.none"] = "nil",
            ["ws.headers.host"] = "chat.example:8080",
            ["ws.headers['user-agent']"] = "spec",
            ["ws.headers['x-twice']"] = "1, 2",
            ["ws.headers.cookie"] = "a=1; b=2",
            ["ws.headers.upgrade"] = "nil",
            ["ws.headers['sec-websocket-key']"] = "nil",
            ["ws.readyState"] = "1",
            ["ws.bufferedAmount"] = "0",
            ["ws.binaryType"] = "string",
            ["ws.state"] = "nil",
            ["ws.CONNECTING .. ws.OPEN .. ws.CLOSING .. ws.CLOSED"] = "0123",
            ["type(ws.id) .. tostring(ws.id == ws.id)"] = "numbertrue",
            ["tostring(ws):match '127.0.0.1'"] = "127.0.0.1",
        }
        for what, wanted in pairs(fields) do
            it(what, function()
                assert.equal(wanted, p:ask("return " .. what))
            end)
        end
    end)

    describe("refuses misuse with words that help:", function()
        local p

        before_each(function()
            server = start(runner)
            p = server:websocket "/run/x"
        end)

        local cases = {
            ["ws.send('x')"] = "send is a method: write ws:send(data), with a colon",
            ["ws:send()"] = "send: expected a string or an FFI buffer, got nil",
            ["ws:send(1)"] = "got number; write tostring(data)",
            ["ws:send({})"] = "got table; write mw.json.encode(data)",
            ["ws:send(true)"] = "got boolean; write tostring(data)",
            ["ws:send('\\255')"] = "SyntaxError: send: this text is not UTF-8",
            ["ws:send(require('ffi').cast('char *', 'x'))"] = "a pointer has no length",
            ["ws:publish('t', {})"] = "publish: expected a string or an FFI buffer, got table",
            ["ws:publish('t', '\\255')"] = "SyntaxError: publish: this text is not UTF-8",
            ["ws:publish(1, 'x')"] = "publish: a topic is a string, got number",
            ["mw.publish(nil, 'x')"] = "publish: a topic is a string, got nil",
            ["mw.publish('t', '\\255')"] = "SyntaxError: publish: this text is not UTF-8",
            ["ws:subscribe()"] = "subscribe: a topic is a string, got nil",
            ["ws.subscribe('t')"] = "subscribe is a method: write ws:subscribe(…), with a colon",
            ["ws:unsubscribe({})"] = "unsubscribe: a topic is a string, got table",
            ["ws:close(1005)"] = "InvalidAccessError: close: the code is 1000",
            ["ws:close(999)"] = "InvalidAccessError",
            ["ws:close(5000)"] = "InvalidAccessError",
            ["ws:close('1000')"] = "InvalidAccessError",
            ["ws:close(nil, 'reason')"] = "InvalidAccessError: close: a reason needs a code",
            ["ws:close(1000, ('x'):rep(124))"] = "SyntaxError: close: the reason has at",
            ["ws:close(1000, '\\255')"] = "SyntaxError: close: the reason is not UTF-8",
            ["ws:ping(('x'):rep(126))"] =
                "ping: the data is a string of at most 125 bytes, got 126",
            ["ws:ping(5)"] = "ping: the data is a string of at most 125 bytes, got number",
            ["ws.binaryType = 'blob'"] = 'binaryType is "string" or "buffer", got "blob"',
            ["ws.readyState = 3"] = "ws.readyState cannot be changed",
            ["ws.send = print"] = "ws.send cannot be changed",
            ["ws.onmesage = print"] = "ws.onmesage is not an event handler",
            ["ws.onmessage = 5"] = "onmessage is a function or nil, got number",
            ["ws:addEventListener('mesage', print)"] = 'there is no event "mesage"',
            ["ws:addEventListener('message')"] = "a listener is a function, got nil",
            ["ws:addEventListener('message', print, true)"] = "the options are a table",
            ["mw.sleeep('1s')"] = "mw.sleeep does not exist; did you mean sleep?",
            ["mw.ws('/late')"] = "an app declares this while it is loaded",
            ["mw.sleep('soon')"] = '"soon" is not a duration',
            ["mw.after('1s')"] = "mw.after: expected a function, or the name of one, got nil",
            ["mw.every(0, print)"] = "the duration is at least a millisecond",
        }
        for what, wanted in pairs(cases) do
            it(what, function()
                local answer = p:ask(what)
                assert.equal("error: ", answer:sub(1, 7), answer)
                assert.truthy(answer:find(wanted, 1, true), answer)
                assert.equal("still open", p:ask "return 'still open'") -- and nothing happened
            end)
        end
    end)

    describe("refuses an app with", function()
        local process = require "spec.support.process"

        local function refuses(text, ...)
            local folder = process.folder()
            local path = folder:write("app.lua", "local mw = require 'moonwire'\n" .. text)
            local run = process.run { path, "--listen", "127.0.0.1:0" }
            folder:remove()
            assert.equal(1, run.status)
            assert.truthy(run.err:find("app.lua:2: ", 1, true), run.err)
            for _, wanted in ipairs { ... } do
                assert.truthy(run.err:find(wanted, 1, true), run.err)
            end
        end

        before_each(function()
            server = start(runner)
        end)

        it("a hook that is misspelt, as a field or in the table", function()
            refuses("mw.ws('/').on_mesage = function() end",
                "on_mesage is not a hook of a route", "on_message")
            refuses("mw.ws('/', { onmessage = function() end })",
                "onmessage is not a hook or an option of a route", "on_message")
        end)

        it("a hook that is no function, an unknown option, limit, or compress option", function()
            refuses("mw.ws('/', { on_open = 5 })", "on_open is a function(ws, …), got number")
            refuses("mw.ws('/', { origin = '*' })", "did you mean origins?")
            refuses("mw.ws('/', { limits = { mesage_bytes = 5 } })", "message_bytes")
            refuses("mw.limits { idle_second = 5 }", "idle_seconds")
            refuses("mw.ws('/', { compress = { levl = 5 } })", "level")
            refuses("mw.ws('/', { compress = { level = 10 } })", "level")
            refuses("mw.ws('/', { protocols = { 'a b' } })", "a b")
            refuses("mw.ws('/', { binaryType = 'blob' })", "binaryType")
            refuses("mw.ws('chat')", "begins with /")
            refuses("mw.wss('/')", "mw.wss does not exist")
        end)
    end)

    it("keeps its state, the user's fields and its identity over collections", function()
        server = start [[
            local mw = require "moonwire"
            local known = setmetatable({}, { __mode = "k" })
            local route = mw.ws "/"
            function route.on_upgrade(req) return { name = req.query.name } end
            function route.on_open(ws)
                ws.count = 0
                known[ws] = ws.state
                collectgarbage() collectgarbage()
            end
            function route.on_message(ws, data)
                collectgarbage() collectgarbage()
                ws.count = ws.count + 1
                local same = known[ws] == ws.state
                ws:send(("%s %d %s %s"):format(ws.state.name, ws.count, tostring(same), data))
            end
            function route.on_close(ws)
                print(ws.state.name, ws.count, known[ws] == ws.state, ws.url, ws.remote_address)
            end
            mw.get("/known", function()
                collectgarbage() collectgarbage()
                local n = 0
                for _ in pairs(known) do n = n + 1 end
                return tostring(n)
            end)
        ]]
        local peers = {}
        for i = 1, 20 do
            peers[i] = server:websocket("/?name=n" .. i)
        end
        for round = 1, 3 do
            for i, p in ipairs(peers) do
                p:text("x")
                assert.equal(("n%d %d true x"):format(i, round), p:read_text())
            end
        end
        assert.equal("20", (server:get "/known"))
        for i, p in ipairs(peers) do
            p:close_cleanly(1000)
            server:printed(("^n%d\t3\ttrue\tws://localhost/%%?name=n%d\t127"):format(i, i))
        end
        assert.equal("0", (server:get "/known")) -- and is collected when it is closed
    end)

    it("is of use after its connection's end, also when another has taken its place", function()
        server = start [[
            local mw = require "moonwire"
            local gone
            mw.ws("/:room", {
                on_open = function(ws) gone = gone or ws end,
                on_message = function(ws, data) ws:send("nobody sent this: " .. data) end,
            })
            mw.get("/after/it", function()
                local said = {}
                for _, name in ipairs { "send", "close", "ping", "terminate", "subscribe",
                    "unsubscribe" } do
                    local argument = name ~= "close" and "t" or nil
                    said[#said + 1] = name .. " " .. tostring(select(2, gone[name](gone, argument)))
                end
                said[#said + 1] = "publish " .. tostring(gone:publish("t", "x"))
                return table.concat({ gone.readyState, gone.bufferedAmount, gone.url,
                    gone.params.room, gone.query.a, gone.remote_address,
                    table.concat(said, ", ") }, "; ")
            end)
        ]]
        server:websocket("/lobby?a=b"):close_cleanly(1000)
        local other = server:websocket "/other"
        assert.equal("3; 1; ws://localhost/lobby?a=b; lobby; b; 127.0.0.1; send closed, "
            .. "close closed, ping closed, terminate closed, subscribe closed, unsubscribe closed, "
            .. "publish true", (server:get "/after/it"))
        other:text "hello"
        assert.equal("nobody sent this: hello", other:read_text())
    end)

    it("sends strings, FFI arrays and structs, and views of what it got", function()
        server = start [[
            local mw = require "moonwire"
            local ffi = require "ffi"
            ffi.cdef "struct point { uint8_t x, y; };"
            mw.ws("/", { binaryType = "buffer", on_message = function(ws, data)
                ws:send("b\0\255", true)
                ws:send(ffi.new("uint8_t[3]", 1, 2, 3))
                ws:send(ffi.new("struct point", 7, 9))
                ws:send(data)
                ws:send(ffi.new("char[2]", "ok"), false)
                ws:send("")
            end })
        ]]
        local p = server:websocket "/"
        p:frame(frame.BINARY, "a view")
        for _, wanted in ipairs {
            { 2, "b\0\255" }, { 2, "\1\2\3" }, { 2, "\7\9" }, { 2, "a view" }, { 1, "ok" },
            { 1, "" },
        } do
            local opcode, payload = p:read_frame()
            assert.same(wanted, { opcode, payload })
        end
    end)

    it("gives binary as a view that ends with its hook, with binaryType \"buffer\"", function()
        server = start [[
            local mw = require "moonwire"
            local kept
            local route = mw.ws("/", { binaryType = "buffer" })
            function route.on_message(ws, data, is_binary)
                if not is_binary then
                    return ws:send(select(2, pcall(tostring, kept)))
                end
                kept = data
                ws:send(("%s %d %d %s %s %s %s"):format(type(data), #data, data[0],
                    tostring(data[#data]), data:string(1, 3), tostring(data),
                    tostring(pcall(function() data[0] = 1 end))))
            end
        ]]
        local p = server:websocket "/"
        p:frame(frame.BINARY, "Abcdef")
        assert.equal("cdata 6 65 nil bcd Abcdef false", p:read_text())
        p:text "and now?"
        assert.truthy(p:read_text():find "this message is gone")
    end)

    it("keeps such a view for a hook that waits", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { binaryType = "buffer", on_message = function(ws, data)
                mw.sleep "1ms"
                collectgarbage()
                ws:send(tostring(data))
            end })
        ]]
        local p = server:websocket "/"
        for i = 1, 20 do
            p:frame(frame.BINARY, ("x"):rep(1000) .. i)
        end
        for i = 1, 20 do
            assert.equal(("x"):rep(1000) .. i, p:read_text())
        end
    end)

    it("pings its peer", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws) ws:ping() ws:ping "data" end })
        ]]
        local p = server:websocket "/"
        for _, wanted in ipairs { "", "data" } do
            local opcode, payload = p:read_frame()
            assert.same({ frame.PING, wanted }, { opcode, payload })
        end
    end)
end)
