-- Whose code is a function? That of the generation whose globals it sees.

local M = {}

local number_of = setmetatable({}, { __mode = "k" }) -- a generation's globals → its number

local LEVELS = 50 -- of the stack

-- The generation with these globals serves under this number.
function M.know(env, number)
    number_of[env] = number
end

-- The number of the generation that the function is of; nil when it is none's.
function M.of(fn)
    return number_of[getfenv(fn)]
end

-- The same for the innermost function that runs and is any generation's. level: 1 is the caller.
function M.running(level)
    for i = level + 1, level + LEVELS do
        local at = debug.getinfo(i, "f")
        if not at then
            return nil
        end
        local number = at.func and M.of(at.func)
        if number then
            return number
        end
    end
end

return M
