require("spec.lua.fake").new()
local suggest = require "moonwire.base.suggest"
local units = require "moonwire.base.units"

describe("units", function()
    it("reads durations in seconds and with units", function()
        assert.equal(5, units.duration(5))
        assert.equal(0, units.duration(0))
        assert.equal(0.25, units.duration "250ms")
        assert.equal(5, units.duration "5s")
        assert.equal(90, units.duration "1.5m")
        assert.equal(7200, units.duration "2 h")
        assert.equal(86400, units.duration "1d")
        assert.equal(0.5, units.duration ".5s")
    end)

    it("says what is wrong with a duration", function()
        for _, bad in ipairs { "", "5", "s", "5 parsecs", "-1s", "1e3s", "5S", "1s2" } do
            local value, problem = units.duration(bad)
            assert.is_nil(value, bad)
            assert.matches("is not a duration: write a number of seconds", problem, 1, true)
        end
        for _, bad in ipairs { -1, 0 / 0, math.huge } do
            assert.is_nil((units.duration(bad)))
        end
        assert.matches("got table", select(2, units.duration {}))
        assert.matches("got nil", select(2, units.duration(nil)))
    end)

    it("reads sizes as powers of 1,024", function()
        assert.equal(100, units.bytes(100))
        assert.equal(65536, units.bytes "64k")
        assert.equal(65536, units.bytes "64 KiB")
        assert.equal(1572864, units.bytes "1.5M")
        assert.equal(2 ^ 30, units.bytes "1gb")
        assert.equal(12, units.bytes "12")
        for _, bad in ipairs { "k", "1x", "-1", -1, 1.5, {}, 0 / 0 } do
            assert.is_nil((units.bytes(bad)), tostring(bad))
        end
    end)
end)

describe("suggestions", function()
    local names = { "on_open", "on_message", "on_close" }

    it("find the nearest name, letters swapped, missing, added or in the wrong case", function()
        for _, misspelt in ipairs { "on_mesage", "on_messgae", "on_messages", "ON_MESSAGE" } do
            assert.equal("on_message", suggest.nearest(misspelt, names))
        end
        assert.is_nil(suggest.nearest("frobnicate", names))
    end)

    it("list what there is when nothing is near", function()
        assert.equal("; there is on_open, on_message, on_close", suggest.text("xyz", names))
        assert.equal("; did you mean on_open?", suggest.text("on_opn", names))
    end)
end)
