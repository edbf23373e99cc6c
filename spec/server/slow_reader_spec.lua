-- Peers that do not read: what waits for them, what passes it, and what on_drain is told.

local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
local chunk = ("0123456789abcdef"):rep(1024) -- 16 KiB
local sizes = { small = 100, direct = 16384, large = 1000000 }

local route = mw.ws "/"
-- "fill SIZE": sends numbered messages until the system refuses, and ten more.
function route.on_message(ws, data)
    local size = sizes[data:match "^fill (%a+)"]
    if not size then
        return ws:send("echo " .. data)
    end
    local body, n, refused = chunk:rep(math.ceil(size / #chunk)):sub(1, size), 0, nil
    local function send()
        n = n + 1
        local ok, how = ws:send(n .. " " .. body)
        assert(ok == true, how)
        return how
    end
    repeat refused = send() until refused
    assert(refused == "queued", refused)
    for i = 1, 10 do assert(send() == "queued") end
    assert(ws.bufferedAmount > 0)
    ws.filled = n
    print("filled " .. n)
end
function route.on_drain(ws)
    assert(ws.bufferedAmount == 0)
    print "drained"
    ws:send("drained after " .. ws.filled)
end
function route.on_close(ws, code) print("closed " .. code) end

mw.get("/counters", function() return mw.counters() end)
]]

describe("A peer that does not read", function()
    local server = servers.fresh(app)

    local function slow()
        return assert(server:websocket("/", { receive_buffer = 4096 }))
    end

    -- What is read of the numbered messages and of frames in between.
    local function read_all(p, filled)
        local numbers, others = {}, {}
        while #numbers < filled do
            local opcode, payload = assert(p:read_frame())
            local number = opcode == frame.TEXT and tonumber(payload:match "^(%d+) ")
            if number then
                numbers[#numbers + 1] = number
            else
                others[#others + 1] = { opcode = opcode, payload = payload, after = #numbers }
            end
        end
        for i, number in ipairs(numbers) do
            assert.equal(i, number)
        end
        return others
    end

    for _, size in ipairs { "small", "direct", "large" } do
        it("gets every message once and in order, then on_drain comes: " .. size, function()
            local p = slow()
            p:text("fill " .. size)
            local filled = tonumber((server:printed "^filled (%d+)"))
            assert.same({}, read_all(p, filled))
            assert.equal("drained after " .. filled, p:read_text())
            p:text "hello"
            assert.equal("echo hello", p:read_text())
            p:close_cleanly(1000)
            local _, out = server:stop()
            assert.equal(("filled %d\ndrained\nclosed 1000\n"):format(filled), out) -- once
        end)
    end

    it("costs nobody else anything", function()
        local p, other = slow(), server:websocket "/"
        p:text "fill large"
        server:printed "^filled"
        for i = 1, 10 do
            other:text("hello " .. i)
            assert.equal("echo hello " .. i, other:read_text())
        end
    end)

    it("gets its pongs before what is queued, and of those only the newest (§5.5.2)", function()
        local p = slow()
        p:text "fill large"
        local filled = tonumber((server:printed "^filled (%d+)"))
        for i = 1, 50 do
            p:frame(frame.PING, "ping " .. i)
        end
        p:text "after the pings" -- the echo is queued behind
        repeat
            local n = server:counter "messages_in"
        until n == 2
        local others = read_all(p, filled)
        assert.equal(1, #others)
        assert.equal(frame.PONG, others[1].opcode)
        assert.equal("ping 50", others[1].payload)
        assert.is_true(others[1].after < filled, "after all the messages")
        assert.equal(49, server:counter "dropped_pongs")
        assert.equal("echo after the pings", p:read_text())
    end)

    it("still has its Close behind all that was sent", function()
        local p = slow()
        p:text "fill direct"
        local filled = tonumber((server:printed "^filled (%d+)"))
        p:frame(frame.CLOSE, frame.close(1000, "enough"))
        assert.same({}, read_all(p, filled))
        assert.same({ 1000, "enough" }, { p:read_close() })
        assert.is_true(p:is_ended())
    end)

    it("that goes away has what was queued counted as dropped", function()
        local p = slow()
        p:text "fill large"
        server:printed "^filled"
        p:reset()
        server:printed "^closed 1006"
        assert.is_true(server:counter "dropped_bytes" > 10 * 1000000)
    end)
end)
