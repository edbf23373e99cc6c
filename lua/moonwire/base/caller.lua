-- Which line of the app has called us? A function that has made a tail call is not on the stack any
-- more: then it is the next line of the app above it.

local getinfo = debug.getinfo

local M = {}

-- Our own modules are no place that tells an app anything. "=moonwire/" in the binary: no file of
-- an app has a name that begins so.
local OURS = string.match(getinfo(1, "S").source, "^(.*)base/caller%.lua$")

M.OURS = OURS

--- Is this the source of one of our modules?
-- @param source as debug.getinfo gives it
function M.is_ours(source)
    return string.sub(source, 1, #OURS) == OURS
end

--- The line of the app nearest to this level of the stack.
-- @param level 1 is the caller
-- @return "chat.lua:12"; nil when the stack has no line of the app
function M.place(level)
    level = level + 1
    local at = getinfo(level, "Sl")
    while at do
        if at.currentline > 0 and not M.is_ours(at.source) then
            return string.format("%s:%d", at.short_src, at.currentline)
        end
        level = level + 1
        at = getinfo(level, "Sl")
    end
end

return M
