-- A connection that keeps a small table, as most applications do.
local mw = require "moonwire"

local route = mw.ws "/"
local count = 0

function route.on_upgrade()
    count = count + 1
    return { user = count }
end

function route.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end
