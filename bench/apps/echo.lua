-- Sends every message back. Also the app of the idle rows: a connection that keeps nothing.
local mw = require "moonwire"

local route = mw.ws "/"

function route.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end
