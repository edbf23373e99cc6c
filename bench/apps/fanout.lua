-- Every connection subscribes to one topic; what one sends, all receive.
local mw = require "moonwire"

local route = mw.ws "/"

function route.on_open(ws)
    ws:subscribe("t")
end

function route.on_message(_, data, is_binary)
    mw.publish("t", data, is_binary)
end
