-- How long the runs are, and what they found: a line for each, printed by make torture at its end.

local M = {}

--- The long form, or that of a few seconds: MOONWIRE_TORTURE=short.
M.short = os.getenv "MOONWIRE_TORTURE" == "short"

function M.pick(long, short)
    return M.short and short or long
end

local path = (os.getenv "MOONWIRE_BUILD" or "build") .. "/torture.txt"

function M.say(format, ...)
    local file = assert(io.open(path, "a"))
    file:write(format:format(...), "\n")
    file:close()
end

--- Median, 99th of 100 and largest of a list of numbers.
function M.spread(list)
    table.sort(list)
    local function at(share)
        return list[math.max(1, math.ceil(#list * share))] or 0
    end
    return at(0.5), at(0.99), list[#list] or 0
end

--- Resident memory of a process, in KiB.
function M.resident_kib(pid)
    local file = assert(io.open(("/proc/%d/status"):format(pid)))
    local kib = tonumber(file:read "*a":match "VmRSS:%s*(%d+)")
    file:close()
    return kib
end

return M
