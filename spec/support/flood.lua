-- More changes in a folder than the system remembers for who watches it (inotify(7),
-- IN_Q_OVERFLOW).

local files = require "spec.support.files"
local processes = require "spec.support.process"

-- While fn runs, the process does not, and what fn changes in the folder is after what the system
-- forgets. The flood itself is of files that nobody looks at.
return function(process, folder, fn)
    local most = tonumber((files.read "/proc/sys/fs/inotify/max_queued_events"))
    local one = assert(io.open(folder .. "/4913", "w"))
    local other = assert(io.open(folder .. "/4914", "w"))
    one:setvbuf "no"
    other:setvbuf "no"
    process:signal "STOP"
    processes.eventually(function()
        return files.read("/proc/" .. process.pid .. "/stat"):find "%) T "
    end)
    for _ = 0, most do
        one:write "x"
        one, other = other, one -- the same event twice in a row would be one
    end
    fn()
    one:close()
    other:close()
    process:signal "CONT"
end
