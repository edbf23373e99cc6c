-- The results as a Markdown table, as JSON and as an SVG chart.
local json = require "cjson"
local stats = require "stats"

local M = {}

local function trim_number(value)
    if value >= 100 then
        return ("%.0f"):format(value)
    elseif value >= 10 then
        return ("%.1f"):format(value)
    elseif value >= 1 then
        return ("%.2f"):format(value)
    end
    return ("%.3f"):format(value)
end

local scales = { us = 1, ms = 1, bytes = 1, mb = 1e-6 }
local suffixes = { us = " µs", ms = " ms", bytes = " B", mb = " MB" }

--- One figure in a unit of rows.lua.
function M.figure(value, unit)
    return trim_number(value * scales[unit])
end

local function cell(row, result)
    if not result or #result.values == 0 then
        return result and "failed" or "–"
    end
    local s = stats.summary(result.values)
    local text = ("%s (%s–%s)"):format(M.figure(s.median, row.unit), M.figure(s.min, row.unit),
        M.figure(s.max, row.unit))
    return result.client_bound and text .. " †" or text
end

local function any_client_bound(rows, results)
    for _, row in ipairs(rows) do
        for _, result in pairs(results[row.name]) do
            if result.client_bound then
                return true
            end
        end
    end
    return false
end

local function ratio_to_floor(results, row, server)
    local mine = results[row.name] and results[row.name][server]
    local floor = row.floor and results[row.floor] and results[row.floor].raw
    local ratios = mine and floor and stats.ratios(mine.values, floor.values) or {}
    return ratios[1] and stats.summary(ratios)
end

local function push_line(lines, cells)
    lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |"
end

local function push_head(lines, cells)
    push_line(lines, cells)
    push_line(lines, (function()
        local rule = { "---" }
        for i = 2, #cells do
            rule[i] = "---:"
        end
        return rule
    end)())
end

local function cost_table(lines, rows, servers, results)
    local head = { "Server CPU per message, or as said" }
    for _, server in ipairs(servers) do
        head[#head + 1] = server
        if server ~= "raw" then
            head[#head + 1] = "× raw"
        end
    end
    push_head(lines, head)
    for _, row in ipairs(rows) do
        local cells = { row.label .. "," .. suffixes[row.unit] }
        for _, server in ipairs(servers) do
            cells[#cells + 1] = cell(row, results[row.name][server])
            if server ~= "raw" then
                local ratio = ratio_to_floor(results, row, server)
                cells[#cells + 1] = ratio and ("%.2f"):format(ratio.median) or "–"
            end
        end
        push_line(lines, cells)
    end
end

local function median_of(result, field)
    local values = {}
    for i, run in ipairs(result.runs) do
        values[i] = run[field]
    end
    return stats.summary(values).median
end

local function thousands(value)
    local text = ("%.0f"):format(value)
    local count
    repeat
        text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
    until count == 0
    return text
end

local function speed_cell(result)
    if not result or #result.runs == 0 then
        return "–"
    end
    return ("%s; %.0f / %.0f / %.0f"):format(thousands(median_of(result, "per_second")),
        median_of(result, "p50_us"), median_of(result, "p99_us"), median_of(result, "p999_us"))
end

local function speed_table(lines, rows, servers, results)
    local head = { "Messages per second; latency p50 / p99 / p99.9 µs" }
    for _, server in ipairs(servers) do
        head[#head + 1] = server
    end
    push_head(lines, head)
    for _, row in ipairs(rows) do
        if row.unit == "us" then
            local cells = { row.label }
            for _, server in ipairs(servers) do
                cells[#cells + 1] = speed_cell(results[row.name][server])
            end
            push_line(lines, cells)
        end
    end
end

local function checks_table(lines, checks)
    local any
    for _, check in ipairs(checks) do
        if not check.of_peer then
            if not any then
                lines[#lines + 1] = ""
                push_head(lines, { "Held to", "against", "found", "limit", "goal", "" })
                any = true
            end
            push_line(lines, { check.row, check.against == "-" and "absolute" or check.against,
                trim_number(check.found), check.limit and trim_number(check.limit) or "–",
                trim_number(check.goal), check.verdict })
        end
    end
end

-- Where moonwire is behind a peer, the worst first.
local function ahead_table(lines, rows, results, checks)
    local units, compared, behind = {}, 0, {}
    for _, row in ipairs(rows) do
        units[row.name] = row
    end
    for _, check in ipairs(checks) do
        compared = compared + (check.of_peer and 1 or 0)
        if check.ahead then
            behind[#behind + 1] = check
        end
    end
    if compared == 0 then
        return
    end
    lines[#lines + 1] = ""
    if #behind == 0 then
        lines[#lines + 1] = ("No peer is ahead in any row (%d comparisons)."):format(compared)
        return
    end
    table.sort(behind, function(a, b)
        return a.found > b.found
    end)
    push_head(lines, { ("Rows where a peer is ahead (%d of %d comparisons)"):format(#behind,
        compared), "peer", "its figure", "moonwire's", "moonwire / peer", "" })
    for _, check in ipairs(behind) do
        local row, peer = units[check.row], check.against:match "^[^/]+"
        local of_row = results[row.name]
        local function median(server)
            return M.figure(stats.summary(of_row[server].values).median, row.unit) ..
                suffixes[row.unit]
        end
        push_line(lines, { row.label, peer, median(peer), median "moonwire",
            ("%.2f"):format(check.found), check.certain and "" or "within noise" })
    end
end

--- The Markdown report. checks are those of bench/run.
function M.markdown(info, rows, servers, results, checks)
    local lines = {}
    lines[#lines + 1] = ("Median of %d rounds (smallest–largest). %s"):format(info.rounds,
        info.machine)
    lines[#lines + 1] = ""
    for _, note in ipairs(info.notes) do
        lines[#lines + 1] = "- " .. note
    end
    lines[#lines + 1] = ""
    cost_table(lines, rows, servers, results)
    lines[#lines + 1] = ""
    if any_client_bound(rows, results) then
        lines[#lines + 1] = "† the client was the bottleneck in most rounds: it was busy all " ..
            "the time, the server was not."
        lines[#lines + 1] = ""
    end
    speed_table(lines, rows, servers, results)
    for _, failure in ipairs(info.failures) do
        lines[#lines + 1] = ""
        lines[#lines + 1] = "Failed: " .. failure
    end
    checks_table(lines, checks)
    ahead_table(lines, rows, results, checks)
    return table.concat(lines, "\n") .. "\n"
end

--- Everything that was found, every round of it.
function M.json(info, rows, results, checks)
    local out = { info = info, rows = {}, checks = checks }
    for i, row in ipairs(rows) do
        out.rows[i] = { name = row.name, label = row.label, metric = row.metric, unit = row.unit,
            floor = row.floor, servers = results[row.name] }
    end
    return json.encode(out) .. "\n"
end

-- The chart: CPU per message as a multiple of the floor, one group of bars per row.

local COLOURS = { moonwire = "#2f6fde", uws = "#a33a3a", bun = "#b8915a", lws = "#6a4f8f",
    ws = "#7a8a7a" }
local LEFT, WIDTH, BAR, GAP, LONGEST = 330, 470, 13, 10, 4

local function escape(text)
    return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"))
end

local function text_at(x, y, text, more)
    return ('<text x="%.1f" y="%.1f" %s>%s</text>'):format(x, y, more or "", escape(text))
end

local function bar(y, server, ratio)
    local length = math.min(ratio.median, LONGEST) / LONGEST * WIDTH
    local label = ("%.2f %s"):format(ratio.median, server)
    if ratio.median > LONGEST then
        label = label .. " (cut off)"
    end
    return ('<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>'):format(LEFT, y, length,
        BAR - 2, COLOURS[server] or "#d9822b") ..
        text_at(LEFT + length + 5, y + BAR - 4, label, 'font-size="10" fill="#444444"')
end

local function chart_groups(rows, servers, results)
    local groups = {}
    for _, row in ipairs(rows) do
        local bars = {}
        for _, server in ipairs(servers) do
            local ratio = server ~= "raw" and ratio_to_floor(results, row, server)
            if ratio then
                bars[#bars + 1] = { server = server, ratio = ratio }
            end
        end
        if #bars > 0 then
            groups[#groups + 1] = { label = row.label, bars = bars }
        end
    end
    return groups
end

--- nil when no row has a floor.
function M.svg(rows, servers, results)
    local groups = chart_groups(rows, servers, results)
    if #groups == 0 then
        return nil
    end
    local out, y = {}, 50
    for _, group in ipairs(groups) do
        local middle = y + #group.bars * BAR / 2 + 3
        out[#out + 1] = text_at(LEFT - 10, middle, group.label, 'text-anchor="end" font-size="11"')
        for _, one in ipairs(group.bars) do
            out[#out + 1] = bar(y, one.server, one.ratio)
            y = y + BAR
        end
        y = y + GAP
    end
    local width, one = LEFT + WIDTH + 170, LEFT + WIDTH / LONGEST
    local head = {
        ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" ' ..
            'font-family="sans-serif" fill="#222222">'):format(width, y + 10, width, y + 10),
        ('<rect width="%d" height="%d" fill="#ffffff"/>'):format(width, y + 10),
        text_at(10, 22, "Server CPU per message, as a multiple of what the kernel alone costs",
            'font-size="14" font-weight="bold"'),
        ('<line x1="%.1f" y1="40" x2="%.1f" y2="%.1f" stroke="#cc3333" stroke-dasharray="3 3"/>')
            :format(one, one, y - GAP / 2),
        text_at(one, 36, "1 = raw TCP", 'text-anchor="middle" font-size="10" fill="#cc3333"'),
    }
    return table.concat(head, "\n") .. "\n" .. table.concat(out, "\n") .. "\n</svg>\n"
end

return M
