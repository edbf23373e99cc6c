-- A port of 127.0.0.1 on which nobody listens, for servers that must be told theirs.

local socket = require "socket"

return function()
    local s = assert(socket.bind("127.0.0.1", 0))
    local _, port = s:getsockname()
    s:close()
    return tonumber(port)
end
