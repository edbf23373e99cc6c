-- Gives what our headers declare for ffi.cdef names that no app's declarations have: LuaJIT has one
-- set of C names for a whole state, and an app may well have a struct event of its own.
--
-- struct event becomes struct moonwire_event, ERR_CLOSED moonwire_ERR_CLOSED, and a function keeps
-- its symbol: int moonwire_mw_stop(…) __asm__("mw_stop"). Lua modules are written with the names of
-- the headers; M.use gives their text the others.

local M = {}

local PREFIX = "moonwire_"
local KINDS = { "struct", "enum", "union" }

-- What is within braces, at any depth, as a blank of the same length.
local function without_bodies(text)
    return (text:gsub("%b{}", function(body)
        return (" "):rep(#body)
    end))
end

-- { tags = set, others = set }: what the text of headers declares.
function M.declared_in(text, names)
    names = names or { tags = {}, others = {} }
    for _, kind in ipairs(KINDS) do
        for tag in text:gmatch("%f[%w_]" .. kind .. "%s+([%a_][%w_]*)") do
            names.tags[tag] = true
        end
    end
    for body in text:gmatch "%f[%w_]enum%s*[%w_]*%s*(%b{})" do
        for constant in body:gmatch "[{,]%s*([%a_][%w_]*)" do
            names.others[constant] = true
        end
    end
    for name in without_bodies(text):gmatch "([%a_][%w_]*)%s*%b()%s*;" do
        names.others[name] = true
    end
    return names
end

-- The declarations under their names for Lua.
function M.declare(text, names)
    local out, from = {}, 1
    for name, behind in without_bodies(text):gmatch "([%a_][%w_]*)%s*%b()()%s*;" do
        out[#out + 1] = ("%s __asm__(%q)"):format(text:sub(from, behind - 1), name)
        from = behind
    end
    out[#out + 1] = text:sub(from)
    text = table.concat(out)
    text = text:gsub('%f[%w_"]([%a_][%w_]*)%f[^%w_"]', function(name)
        return names.others[name] and PREFIX .. name
    end)
    return M.use(text, names)
end

-- The text of a Lua module that calls them.
function M.use(text, names)
    for _, kind in ipairs(KINDS) do
        text = text:gsub("(%f[%w_]" .. kind .. "%s+)([%a_][%w_]*)", function(before, tag)
            return names.tags[tag] and before .. PREFIX .. tag
        end)
    end
    return (text:gsub("%f[%w_]C%.([%a_][%w_]*)", function(name)
        return names.others[name] and "C." .. PREFIX .. name
    end))
end

return M
