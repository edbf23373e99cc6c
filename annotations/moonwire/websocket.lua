---@meta moonwire.websocket

---@class moonwire.WebSocketOptions: moonwire.NoOtherOptions
---More headers of the request (Origin, Cookie, Authorization).
---@field headers? moonwire.Headers
---For name, its turn, TCP and TLS. Default: 10.
---@field connect_timeout? moonwire.Duration
---From the request to the answer. Default: 10.
---@field handshake_timeout? moonwire.Duration
---Does not wait for its turn: else connections to one address and port are opened one after the other.
---@field concurrent? boolean
---Offers permessage-deflate.
---@field compress? boolean
---As the limit; so are the next ones. Default: the app's.
---@field message_bytes? moonwire.Size
---@field queued_bytes? moonwire.Size
---@field idle_seconds? moonwire.Duration
---@field pong_seconds? moonwire.Duration
---@field close_seconds? moonwire.Duration
---PEM file of the authorities to trust, in place of the system's.
---@field ca_file? string
---PEM file of a client certificate.
---@field cert? string
---PEM file of its key.
---@field key? string
---The certificate is not verified. Said in the log each time.
---@field insecure? boolean

---The browser's WebSocket.
---@class moonwire.WebSocketClass
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@overload fun(url: string, protocols?: string|string[], options?: moonwire.WebSocketOptions): moonwire.Connection
local WebSocket = {}

---Opens a connection.
---@param url string ws, wss, http or https
---@param protocols? string|string[]
---@param options? moonwire.WebSocketOptions
---@return moonwire.Connection
function WebSocket.new(url, protocols, options) end

return WebSocket
