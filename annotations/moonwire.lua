---@meta moonwire

-- The API for editors (LuaCATS, read by lua-language-server). docs/api.md tells the rest.
-- Add the folder that holds this file to "Lua.workspace.library", or to .luarc.json:
--   { "runtime.version": "LuaJIT", "workspace.library": ["/usr/local/share/moonwire/annotations"] }

---Seconds, or "250ms", "5s", "1.5m", "2h", "1d".
---@alias moonwire.Duration number|string

---Bytes, or "64k", "16M".
---@alias moonwire.Size integer|string

---@alias moonwire.Headers table<string, string|number|(string|number)[]>

---What is sent: text, or bytes of the FFI.
---@alias moonwire.Data string|ffi.cdata*|moonwire.View

---@alias moonwire.EventType "open"|"message"|"close"|"error"|"drain"

---A binary message that is not copied (binaryType "buffer"), valid in its hook only.
---@class moonwire.View
---@field data ffi.cdata* const uint8_t *
---@field [integer] integer a byte, counted from 0
---@operator len: integer
local View = {}

---Bytes first..last, counted from 0, as a string.
---@param first? integer
---@param last? integer
---@return string
function View:string(first, last) end

---@class moonwire.Event
---@field type moonwire.EventType
---@field target moonwire.Connection

---@class moonwire.MessageEvent: moonwire.Event
---@field data string with binaryType "buffer": ---@cast data moonwire.View
---@field is_binary boolean
---@field origin string

---@class moonwire.CloseEvent: moonwire.Event
---@field code integer
---@field reason string
---@field wasClean boolean

---@class moonwire.ErrorEvent: moonwire.Event
---@field message string
---@field code? integer

---A connection, on either end.
---@class moonwire.Connection
---@field id number
---@field url string
---@field protocol string
---@field extensions string
---@field headers table<string, string> of the request; of the answer where the script connected
---@field remote_address string
---@field readyState 0|1|2|3
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field bufferedAmount number bytes sent that the system has not taken yet
---@field binaryType "string"|"buffer"
---@field onopen? fun(event: moonwire.Event)
---@field onmessage? fun(event: moonwire.MessageEvent)
---@field onclose? fun(event: moonwire.CloseEvent)
---@field onerror? fun(event: moonwire.ErrorEvent)
---@field ondrain? fun(event: moonwire.Event)
---@field [any] any fields of your own
local Connection = {}

---Sends a message: text unless is_binary; FFI data is binary unless is_binary is false.
---@param data moonwire.Data
---@param is_binary? boolean
---@return true? ok
---@return string? problem "queued" beside true: wait for on_drain; "closed" beside nil
function Connection:send(data, is_binary) end

---Begins the closing handshake.
---@param code? integer 1000 or 3000 to 4999, on the server also 1001, 1003, 1007 to 1009, 1011 to 1013
---@param reason? string at most 123 bytes
---@return true? ok
---@return string? problem
function Connection:close(code, reason) end

---Ends the connection at once.
---@return true? ok
---@return string? problem
function Connection:terminate() end

---@param data? string at most 125 bytes
---@return true? ok
---@return string? problem
function Connection:ping(data) end

---@param topic string
---@return true? ok
---@return string? problem
function Connection:subscribe(topic) end

---@param topic string
---@return boolean? was_subscribed
---@return string? problem
function Connection:unsubscribe(topic) end

---Sends to all subscribers of the topic but this one.
---@param topic string
---@param data moonwire.Data
---@param is_binary? boolean
---@return true? ok
---@return string? problem
function Connection:publish(topic, data, is_binary) end

---Waits for the next message.
---@param timeout? moonwire.Duration
---@return string? data nil: see the second value
---@return boolean|"timeout"|"closed" is_binary
---@return integer? code "closed"
---@return string? reason "closed"
function Connection:receive(timeout) end

---Waits until the connection is open.
---@return true? ok
---@return string? problem
function Connection:opened() end

---@param type moonwire.EventType
---@param listener fun(event: moonwire.Event)
---@param options? { once?: boolean }
---@overload fun(self, type: "message", listener: fun(event: moonwire.MessageEvent), options?: { once?: boolean })
---@overload fun(self, type: "close", listener: fun(event: moonwire.CloseEvent), options?: { once?: boolean })
---@overload fun(self, type: "error", listener: fun(event: moonwire.ErrorEvent), options?: { once?: boolean })
function Connection:addEventListener(type, listener, options) end

---@param type moonwire.EventType
---@param listener function
function Connection:removeEventListener(type, listener) end

---A connection on the server.
---@class moonwire.ws: moonwire.Connection
---@field state any what on_upgrade returned
---@field params table<string, string>
---@field query table<string, string>

---@class moonwire.Request
---@field method string
---@field target string
---@field path string
---@field query table<string, string>
---@field params table<string, string>
---@field headers table<string, string>
---@field cookies table<string, string>
---@field body string
---@field remote_address string
---@field secure boolean
---@field protocols string[]
---@field protocol? string on_upgrade: the subprotocol to choose
local Request = {}

---The body, decoded.
---@return any value
---@return string? problem
function Request:json() end

---Adds a header to the answer.
---@param name string
---@param value string|number
function Request:set_header(name, value) end

---Refuses an upgrade.
---@param status integer 300 to 599
---@param text? string
---@param headers? moonwire.Headers
function Request:reject(status, text, headers) end

---@class moonwire.Limits
---@field target_bytes? moonwire.Size
---@field head_bytes? moonwire.Size
---@field header_count? integer
---@field body_bytes? moonwire.Size
---@field message_bytes? moonwire.Size
---@field inflated_bytes? moonwire.Size
---@field queued_bytes? moonwire.Size
---@field messages_per_second? integer
---@field subscriptions? integer
---@field waiting_messages? integer
---@field handshake_seconds? moonwire.Duration
---@field request_seconds? moonwire.Duration
---@field keep_alive_seconds? moonwire.Duration
---@field idle_seconds? moonwire.Duration
---@field pong_seconds? moonwire.Duration
---@field close_seconds? moonwire.Duration
---@field drain_seconds? moonwire.Duration
---@field reload_seconds? moonwire.Duration
---@field probation_seconds? moonwire.Duration
---@field probation_failures? integer
---@field connections? integer
---@field connections_per_address? integer
---@field watched_folders? integer

---@class moonwire.Generation
---@field number integer
---@field since integer as os.time
---@field serving boolean
---@field earlier boolean mw.rollback brings it back
---@field code_of? integer it has come back: the number that it was loaded as
---@field rolled_back? string it was taken back: why
---@field files { path: string, sha1: string }[]
---@field connections integer whose last event it handled
---@field unmoved? integer of the one that serves: the other connections
---@field waiting integer its hooks that wait
---@field held { key: string, route: string, count: integer }[] functions of it that connections hold

---@class moonwire.Compress
---@field level? integer 1 to 9
---@field memory_level? integer 1 to 9
---@field min_bytes? moonwire.Size
---@field memory_bytes? moonwire.Size
---@field server_max_window_bits? integer 9 to 15
---@field client_max_window_bits? integer 9 to 15
---@field server_no_context_takeover? boolean
---@field client_no_context_takeover? boolean

---@class moonwire.RouteOptions
---@field on_upgrade? fun(req: moonwire.Request): any
---@field on_open? fun(ws: moonwire.ws)
---With binaryType "buffer", binary data is a view: ---@cast data moonwire.View
---@field on_message? fun(ws: moonwire.ws, data: string, is_binary: boolean)
---@field on_drain? fun(ws: moonwire.ws)
---@field on_error? fun(ws: moonwire.ws, err: any)
---@field on_close? fun(ws: moonwire.ws, code: integer, reason: string, was_clean: boolean)
---@field on_reload? fun(ws: moonwire.ws, from: integer, to: integer)
---@field protocols? string|string[]
---@field origins? string|string[]
---@field reload? "lazy"|"eager"
---@field compress? boolean|moonwire.Compress
---@field limits? moonwire.Limits
---@field binaryType? "string"|"buffer"

---Hooks and options may be assigned, as in route.on_open = function(ws) … end.
---@class moonwire.Route: moonwire.RouteOptions
---@field path string

---@class moonwire.Timer
local Timer = {}

---@return boolean was_running
function Timer:stop() end

---@class moonwire.Task
---@field done boolean
local Task = {}

---Waits until the task is done, and returns what its function returned, or raises what it raised.
---@return any ...
function Task:join() end

---@return boolean was_running
function Task:cancel() end

---@class moonwire.Log
local log = {}

---@param text any
---@param fields? table<string, any>
function log.debug(text, fields) end

---@param text any
---@param fields? table<string, any>
function log.info(text, fields) end

---@param text any
---@param fields? table<string, any>
function log.warn(text, fields) end

---@param text any
---@param fields? table<string, any>
function log.error(text, fields) end

---@class moonwire.Json
local json = {}

---@param value any
---@return string
function json.encode(value) end

---@param text string
---@return any
function json.decode(text) end

---@class moonwire
---@field worker { index: integer, count: integer }
---@field log moonwire.Log
---@field json moonwire.Json
local mw = {}

---A WebSocket route: "/chat/:room", "/files/*rest".
---@param path string
---@param options? moonwire.RouteOptions
---@return moonwire.Route
function mw.ws(path, options) end

---@alias moonwire.Handler fun(req: moonwire.Request): any, any, moonwire.Headers?

---@param path string
---@param handler moonwire.Handler
function mw.get(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.post(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.put(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.delete(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.patch(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.options(path, handler) end

---@param path string
---@param handler moonwire.Handler
function mw.any(path, handler) end

---Serves the files of a folder.
---@param prefix string
---@param folder string
function mw.static(prefix, folder) end

---@class moonwire.Certificate
---@field cert string
---@field key? string

---@param options { port?: integer, host?: string, tls?: true|moonwire.Certificate|moonwire.Certificate[] }
function mw.listen(options) end

---@param values moonwire.Limits
function mw.limits(values) end

---Sends to all subscribers in all workers.
---@param topic string
---@param data moonwire.Data
---@param is_binary? boolean
---@return true? ok
---@return string? problem
function mw.publish(topic, data, is_binary) end

---@param topic string
---@return integer
function mw.subscribers(topic) end

---Calls fn once.
---@param duration moonwire.Duration
---@param fn fun()|string a function, or the name of a global one or of a module's
---@return moonwire.Timer
function mw.after(duration, fn) end

---Calls fn again and again.
---@param duration moonwire.Duration
---@param fn fun()|string a function, or the name of a global one or of a module's
---@return moonwire.Timer
function mw.every(duration, fn) end

---Waits.
---@param duration moonwire.Duration
function mw.sleep(duration) end

---Starts a task.
---@param fn fun(...): any
---@param ... any its arguments
---@return moonwire.Task
function mw.spawn(fn, ...) end

---Waits for anything that calls back.
---@param fn fun(resume: fun(...: any): boolean): function?
---@return any ... what resume was given
function mw.await(fn) end

---Waits for all: the first result of each, in order.
---@param list (moonwire.Task|fun(): any)[]
---@return { n: integer, [integer]: any }
function mw.all(list) end

---Waits for the first; the others are cancelled.
---@param list (moonwire.Task|fun(): any)[]
---@return any ...
function mw.race(list) end

---Bounds a function or a task; nil, "timeout" when it is over.
---@param duration moonwire.Duration
---@param fn moonwire.Task|fun(...): any
---@param ... any its arguments
---@return any ...
function mw.timeout(duration, fn, ...) end

---@return table<string, integer>
function mw.counters() end

---Loads the app again, in all workers, soon.
function mw.reload() end

---Goes back to the generation before, in all workers, soon.
function mw.rollback() end

---A value that outlives reloads.
---@generic T
---@param name string
---@param make? fun(): T
---@return T
function mw.keep(name, make) end

---The generations of the app in this worker, the newest first.
---@return moonwire.Generation[]
function mw.versions() end

---Ends the server as SIGTERM does.
function mw.stop() end

return mw
