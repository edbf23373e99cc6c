-- What moonwire status prints, made of the server's answer (docs/operations.md).

local M = {}

local SHORT_HASH = 8

-- Counters that have a place of their own, or that count what went well. All others count something
-- that went wrong.
local shown = { accepted = true, opened = true, closed = true, requests = true, messages_in = true,
    messages_out = true, reloads = true, reload_failures = true, rollbacks = true,
    forwarded = true, tls_resumed = true }

local function plural(count, word)
    return string.format("%.0f %s%s", count, word, count == 1 and "" or "s")
end

local units = { { 86400, "d", 3600, "h" }, { 3600, "h", 60, "min" }, { 60, "min", 1, "s" } }

local function duration(seconds)
    for _, unit in ipairs(units) do
        if seconds >= unit[1] then
            return string.format("%d %s %d %s", math.floor(seconds / unit[1]), unit[2],
                math.floor(seconds % unit[1] / unit[3]), unit[4])
        end
    end
    return string.format("%d s", math.max(seconds, 0))
end

local function moment(at)
    return os.date("%Y-%m-%d %H:%M:%S", at)
end

-- ---- over all workers -----------------------------------------------------------------------

local function add_held(into, held)
    for _, entry in ipairs(held or {}) do
        local title = string.format("%s of %s", entry.key, entry.route)
        if not into[title] then
            into[#into + 1] = title
        end
        into[title] = (into[title] or 0) + entry.count
    end
end

-- The pauses of the worker that was held up longer.
local function longer(a, b)
    if a and b then
        return a.longest_ms >= b.longest_ms and a or b
    end
    return a or b
end

-- The generations, the newest first, and the numbers of the workers that did not answer.
local function gather(workers)
    local by_number, out, silent = {}, {}, {}
    for _, worker in ipairs(workers) do
        if not worker.answered then
            silent[#silent + 1] = worker.index
        end
        for _, one in ipairs(worker.generations or {}) do
            local sum = by_number[one.number]
            if not sum then
                sum = { number = one.number, since = one.since, files = one.files or {}, held = {},
                    connections = 0, unmoved = 0, waiting = 0 }
                by_number[one.number] = sum
                out[#out + 1] = sum
            end
            sum.serving = sum.serving or one.serving
            sum.earlier = sum.earlier or one.earlier
            sum.code_of = sum.code_of or one.code_of
            sum.rolled_back = sum.rolled_back or one.rolled_back
            sum.connections = sum.connections + (one.connections or 0)
            sum.unmoved = sum.unmoved + (one.unmoved or 0)
            sum.waiting = sum.waiting + (one.waiting or 0)
            sum.pauses = longer(sum.pauses, one.pauses)
            add_held(sum.held, one.held)
        end
    end
    table.sort(out, function(a, b)
        return a.number > b.number
    end)
    return out, silent
end

-- ---- lines ----------------------------------------------------------------------------------

local function row(lines, title, text)
    lines[#lines + 1] = string.format("  %-12s %s", title, text)
end

local function failures(counters)
    local out = {}
    for name, value in pairs(counters) do
        if not shown[name] and value > 0 then
            out[#out + 1] = string.format("%s %.0f", string.gsub(name, "_", " "), value)
        end
    end
    table.sort(out)
    return out[1] and table.concat(out, ", ") or "none"
end

local function connections(workers)
    local sum, each = 0, {}
    for i, worker in ipairs(workers) do
        sum = sum + worker.connections
        each[i] = string.format("%.0f", worker.connections)
    end
    if #each > 1 then
        return string.format("%.0f (by worker: %s)", sum, table.concat(each, ", "))
    end
    return string.format("%.0f", sum)
end

local function reload_lines(lines, last)
    if not last then
        return
    end
    local first = true
    for line in string.gmatch(last.text, "[^\n]+") do
        row(lines, first and "last reload" or "",
            first and moment(last.at) .. "  " .. line or line)
        first = false
    end
end

-- Of the reload that brought what serves, with what it has done since.
local function pause_line(lines, generations)
    for _, one in ipairs(generations) do
        local pauses = one.serving and one.pauses
        if pauses then
            row(lines, "pauses", string.format("%.2f ms at most (%s), %.2f ms of the commit",
                pauses.longest_ms, pauses.longest_in, pauses.commit_ms))
        end
    end
end

local function head(lines, answer, now)
    local counters = answer.counters
    lines[1] = string.format("%s  pid %d, moonwire %s, since %s (%s)%s", answer.app, answer.pid,
        answer.version, moment(answer.since), duration(now - answer.since),
        answer.draining and ", ending" or "")
    for i, address in ipairs(answer.listeners) do
        row(lines, i == 1 and "listens on" or "", address)
    end
    row(lines, "connections", connections(answer.workers))
    row(lines, "messages", string.format("%.0f in, %.0f out", counters.messages_in,
        counters.messages_out))
    row(lines, "requests", string.format("%.0f", counters.requests))
    row(lines, "failures", failures(counters))
    row(lines, "reloads", string.format("%.0f, %.0f failed, %.0f rolled back", counters.reloads,
        counters.reload_failures, counters.rollbacks or 0))
    reload_lines(lines, answer.last_reload)
end

-- Whose it is, what keeps it, and how it fared: "1200 connections, 3 more yet to meet it".
local function notes(one)
    local out = {}
    if one.code_of then
        out[1] = string.format("code of %d", one.code_of)
    end
    if one.connections > 0 then
        out[#out + 1] = plural(one.connections, "connection")
    end
    if one.unmoved > 0 then
        out[#out + 1] = (one.connections > 0 and string.format("%.0f more", one.unmoved)
            or plural(one.unmoved, "connection")) .. " yet to meet it"
    end
    if one.waiting > 0 then
        out[#out + 1] = one.waiting == 1 and "1 hook waits"
            or string.format("%.0f hooks wait", one.waiting)
    end
    if one.earlier then
        out[#out + 1] = "for a rollback"
    end
    if one.rolled_back then
        out[#out + 1] = "rolled back: " .. string.match(one.rolled_back, "^[^\n]*")
    end
    if not one.serving and not out[1] and #one.held == 0 then
        out[1] = "not collected yet"
    end
    return table.concat(out, ", ")
end

local function generation(lines, one)
    local text = string.format("  %4d  %-6s  %s  %s", one.number, one.serving and "serves" or "old",
        moment(one.since), notes(one))
    lines[#lines + 1] = (string.gsub(text, " +$", ""))
    local width = 0
    for _, file in ipairs(one.files) do
        width = math.max(width, #file.path)
    end
    for _, file in ipairs(one.files) do
        lines[#lines + 1] = string.format("        %s%s  %s", file.path, string.rep(" ",
            width - #file.path),
            string.sub(file.sha1, 1, SHORT_HASH))
    end
    for _, title in ipairs(one.held) do
        lines[#lines + 1] = string.format("        connections hold %s (%.0f)", title,
            one.held[title])
    end
end

-- The text, with its last newline.
function M.text(answer, now)
    local lines = {}
    head(lines, answer, now)
    local all, silent = gather(answer.workers)
    pause_line(lines, all)
    lines[#lines + 1] = ""
    lines[#lines + 1] = "generations"
    for _, one in ipairs(all) do
        generation(lines, one)
    end
    for _, index in ipairs(silent) do
        lines[#lines + 1] = string.format("  worker %d does not answer: a hook of it does not "
            .. "return", index)
    end
    return table.concat(lines, "\n") .. "\n"
end

return M
