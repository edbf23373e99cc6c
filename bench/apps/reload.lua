-- Answers with its version, which the load generator edits. State and subscriptions as a chat has
-- them: what a commit has to look at.
local mw = require "moonwire"
local version = 0

local route = mw.ws "/"

function route.on_open(ws)
    ws.state = { name = "user " .. ws.id, rooms = { "all" }, said = 0 }
    ws:subscribe "all"
end

function route.on_message(ws, data)
    ws.state.said = ws.state.said + 1
    ws:send(version .. " " .. data)
end

mw.every("1s", "tick")

function tick() -- luacheck: ignore 111
    return version
end
