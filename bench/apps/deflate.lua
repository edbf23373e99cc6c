-- The echo with permessage-deflate.
local mw = require "moonwire"

mw.ws("/", {
    compress = true,
    on_message = function(ws, data, is_binary)
        ws:send(data, is_binary)
    end,
})
