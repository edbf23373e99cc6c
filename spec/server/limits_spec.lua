-- The limits of a WebSocket (src/base/limits.h): what going over each one costs, with its counter
-- and its line in the log.

local variant = require "spec.support.build"
local select, sleep = require("socket").select, require("socket").sleep
local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local build = frame.build

local app = [[
local mw = require "moonwire"
mw.limits { message_bytes = 5000, topic_bytes = 8, topics = 4 }
local function route(path, limits, hooks)
    hooks = hooks or {}
    hooks.limits = limits
    hooks.on_message = hooks.on_message or function(ws, data) ws:send(tostring(#data)) end
    hooks.on_error = function(ws, text) print("error " .. text) end
    hooks.on_close = function(ws, code, reason, was_clean) print("closed", code, was_clean) end
    mw.ws(path, hooks)
end
route("/app", nil)
route("/message", { message_bytes = 1000 })
route("/inflated", { message_bytes = 100, inflated_bytes = "2k" }, { compress = true })
route("/queued", { queued_bytes = "100k" }, { on_message = function(ws, data)
    local body, n, ok, why = ("x"):rep(10000), 0, nil, nil
    repeat
        ok, why = ws:send(body)
        n = n + 1
    until not ok
    print("refused: " .. why, ws.readyState, select(2, ws:send "x"))
end })
route("/rate", { messages_per_second = 5 })
route("/large", { messages_per_second = 5 }, { on_message = function(ws)
    ws:send(("x"):rep(200000))
end })
route("/room", { messages_per_second = 5 }, {
    on_open = function(ws)
        ws:subscribe "room"
        ws.onerror = function() mw.publish("room", "over") end
        ws.onclose = function() mw.publish("room", "left") end
    end,
    on_message = function(_, data) mw.publish("room", data) end,
})
route("/topics", { subscriptions = 3 }, { on_message = function(ws, data)
    local what, topic = data:match "(%a+) (%a+)"
    local ok, why = ws[what](ws, topic, what == "publish" and "x" or nil)
    ws:send(tostring(ok) .. " " .. tostring(why))
end })
route("/idle", { idle_seconds = 1, pong_seconds = 1 })
route("/busy", { idle_seconds = 1, pong_seconds = 1 }, { on_message = function(ws, data)
    mw.sleep "2500ms"
    ws:send "done"
end })
route("/spin", { hook_ms = 50 }, { on_message = function() while true do end end })
route("/close", { close_seconds = 1 }, { on_message = function(ws) ws:close(1000) end })
route("/late", { message_seconds = 1, idle_seconds = 1, pong_seconds = 1 })
mw.get("/counters", function() return mw.counters() end)
]]

describe("The limit", function()
    local server = servers.fresh(app)
    local seen = {}

    -- An it() that counts as the spec of a limit.
    local function of(name, title, fn)
        seen[name] = true
        it(name .. " " .. title, fn)
    end

    -- The connection was closed with the code, and everybody was told.
    local function over(p, code, words, counter)
        local got, reason = p:read_close()
        assert.equal(code, got, reason)
        assert.truthy(reason:find(words, 1, true), reason)
        assert.is_true(p:is_ended())
        assert.equal(reason, (server:printed "^error (.*)"))
        server:printed(("^closed\t%d\tfalse"):format(
            (code == 1008 or code == 1009) and code or 1006))
        server:logged("warn  127%.0%.0%.1: /%a+: " .. reason .. ": closed with " .. code)
        assert.equal(1, server:counter(counter))
    end

    of("message_bytes", "is for a whole message: 1009", function()
        local p = server:websocket "/message"
        p:send(build(1, ("x"):rep(1000)) .. build(2, ("x"):rep(600), { fin = false })
            .. build(0, ("x"):rep(400)))
        assert.equal("1000", p:read_text())
        assert.equal("1000", p:read_text())
        p:text(("x"):rep(1001))
        over(p, 1009, "longer than the limit", "too_big")
    end)

    of("message_bytes", "is seen in a frame's header, before its bytes come", function()
        local p = server:websocket "/message"
        p:send(build(1, "x", { claims = 1001 }))
        over(p, 1009, "longer than the limit", "too_big")
    end)

    of("message_bytes", "is seen in fragments, also the longest that can be claimed", function()
        local p = server:websocket "/message"
        p:send(build(1, ("x"):rep(600), { fin = false })
            .. "\128\255\127\255\255\255\255\255\255\255\0\0\0\0")
        over(p, 1009, "longer than the limit", "too_big")
    end)

    of("message_bytes", "is the app's where the route has none of its own", function()
        local p = server:websocket "/app"
        p:text(("x"):rep(5000))
        assert.equal("5000", p:read_text())
        p:text(("x"):rep(5001))
        over(p, 1009, "longer than the limit", "too_big")
    end)

    of("inflated_bytes", "is for what a compressed message grows to: 1009", function()
        local p = server:websocket("/inflated", {
            fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" },
        })
        local out = deflate.deflater()
        p:frame(1, out:deflate(("x"):rep(2048)), { rsv1 = true })
        assert.equal("2048", p:read_text())
        p:frame(1, out:deflate(("x"):rep(2049)), { rsv1 = true })
        over(p, 1009, "when inflated", "too_big")
    end)

    of("queued_bytes", "is for what the peer does not take: 1008, and send says so", function()
        local p = server:websocket("/queued", { receive_buffer = 4096 })
        p:text "fill"
        assert.equal("refused: over the limit queued_bytes: closing with 1008\t2\tclosed",
            (server:printed ".*"))
        assert.is_true(server:counter "dropped_bytes" >= 100 * 1024 - 10000)
        repeat
            local opcode, payload = assert(p:read_frame())
            assert.is_true(opcode ~= frame.TEXT or #payload == 10000)
        until opcode == frame.CLOSE
        server:printed "^error more output is queued than queued_bytes allows"
        server:printed "^closed\t1008\tfalse"
        server:logged "warn .*/queued: more output is queued.*: closed with 1008"
        assert.equal(1, server:counter "queue_overflows")
    end)

    of("messages_per_second", "is for messages: 1008", function()
        local p = server:websocket "/rate"
        -- What comes in one packet comes in one second.
        p:send(build(1, "x"):rep(7))
        for _ = 1, 5 do -- what was within the limit has its answer
            assert.equal("1", p:read_text())
        end
        over(p, 1008, "messages_per_second", "rate_overflows")
    end)

    of("messages_per_second", "counts pings, which cost an answer each", function()
        local p = server:websocket "/rate"
        p:send(build(1, "x") .. build(frame.PING, "p"):rep(4) .. build(1, "y"))
        local got = {}
        for _ = 1, 5 do
            local opcode = p:read_frame()
            got[opcode] = (got[opcode] or 0) + 1
        end
        assert.same({ [frame.PONG] = 4, [frame.TEXT] = 1 }, got)
        over(p, 1008, "messages_per_second", "rate_overflows")
    end)

    of("messages_per_second", "counts fragments that hold nothing", function()
        local p = server:websocket "/rate"
        local empty = build(0, "", { fin = false })
        p:send(build(1, "x", { fin = false }) .. empty:rep(4) .. build(0, "y"))
        assert.equal("2", p:read_text())
        p:send(build(1, "", { fin = false }) .. empty:rep(5))
        over(p, 1008, "messages_per_second", "rate_overflows")
    end)

    of("messages_per_second", "counts no pongs, nor fragments that hold something", function()
        local p = server:websocket "/rate"
        p:send(build(frame.PONG, ""):rep(20) .. build(1, "x", { fin = false })
            .. build(0, "x", { fin = false }):rep(20) .. build(0, ""))
        assert.equal("21", p:read_text())
    end)

    of("messages_per_second", "drops no answer that is published", function()
        local other = server:websocket "/room"
        local p = server:websocket "/room"
        p:send(build(1, "x"):rep(7))
        for _ = 1, 5 do
            assert.equal("x", p:read_text())
            assert.equal("x", other:read_text())
        end
        over(p, 1008, "messages_per_second", "rate_overflows") -- not "left", which came after
        assert.equal("over", other:read_text())
        assert.equal("left", other:read_text())
        -- A Close of the peer's right behind its messages changes as little.
        p = server:websocket "/room"
        p:send(build(1, "y"):rep(2) .. build(frame.CLOSE, "\3\232"))
        assert.equal("y", p:read_text())
        assert.equal("y", p:read_text())
        assert.equal(frame.CLOSE, (p:read_frame()))
        for _, text in ipairs { "y", "y", "left" } do
            assert.equal(text, other:read_text())
        end
    end)

    of("messages_per_second", "drops no answer that waits for a slow peer", function()
        local p = server:websocket("/large", { receive_buffer = 4096 })
        p:send(build(1, "x"):rep(3))
        p:send(build(1, "x"):rep(3))
        for _ = 1, 5 do
            assert.equal(200000, #p:read_text())
        end
        over(p, 1008, "messages_per_second", "rate_overflows")
        assert.equal(0, server:counter "dropped_bytes")
    end)

    of("messages_per_second", "begins again with each second", function()
        local p = server:websocket "/rate"
        for round = 1, 2 do
            p:send(build(1, "x"):rep(5))
            for _ = 1, 5 do
                assert.equal("1", p:read_text())
            end
            if round == 1 then
                sleep(1.1) -- time is the subject
            end
        end
    end)

    of("subscriptions", "is for one connection's topics, and subscribe says so", function()
        local p, other = server:websocket "/topics", server:websocket "/topics"
        for _, topic in ipairs { "a", "b", "c", "c" } do
            assert.equal("true nil", p:ask("subscribe " .. topic))
        end
        assert.equal("nil over the limit subscriptions", p:ask "subscribe d")
        assert.equal("true nil", p:ask "unsubscribe a")
        assert.equal("true nil", p:ask "subscribe d")
        assert.equal("true nil", other:ask "subscribe e")
    end)

    of("hook_ms", "ends the hook", function()
        if not variant.has_watchdog then
            return
        end
        local p = server:websocket "/spin"
        p:text "x"
        assert.equal(1011, p:read_close())
    end)

    of("topic_bytes", "is for the name of a topic, and subscribe and publish say so", function()
        local p, name = server:websocket "/topics", ("n"):rep(9)
        assert.equal("nil over the limit topic_bytes", p:ask("subscribe " .. name))
        assert.equal("nil over the limit topic_bytes", p:ask("publish " .. name))
        assert.equal("true nil", p:ask("subscribe " .. name:sub(1, 8)))
        server:logged "warn .*a subscription was refused: over the limit topic_bytes"
        assert.equal(1, server:counter "refused_subscriptions")
    end)

    of("topics", "is for those of a worker, and a topic that is left makes room", function()
        local p, other = server:websocket "/topics", server:websocket "/topics"
        for _, topic in ipairs { "a", "b", "c" } do
            assert.equal("true nil", p:ask("subscribe " .. topic))
        end
        for _, topic in ipairs { "c", "d" } do
            assert.equal("true nil", other:ask("subscribe " .. topic))
        end
        assert.equal("nil over the limit topics", other:ask "subscribe e")
        server:logged "warn .*a subscription was refused: over the limit topics"
        assert.equal(1, server:counter "refused_subscriptions")
        assert.equal("true nil", p:ask "unsubscribe a")
        assert.equal("true nil", other:ask "subscribe e")
    end)

    of("idle_seconds", "is the silence before a ping", function()
        local p = server:websocket "/idle"
        for _ = 1, 2 do -- an answer is a sign of life: there is another one
            local opcode, payload = p:read_frame()
            assert.equal(frame.PING, opcode)
            p:frame(frame.PONG, payload)
        end
        p:text "hello"
        assert.equal("5", p:read_text())
        assert.equal(0, server:counter "dead_peers")
    end)

    of("pong_seconds", "is the silence after it: 1006", function()
        local p = server:websocket "/idle"
        assert.equal(frame.PING, (p:read_frame()))
        assert.is_true(p:is_ended())
        server:printed "^closed\t1006\tfalse"
        server:logged "info .*/idle: no answer to a ping for pong_seconds %(1%): given up"
        assert.equal(1, server:counter "dead_peers")
    end)

    of("pong_seconds", "does not count while a hook keeps its peer from being read", function()
        local p = server:websocket "/busy"
        -- As many as it holds back, so that it stops reading.
        p:send(build(1, "x"):rep(70))
        local opcode
        repeat -- it may well ping; the pong is not read now
            opcode = assert((p:read_frame()))
        until opcode == frame.TEXT
        assert.equal(0, server:counter "dead_peers")
    end)

    -- A byte now and then, so that the peer is not silent; until the server says something.
    local function drip(p)
        for _ = 1, 100 do
            if #select({ p.socket }, nil, 0.1) > 0 then
                return true
            end
            p:send "x"
        end
    end

    of("message_seconds", "is from a message's first byte to its last: 1008", function()
        local p = server:websocket "/late"
        p:send(build(2, ("x"):rep(100), { claims = 4000 }))
        assert.is_true(drip(p))
        over(p, 1008, "a message took longer than message_seconds allows", "message_timeouts")
    end)

    of("message_seconds", "is for all fragments together, and pings do not prolong it", function()
        local p = server:websocket "/late"
        p:send(build(1, "a", { fin = false }))
        local closed
        for _ = 1, 100 do
            sleep(0.1) -- time is the subject
            p:try_send(build(0, "b", { fin = false }) .. build(frame.PING, "x"))
            local opcode = p:read_frame()
            closed = opcode == frame.CLOSE
            if closed then
                break
            end
            assert.equal(frame.PONG, opcode)
        end
        assert.is_true(closed)
        server:printed "^error a message took longer"
        assert.equal(1, server:counter "message_timeouts")
    end)

    of("message_seconds", "begins again with each message", function()
        local p = server:websocket "/late"
        for _ = 1, 4 do
            p:send(build(1, "a", { fin = false }))
            sleep(0.4) -- time is the subject
            p:send(build(0, "b"))
            assert.equal("2", p:read_text())
        end
        assert.equal(0, server:counter "message_timeouts")
    end)

    of("close_seconds", "is for the peer's answer to a Close: 1006", function()
        local p = server:websocket "/close"
        p:text "x"
        assert.equal(1000, (p:read_close()))
        server:printed "^closed\t1006\tfalse"
        assert.equal(1, server:counter "close_timeouts")
    end)

    it("of every kind that a WebSocket has is specified", function()
        seen.waiting_messages, seen.waiting_bytes = true, true -- waiting_spec.lua
        local header = assert(io.open "src/base/limits.h"):read "*a"
        local part = header:match "/%* One WebSocket%. %*/(.-)/%* Time"
        for name in part:gmatch "uint32_t ([%w_]+);" do
            assert.is_true(seen[name], name)
        end
        for _, name in ipairs { "idle_seconds", "pong_seconds", "message_seconds",
            "close_seconds" } do
            assert.truthy(header:find("uint32_t " .. name .. ";", 1, true))
            assert.is_true(seen[name], name)
        end
    end)
end)
