-- The dev overlay's routes (engine/reload/overlay.h): its script, and the WebSocket that tells
-- pages of failed reloads, failing hooks and changed files. In watch mode every generation that
-- serves a folder has them.

local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local route = require "moonwire.app.route"

local ffi = require "ffi"

local C, worker = native.C, native.worker

local M = require("moonwire.base.lazy").module(...)

local headers = {
    ["content-type"] = "text/javascript; charset=utf-8",
    ["cache-control"] = "no-cache",
    ["x-content-type-options"] = "nosniff",
}

local function send_script()
    return 200, require "moonwire.app.overlay.js", headers
end

-- Whatever the app's own limits are.
local limits = { subscriptions = 1, queued_bytes = 2 ^ 20, message_bytes = 1024 }

-- Adds their records to the routes of a generation, whose plan is declared to the site already: a
-- route that the app has at the very same path wins, and then there is no overlay.
function M.declare(routes, site)
    local path = ffi.string(C.mw_overlay_path(1))
    local script = C.mw_site_route(site, path, #path, C.HTTP_GET)
    if script < 0 then
        log.warn(string.format("there is no dev overlay: the app has a route %s itself", path))
        return
    end
    routes[script] = route.http("get", path, send_script)
    path = ffi.string(C.mw_overlay_path(0))
    local socket = C.mw_site_route(site, path, #path, C.HTTP_WEBSOCKET)
    if socket < 0 then
        log.warn(string.format("there is no dev overlay: the app has a route %s itself", path))
        return
    end
    routes[socket] = route.websocket(path, {
        on_open = function(ws)
            C.mw_overlay_join(worker, ws.id)
        end,
    })
    for name, value in pairs(limits) do
        C.mw_site_limit(site, socket, name, value)
    end
    C.mw_site_overlay(site)
end

return M
