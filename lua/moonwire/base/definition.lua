-- Where a function of the app stands: the place that the log names when it returned what means
-- nothing. It has returned by then, so that no line of the stack is its own.

local getinfo = debug.getinfo

local M = {}

-- "app.lua:12: ", or "" for a function in C.
function M.prefix(fn)
    local at = getinfo(fn, "S")
    return at.what == "C" and "" or string.format("%s:%d: ", at.short_src, at.linedefined)
end

return M
