-- From what a generation's top level has planned to the site that C serves.

local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local overlay = lazy.use "moonwire.app.overlay"

local ffi = require "ffi"

local C, worker = native.C, native.worker

local M = {}

local function site_error(site)
    local text = C.mw_site_error(site)
    if text == nil then
        return "refused"
    end
    -- Names of the app's stand in it as they are, and it is one line.
    return (string.gsub(ffi.string(text), "%c", function(c)
        return string.format("\\x%02x", string.byte(c))
    end))
end

local function declare_limits(site, index, limits)
    for name, value in pairs(limits) do
        if C.mw_site_limit(site, index, name, value) < 0 then
            return site_error(site)
        end
    end
end

local function declare_websocket(site, index, record)
    for _, name in ipairs(record.protocols or {}) do
        if C.mw_site_protocol(site, index, name, #name) < 0 then
            return site_error(site)
        end
    end
    for _, origin in ipairs(record.origins or {}) do
        if C.mw_site_origin(site, index, origin, #origin) < 0 then
            return site_error(site)
        end
    end
    for name, value in pairs(record.compress or {}) do
        if C.mw_site_compress(site, index, name, value) < 0 then
            return site_error(site)
        end
    end
    if C.mw_site_upgrade(site, index, record.on_upgrade ~= nil) < 0 then
        return site_error(site)
    end
    if record.reload == "eager" and C.mw_site_eager(site, index, true) < 0 then
        return site_error(site)
    end
    return declare_limits(site, index, record.limits or {})
end

-- By kind of item. Each takes the generation, the site and the item, and returns a problem or
-- nothing.
local declare = {}

function declare.limits(self, site, item)
    for name, value in pairs(item.values) do
        self.limits[name] = value
    end
    return declare_limits(site, -1, item.values)
end

function declare.route(self, site, item)
    local record = item.record
    local index = C.mw_site_route(site, record.pattern, #record.pattern, item.methods)
    if index < 0 then
        return site_error(site)
    end
    self.routes[index] = record
    if record.kind == "websocket" then
        record.upgrade_changed = function(changed)
            C.mw_site_upgrade(site, index, changed.on_upgrade ~= nil)
        end
        return declare_websocket(site, index, record)
    end
end

function declare.static(_, site, item)
    item.index = C.mw_site_static(site, item.prefix, #item.prefix, item.folder, #item.folder)
    if item.index < 0 then
        return site_error(site)
    end
    for ending, media_type in pairs(item.types) do
        if C.mw_site_type(site, item.index, ending, #ending, media_type, #media_type) < 0 then
            return site_error(site)
        end
    end
end

function declare.listen(_, site, item)
    local listener = C.mw_site_listen(site, item.host, item.port, item.where)
    if listener < 0 then
        return site_error(site)
    end
    if item.development and C.mw_site_dev_certificate(site, listener) < 0 then
        return site_error(site)
    end
    for _, range in ipairs(item.proxies) do
        if C.mw_site_proxy(site, listener, range) < 0 then
            return site_error(site)
        end
    end
    for _, pair in ipairs(item.certificates) do
        if C.mw_site_certificate(site, listener, pair.cert, pair.key) < 0 then
            return site_error(site)
        end
    end
end

function declare.hosts(_, site, item)
    for _, rule in ipairs(item.rules) do
        if C.mw_site_host(site, rule, #rule) < 0 then
            return site_error(site)
        end
    end
end

-- What can be checked when all is declared.
local check = {}

function check.static(site, item)
    if C.mw_site_folder_check(site, item.index) < 0 then
        return site_error(site)
    end
end

local function placed(item, problem)
    -- Many problems begin with what they are about.
    local title = string.gsub(item.title, "s$", "") -- of limits: limit "x" is …
    if item.kind == "static" then
        problem = string.gsub(problem, '^route ".-/%*rest": ', "") -- by which C serves the folder
        problem = string.gsub(string.gsub(problem, '^static prefix ".-": ', ""), "^static ", "")
    end
    local named = string.sub(problem, 1, #title) == title
        or string.find(problem, string.format('^%s [%%a ]*"', item.kind))
    return string.format("%s: %s%s", item.where, named and "" or item.title .. ": ", problem)
end

-- Hands the plan of a generation to a site, and sets its routes, limits and serves. Returns nil, or
-- one line that says where the fault is, and what it is.
function M.plan(self, site)
    self.routes, self.limits = {}, {}
    for _, item in ipairs(self.plan) do
        -- If it serves nothing it is a script, which ends by itself.
        self.serves = self.serves or item.kind ~= "limits" and item.kind ~= "hosts"
        local problem = declare[item.kind](self, site, item)
        if problem then
            return placed(item, problem)
        end
    end
    for _, item in ipairs(self.plan) do
        local problem = check[item.kind] and check[item.kind](site, item)
        if problem then
            return placed(item, problem)
        end
    end
    if C.mw_overlay_wanted(worker, site) ~= 0 then
        overlay.declare(self.routes, site)
    end
end

return M
