-- mw.json: an instance of lua-cjson of our own, so that settings of the app do not meet those of a
-- library that uses cjson too. Loaded when first used: an app without JSON needs no lua-cjson.

local M = require("moonwire.base.lazy").module(...)

local instance

-- The instance; raises at the given level (of the caller) when lua-cjson is missing.
function M.get(level)
    if not instance then
        local found, cjson = pcall(require, "cjson")
        if not found then
            error("mw.json needs lua-cjson, which is not installed: apt install lua-cjson (Debian, "
                .. "Ubuntu), or luarocks install lua-cjson", (level or 1) + 1)
        end
        instance = cjson.new()
    end
    return instance
end

return M
