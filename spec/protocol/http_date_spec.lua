local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function format(t)
    local out = ffi.new "char[30]"
    C.http_date_format(out, t)
    return ffi.string(out)
end

local function parse(text)
    return tonumber(C.http_date_parse(core.copy(text, "char *"), #text))
end

describe("a date in a header field (RFC 9110 §5.6.7)", function()
    it("is written as the RFC's example", function()
        assert.are.equal("Sun, 06 Nov 1994 08:49:37 GMT", format(784111777))
    end)

    it("is written for the turns of years, leap years and centuries", function()
        for text, t in pairs {
            ["Thu, 01 Jan 1970 00:00:00 GMT"] = 0,
            ["Wed, 31 Dec 1969 23:59:59 GMT"] = -1,
            ["Tue, 29 Feb 2000 12:00:00 GMT"] = 951825600,
            ["Thu, 29 Feb 2024 23:59:59 GMT"] = 1709251199,
            ["Fri, 01 Mar 2024 00:00:00 GMT"] = 1709251200,
            ["Sun, 28 Feb 2100 23:59:59 GMT"] = 4107542399,
            ["Mon, 01 Mar 2100 00:00:00 GMT"] = 4107542400,
            ["Fri, 31 Dec 9999 23:59:59 GMT"] = 253402300799,
        } do
            assert.are.equal(text, format(t))
            if t ~= -1 then
                assert.are.equal(t, parse(text))
            end
        end
    end)

    it("agrees with the C library on every 17th hour of 80 years", function()
        for t = 0, 80 * 365.25 * 86400, 17 * 3600 + 61 do
            assert.are.equal(os.date("!%a, %d %b %Y %H:%M:%S GMT", t), format(t))
        end
    end)

    it("comes back from its text", function()
        for t = 0, 5e9, 86399 * 97 do
            assert.are.equal(t, parse(format(t)))
        end
    end)

    it("is read in all three forms", function()
        assert.are.equal(784111777, parse "Sun, 06 Nov 1994 08:49:37 GMT")
        assert.are.equal(784111777, parse "Sunday, 06-Nov-94 08:49:37 GMT")
        assert.are.equal(784111777, parse "Sun Nov  6 08:49:37 1994")
        assert.are.equal(784975777, parse "Wed Nov 16 08:49:37 1994")
        assert.are.equal(parse "Tue, 01 Jan 2069 00:00:00 GMT",
            parse "Tuesday, 01-Jan-69 00:00:00 GMT")
    end)

    it("is nothing when it is malformed or does not exist", function()
        for _, text in ipairs { "", "Sun", "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
            "Wed, 29 Feb 2023 00:00:00 GMT", "Mon, 29 Feb 2100 00:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 06 08:49:37 94",
            "Sun, 06 Nov 1994 08:49:37 GMT\0", "Xxx, 06 Nov 1994 08:49:37 GMT", "0",
            "Sun, +6 Nov 1994 08:49:37 GMT" } do
            assert.are.equal(-1, parse(text), text)
        end
    end)

    it("is nothing when it is cut anywhere", function()
        for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994" } do
            for n = 0, #text - 1 do
                assert.are.equal(-1, parse(text:sub(1, n)))
            end
        end
    end)
end)
