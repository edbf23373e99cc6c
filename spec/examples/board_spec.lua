-- examples/board: strokes of 12 bytes.

local example = require "spec.examples.example"
local frame = require "spec.support.frame"

describe("the board example", function()
    local board

    before_each(function()
        board = example.start "board"
    end)

    after_each(function()
        board:stop()
    end)

    local function stroke(n)
        return ("\1\2\3\8\0\0\0\0\255\255"):sub(1, 10) .. string.char(math.floor(n / 256), n % 256)
    end

    -- Somebody new, and the board as they got it.
    local function join()
        local one = board:websocket "/board"
        local opcode, drawn = one:read_frame()
        assert.equal(frame.BINARY, opcode)
        return one, drawn
    end

    it("is empty at first", function()
        local _, drawn = join()
        assert.equal("", drawn)
    end)

    it("brings strokes to the others, and not back to who drew them", function()
        local ada, bo = join(), join()
        ada:frame(frame.BINARY, stroke(1) .. stroke(2))
        local opcode, payload = bo:read_frame()
        assert.same({ frame.BINARY, stroke(1) .. stroke(2) }, { opcode, payload })
        bo:frame(frame.BINARY, stroke(3))
        opcode, payload = ada:read_frame()
        assert.same({ frame.BINARY, stroke(3) }, { opcode, payload })
    end)

    it("is drawn again for newcomers, in order", function()
        local ada = join()
        ada:frame(frame.BINARY, stroke(1))
        ada:frame(frame.BINARY, stroke(2))
        ada:frame(frame.PING, "")
        ada:read_frame() -- the server has taken them
        local _, drawn = join()
        assert.equal(stroke(1) .. stroke(2), drawn)
    end)

    it("is wiped for all, those who come later too", function()
        local ada, bo = join(), join()
        ada:frame(frame.BINARY, stroke(1))
        bo:read_frame()
        bo:text "wipe"
        assert.equal("wipe", ada:read_text())
        assert.equal("wipe", bo:read_text())
        local _, drawn = join()
        assert.equal("", drawn)
    end)

    it("remembers 600 KiB, whole messages, and forgets the oldest", function()
        local ada = join()
        local each = 1000 -- strokes in a message
        local most = math.floor(600 * 1024 / (each * 12))
        for n = 1, most + 3 do
            ada:frame(frame.BINARY, stroke(n):rep(each))
        end
        ada:frame(frame.PING, "")
        ada:read_frame()
        local _, drawn = join()
        assert.equal(most * each * 12, #drawn)
        assert.equal(stroke(4), drawn:sub(1, 12))
        assert.equal(stroke(most + 3), drawn:sub(-12))
    end)

    for what, send in pairs {
        ["half a stroke"] = { frame.BINARY, ("x"):rep(18) },
        ["nothing"] = { frame.BINARY, "" },
        ["a text"] = { frame.TEXT, "draw" },
    } do
        it("refuses " .. what .. ", and remembers nothing of it", function()
            local one = join()
            one:frame(send[1], send[2])
            assert.same({ 1008, "that is no stroke" }, { one:read_close() })
            local _, drawn = join()
            assert.equal("", drawn)
        end)
    end

    it("serves its page", function()
        local body, status = board:get "/"
        assert.equal(200, status)
        assert.truthy(body:find("<canvas", 1, true))
    end)
end)
