-- permessage-deflate over the wire, with the real binary (RFC 7692).

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local build = frame.build
local TEXT, BINARY = frame.TEXT, frame.BINARY

local app = [[
local mw = require "moonwire"
local function echo(ws, data, is_binary) ws:send(data, is_binary) end
mw.ws("/plain", { on_message = echo })
mw.ws("/echo", { on_message = echo, compress = true })
mw.ws("/all", { on_message = echo, compress = {
    min_bytes = 0, server_max_window_bits = 15, client_max_window_bits = 15,
} })
mw.ws("/forgets", { on_message = echo, compress = {
    min_bytes = 0, server_no_context_takeover = true, client_no_context_takeover = true,
} })
mw.ws("/small", { on_message = echo, compress = {
    min_bytes = 0, server_max_window_bits = 10, client_max_window_bits = 11,
} })
mw.ws("/budget", { on_message = echo, compress = { min_bytes = 0, memory_bytes = "1k" } })
mw.ws("/limited", {
    on_message = function(ws, data) ws:send(tostring(#data)) end,
    on_error = function(ws, text) print("error " .. text) end,
    compress = true,
    limits = { message_bytes = "64k" },
})
mw.ws("/inflated", {
    on_message = function(ws, data) ws:send(tostring(#data)) end,
    compress = true,
    limits = { message_bytes = 100, inflated_bytes = "8k" },
})
mw.ws("/says", { on_open = function(ws) ws:send(ws.extensions) end, compress = true })
mw.get("/counters", function() return mw.counters() end)
]]

describe("permessage-deflate", function()
    local server = servers.shared(app)

    -- A WebSocket with that offer; what the server agreed to.
    local function open(path, offer)
        local p, status = server:websocket(path, {
            fields = { ["Sec-WebSocket-Extensions"] = offer },
        })
        assert.truthy(p, status)
        return p, p.response_101.headers["sec-websocket-extensions"]
    end

    local function agreed(path, offer)
        return (select(2, open(path, offer)))
    end

    -- One compressed message there and back; the payloads on both ways.
    local function exchange(p, out, back, text)
        local payload = out:deflate(text)
        p:frame(TEXT, payload, { rsv1 = true })
        local opcode, answer, f = p:read_frame()
        assert.equal(TEXT, opcode, answer)
        assert.is_true(f.rsv1)
        assert.is_true(back:inflate(answer) == text)
        return payload, answer
    end

    -- Text that is not worth compressing in itself.
    local function noise(n, seed)
        local out, x = {}, seed or 1
        for i = 1, n do
            x = (x * 16807) % 2147483647
            out[i] = string.char(33 + x % 90)
        end
        return table.concat(out)
    end

    describe("is agreed on (§5, §7.1)", function()
        it("only where the route compresses and the client offers it", function()
            assert.is_nil(agreed("/plain", "permessage-deflate"))
            assert.is_nil(agreed("/echo", nil))
            local p, text = open("/says", "permessage-deflate; client_max_window_bits")
            assert.equal("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
                text)
            local _, payload = p:read_frame()
            assert.equal(text, deflate.inflater():inflate(payload))
            assert.equal("permessage-deflate", agreed("/all", "permessage-deflate"))
        end)

        it("with each parameter that the client wants of the server", function()
            assert.equal("permessage-deflate; server_no_context_takeover",
                agreed("/all", "permessage-deflate; server_no_context_takeover"))
            assert.equal("permessage-deflate; server_max_window_bits=10",
                agreed("/all", "permessage-deflate; server_max_window_bits=10"))
            assert.equal("permessage-deflate; server_max_window_bits=15",
                agreed("/all", "permessage-deflate; server_max_window_bits=15"))
            assert.truthy(agreed("/all", "permessage-deflate; client_max_window_bits")
                :find "^permessage%-deflate")
        end)

        it("with what the route wants", function()
            local text = agreed("/forgets", "permessage-deflate")
            assert.truthy(text:find "server_no_context_takeover")
            assert.truthy(text:find "client_no_context_takeover")
            text = agreed("/small", "permessage-deflate; client_max_window_bits")
            assert.truthy(text:find "server_max_window_bits=10")
            assert.truthy(text:find "client_max_window_bits=11")
            text = agreed("/small", "permessage-deflate")
            assert.is_nil(text:find "client_max_window_bits") -- not offered, not asked (§7.1.2.2)
        end)

        it("with the first offer that can be met", function()
            assert.equal("permessage-deflate", agreed("/all",
                "permessage-deflate; server_max_window_bits=8, permessage-deflate"))
            assert.equal("permessage-deflate", agreed("/all",
                "x-other, permessage-deflate; unknown=1, permessage-deflate"))
            for _, bad in ipairs {
                "unknown", "server_max_window_bits", "server_max_window_bits=16",
                "server_max_window_bits=7", "server_max_window_bits=09", "client_max_window_bits=0",
                "server_no_context_takeover=1", "client_no_context_takeover=1",
                "server_no_context_takeover; server_no_context_takeover",
            } do
                assert.is_nil(agreed("/echo", "permessage-deflate; " .. bad), bad)
            end
        end)

        it("without contexts where the route's memory is not enough for them", function()
            local text = agreed("/budget", "permessage-deflate")
            assert.truthy(text:find "server_no_context_takeover", text)
            assert.truthy(text:find "client_no_context_takeover", text)
        end)
    end)

    describe("with contexts that are kept (§7.1.1)", function()
        it("shortens what came before, both ways", function()
            local p = open("/all", "permessage-deflate")
            local out, back = deflate.deflater(), deflate.inflater()
            local text = noise(2000)
            local first_out, first_back = exchange(p, out, back, text)
            assert.is_true(#first_out > 1000 and #first_back > 1000)
            for _ = 1, 20 do
                local next_out, next_back = exchange(p, out, back, text)
                assert.is_true(#next_out < 100 and #next_back < 100, #next_out .. " " .. #next_back)
            end
        end)

        it("reads them byte by byte", function()
            local p = open("/all", "permessage-deflate")
            local out, back = deflate.deflater(), deflate.inflater()
            for i = 1, 3 do
                p:trickle(build(TEXT, out:deflate("some text, " .. i), { rsv1 = true }))
                assert.equal("some text, " .. i, back:inflate(select(2, p:read_frame())))
            end
        end)

        it("carries megabytes", function()
            local p = open("/all", "permessage-deflate")
            local out, back = deflate.deflater(), deflate.inflater()
            exchange(p, out, back, noise(500000) .. ("x"):rep(400000))
            exchange(p, out, back, noise(500000, 2))
        end)
    end)

    describe("without them", function()
        it("the server starts afresh with each message (§7.1.1.1)", function()
            local p = open("/all", "permessage-deflate; server_no_context_takeover")
            local out = deflate.deflater()
            local text = noise(2000)
            local _, first = exchange(p, out, deflate.inflater(), text)
            local second_out, second = exchange(p, out, deflate.inflater(), text)
            assert.is_true(first == second)
            assert.is_true(#second_out < 100) -- the client's is still kept
        end)

        it("messages of many connections may be under way at once", function()
            local offer = "permessage-deflate; server_no_context_takeover; "
                .. "client_no_context_takeover"
            local peers, texts, frames = {}, {}, {}
            for i = 1, 5 do
                peers[i] = open("/all", offer)
                texts[i] = ("connection %d says "):format(i) .. noise(300 * i, i)
                local payload = deflate.deflater():deflate(texts[i])
                local third = math.floor(#payload / 3)
                frames[i] = {
                    build(TEXT, payload:sub(1, third), { rsv1 = true, fin = false }),
                    build(0, payload:sub(third + 1, 2 * third), { fin = false }),
                    build(0, payload:sub(2 * third + 1)),
                }
            end
            for part = 1, 3 do
                for i, p in ipairs(peers) do
                    if part < 3 then -- the answer shows that it has read this far
                        p:send(frames[i][part] .. build(frame.PING, "p"))
                        assert.equal(frame.PONG, (p:read_frame()))
                    else
                        p:send(frames[i][part])
                        local _, payload = p:read_frame()
                        assert.is_true(texts[i] == deflate.inflater():inflate(payload))
                    end
                end
                if part == 2 then -- one leaves in the middle of its message
                    table.remove(peers):close()
                end
            end
            exchange(peers[1], deflate.deflater(), deflate.inflater(), "and one more")
        end)

        it("the client's messages stand alone (§7.1.1.2)", function()
            local p, text = open("/all", "permessage-deflate; client_no_context_takeover")
            assert.equal("permessage-deflate; client_no_context_takeover", text)
            local back = deflate.inflater()
            for i = 1, 3 do
                exchange(p, deflate.deflater(), back, noise(1000, i))
            end
            -- One that refers to another is no DEFLATE data of its own.
            local keeps = deflate.deflater()
            exchange(p, keeps, back, noise(1000))
            p:frame(TEXT, keeps:deflate(noise(1000)), { rsv1 = true })
            assert.equal(1002, (p:read_close()))
        end)
    end)

    describe("with smaller windows (§7.1.2)", function()
        it("the server refers to no more than it agreed to", function()
            for bits = 9, 15 do
                local p = open("/all", "permessage-deflate; server_max_window_bits=" .. bits)
                local back = deflate.inflater(bits)
                local out = deflate.deflater()
                local again = noise(300)
                for i = 1, 3 do
                    exchange(p, out, back, again .. noise(40000, i) .. again .. noise(600, i)
                        .. again)
                end
            end
        end)

        it("the client may use what it agreed to", function()
            local p = open("/small", "permessage-deflate; client_max_window_bits")
            local out, back = deflate.deflater(11), deflate.inflater(10)
            for i = 1, 3 do
                exchange(p, out, back, noise(5000, i) .. noise(1000, i))
            end
        end)
    end)

    describe("on the wire (§6, §7.2)", function()
        it("leaves short messages as they are", function()
            local p = open("/echo", "permessage-deflate")
            p:text "short"
            assert.equal("short", p:read_text())
            p:text(("long "):rep(100))
            local _, payload, f = p:read_frame()
            assert.is_true(f.rsv1)
            assert.is_true(#payload < 100)
        end)

        it("takes messages that are not compressed among those that are", function()
            local p = open("/all", "permessage-deflate")
            local out, back = deflate.deflater(), deflate.inflater()
            exchange(p, out, back, "first " .. noise(500))
            p:text "not compressed"
            assert.equal("not compressed", back:inflate(select(2, p:read_frame())))
            exchange(p, out, back, "first " .. noise(500))
        end)

        it("sets RSV1 on a message's first frame only, with control frames between", function()
            local p = open("/all", "permessage-deflate")
            local payload = deflate.deflater():deflate "a text in three fragments"
            p:send(build(TEXT, payload:sub(1, 5), { rsv1 = true, fin = false })
                .. build(frame.PING, "p") .. build(0, payload:sub(6, 7), { fin = false })
                .. build(0, payload:sub(8)))
            assert.equal(frame.PONG, (p:read_frame()))
            assert.equal("a text in three fragments",
                deflate.inflater():inflate(select(2, p:read_frame())))
        end)

        it("takes and gives empty messages (§7.2.3.6)", function()
            local p = open("/all", "permessage-deflate")
            p:frame(BINARY, "\0", { rsv1 = true })
            local opcode, payload, f = p:read_frame()
            assert.equal(BINARY, opcode)
            assert.equal("", f.rsv1 and deflate.inflater():inflate(payload) or payload)
        end)

        it("takes the examples of the RFC (§7.2.3)", function()
            local examples = {
                "\242\72\205\201\201\7\0",                            -- fixed Huffman codes
                "\0\5\0\250\255\72\101\108\108\111\0",                -- not compressed
                "\243\72\205\201\201\7\0\0",                          -- BFINAL set
                "\242\72\5\0\0\0\255\255\202\201\201\7\0",            -- two blocks
            }
            for _, payload in ipairs(examples) do
                local p = open("/echo", "permessage-deflate")
                p:frame(TEXT, payload, { rsv1 = true })
                assert.equal("Hello", p:read_text())
            end
        end)
    end)

    describe("fails the connection", function()
        local function fails(code, bytes, path, offer)
            local p = open(path or "/limited", offer or "permessage-deflate")
            p:send(bytes)
            local got, reason = p:read_close()
            assert.equal(code, got, reason)
            assert.is_true(p:is_ended())
            return reason
        end

        it("for RSV1 without agreement (§6)", function()
            fails(1002, build(TEXT, "\242\72\205\201\201\7\0", { rsv1 = true }), "/plain")
        end)

        it("for RSV1 on a continuation or a control frame (§6.1)", function()
            fails(1002, build(TEXT, "a", { fin = false }) .. build(0, "b", { rsv1 = true }))
            fails(1002, build(frame.PING, "a", { rsv1 = true }))
        end)

        it("for bytes that are no DEFLATE data", function()
            fails(1002, build(TEXT, "\255\255\255\255", { rsv1 = true }))
        end)

        it("for text that is not UTF-8 when inflated, at the bad byte (RFC 6455 §8.1)", function()
            fails(1007, build(TEXT, deflate.deflater():deflate "ab\255cd", { rsv1 = true }))
            local payload = deflate.deflater():deflate(("\255"):rep(10) .. noise(4000))
            fails(1007, build(TEXT, payload, { rsv1 = true }):sub(1, 1000))
        end)

        it("for what grows over message_bytes: 1009, while it is inflated", function()
            local before = server:counter "too_big"
            local bomb = deflate.deflater():deflate(("\0"):rep(20000000))
            assert.is_true(#bomb < 64 * 1024)
            local reason = fails(1009, build(BINARY, bomb, { rsv1 = true }))
            server:logged("warn .*/limited: " .. reason .. ": closed with 1009")
            -- The first few hundred bytes of it are already too much.
            fails(1009, build(BINARY, bomb, { rsv1 = true }):sub(1, 300))
            assert.equal(before + 2, server:counter "too_big")
        end)

        it("for what grows over inflated_bytes, where that is another limit", function()
            local p = open("/inflated", "permessage-deflate")
            local out = deflate.deflater()
            p:frame(TEXT, out:deflate(("x"):rep(8192)), { rsv1 = true })
            assert.equal("8192", p:read_text())
            p:frame(TEXT, out:deflate(("x"):rep(8193)), { rsv1 = true })
            assert.equal(1009, (p:read_close()))
            -- And message_bytes is still the limit of what is not compressed.
            fails(1009, build(TEXT, ("x"):rep(101)), "/inflated")
        end)
    end)
end)
