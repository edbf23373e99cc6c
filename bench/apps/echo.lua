-- Sends every message back, a binary one without a copy: it arrives as a view of where it was read.
-- Also the app of the idle rows: a connection that keeps nothing.
local mw = require "moonwire"

local route = mw.ws("/", { binaryType = "buffer" })

function route.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end
