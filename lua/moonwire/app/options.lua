-- Options of mw.static and mw.listen, and mw.hosts: what few apps have. Mistakes raise at the app's
-- own line: the functions are called by mw's directly.

local lazy = require "moonwire.base.lazy"

local native = require "moonwire.base.native"

local suggest = lazy.use "moonwire.base.suggest"

native.declare "api_options" -- which declare.lua uses for what comes from here

local M = lazy.module(...)

local APP = 3 -- the level of the app's line

-- One pair of types, as it stands in the app.
local function pair_text(ending, media_type)
    return string.format("%s = %s",
        type(ending) == "string" and ending or "[" .. tostring(ending) .. "]",
        type(media_type) == "string" and string.format("%q", media_type) or type(media_type))
end

-- { ending = media type } of mw.static's options, without the dots that endings may begin with. C
-- checks both texts when the site is declared.
function M.types(options)
    if type(options) ~= "table" then
        error(string.format('mw.static: the options are a table, { types = { gcode = '
            .. '"text/x.gcode" } }, got %s', type(options)), APP)
    end
    for name in pairs(options) do
        if name ~= "types" then
            error(string.format("mw.static: there is no option %s%s", tostring(name),
                suggest.text(name, { "types" })), APP)
        end
    end
    local types = options.types
    if types ~= nil and type(types) ~= "table" then
        error(string.format('mw.static: types is a table, { gcode = "text/x.gcode" }, got %s',
            type(types)), APP)
    end
    local out = {}
    for ending, media_type in pairs(types or {}) do
        if type(ending) ~= "string" or type(media_type) ~= "string" then
            error('mw.static: types has an ending and its media type, as in { gcode = '
                .. '"text/x.gcode" }, got ' .. pair_text(ending, media_type), APP)
        end
        local bare = string.gsub(ending, "^%.", "")
        if out[bare] then
            error(string.format("mw.static: types has .%s twice", bare), APP)
        end
        out[bare] = media_type
    end
    return out
end

-- Proxies on this machine.
local local_proxies = { "127.0.0.0/8", "::1", "unix:" }

-- mw.listen's option proxy: true, an address or range, or a list of these, to a list. C reads them
-- when the site is declared.
function M.proxies(proxy)
    if proxy == true then
        return local_proxies
    end
    local out = {}
    for i, range in ipairs(type(proxy) == "table" and #proxy > 0 and proxy or { proxy }) do
        if type(range) ~= "string" then
            error(string.format("mw.listen: proxy is true (proxies on this machine) or the "
                .. "addresses of "
                .. 'proxies, as in { "127.0.0.1", "10.0.0.0/8", "unix:" }, got %s',
                    type(range) == "table" and "a table without addresses" or type(range)), APP)
        end
        out[i] = range
    end
    return out
end

-- mw.hosts' argument: a host or a list of hosts, to a list. C reads them when the site is declared.
function M.hosts(hosts)
    local list = type(hosts) == "string" and { hosts } or hosts
    if type(list) ~= "table" or #list == 0 then
        error(string.format('mw.hosts: expected host names, as in mw.hosts { "example.com", '
            .. '"*.example.com" }, got %s', type(list) == "table" and "a table without any"
            or type(list)), APP)
    end
    local out = {}
    for i, host in ipairs(list) do
        if type(host) ~= "string" then
            error(string.format("mw.hosts: item %d of the list is a %s, not a host name", i,
                type(host)), APP)
        end
        out[i] = host
    end
    return out
end

return M
