-- Frames in the client's role (RFC 6455 §5, RFC 7692): masked on the way out, never on the way in.

local acceptors = require "spec.support.acceptor"
local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"

describe("A client's frames", function()
    local acceptor = acceptors.fresh()

    -- Reads masked frames with their keys.
    local function raw_frames(peer, n)
        local keys, payloads = {}, {}
        for i = 1, n do
            local head = assert(peer:bytes(2))
            local len = head:byte(2) % 128
            assert.is_true(head:byte(2) >= 128)
            if len >= 126 then
                local long = assert(peer:bytes(len == 126 and 2 or 8))
                len = 0
                for k = 1, #long do
                    len = len * 256 + long:byte(k)
                end
            end
            keys[i] = assert(peer:bytes(4))
            payloads[i] = frame.mask(len > 0 and assert(peer:bytes(len)) or "", keys[i])
        end
        return keys, payloads
    end

    it("are masked, each with a key of its own, in every size", function()
        local sizes = { 0, 1, 3, 125, 126, 16383, 16384, 65535, 65536, 65537, 1048576 }
        local client = acceptor:client("/", nil, nil, ([[
            ws.onopen = function()
                for _, n in ipairs { %s } do
                    ws:send(("\0\1\2abc"):rep(math.ceil(n / 6)):sub(1, n), true)
                end
            end]]):format(table.concat(sizes, ", ")))
        local peer = acceptor:open()
        local keys, payloads = raw_frames(peer, #sizes)
        local seen = {}
        for i, n in ipairs(sizes) do
            assert.is_true(payloads[i] == ("\0\1\2abc"):rep(math.ceil(n / 6)):sub(1, n), n)
            assert.is_nil(seen[keys[i]])
            seen[keys[i]] = true
        end
        client:loses(peer)
    end)

    it("have keys that do not repeat over thousands of them", function()
        local client = acceptor:client("/", nil, nil, [[
            ws.onopen = function()
                for i = 1, 5000 do ws:send(tostring(i)) end
            end]])
        local peer = acceptor:open()
        local keys, payloads = raw_frames(peer, 5000)
        local seen, repeated = {}, 0
        for i, key in ipairs(keys) do
            assert(payloads[i] == tostring(i))
            repeated = repeated + (seen[key] and 1 or 0)
            seen[key] = true
        end
        -- Of 5,000 random keys two are the same once in 340 runs.
        assert.is_true(repeated <= 1)
        client:loses(peer)
    end)

    it("answer pings, and keep their order with what was sent", function()
        local client = acceptor:client("/", nil, nil,
            'ws.onmessage = function(e) ws:send("to " .. e.data) end')
        local peer = acceptor:open()
        peer:send(frame.from_server(frame.PING, "p1") .. frame.from_server(frame.TEXT, "a")
            .. frame.from_server(frame.PING, ("q"):rep(125)))
        local seen = {}
        for _ = 1, 3 do
            local opcode, payload = peer:hear()
            seen[#seen + 1] = opcode .. " " .. payload
        end
        table.sort(seen)
        assert.same({ "1 to a", "10 p1", "10 " .. ("q"):rep(125) }, seen)
        peer:close()
        client:ended()
    end)

    it("go out as the server reads them, and tell when they are gone", function()
        local client = acceptor:client("/", '{ queued_bytes = "64M" }', nil, [[
            ws.onopen = function()
                for _ = 1, 20 do ws:send(("x"):rep(1048576)) end
                print(ws.bufferedAmount > 0)
            end]])
        local peer = acceptor:open()
        client:prints "true"
        for _ = 1, 20 do
            local _, payload = peer:hear()
            assert(payload == ("x"):rep(1048576))
        end
        peer:close()
        client:ended()
    end)

    it("end the connection when the server takes none", function()
        local client = acceptor:client("/", '{ queued_bytes = "1M", close_seconds = "1s" }', nil, [[
            ws.onopen = function()
                local ok, why = true
                while ok do ok, why = ws:send(("x"):rep(1048576)) end
                print("send", why)
            end]])
        acceptor:open()
        client:printed "^send"
        client:printed "^error more output is queued"
        client:prints "close 1006 [] false"
        client:ended()
    end)

    describe("of the server fail the connection when they", function()
        local function refused(bytes, code, text, options, more)
            local client = acceptor:client("/", options, nil, more)
            local peer = acceptor:open(options and {
                ["Sec-WebSocket-Extensions"] = options:find "compress" and "permessage-deflate",
            })
            peer:send(bytes)
            client:printed "^open"
            client:printed("^error .*" .. text)
            client:prints "close 1006 [] false"
            local opcode, payload = peer:hear()
            assert.equal(frame.CLOSE, opcode)
            assert.equal(code, (frame.parse_close(payload)))
            peer:close()
            client:ended()
        end

        it("are masked", function()
            refused(frame.build(frame.TEXT, "a"), 1002, "masked")
            refused(frame.build(frame.PING, ""), 1002, "masked")
        end)

        it("are no frames", function()
            refused(frame.from_server(3, "a"), 1002, "opcode")
            refused(frame.from_server(frame.TEXT, "a", { rsv1 = true }), 1002, "")
            refused(frame.from_server(frame.PING, "a", { fin = false }), 1002, "")
            refused(frame.from_server(frame.CONTINUATION, "a"), 1002, "")
            refused(frame.from_server(frame.CLOSE, "\3"), 1002, "")
            refused(frame.from_server(frame.CLOSE, frame.close(1005)), 1002, "")
        end)

        it("hold text that is not UTF-8", function()
            refused(frame.from_server(frame.TEXT, "\255"), 1007, "UTF%-8")
        end)

        it("are longer than message_bytes", function()
            refused(frame.from_server(frame.TEXT, "", { claims = 1025 }), 1009, "",
                "{ message_bytes = 1024 }")
        end)

        it("take longer than message_seconds", function()
            refused(frame.from_server(frame.TEXT, "ab", { claims = 10 }), 1008,
                "longer than message_seconds", nil,
                'require("moonwire").limits { message_seconds = 1 }')
        end)

        it("inflate to more than message_bytes", function()
            local z = deflate.deflater(15)
            local payload = z:deflate(("a"):rep(2000))
            refused(frame.from_server(frame.TEXT, payload, { rsv1 = true }), 1009, "",
                "{ compress = true, message_bytes = 1024 }")
        end)
    end)

    it("arrive one byte at a time, in fragments, with control frames between", function()
        local client = acceptor:client()
        local peer = acceptor:open()
        peer:trickle(frame.from_server(frame.TEXT, "a", { fin = false })
            .. frame.from_server(frame.PING, "") .. frame.from_server(frame.CONTINUATION, "b"))
        client:prints "open [] []"
        client:prints "message ab"
        assert.equal(frame.PONG, (peer:hear()))
        peer:close()
        client:ended()
    end)
end)
