-- Sends every message back: moonwire examples/echo/echo.lua, then connect to ws://localhost:8080
local mw = require "moonwire"

local echo = mw.ws "/"

function echo.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end

mw.listen { port = tonumber(arg[1] or 8080) }
