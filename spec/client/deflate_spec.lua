-- permessage-deflate in the client's role (RFC 7692): it compresses by the client_ parameters and
-- inflates by the server_ ones.

local acceptors = require "spec.support.acceptor"
local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"

describe("A client's compression", function()
    local acceptor = acceptors.fresh()

    local text = ("the quick brown fox jumps over the lazy dog, "):rep(40)

    -- Three messages to and fro; their lengths on the wire, out of the client.
    local function exchange(agreed, server_bits, client_bits, forget)
        local client = acceptor:client("/", "{ compress = true }", nil,
            "ws.onmessage = function(e) ws:send(e.data) end")
        local peer = acceptor:open {
            ["Sec-WebSocket-Extensions"] = "permessage-deflate" .. agreed,
        }
        client:prints("open [] [permessage-deflate" .. agreed .. "]")
        local out, back = deflate.deflater(server_bits), deflate.inflater(client_bits)
        local lengths = {}
        for i = 1, 3 do
            peer:say(frame.TEXT, out:deflate(text), { rsv1 = true })
            local opcode, payload, f = peer:hear()
            assert.equal(frame.TEXT, opcode)
            assert.is_true(f.rsv1)
            lengths[i] = #payload
            assert.equal(text, back:inflate(payload))
            if forget.server then
                out:forget()
            end
            if forget.client then
                back = deflate.inflater(client_bits)
            end
        end
        client:loses(peer)
        return lengths
    end

    it("keeps both windows", function()
        local lengths = exchange("", 15, 15, {})
        assert.is_true(lengths[2] < lengths[1] / 2)
    end)

    it("begins afresh when the server says so", function()
        local lengths = exchange("; client_no_context_takeover", 15, 15, { client = true })
        assert.equal(lengths[1], lengths[2])
    end)

    it("follows a server that begins afresh", function()
        exchange("; server_no_context_takeover", 15, 15, { server = true })
    end)

    it("uses the window that the server asks for", function()
        exchange("; client_max_window_bits=9", 15, 9, {})
        exchange("; server_max_window_bits=9; client_max_window_bits=10", 9, 10, {})
    end)

    it("leaves short messages as they are", function()
        local client = acceptor:client("/", "{ compress = true }", nil,
            'ws.onopen = function() ws:send("short") end')
        local peer = acceptor:open { ["Sec-WebSocket-Extensions"] = "permessage-deflate" }
        local _, payload, f = peer:hear()
        assert.equal("short", payload)
        assert.is_false(f.rsv1)
        peer:close()
        client:ended()
    end)
end)
