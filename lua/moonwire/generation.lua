-- One generation of an app: what its top level declared, and the hooks that came of it.
--
-- The top level only collects a plan, with no effect on the server. declare() hands it to a site
-- (script/api.h), and start() puts it to work: a plan that fails in between has changed nothing.

local dispatch = require "moonwire.dispatch"
local native = require "moonwire.native"
local timer = require "moonwire.timer"
local websocket = require "moonwire.websocket"

local ffi = require "ffi"

local C = native.C

local M = {}

local Generation = {}
Generation.__index = Generation

local loading

-- The generation of the app; raises outside of one.
function M.loading()
    return loading or error("moonwire is required by an app: moonwire app.lua", 3)
end

-- A generation for the app at path; make_api(generation) gives what require "moonwire" returns.
function M.new(path, make_api)
    local self = setmetatable({
        path = path,
        folder = path:match "^(.*)/[^/]*$" or (path:sub(1, 1) == "/" and "/" or "."),
        collecting = true, -- false when the top level has run, or waits
        plan = {},         -- { where, declare = function(site, item) → problem }
        limits = {},
        timers = {},
        routes = {},       -- records by the site's index, from 0
        site = nil,
    }, Generation)
    self.api = make_api(self)
    loading = self
    websocket.resolve = function(file)
        return self:resolve(file)
    end
    return self
end

-- Where the app is now: "chat.lua:12". level: 1 is the caller.
local function where(level)
    local at = debug.getinfo(level + 1, "Sl")
    return ("%s:%d"):format(at.short_src, at.currentline)
end

-- Adds an item to the plan. name: the function of the app's that declares it, the caller's caller.
function Generation:add(name, item)
    if not self.collecting then
        error(("mw.%s: an app declares this while it is loaded, at the top level of its file and "
            .. "before that waits; now it serves already"):format(name), 3)
    end
    item.where = where(3)
    self.plan[#self.plan + 1] = item
end

-- A file's name in the app's options is relative to the app's folder.
function Generation:resolve(path)
    if path:sub(1, 1) == "/" or self.folder == "." then
        return path
    end
    return self.folder .. "/" .. path
end

local function site_error(site)
    local text = C.mw_site_error(site)
    return text ~= nil and ffi.string(text) or "refused"
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
    return declare_limits(site, index, record.limits or {})
end

-- Each takes the generation, the site and the item, and returns a problem or nothing.
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
    if C.mw_site_static(site, item.prefix, #item.prefix, item.folder, #item.folder) < 0 then
        return site_error(site)
    end
end

function declare.listen(_, site, item)
    local listener = C.mw_site_listen(site, item.host, item.port)
    if listener < 0 then
        return site_error(site)
    end
    if item.development and C.mw_site_dev_certificate(site, listener) < 0 then
        return site_error(site)
    end
    for _, pair in ipairs(item.certificates) do
        if C.mw_site_certificate(site, listener, pair.cert, pair.key) < 0 then
            return site_error(site)
        end
    end
end

-- Hands the plan to a site. nil, or one line that says where and what.
function Generation:declare(site)
    self.collecting = false
    for _, item in ipairs(self.plan) do
        local problem = declare[item.kind](self, site, item)
        if problem then
            return ("%s: %s%s"):format(item.where, item.title and item.title .. ": " or "", problem)
        end
    end
end

-- Does it serve anything? If not it is a script, which ends by itself.
function Generation:serves()
    for _, item in ipairs(self.plan) do
        if item.kind ~= "limits" then
            return true
        end
    end
    return false
end

-- The declared generation serves from now on.
function Generation:start()
    dispatch.serve(self.routes, self.limits.waiting_messages)
    for _, waiting in ipairs(self.timers) do
        timer.start(waiting)
    end
    self.timers = {}
end

return M
