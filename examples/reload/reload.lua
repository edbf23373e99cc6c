-- Change it while they are connected: moonwire examples/reload/reload.lua --watch, connect to
-- ws://localhost:8080, say something, and edit this file.
local mw = require "moonwire"

local greeting = "hello" -- change me

-- What survives a change: a table by name, and each connection's state.
local total = mw.keep("total", function() return { messages = 0 } end)

local talk = mw.ws "/"

function talk.on_open(ws)
    ws.state = { messages = 0 }
    ws:subscribe "news"
end

function talk.on_message(ws, data)
    ws.state.messages = ws.state.messages + 1
    total.messages = total.messages + 1
    ws:send(("%s: %s (your %d. message, %d in all)"):format(greeting, data, ws.state.messages,
        total.messages))
end

-- Before the first event that new code handles for a connection.
function talk.on_reload(ws, from, to)
    ws:send(("this is generation %d, you were in %d"):format(to, from))
end

-- By its name: it goes on in its rhythm, and always calls the newest.
function tick() -- luacheck: globals tick
    mw.publish("news", ("%d messages so far"):format(total.messages))
end
mw.every("10s", "tick")

mw.listen { port = tonumber(arg[1] or 8080) }
