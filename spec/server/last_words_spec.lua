-- A connection that fails has sent messages that were right before: they are delivered, and what
-- the app says to them goes out before the Close. RFC 6455 §7.1.7 asks for no more than the end.

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local build = frame.build

local app = [[
local mw = require "moonwire"
local route = mw.ws("/", { limits = { message_bytes = 5000, inflated_bytes = 2048 },
    compress = true })
function route.on_message(ws, data)
    for i = 1, 3 do ws:send(data .. i) end
end
function route.on_error(_, text) print("error " .. text) end
function route.on_close(_, code) print("closed " .. code) end
mw.get("/counters", function() return mw.counters() end)
]]

describe("The last answers", function()
    local server = servers.shared(app)

    local function answered(p, ...)
        for _, text in ipairs { ... } do
            for i = 1, 3 do
                assert.equal(text .. i, p:read_text())
            end
        end
    end

    for _, case in ipairs {
        { "has a reserved opcode", build(3, "x"), 1002 },
        { "has a reserved bit", build(1, "x", { rsv2 = true }), 1002 },
        { "is not masked", build(1, "x", { key = false }), 1002 },
        { "continues nothing", build(0, "x"), 1002 },
        { "is a Ping in pieces", build(9, "x", { fin = false }), 1002 },
        { "is a Close with one byte", build(8, "x"), 1002 },
        { "is a Close with a code that nobody sends", build(8, frame.close(1005)), 1002 },
        { "is a Close whose reason is not UTF-8", build(8, frame.close(1000, "\255")), 1007 },
        { "is a text that is not UTF-8", build(1, "\255"), 1007 },
        { "begins a text that is not UTF-8", build(1, "\255", { fin = false }), 1007 },
        { "is too long", build(1, ("x"):rep(5001)), 1009 },
        { "is compressed, which was not agreed", build(1, "x", { rsv1 = true }), 1002 },
    } do
        it("go out before the Close when a frame behind them " .. case[1], function()
            local p = server:websocket "/"
            p:send(build(1, "a") .. build(2, "b") .. case[2])
            answered(p, "a", "b")
            assert.equal(case[3], (p:read_close()))
            assert.is_true(p:is_ended())
            server:printed "^error "
            server:printed("^closed " .. (case[3] == 1009 and 1009 or 1006))
        end)
    end

    it("go out before the Close when a message behind them grows too long", function()
        local p = server:websocket("/", {
            fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" },
        })
        p:send(build(1, "a") .. build(1, deflate.deflater():deflate(("x"):rep(2049)),
            { rsv1 = true }))
        answered(p, "a")
        assert.equal(1009, (p:read_close()))
    end)

    it("go out when more was sent than one read takes", function()
        local p = server:websocket "/"
        local long = ("y"):rep(4000)
        p:send(build(1, long):rep(100) .. build(3, "x"))
        for _ = 1, 100 do
            answered(p, long)
        end
        assert.equal(1002, (p:read_close()))
    end)

    it("go out to a peer that has ended its side without a Close", function()
        local p = server:websocket "/"
        p:send(build(1, "a") .. build(1, "b"))
        p:shutdown()
        answered(p, "a", "b")
        assert.is_true(p:is_ended())
        server:printed "^closed 1006"
    end)
end)
