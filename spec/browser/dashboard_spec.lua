-- The dashboard in a real browser.

local browser = require "spec.browser.browser"
local example = require "spec.examples.example"

describe("the dashboard in a browser", function()
    local chromium = browser.shared()
    local dashboard

    setup(function()
        dashboard = example.start("dashboard", { arguments = { "0", "--workers", "2" } })
    end)

    teardown(function()
        dashboard:stop()
    end)

    -- Pixels of a plot that are neither empty nor of the grid and its numbers.
    local drawn = [[(() => {
        const c = document.getElementById("%s");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0;
        for (let i = 0; i < d.length; i += 4) {
            const rgb = d.subarray(i, i + 3);
            if (d[i + 3] > 128 && Math.max(...rgb) - Math.min(...rgb) > 60) n++;
        }
        return n;
    })()]]

    it("plots more and more points, of every worker, and what the page itself does", function()
        local page = chromium:open(("http://localhost:%d/"):format(dashboard.port),
            { locale = "en-GB", viewport = { width = 1000, height = 640 } })
        page:wait "Number(document.getElementById('connections').dataset.points) >= 2"
        page:wait "plots.memory.series.size === 2"
        page:wait "plots.connections.series.get('open').some((p) => p.value === 1)"
        local before = page:evaluate(drawn:format "memory")
        assert.is_true(before > 20)
        page:click "#busy"
        page:wait "(plots.messages.series.get('in') || []).some((p) => p.value > 50)"
        page:wait "Number(document.getElementById('messages').dataset.points) >= 5"
        assert.is_true(page:evaluate(drawn:format "memory") > before)
        page:keep "dashboard-desktop"
        page:setViewportSize { width = 390, height = 780 }
        assert.is_true(page:evaluate
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page:keep "dashboard-phone"
        assert.same({}, page:complaints())
    end)
end)
