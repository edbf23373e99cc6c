-- The drawing board in a real browser.

local browser = require "spec.browser.browser"
local example = require "spec.examples.example"

-- Is the pixel at a part of the board's width and height of that colour? Room for smoothing.
local pixel = [[(([x, y, red, green, blue]) => {
    const canvas = document.getElementById("board");
    const p = canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
    return p[3] > 200 && [red, green, blue].every((c, i) => Math.abs(c - p[i]) < 12);
})([%g, %g, %d, %d, %d])]]
local nothing = [[document.getElementById("board").getContext("2d")
    .getImageData(0, 0, 1600, 1000).data.every((c) => c === 0)]]

describe("the board in a browser", function()
    local chromium = browser.shared()
    local board

    before_each(function()
        board = example.start "board"
    end)

    after_each(function()
        board:stop()
    end)

    local function open(width, height)
        local page = chromium:open(("http://localhost:%d/"):format(board.port),
            { viewport = { width = width or 1000, height = height or 760 }, hasTouch = true })
        page:wait "document.getElementById('state').dataset.state === 'open'"
        return page
    end

    -- Where a part of the board's width and height is on the page.
    local function place(page, x, y)
        local box = page:evaluate [[(() => {
            const b = document.getElementById("board").getBoundingClientRect();
            return [b.left, b.top, b.width, b.height];
        })()]]
        return box[1] + x * box[3], box[2] + y * box[4]
    end

    local function line(page, x0, y0, x1, y1)
        page:mouse_move(place(page, x0, y0))
        page:mouse_down()
        local x, y = place(page, x1, y1)
        page:mouse_move(x, y, { steps = 8 })
        page:mouse_up()
    end

    local function sees(page, x, y, red, green, blue)
        page:wait(pixel:format(x, y, red, green, blue))
    end

    it("shows in one page what is drawn in another, in its colour and place", function()
        local ada, bo = open(), open(390, 780)
        assert.is_true(bo:evaluate(nothing))
        ada:click "input[value=red]"
        line(ada, 0.2, 0.5, 0.8, 0.5)
        sees(ada, 0.5, 0.5, 0xd1, 0x34, 0x4b)
        sees(bo, 0.5, 0.5, 0xd1, 0x34, 0x4b)
        sees(bo, 0.21, 0.5, 0xd1, 0x34, 0x4b)
        sees(bo, 0.79, 0.5, 0xd1, 0x34, 0x4b)
        bo:click "input[value=blue]"
        line(bo, 0.5, 0.1, 0.5, 0.9)
        sees(ada, 0.5, 0.8, 0x2f, 0x6f, 0xdb)
        assert.is_false(ada:evaluate(pixel:format(0.2, 0.8, 0x2f, 0x6f, 0xdb)))
        ada:keep "board-desktop"
        bo:keep "board-phone"
        assert.same({}, ada:complaints())
        assert.same({}, bo:complaints())
    end)

    it("is there for those who come later, until it is wiped", function()
        local ada = open()
        line(ada, 0.2, 0.2, 0.4, 0.2)
        local bo = open()
        sees(bo, 0.3, 0.2, 31, 35, 40)
        bo:click "#wipe"
        ada:wait(nothing)
        bo:wait(nothing)
    end)

    it("draws with a finger", function()
        local ada, bo = open(390, 780), open()
        local x, y = place(ada, 0.5, 0.5)
        ada.browser:call("page", ada.name, "touchscreen.tap", x, y)
        sees(bo, 0.5, 0.5, 31, 35, 40)
        sees(ada, 0.5, 0.5, 31, 35, 40)
    end)

    it("keeps what was drawn while it was cut off, and sends it then", function()
        local ada, bo = open(), open()
        ada:evaluate "ws.close()"
        ada:wait "document.getElementById('state').dataset.state === 'closed'"
        line(ada, 0.6, 0.6, 0.9, 0.6)
        sees(bo, 0.7, 0.6, 31, 35, 40)
        sees(ada, 0.7, 0.6, 31, 35, 40)
    end)
end)
