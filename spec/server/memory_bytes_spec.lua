-- The limit memory_bytes: what all connections of the process hold together, who goes when it is
-- too much, and who is not let in.

local frame = require "spec.support.frame"
local processes = require "spec.support.process"
local servers = require "spec.support.server"

local MIB = 1024 * 1024
local build = frame.build

local app = [[
local mw = require "moonwire"
mw.limits { hook_ms = 0, memory_bytes = "8M", message_bytes = "16M", body_bytes = "16M",
    queued_bytes = "64M",
    waiting_messages = 1000, waiting_bytes = "64M", mailbox_bytes = "64M" }
local gate = false
mw.ws("/", {
    on_message = function(ws, data) ws:send(tostring(#data)) end,
    on_close = function(ws, code, reason) print("closed", code, reason) end,
})
mw.ws("/much", { on_message = function(ws, data)
    for _ = 1, tonumber(data) do ws:send(("x"):rep(60000)) end
end })
mw.ws("/waits", {
    on_message = function(ws, data)
        if data == "wait" then
            print "waits"
            repeat mw.sleep "1ms" until gate
        end
    end,
    on_close = function() print "closed" end,
})
mw.ws("/topic", { on_open = function(ws) ws:subscribe "all" ws:send "there" end })
mw.ws("/publish", { on_message = function(ws, data)
    for _ = 1, tonumber(data) do mw.publish("all", ("x"):rep(100000)) end
    ws:send "done"
end })
mw.ws("/worker", { on_open = function(ws) ws:send(tostring(mw.worker.index)) end,
    on_message = function(ws, data)
        if data:find "^/" then
            ws:subscribe "all"
            print "blocks"
            assert(io.open(data)):read "*a"
        end
        ws:send(tostring(#data))
    end,
})
mw.post("/", function(req) return tostring(#req.body) end)
mw.get("/gate", function() gate = true return "open" end)
mw.get("/counters", function() return mw.counters() end)
mw.get("/lua", function() collectgarbage() return tostring(collectgarbage "count") end)
]]

-- Begins a message of so many MiB, and sends all but its last byte.
local function begin_message(p, mib)
    p:send(build(frame.BINARY, ("x"):rep(mib * MIB), { claims = mib * MIB }):sub(1, -2))
end

local function ask_length(p, mib)
    p:send "x" -- the mask of build is none of 0
    assert.equal(tostring(mib * MIB), p:read_text())
end

local function over(p)
    local code, reason = p:read_close()
    assert.equal(1013, code, reason)
    assert.equal("the server is short of memory (memory_bytes)", reason)
    assert.is_true(p:is_ended())
end

describe("The limit memory_bytes", function()
    local server

    after_each(function()
        server:stop()
    end)

    describe("with one worker", function()
        before_each(function()
            server = servers.start(app)
        end)

        it("closes the connection that holds most with 1013, and nobody else", function()
            local small, large, last = server:websocket "/", server:websocket "/",
                server:websocket "/"
            begin_message(small, 2)
            begin_message(large, 4)
            assert.equal(0, server:counter "memory_overflows")
            begin_message(last, 3)
            over(large)
            server:printed "^closed\t1013\tthe server is short of memory"
            server:logged "warn .* /: the server is short of memory.*: closed with 1013"
            ask_length(small, 2)
            ask_length(last, 3)
            assert.equal(1, server:counter "memory_overflows")
        end)

        it("counts what is whole no more", function()
            local p = server:websocket "/"
            for _ = 1, 4 do
                begin_message(p, 5)
                ask_length(p, 5)
            end
            local others = {}
            for i = 1, 5 do -- what came in part is gone with its connection
                others[i] = server:websocket "/"
                begin_message(others[i], 5)
                others[i]:reset()
                server:printed "^closed\t1006"
            end
            assert.equal(0, server:counter "memory_overflows")
        end)

        it("counts output that the peer does not take", function()
            local p = server:websocket("/much", { receive_buffer = 4096 })
            p:text "300"
            server:logged "warn .* /much: the server is short of memory"
            local opcode, payload
            repeat
                opcode, payload = p:read_frame()
            until opcode ~= frame.TEXT
            -- Of the frame under way all is sent first.
            assert.equal(frame.CLOSE, opcode)
            assert.equal(1013, (frame.parse_close(payload)))
            assert.equal(1, server:counter "memory_overflows")
        end)

        it("counts a body: 503", function()
            local p = server:connect()
            p:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(10 * MIB))
            p:try_send(("x"):rep(9 * MIB))
            assert.equal(503, p:response().status)
            assert.equal(1, server:counter "memory_overflows")
        end)

        it("counts messages that wait for a hook, and lets them go", function()
            local p = server:websocket "/waits"
            p:text "wait"
            server:printed "^waits"
            local message = build(frame.TEXT, ("x"):rep(100000))
            for _ = 1, 100 do
                if not p:try_send(message) then
                    break
                end
            end
            server:logged "warn .* /waits: the server is short of memory"
            local kib = tonumber((server:get "/lua"))
            assert.is_true(kib < 6000, kib .. " KiB are still held")
            server:get "/gate"
            server:printed "^closed"
            local q = server:websocket "/"
            begin_message(q, 6)
            ask_length(q, 6)
            assert.equal(1, server:counter "memory_overflows")
        end)

        it("counts once what is published to many slow readers", function()
            local readers, publisher = {}, server:websocket "/publish"
            for i = 1, 20 do
                readers[i] = server:websocket("/topic", { receive_buffer = 4096 })
                assert.equal("there", readers[i]:read_text())
            end
            assert.equal("done", publisher:ask "50") -- 5 MB, twenty times
            assert.equal(0, server:counter "memory_overflows")
            for _, p in ipairs(readers) do
                for _ = 1, 50 do
                    assert.equal(100000, #p:read_text())
                end
            end
        end)

        it("closes slow readers when what is published becomes too much", function()
            local readers, publisher = {}, server:websocket "/publish"
            local other = server:websocket "/" -- holds more of its own than each of them
            begin_message(other, 1)
            for i = 1, 3 do
                readers[i] = server:websocket("/topic", { receive_buffer = 4096 })
                assert.equal("there", readers[i]:read_text())
            end
            assert.equal("done", publisher:ask "150") -- 15 MB
            assert.equal(3, server:counter "memory_overflows")
            assert.equal("done", publisher:ask "1")
            ask_length(other, 1)
        end)
    end)

    describe("with two workers", function()
        local fifo

        -- Two connections, one of each worker.
        local function pair()
            local one, other = server:websocket "/worker", server:websocket "/worker"
            assert.not_equal(one:read_text(), other:read_text())
            return one, other
        end

        before_each(function()
            server = servers.start(app, { arguments = { "--workers", "2" } })
            fifo = server.folder.path .. "/fifo"
            assert.equal(0, os.execute(("mkfifo '%s'"):format(fifo)))
        end)

        it("closes the largest, also where another worker grows", function()
            local quiet, busy = pair()
            begin_message(quiet, 5)
            begin_message(busy, 4)
            over(quiet)
            ask_length(busy, 4)
        end)

        it("lets nobody in while there is nothing to be closed", function()
            local request = "GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
            local ready = request:format("counters", "")
            local upgrade = request:format("publish", "Upgrade: websocket\r\n"
                .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
            local stuck = pair()
            stuck:text(fifo)
            server:printed "^blocks"
            -- A connection of the other worker: one that answers.
            local function free()
                while true do
                    local p = server:connect()
                    p:send(ready)
                    p.socket:settimeout(0.3)
                    local ok, answer = pcall(p.response, p)
                    p.socket:settimeout(10)
                    if ok and answer then
                        return p
                    end
                end
            end
            local p, kept = free(), free()
            p:send(upgrade)
            assert.truthy(p:head():find "101")
            p:text "100" -- 10 MB wait in the mailbox of the worker that is stuck
            assert.equal("done", p:read_text())
            kept:send(upgrade)
            assert.equal(503, kept:response().status)
            local refused = server:connect()
            assert.is_true(refused:is_ended())
            server:logged "warn .*refused: over limits.memory_bytes"
            assert(io.open(fifo, "w")):close()
            assert.equal(tostring(#fifo), select(2, stuck:read_frame()))
            for _ = 1, 100 do
                assert.equal(100000, #stuck:read_text())
            end
            processes.eventually(function()
                local again = server:connect()
                return again:try_send(ready) and again:response()
            end)
        end)
    end)
end)

