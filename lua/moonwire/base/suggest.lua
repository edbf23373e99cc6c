-- "did you mean": the nearest of a list of names.

local M = require("moonwire.base.lazy").module(...)

-- Edit distance (optimal string alignment: insert, remove, replace, swap two neighbours).
local function distance(a, b)
    local before, last = {}, {}
    for j = 0, #b do
        last[j] = j
    end
    for i = 1, #a do
        local row = { [0] = i }
        for j = 1, #b do
            local cost = string.byte(a, i) == string.byte(b, j) and 0 or 1
            local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
            if i > 1 and j > 1 and string.byte(a, i) == string.byte(b, j - 1) and string.byte(a,
                i - 1) == string.byte(b, j) then
                best = math.min(best, before[j - 2] + 1)
            end
            row[j] = best
        end
        before, last = last, row
    end
    return last[#b]
end

-- As Lua would write it, in one line.
function M.quoted(text)
    return (string.gsub(string.format("%q", text), "\\\n", "\\n"))
end

-- A value as a message shows it, in one line: "80" is a string, 80 a number, a table is a table.
function M.shown(value)
    if type(value) == "string" then
        return #value > 40 and M.quoted(string.sub(value, 1, 40)) .. "…" or M.quoted(value)
    elseif type(value) == "number" or type(value) == "boolean" then
        return tostring(value)
    end
    return type(value)
end

-- The name in the list that is nearest to the given one, or nil when none is near: a third of its
-- letters may differ. Case does not count.
function M.nearest(name, list)
    local found, least = nil, math.max(1, math.floor(#name / 3)) + 1
    for _, candidate in ipairs(list) do
        local d = distance(string.lower(name), string.lower(candidate))
        if d < least then
            found, least = candidate, d
        end
    end
    return found
end

-- What other servers call a function of mw's.
local of_mw = { broadcast = "publish", emit = "publish", send = "publish", setTimeout = "after",
    setInterval = "every", interval = "every", timer = "after", websocket = "ws", socket = "ws",
    del = "delete", wait = "sleep", serve = "listen", run = "spawn", go = "spawn", task = "spawn" }

-- Raises at the caller of a name that mw does not have. names: those that it has.
function M.no_name(name, names)
    error(string.format("mw.%s does not exist%s", tostring(name), M.text(of_mw[name] or name,
        names)), 3)
end

-- '; did you mean "x"?' or, when nothing is near, '; there is a, b, c'.
function M.text(name, list)
    local near = M.nearest(tostring(name), list)
    if near then
        return "; did you mean " .. near .. "?"
    end
    return "; there is " .. table.concat(list, ", ")
end

-- What other libraries call a level.
local synonyms = { warning = "warn", err = "error", fatal = "error", critical = "error",
    trace = "debug", notice = "info", log = "info", print = "info", write = "info" }

-- Raises at the caller of mw.log "text" (name nil) or mw.log.NAME, a level that does not exist.
function M.log_level(name)
    if name == nil then
        error("mw.log is a table of functions, one for each level: write mw.log.info(text)", 2)
    end
    error(string.format("mw.log.%s does not exist%s", tostring(name),
        M.text(synonyms[name] or name, { "debug", "info", "warn", "error" })), 2)
end

return M
