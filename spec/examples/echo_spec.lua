-- examples/echo: every message comes back.

local example = require "spec.examples.example"
local frame = require "spec.support.frame"

describe("the echo example", function()
    local echo

    before_each(function()
        echo = example.start "echo"
    end)

    after_each(function()
        echo:stop()
    end)

    it("sends text back as text and binary as binary", function()
        local peer = echo:websocket "/"
        peer:text "hello ☾"
        assert.equal("hello ☾", peer:read_text())
        peer:frame(frame.BINARY, "\0\255")
        local opcode, payload = peer:read_frame()
        assert.same({ frame.BINARY, "\0\255" }, { opcode, payload })
    end)

    it("is ten lines long", function()
        local lines = 0
        for _ in io.lines(example.path "echo") do
            lines = lines + 1
        end
        assert.equal(10, lines)
    end)
end)
