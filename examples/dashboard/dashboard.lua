-- The server about itself, every second: moonwire examples/dashboard/dashboard.lua --workers auto
local mw = require "moonwire"

local live = mw.ws("/live", { limits = { messages_per_second = 500 } })

function live.on_open(ws)
    ws:subscribe "numbers"
end

-- Whatever a page sends comes back: something to measure.
function live.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end

-- The machine's load over the last minute; nil where there is no /proc.
local function load_average()
    local file = io.open "/proc/loadavg"
    local line = file and file:read "*l"
    if file then
        file:close()
    end
    return line and tonumber(line:match "^%S+")
end

-- Every worker runs this file, and publish reaches the pages of all of them: each worker tells of
-- its own memory, the counters are sums over all.
mw.every("1s", function()
    local counters = mw.counters()
    mw.publish("numbers", mw.json.encode {
        worker = mw.worker.index,
        workers = mw.worker.count,
        memory = collectgarbage "count", -- KiB of this worker's Lua
        load = load_average(),
        connections = counters.opened - counters.closed,
        messages_in = counters.messages_in,
        messages_out = counters.messages_out,
    })
end)

mw.static("/", "public")
mw.listen { port = tonumber(arg[1] or 8080) }
