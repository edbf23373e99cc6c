-- examples/dashboard: numbers that the server pushes every second.

local cjson = require "cjson"
local example = require "spec.examples.example"

describe("the dashboard example", function()
    local dashboard

    after_each(function()
        dashboard:stop()
    end)

    it("pushes numbers that are true, again and again", function()
        dashboard = example.start "dashboard"
        local one = dashboard:websocket "/live"
        dashboard:websocket "/live"
        local first = cjson.decode(one:read_text())
        assert.equal(2, first.connections)
        assert.equal(1, first.worker)
        assert.equal(1, first.workers)
        assert.is_true(first.memory > 10 and first.memory < 100000)
        assert.is_true(first.load >= 0)
        for n = 1, 3 do
            one:text("busy" .. n)
        end
        local echoed = {}
        for n = 1, 3 do
            echoed[n] = one:read_text()
        end
        assert.same({ "busy1", "busy2", "busy3" }, echoed)
        local second = cjson.decode(one:read_text())
        assert.equal(3, second.messages_in - first.messages_in)
        -- Three came back, and two pages got the numbers.
        assert.equal(5, second.messages_out - first.messages_out)
    end)

    it("brings the numbers of every worker to every page", function()
        dashboard = example.start("dashboard", { arguments = { "0", "--workers", "2" } })
        local pages = { dashboard:websocket "/live", dashboard:websocket "/live" }
        for _, page in ipairs(pages) do
            local told = {}
            repeat
                local numbers = cjson.decode(page:read_text())
                assert.equal(2, numbers.workers)
                told[numbers.worker] = numbers.memory
            until told[1] and told[2]
        end
    end)

    it("serves its page", function()
        dashboard = example.start "dashboard"
        local body, status = dashboard:get "/"
        assert.equal(200, status)
        assert.truthy(body:find("<canvas", 1, true) or body:find('"canvas"', 1, true))
    end)
end)
