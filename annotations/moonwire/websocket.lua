---@meta moonwire.websocket

---@class moonwire.WebSocketOptions
---@field headers? moonwire.Headers
---@field connect_timeout? moonwire.Duration
---@field handshake_timeout? moonwire.Duration
---@field compress? boolean
---@field message_bytes? moonwire.Size
---@field queued_bytes? moonwire.Size
---@field idle_seconds? moonwire.Duration
---@field pong_seconds? moonwire.Duration
---@field close_seconds? moonwire.Duration
---@field ca_file? string
---@field cert? string
---@field key? string
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
