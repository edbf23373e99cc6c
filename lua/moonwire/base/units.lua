-- Durations and sizes as people write them.

local M = require("moonwire.base.lazy").module(...)

local seconds_of = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
local bytes_of = { [""] = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }

local function finite(n)
    return n == n and n >= 0 and n < math.huge
end

-- Seconds, from a number of seconds or "250ms", "5s", "1.5m", "2h", "1d".
-- nil and a text that says what is wrong.
function M.duration(value)
    if type(value) == "number" then
        if finite(value) then
            return value
        end
        return nil, ("a duration is 0 or more, got %s"):format(value)
    end
    if type(value) == "string" then
        local number, unit = value:match "^(%d*%.?%d+)%s*(%a+)$"
        local factor = seconds_of[unit]
        if factor then
            return tonumber(number) * factor
        end
        return nil, ('"%s" is not a duration: write a number of seconds, or "250ms", "5s", "2m", '
            .. '"1h"'):format(value)
    end
    return nil, ('expected a duration (seconds, or "250ms", "5s", "2m", "1h"), got %s'):format(
        type(value))
end

-- Bytes, from a number or "64k", "16M", "1G" (powers of 1,024; "kb" and "KiB" are the same).
function M.bytes(value)
    if type(value) == "number" then
        if finite(value) and value % 1 == 0 then
            return value
        end
        return nil, ("a size is a whole number of bytes, got %s"):format(value)
    end
    if type(value) == "string" then
        local number, unit = value:lower():match "^(%d*%.?%d+)%s*([kmg]?)i?b?$"
        if number then
            return math.floor(tonumber(number) * bytes_of[unit])
        end
        return nil, ('"%s" is not a size: write bytes as a number, or "64k", "16M"'):format(value)
    end
    return nil, ('expected a size (bytes, or "64k", "16M"), got %s'):format(type(value))
end

return M
