-- Durations and sizes as people write them. Each has one way to be written: what other programs
-- read differently ("4m", "4 MB") or what could be a misspelling is refused, with what to write.

local lazy = require "moonwire.base.lazy"

local suggest = lazy.use "moonwire.base.suggest"

local M = lazy.module(...)

local seconds_of = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
local bytes_of = { [""] = 1, k = 1024, K = 1024, M = 1024 ^ 2, G = 1024 ^ 3,
    KiB = 1024, MiB = 1024 ^ 2, GiB = 1024 ^ 3 }

local DURATIONS = 'a number of seconds, or "250ms", "5s", "2m", "1h", "1d"'
local SIZES = 'a number of bytes, or "64k", "16M", "1G" (powers of 1,024)'

local SECONDS_MAX = 1e9 -- as engine/worker/timers.c has it: thirty years

local function finite(n)
    return n == n and n >= 0 and n < math.huge
end

local function bounded(seconds, shown)
    if seconds <= SECONDS_MAX then
        return seconds
    end
    return nil, string.format("a duration is at most 1000000000 seconds, got %s", shown)
end

-- The number and the unit of a text, or nil.
local function parts(text)
    local number, unit = string.match(text, "^(%d*%.?%d+) *(%a*)$")
    return tonumber(number), unit
end

-- '; did you mean "5m"?' for "5 min" when the unit is "m"; "" without one.
local function meant(text, unit)
    return unit and string.format('; did you mean "%s%s"?', string.match(text, "^[%d.]+"),
        unit) or ""
end

local long_units = { msec = "ms", millisecond = "ms", sec = "s", second = "s", min = "m",
    minute = "m", hr = "h", hour = "h", day = "d" }

-- Seconds, from a number of seconds or "250ms", "5s", "1.5m", "2h", "1d".
-- nil and a text that says what is wrong.
function M.duration(value)
    if type(value) == "number" then
        if finite(value) then
            return bounded(value, value)
        end
        return nil, string.format("a duration is 0 or more, got %s", value)
    end
    if type(value) == "string" then
        local number, unit = parts(value)
        if number and seconds_of[unit] then
            return bounded(number * seconds_of[unit], suggest.shown(value))
        end
        local small = number and string.lower(unit)
        local name = small and (long_units[small] or long_units[string.match(small, "^(.*)s$")]
            or seconds_of[small] and small)
        return nil, string.format("%s is not a duration: write %s%s", suggest.shown(value),
            DURATIONS, meant(value, name))
    end
    return nil, string.format("expected a duration (%s), got %s", (string.gsub(DURATIONS,
        "^a number of ", "")),
        type(value))
end

-- Bytes, from a number or "64k", "16M", "1G" (powers of 1,024; "64 KiB" is the same).
function M.bytes(value)
    if type(value) == "number" then
        if finite(value) and value % 1 == 0 then
            return value
        end
        return nil, string.format("a size is a whole number of bytes, got %s", value)
    end
    if type(value) == "string" then
        local number, unit = parts(value)
        local bytes = number and bytes_of[unit] and number * bytes_of[unit]
        if bytes and bytes % 1 == 0 then
            return bytes
        end
        local letter = not bytes and number and string.match(unit, "^([kKmMgG])[iI]?[bB]?$")
        local name = letter and (string.lower(letter) == "k" and "k" or string.upper(letter))
        return nil, string.format("%s is not a size: write %s%s", suggest.shown(value), SIZES,
            meant(value, name))
    end
    return nil, string.format("expected a size (%s), got %s", (string.gsub(SIZES, "^a number of ",
        "")),
        type(value))
end

return M
