-- Arguments that a function has no use for: who gives some expects that they do something.

local M = require("moonwire.base.lazy").module(...)

-- The first of these values that is not nil; nil when there is none.
function M.first(...)
    for i = 1, select("#", ...) do
        local value = select(i, ...)
        if value ~= nil then
            return value
        end
    end
end

-- Raises at the caller's caller if there is any among `...`. form: the call as it is written,
-- "mw.static(prefix, folder)". hint: optional; what to write instead.
function M.no_more(form, hint, ...)
    local extra = M.first(...)
    if extra ~= nil then
        error(string.format("%s takes no more arguments than these, got a %s behind them%s",
            form, type(extra), hint and ": " .. hint or ""), 3)
    end
end

return M
