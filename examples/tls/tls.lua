-- wss:// with certificates of your own; make-certificates makes two to try it with.
--
--   sh examples/tls/make-certificates
--   moonwire examples/tls/tls.lua
--   curl -L --cacert examples/tls/localhost.pem http://localhost:8080/
local mw = require "moonwire"

local http, https = tonumber(arg[1] or 8080), tonumber(arg[2] or 8443)

mw.listen { port = http }
-- Which one a client gets is chosen by the name that it asks for (SNI); others get the first.
mw.listen {
    port = https,
    tls = {
        { cert = "localhost.pem", key = "localhost.key" },
        { cert = "chat.localhost.pem", key = "chat.localhost.key" },
    },
}

local echo = mw.ws "/echo"

-- A browser does not follow redirects of WebSockets: refuse those that came in the clear.
function echo.on_upgrade(req)
    if not req.secure then
        return req:reject(403, "use wss://\n")
    end
end

function echo.on_message(ws, data, is_binary)
    ws:send(data, is_binary)
end

-- Routes are those of all listeners: a handler asks how its request came.
mw.get("/*path", function(req)
    local host = req.headers.host:gsub(":%d+$", "")
    if not req.secure then
        return 308, nil, { Location = ("https://%s:%d%s"):format(host, https, req.target) }
    end
    return ("hello %s, over TLS\n"):format(host)
end)
