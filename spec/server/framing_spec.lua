-- Frames over the wire, with the real binary (RFC 6455 §5, §6, §8.1).

local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local build, from_server = frame.build, frame.from_server
local CONTINUATION, TEXT, BINARY, PING, PONG =
    frame.CONTINUATION, frame.TEXT, frame.BINARY, frame.PING, frame.PONG

local app = [[
local mw = require "moonwire"
local echo = mw.ws("/echo", { limits = { message_bytes = "4M" } })
function echo.on_message(ws, data, is_binary) ws:send(data, is_binary) end
function echo.on_error(ws, text) print("error", text) end
function echo.on_close(ws, code, reason, was_clean) print("closed", code, reason, was_clean) end
mw.ws("/told", {
    on_message = function(ws, data) print("message " .. data) end,
    on_error = function(ws, text) print("error " .. text) end,
    on_close = function(ws, code) print("closed " .. code) end,
})
]]

describe("Framing", function()
    local server = servers.fresh(app)

    -- Gives each way of sending bytes a fresh connection.
    local function each_way(fn)
        for _, way in ipairs { "send", "trickle" } do
            local p = server:websocket "/echo"
            fn(p, function(bytes)
                p[way](p, bytes)
            end, way)
            p:close()
        end
    end

    local function lengths()
        return { 0, 1, 125, 126, 127, 65535, 65536 }
    end

    it("echoes text and binary of every form of length, in the shortest form (§5.2)", function()
        for _, n in ipairs(lengths()) do
            for _, opcode in ipairs { TEXT, BINARY } do
                local p = server:websocket "/echo"
                local payload = opcode == TEXT and ("é"):rep(n / 2) .. ("x"):rep(n % 2)
                    or ("\0\255\128"):rep(n):sub(1, n)
                local wanted = from_server(opcode, payload)
                p:send(build(opcode, payload))
                assert.is_true(p:bytes(#wanted) == wanted, opcode .. ", length " .. n)
                p:close()
            end
        end
    end)

    it("reads a message that comes byte by byte", function()
        local p = server:websocket "/echo"
        for _, n in ipairs { 0, 1, 125, 126, 300 } do
            local payload = ("é"):rep(n)
            p:trickle(build(TEXT, payload))
            assert.equal(payload, p:read_text())
        end
    end)

    it("reads many frames from one packet, in order", function()
        local p = server:websocket "/echo"
        local sent, wanted = {}, {}
        for i = 1, 1000 do
            sent[i] = build(i % 2 + 1, "message " .. i)
            wanted[i] = from_server(i % 2 + 1, "message " .. i)
        end
        p:send(table.concat(sent))
        local all = table.concat(wanted)
        assert.equal(all, p:bytes(#all))
    end)

    it("reads megabytes, whole and in fragments", function()
        local p = server:websocket "/echo"
        local payload = ("0123456789abcdef"):rep(65536 * 3)
        p:send(build(BINARY, payload))
        local _, got = p:read_frame()
        assert.is_true(got == payload)
        p:send(build(BINARY, payload:sub(1, 1000000), { fin = false })
            .. build(CONTINUATION, payload:sub(1000001, 1000002), { fin = false })
            .. build(CONTINUATION, payload:sub(1000003)))
        _, got = p:read_frame()
        assert.is_true(got == payload)
    end)

    it("takes any masking key (§5.3)", function()
        local p = server:websocket "/echo"
        for _, key in ipairs { "\0\0\0\0", "\255\255\255\255", "\1\2\3\4", "\0\0\0\1" } do
            p:send(build(TEXT, "some text that is longer than a register", { key = key }))
            assert.equal("some text that is longer than a register", p:read_text())
        end
    end)

    describe("of fragments (§5.4)", function()
        it("puts them together, empty ones and characters cut in two included", function()
            each_way(function(p, send)
                send(build(TEXT, "caf\195", { fin = false }) .. build(CONTINUATION, "",
                    { fin = false }) .. build(CONTINUATION, "\169"))
                assert.equal("café", p:read_text())
                send(build(BINARY, "", { fin = false }) .. build(CONTINUATION, ""))
                local opcode, payload = p:read_frame()
                assert.equal(BINARY, opcode)
                assert.equal("", payload)
            end)
        end)

        it("answers control frames between them at once", function()
            each_way(function(p, send)
                send(build(TEXT, "one ", { fin = false }) .. build(PING, "in between"))
                local opcode, payload = p:read_frame()
                assert.equal(PONG, opcode)
                assert.equal("in between", payload)
                send(build(PONG, "unasked for") .. build(CONTINUATION, "message"))
                assert.equal("one message", p:read_text())
            end)
        end)
    end)

    describe("of pings (§5.5.2)", function()
        it("answers ten in one packet in their order", function()
            local p = server:websocket "/echo"
            local pings = {}
            for i = 1, 10 do
                pings[i] = build(PING, ("%d"):format(i):rep(i))
            end
            p:send(table.concat(pings))
            for i = 1, 10 do
                local opcode, payload = p:read_frame()
                assert.equal(PONG, opcode)
                assert.equal(("%d"):format(i):rep(i), payload)
            end
        end)

        it("answers one of 125 bytes and one of none", function()
            each_way(function(p, send)
                for _, payload in ipairs { ("p"):rep(125), "" } do
                    send(build(PING, payload))
                    local opcode, answer = p:read_frame()
                    assert.equal(PONG, opcode)
                    assert.equal(payload, answer)
                end
            end)
        end)

        it("keeps the order of what it sends", function()
            local p = server:websocket "/echo"
            p:send(build(TEXT, "a") .. build(PING, "b") .. build(TEXT, "c"))
            local seen = {}
            for i = 1, 3 do
                seen[i] = select(2, p:read_frame())
            end
            table.sort(seen) -- a pong may pass a message, which waits for its hook
            assert.same({ "a", "b", "c" }, seen)
        end)
    end)

    -- What must fail the connection: bytes, code, and the words for people.
    local wrong = {
        ["a frame that is not masked (§5.1)"] =
            { build(TEXT, "x", { key = false }), 1002, "not masked" },
        ["a reserved bit: RSV1 without an agreement (§5.2)"] =
            { build(TEXT, "x", { rsv1 = true }), 1002, "RSV1" },
        ["a reserved bit: RSV2"] = { build(TEXT, "x", { rsv2 = true }), 1002, "" },
        ["a reserved bit: RSV3"] = { build(TEXT, "x", { rsv3 = true }), 1002, "" },
        ["a reserved bit on a ping"] = { build(PING, "x", { rsv1 = true }), 1002, "" },
        ["a length of 16 bits that fits 7"] =
            { build(TEXT, ("x"):rep(125), { form = 16 }), 1002, "" },
        ["a length of 64 bits that fits 16"] =
            { build(TEXT, ("x"):rep(126), { form = 64 }), 1002, "" },
        ["a length of 64 bits with the highest one set"] =
            { "\130\255\128\0\0\0\0\0\0\1\1\2\3\4x", 1002, "" },
        ["a continuation of nothing (§5.4)"] =
            { build(CONTINUATION, "x"), 1002, "without a message to continue" },
        ["a message within a message"] =
            { build(TEXT, "x", { fin = false }) .. build(TEXT, "y"), 1002, "before the last one" },
        ["a control frame in fragments (§5.5)"] = { build(PING, "x", { fin = false }), 1002, "" },
        ["a control frame of 126 bytes"] = { build(PING, ("x"):rep(126)), 1002, "" },
        ["text that is not UTF-8 (§8.1)"] = { build(TEXT, "a\255"), 1007, "not UTF-8" },
        ["a surrogate in text"] = { build(TEXT, "\237\160\128"), 1007, "not UTF-8" },
        ["text that ends within a character"] =
            { build(TEXT, "a\195"), 1007, "within a character" },
        ["text over fragments that is not UTF-8"] =
            { build(TEXT, "\240\159", { fin = false }) .. build(CONTINUATION, "\65"), 1007, "" },
    }
    for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
        wrong[("the reserved opcode %d (§5.2)"):format(opcode)] = { build(opcode, "x"), 1002, "" }
    end

    describe("fails the connection (§7.1.7) for", function()
        for title, case in pairs(wrong) do
            it(title, function()
                local bytes, code, words = unpack(case)
                each_way(function(_, _, way)
                    local p = server:websocket "/echo"
                    p:text "before"
                    assert.equal("before", p:read_text())
                    -- The last bytes may find the connection gone, byte by byte.
                    if way == "send" then
                        p:send(bytes)
                    else
                        for i = 1, #bytes do
                            p:try_send(bytes:sub(i, i))
                        end
                    end
                    local got, reason = p:read_close()
                    assert.equal(code, got, reason)
                    assert.truthy(reason:find(words, 1, true), reason)
                    assert.is_true(p:is_ended())
                    assert.equal(reason, (server:printed "^error\t(.*)"))
                    server:printed "^closed\t1006\t\tfalse"
                    server:logged("warn  127%.0%.0%.1: /echo: "
                        .. reason:gsub("%p", "%%%0") .. ": closed with " .. code)
                end)
            end)
        end
    end)

    it("refuses a byte that is not UTF-8 as soon as it comes (§8.1)", function()
        each_way(function(p, send)
            local all = build(TEXT, "good \255" .. ("x"):rep(990))
            send(all:sub(1, 8 + 5)) -- the header, and what is good
            send(all:sub(14, 14))
            assert.equal(1007, (p:read_close()))
        end)
    end)

    it("delivers what is whole before what is wrong", function()
        local p = server:websocket "/told"
        p:send(build(TEXT, "good") .. build(3, "bad") .. build(TEXT, "too late"))
        assert.equal(1002, (p:read_close()))
        assert.is_true(p:is_ended())
        local _, out = server:stop()
        assert.equal("message good\nerror a frame has a reserved opcode\nclosed 1006\n", out)
    end)
end)
