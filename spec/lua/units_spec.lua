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
        for _, bad in ipairs { "", "5", "s", "5 parsecs", "-1s", "1e3s", "5S", "1s2", "1m30s",
            "5min", "0x5s", "5 s ", " 5s", "1,5s", "s5" } do
            local value, problem = units.duration(bad)
            assert.is_nil(value, bad)
            assert.matches("is not a duration: write a number of seconds", problem, 1, true)
        end
        for text, meant in pairs { ["5min"] = "5m", ["10 seconds"] = "10s", ["1 Hour"] = "1h",
            ["5S"] = "5s", ["2M"] = "2m", ["1.5 mins"] = "1.5m", ["100msec"] = "100ms" } do
            assert.matches(('; did you mean "%s"?'):format(meant), select(2, units.duration(text)),
                1, true)
        end
        assert.is_nil(select(2, units.duration "5 parsecs"):find "did you mean")
        for _, bad in ipairs { 1e10, 1e99, "12000d", "1" .. ("0"):rep(400) .. "s" } do
            local value, problem = units.duration(bad)
            assert.is_nil(value)
            assert.matches("a duration is at most 1000000000 seconds", problem, 1, true)
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
        assert.equal(65536, units.bytes "64K")
        assert.equal(2 ^ 30, units.bytes "1G")
        assert.equal(2 ^ 30, units.bytes "1GiB")
        assert.equal(12, units.bytes "12")
        for _, bad in ipairs { "", "k", "1x", "-1", -1, 1.5, {}, 0 / 0, "1.0001k", "1.5", "64 k b",
            "0x10", "1e3", "1,5M", "4Mbit" } do
            local value, problem = units.bytes(bad)
            assert.is_nil(value, tostring(bad))
            assert.is_string(problem)
        end
    end)

    it("refuses sizes that others read differently, and says what to write", function()
        for text, meant in pairs { ["4kb"] = "4k", ["4KB"] = "4k", ["4 MB"] = "4M", ["4m"] = "4M",
            ["1.5mb"] = "1.5M", ["1g"] = "1G", ["1 gb"] = "1G", ["4mib"] = "4M" } do
            local value, problem = units.bytes(text)
            assert.is_nil(value, text)
            assert.equal(('"%s" is not a size: write a number of bytes, or "64k", "16M", "1G" '
                .. '(powers of 1,024); did you mean "%s"?'):format(text, meant), problem)
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
