-- Connections that a script opened among the subscribers of a topic: what is published is masked
-- for each of their servers.

local acceptors = require "spec.support.acceptor"
local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"

describe("A client's connection that subscribes", function()
    local acceptor = acceptors.fresh()

    local more = [[
        ws.onopen = function()
            ws:subscribe "news"
            mw.publish("news", "one")
            mw.publish("news", ("long "):rep(%d))
            ws:publish("news", "not for itself")
            ws:send "direct"
            mw.publish("news", "three", true)
        end]]

    it("gets all messages, masked, in the order of the calls", function()
        for _, repeats in ipairs { 10, 4000, 40000 } do
            local client = acceptor:client("/", nil, nil, more:format(repeats))
            local peer = acceptor:open()
            for _, expected in ipairs { "one", ("long "):rep(repeats), "direct", "three" } do
                local opcode, payload = peer:hear()
                assert.equal(expected == "three" and frame.BINARY or frame.TEXT, opcode)
                assert.is_true(expected == payload)
            end
            client:loses(peer)
        end
    end)

    it("gets them compressed when that was agreed", function()
        for _, bits in ipairs { 15, 10 } do
            local client = acceptor:client("/", "{ compress = true }", nil, more:format(1000))
            local peer = acceptor:open {
                ["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits="
                    .. bits,
            }
            local inflater = deflate.inflater(bits)
            for _, expected in ipairs { "one", ("long "):rep(1000), "direct", "three" } do
                local _, payload, f = peer:hear()
                assert.is_true(expected == (f.rsv1 and inflater:inflate(payload) or payload))
            end
            client:loses(peer)
        end
    end)
end)
