-- The browser's way to listen: onmessage, addEventListener, events (WHATWG WebSockets Standard §3,
-- DOM §2).

local frame = require "spec.support.frame"
local start = require("spec.support.server").start

describe("Event listeners", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("get events with the standard's fields", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                function ws.onopen(event) print(event.type, event.target == ws) end
                function ws.onmessage(event)
                    print(event.type, event.target == ws, event.data, event.is_binary, event.origin)
                end
                function ws.onclose(event)
                    print(event.type, event.target == ws, event.code, event.reason, event.wasClean)
                end
                ws:addEventListener("error", function(event)
                    print(event.type, event.target == ws, event.message, event.code)
                end)
            end })
        ]]
        local p = server:websocket("/", { fields = { Host = "a.example:81",
            Origin = "http://a.example:81" } })
        p:text "text"
        p:frame(2, "\1binary")
        p:close_cleanly(3000, "done")
        assert.equal("open\ttrue", (server:printed ".*"))
        assert.equal("message\ttrue\ttext\tfalse\thttp://a.example:81", (server:printed ".*"))
        assert.equal("message\ttrue\t\1binary\ttrue\thttp://a.example:81", (server:printed ".*"))
        assert.equal("close\ttrue\t3000\tdone\ttrue", (server:printed ".*"))
        p = server:websocket "/"
        p:frame(3, "x")
        assert.equal(1002, (p:read_close()))
        server:printed "^open"
        assert.equal("error\ttrue\ta frame has a reserved opcode\t1002", (server:printed ".*"))
        assert.equal("close\ttrue\t1006\t\tfalse", (server:printed ".*"))
    end)

    it("do not take the origin of a message from Host, which the peer chooses", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                function ws.onmessage(event) print("origin: " .. event.origin) end
            end })
        ]]
        local p = server:websocket("/", { fields = { Host = "bank.example" } })
        p:text "x"
        assert.equal("origin: ", (server:printed "origin: .*"))
    end)

    it("are called after the hook, in the order added, each once", function()
        server = start [[
            local mw = require "moonwire"
            local route = mw.ws "/"
            function route.on_open(ws)
                local function first() ws:send "first" end
                ws:addEventListener("message", first)
                function ws.onmessage() ws:send "replaced" end
                ws:addEventListener("message", function() ws:send "third" end)
                ws:addEventListener("message", first) -- the same: one listener
                function ws.onmessage() ws:send "second" end -- keeps its place
            end
            function route.on_message(ws) ws:send "hook" end
        ]]
        local p = server:websocket "/"
        p:text "x"
        for _, wanted in ipairs { "hook", "first", "second", "third" } do
            assert.equal(wanted, p:read_text())
        end
    end)

    it("are removed, by name, by nil, and after one call when they are once", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                local function never() ws:send "never" end
                ws:addEventListener("message", never)
                ws:removeEventListener("message", never)
                ws:removeEventListener("message", print) -- was never added
                ws:addEventListener("message", function() ws:send "once" end, { once = true })
                function ws.onmessage(event)
                    ws:send("on " .. event.data .. " " .. type(ws.onmessage))
                    ws.onmessage = nil
                end
                ws:addEventListener("message", function(event) ws:send("last " .. event.data) end)
            end })
        ]]
        local p = server:websocket "/"
        p:text "1"
        for _, wanted in ipairs { "once", "on 1 function", "last 1" } do
            assert.equal(wanted, p:read_text())
        end
        p:text "2"
        assert.equal("last 2", p:read_text())
    end)

    it("that are added or removed while an event is on its way take part from then on", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                local function victim() ws:send "victim" end
                ws:addEventListener("message", function()
                    ws:send "adds"
                    ws:addEventListener("message", function() ws:send "added" end)
                    ws:removeEventListener("message", victim)
                end, { once = true })
                ws:addEventListener("message", victim)
                ws:addEventListener("message", function() ws:send "end" end)
            end })
        ]]
        local p = server:websocket "/"
        p:text "1"
        assert.equal("adds", p:read_text())
        assert.equal("end", p:read_text())
        p:text "2"
        assert.equal("end", p:read_text())
        assert.equal("added", p:read_text())
    end)

    it("that raise are logged and counted; the others and the connection go on", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                ws:addEventListener("message", function() error "bad listener" end)
                ws:addEventListener("message", function(event) ws:send(event.data) end)
            end })
            mw.get("/failures", function() return tostring(mw.counters().hook_failures) end)
        ]]
        local p = server:websocket "/"
        p:text "hello"
        assert.equal("hello", p:read_text())
        p:text "again"
        assert.equal("again", p:read_text())
        server:logged "error a listener for \"message\" failed: .*app%.lua:3: bad listener"
        assert.equal("2", (server:get "/failures"))
    end)

    it("hear nothing more once the connection is closing", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                ws:addEventListener("message", function() ws:close(1000) end)
                ws:addEventListener("message", function() print "second listener" end)
                function ws.onclose() print "closed" end
            end })
        ]]
        local p = server:websocket "/"
        p:send(frame.build(1, "a") .. frame.build(1, "b"))
        assert.equal(1000, (p:read_close()))
        p:frame(8, frame.close(1000))
        assert.is_true(p:is_ended())
        local _, out = server:stop()
        assert.equal("second listener\nclosed\n", out) -- of the message that is under way, all
    end)
end)
