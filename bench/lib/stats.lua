-- Medians, spread, and whether a limit is missed by more than noise.
local M = {}

local function sorted(values)
    local copy = {}
    for i, value in ipairs(values) do
        copy[i] = value
    end
    table.sort(copy)
    return copy
end

--- The median, the smallest and the largest of a non-empty array.
function M.summary(values)
    local s = sorted(values)
    local n = #s
    local median = n % 2 == 1 and s[(n + 1) / 2] or (s[n / 2] + s[n / 2 + 1]) / 2
    return { median = median, min = s[1], max = s[n] }
end

--- True when the rounds agree that the limit is missed: all are above it, but for one in five that
--- may be luck. One bad round, or a median a hair over the limit, is noise.
function M.missed(values, limit)
    local s = sorted(values)
    return s[math.floor(#s / 5) + 1] > limit
end

--- Element by element; only rounds that both have.
function M.ratios(values, against)
    local out = {}
    for i = 1, math.min(#values, #against) do
        out[i] = values[i] / against[i]
    end
    return out
end

return M
