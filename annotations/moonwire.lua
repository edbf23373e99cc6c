---@meta moonwire

-- The API for editors (LuaCATS, read by lua-language-server). docs/api.md tells the rest, and
-- docs/editor.md how an editor finds this file.

---Seconds, or "250ms", "5s", "1.5m", "2h", "1d".
---@alias moonwire.Duration number|string

---Bytes, or "64k", "16M".
---@alias moonwire.Size integer|string

---Header fields to send; a list is a field for each of its values.
---@alias moonwire.Headers table<string, string|number|(string|number)[]>

---What is sent: text, or bytes of the FFI (which are userdata to the language server).
---@alias moonwire.Data string|userdata

---@alias moonwire.BinaryType
---| "string" # binary messages are Lua strings
---| "buffer" # they are views: not copied, valid in that hook only

---@alias moonwire.EventType
---| "open"
---| "message"
---| "close"
---| "error"
---| "drain" # the system took all output, after send had said "queued"

---Texts by name, any of which may be missing.
---@alias moonwire.Texts table<string, string?>

---The parts of a path that its route names: all are there.
---@alias moonwire.Params table<string, string>

-- A table of options takes those of its class and no others: what is misspelt is an error, since
-- nothing can be a NoSuchOption.
---@enum moonwire.NoSuchOption
local _ = { "there is no such option" }

---@class moonwire.NoOtherOptions
---@field [string] moonwire.NoSuchOption

-- ---- connections --------------------------------------------------------------------------------

---A binary message that is not copied (binaryType "buffer"), valid in its hook only. #view is its
---length, tostring(view) a string of all of it.
---@class moonwire.View: userdata
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
---@field target moonwire.Connection|moonwire.ws the connection

---@class moonwire.MessageEvent: moonwire.Event
---@field data string with binaryType "buffer" binary is a view: event.data --[[@as moonwire.View]]
---@field is_binary boolean
---@field origin string what the Origin header of the peer said, or ""; of a connection that the script opened: scheme, host and port of its url

---@class moonwire.CloseEvent: moonwire.Event
---@field code integer 1005: none was sent; 1006: no closing handshake
---@field reason string
---@field wasClean boolean

---@class moonwire.ErrorEvent: moonwire.Event
---@field message string
---@field code? integer

---@class moonwire.ListenerOptions: moonwire.NoOtherOptions
---@field once? boolean it is removed before its first call

---A connection, on either end, named as in the browser.
---@class moonwire.Connection
---@field id number no two open connections have the same
---@field url string
---@field protocol string the subprotocol that was agreed on; "" is none
---@field extensions string
---@field headers moonwire.Texts of the request, names in lower case; of the answer where the script connected
---@field remote_address string
---@field readyState 0|1|2|3 CONNECTING, OPEN, CLOSING, CLOSED
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field bufferedAmount number bytes sent that the system has not taken yet
---@field binaryType moonwire.BinaryType
---@field onopen? fun(event: moonwire.Event)
---@field onmessage? fun(event: moonwire.MessageEvent)
---@field onclose? fun(event: moonwire.CloseEvent)
---@field onerror? fun(event: moonwire.ErrorEvent)
---@field ondrain? fun(event: moonwire.Event)
local Connection = {}

---Sends a message: text unless is_binary; FFI data is binary unless is_binary is false.
---@param data moonwire.Data a table is for mw.json.encode
---@param is_binary? boolean
---@return boolean? ok
---@return "queued"|"closed"|string|nil problem "queued" beside true: wait for on_drain
function Connection:send(data, is_binary) end

---Begins the closing handshake. No message is delivered afterwards.
---@param code? integer 1000 or 3000 to 4999, on the server also 1001, 1003, 1007 to 1009, 1011 to 1013
---@param reason? string at most 123 bytes
---@return boolean? ok
---@return "closed"|string|nil problem
function Connection:close(code, reason) end

---Ends the connection at once.
---@return boolean? ok
---@return "closed"|string|nil problem
function Connection:terminate() end

---Sends a Ping; idle peers are pinged anyway.
---@param data? string at most 125 bytes
---@return boolean? ok
---@return "closed"|string|nil problem
function Connection:ping(data) end

---Receives what is published to the topic from now on, in every worker.
---@param topic string
---@return boolean? ok
---@return "closed"|string|nil problem
function Connection:subscribe(topic) end

---@param topic string
---@return boolean? was_subscribed
---@return "closed"|string|nil problem
function Connection:unsubscribe(topic) end

---Sends to all subscribers of the topic but this one, in every worker.
---@param topic string
---@param data moonwire.Data a table is for mw.json.encode
---@param is_binary? boolean
---@return boolean? ok
---@return string? problem
function Connection:publish(topic, data, is_binary) end

---Waits for the next message.
---@param timeout? moonwire.Duration
---@return string? data nil: see the second value
---@return any is_binary a boolean; beside nil "timeout" or "closed"
---@return integer? code "closed"
---@return string? reason "closed"
function Connection:receive(timeout) end

---Waits until the connection is open.
---@return boolean? ok
---@return (string|integer)? problem why it could not be opened; or the code that closed it already
---@return string? reason that came with the code
function Connection:opened() end

---Calls listener after the hook, and after those that were added before; the same function once.
---@param type "open"|"drain"
---@param listener fun(event: moonwire.Event)
---@param options? moonwire.ListenerOptions
---@overload fun(self, type: "message", listener: fun(event: moonwire.MessageEvent), options?: moonwire.ListenerOptions)
---@overload fun(self, type: "close", listener: fun(event: moonwire.CloseEvent), options?: moonwire.ListenerOptions)
---@overload fun(self, type: "error", listener: fun(event: moonwire.ErrorEvent), options?: moonwire.ListenerOptions)
function Connection:addEventListener(type, listener, options) end

---@param type moonwire.EventType
---@param listener function
function Connection:removeEventListener(type, listener) end

---@class moonwire.ServerConnection: moonwire.Connection
---@field state any what on_upgrade returned; it survives a reload
---@field params moonwire.Params what ":name" and "*name" of its route stand for
---@field query moonwire.Texts

---A connection on the server. A script may add to this class: fields of its own, and what ws.state
---holds there.
---@class moonwire.ws: moonwire.ServerConnection

-- ---- requests -----------------------------------------------------------------------------------

---@class moonwire.Request
---@field method string
---@field target string as sent
---@field path string decoded, without the query
---@field query moonwire.Texts
---@field params moonwire.Params what ":name" and "*name" of its route stand for
---@field headers moonwire.Texts names in lower case
---@field cookies moonwire.Texts
---@field body string "" when there is none
---@field remote_address string "127.0.0.1", "::1", "unix"
---@field secure boolean it came over TLS
local Request = {}

---The body, decoded.
---@return any value
---@return string? problem
function Request:json() end

---Adds a header to whatever the answer will be; may be repeated.
---@param name string
---@param value string|number
function Request:set_header(name, value) end

---A request for a WebSocket, in on_upgrade.
---@class moonwire.UpgradeRequest: moonwire.Request
---@field protocols string[] the subprotocols that the client offers
---@field protocol? string set it to one of them to choose it, instead of the route's own choice
local UpgradeRequest = {}

---Refuses the upgrade.
---@param status integer 300 to 599
---@param text? string
---@param headers? moonwire.Headers
function UpgradeRequest:reject(status, text, headers) end

-- ---- limits and options -------------------------------------------------------------------------

---Limits that a route may set too.
---@class moonwire.RouteLimits: moonwire.NoOtherOptions
---A message, its fragments together: over it 1009. Default: 1 MiB.
---@field message_bytes? moonwire.Size
---A compressed message while it is inflated: over it 1009. Default: 0, as message_bytes.
---@field inflated_bytes? moonwire.Size
---What a slow peer has not taken: over it 1008. Default: 16 MiB.
---@field queued_bytes? moonwire.Size
---Messages, pings and fragments that hold nothing: over it 1008. Default: 0, none.
---@field messages_per_second? integer
---Topics of one connection. Default: 1,024.
---@field subscriptions? integer
---Events behind a hook that waits, before the socket is not read any more. Default: 64.
---@field waiting_messages? integer
---Of the messages among them. Default: 1 MiB.
---@field waiting_bytes? moonwire.Size
---What a hook may run without waiting; then it is stopped; 0: never. Default: 1,000.
---@field hook_ms? integer|string
---Silence before a ping is sent; 0: never. Default: 30.
---@field idle_seconds? moonwire.Duration
---Silence after that ping before the peer is given up. Default: 20.
---@field pong_seconds? moonwire.Duration
---From a message's first byte to its last: over it 1008; 0: no limit. Default: 60.
---@field message_seconds? moonwire.Duration
---For the peer to answer a Close. Default: 5.
---@field close_seconds? moonwire.Duration

---All limits: those of the app.
---@class moonwire.Limits: moonwire.RouteLimits
---A request's target: over it 414. Default: 8 KiB.
---@field target_bytes? moonwire.Size
---Request line and headers: over it 431. Default: 16 KiB.
---@field head_bytes? moonwire.Size
---Headers of a request, at most 256: over it 431. Default: 100.
---@field header_count? integer
---A request's body: over it 413. Default: 1 MiB.
---@field body_bytes? moonwire.Size
---From accept to a whole request head, TLS included. Default: 10.
---@field handshake_seconds? moonwire.Duration
---For a whole body, and for a response to be taken. Default: 30.
---@field request_seconds? moonwire.Duration
---Between two requests. Default: 60.
---@field keep_alive_seconds? moonwire.Duration
---Closes are spread over it when the server ends. Default: 5.
---@field drain_seconds? moonwire.Duration
---For the top level of an app that is loaded again. Default: 5.
---@field reload_seconds? moonwire.Duration
---What a worker may be stuck in what cannot be stopped; then the process ends; 0: never. Default: 30.
---@field stuck_seconds? moonwire.Duration
---What the Lua of a worker may hold. Default: 0, its share of a quarter of the machine's memory.
---@field lua_bytes? moonwire.Size
---New code is watched so long, at most 600; 0: never. Default: 10.
---@field probation_seconds? moonwire.Duration
---Failures of new code in that time before the code before it comes back. Default: 5.
---@field probation_failures? integer
---Of the process. Default: 100,000.
---@field connections? integer
---Default: 0, none.
---@field connections_per_address? integer
---Connections of WebSocket.new that wait for their turn at an address. Default: 16,384.
---@field waiting_connects? integer
---The name of a topic. Default: 1,024.
---@field topic_bytes? moonwire.Size
---Topics that have subscribers, in each worker. Default: 200,000.
---@field topics? integer
---Published to one worker, which has not read it: the rest is dropped. Default: 64 MiB.
---@field mailbox_bytes? moonwire.Size
---The longest line of the log, at least 1,024. Default: 16,384.
---@field log_line_bytes? moonwire.Size
---Folders of mw.static that watch mode looks at. Default: 2,000.
---@field watched_folders? integer
---What all connections hold: over it the largest are closed with 1013. Half of the machine's or
---its container's memory where it is 0. Default: 0.
---@field memory_bytes? moonwire.Size

---permessage-deflate.
---@class moonwire.Compress: moonwire.NoOtherOptions
---@field level? integer 1 (fast, the default) to 9 (small)
---@field memory_level? integer memory of the compressor, 1 to 9 (5)
---@field min_bytes? moonwire.Size shorter messages go as they are (64)
---@field memory_bytes? moonwire.Size budget of one connection for what is kept between messages (0: none)
---@field server_max_window_bits? integer how far back what we send may refer, 9 to 15 (12)
---@field client_max_window_bits? integer the same for what clients send, 9 to 15 (12)
---@field server_no_context_takeover? boolean every message we send stands alone
---@field client_no_context_takeover? boolean clients are asked to do the same

-- ---- routes -------------------------------------------------------------------------------------

---@class moonwire.RouteFields
---@field on_upgrade? fun(req: moonwire.UpgradeRequest): table|string|boolean|nil a table, a string or true becomes ws.state; false, or req:reject(…), refuses
---@field on_open? fun(ws: moonwire.ws) the WebSocket is open
---@field on_message? fun(ws: moonwire.ws, data: string, is_binary: boolean) with binaryType "buffer" binary is a view: local view = data --[[@as moonwire.View]]
---@field on_drain? fun(ws: moonwire.ws) the system took all output, after ws:send said "queued"
---@field on_error? fun(ws: moonwire.ws, err: any) the peer broke the protocol or a limit (a text), or a hook raised err
---@field on_close? fun(ws: moonwire.ws, code: integer, reason: string, was_clean: boolean) the last event; 1005: no code was sent, 1006: no closing handshake
---@field on_reload? fun(ws: moonwire.ws, from: integer, to: integer) the app was loaded again; before this connection's next event
---Subprotocols that the route speaks, the preferred first.
---@field protocols? string|string[]
---Allowed Origins, "*" for all. Default: the request's own host.
---@field origins? string|string[]
---@field reload? moonwire.ReloadType
---@field compress? boolean|moonwire.Compress
---@field limits? moonwire.RouteLimits
---@field binaryType? moonwire.BinaryType

---@alias moonwire.ReloadType
---| "lazy" # on_reload comes before a connection's next event
---| "eager" # it comes at once

---Hooks and options of a WebSocket route.
---@class moonwire.RouteOptions: moonwire.RouteFields, moonwire.NoOtherOptions

---Hooks and options may be assigned, as in route.on_open = function(ws) … end.
---@class moonwire.Route: moonwire.RouteFields
---@field path string

---@alias moonwire.Body string|table|nil a table is JSON

---Returns body, or status, body, headers; nothing is 204.
---@alias moonwire.Handler fun(req: moonwire.Request): moonwire.Body|integer, moonwire.Body, moonwire.Headers?

---PEM files, relative to the app's folder.
---@class moonwire.Certificate: moonwire.NoOtherOptions
---@field cert string
---@field key? string

---@class moonwire.StaticOptions: moonwire.NoOtherOptions
---@field types? table<string, string> media types by the endings of files' names

---@class moonwire.ListenOptions: moonwire.NoOtherOptions
---@field port? integer 0 is one that is free; needed but for a local socket
---@field host? string default: loopback; "*": every address; "unix:/path": a local socket
---@field tls? true|moonwire.Certificate|moonwire.Certificate[] a list is chosen from by SNI; true: a certificate for development
---@field proxy? true|string|string[] who may connect, with a PROXY header first: "10.0.0.0/8", "unix:"; true: proxies on this machine

-- ---- the rest -----------------------------------------------------------------------------------

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

---JSON (RFC 8259).
---@class moonwire.Json
---@field null lightuserdata what null becomes
---@field array_mt table the metatable of lists
local json = {}

---Raises for what JSON does not have.
---@param value any
---@return string
function json.encode(value) end

---@param text string
---@return any value
---@return string? problem
function json.decode(text) end

---Marks a table as a list, so that it is encoded as one when it is empty.
---@generic T: table
---@param list? T
---@return T
function json.array(list) end

---A number that only grows, each since the start and over all workers.
---@class moonwire.Counters
---@field accepted integer connections taken
---@field opened integer WebSockets opened
---@field closed integer WebSockets closed
---@field requests integer HTTP requests answered, handshakes not among them
---@field messages_in integer messages from clients
---@field messages_out integer messages to clients
---@field forwarded integer published messages passed on to another worker that has subscribers, once for each
---@field refused_requests integer requests that the server itself answered with 4xx or 5xx
---@field refused_handshakes integer handshakes that were refused, by the server or by on_upgrade
---@field refused_connections integer connections over connections, connections_per_address or memory_bytes, or not from a proxy that may
---@field protocol_errors integer connections closed with 1002 or 1007
---@field too_big integer connections closed with 1009
---@field queue_overflows integer connections closed since their client read too slowly
---@field rate_overflows integer connections closed by messages_per_second
---@field refused_subscriptions integer subscriptions over subscriptions, topics or topic_bytes
---@field message_timeouts integer connections closed because a message took longer than message_seconds
---@field handshake_timeouts integer connections closed before a whole request came
---@field dead_peers integer connections given up after an unanswered ping
---@field close_timeouts integer connections whose client did not answer a Close
---@field dropped_pongs integer answers to pings that a newer one replaced before they could be sent
---@field memory_overflows integer connections closed because all held more than memory_bytes
---@field mailbox_overflows integer published messages that a worker's mailbox had no room for
---@field dropped_bytes integer output thrown away with its connection
---@field tls_failures integer TLS handshakes that failed, and sessions that broke
---@field tls_resumed integer TLS handshakes, of clients and to servers, that resumed an earlier session
---@field hook_failures integer hooks, handlers, timers and listeners that raised
---@field stuck_workers integer how often a worker was busy with one hook for a second
---@field reloads integer generations of the app that took over from one before
---@field reload_failures integer reloads and rollbacks that failed: what served serves on
---@field rollbacks integer generations that were taken back, by hand or by themselves
---@field certificate_failures integer certificates and keys that a reload could not take: the old pair is kept
---@field dropped_log_lines integer lines of the log that nobody read in time

---For how long a reload has held up this worker's events.
---@class moonwire.Pauses
---@field longest_ms number the longest pause
---@field longest_in "prepare"|"commit"|"on_reload"|"close"|"search"|"collect" what was done in it
---@field longest_cpu_ms number the most that the processor worked for this worker in one
---@field commit_ms number the switch itself
---@field commit_cpu_ms number

---One that was loaded, and still serves or is held.
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
---@field pauses? moonwire.Pauses of the reload that brought it; nil for the first one

---@class moonwire
---@field worker { index: integer, count: integer } this one, from 1, and how many there are
---@field log moonwire.Log
---@field json moonwire.Json
local mw = {}

---A WebSocket route: "/chat/:room", "/files/*rest".
---@param path string
---@param options? moonwire.RouteOptions
---@return moonwire.Route
function mw.ws(path, options) end

---Answers GET, and HEAD. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.get(path, handler) end

---Answers POST. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.post(path, handler) end

---Answers PUT. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.put(path, handler) end

---Answers DELETE. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.delete(path, handler) end

---Answers PATCH. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.patch(path, handler) end

---Answers OPTIONS. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.options(path, handler) end

---Answers every method. The handler returns body, or status, body, headers.
---@param path string "/hello/:name", "/files/*rest"
---@param handler moonwire.Handler
function mw.any(path, handler) end

---Serves the files of a folder.
---@param prefix string
---@param folder string
---@param options? moonwire.StaticOptions
function mw.static(prefix, folder, options) end

---Listens on an address.
---@param options moonwire.ListenOptions
function mw.listen(options) end

---The hosts that the app answers for; others get 421.
---@param hosts string|string[] { "example.com", "*.example.com" }
function mw.hosts(hosts) end

---Sets limits of the app.
---@param values moonwire.Limits
function mw.limits(values) end

---Sends to all subscribers in all workers.
---@param topic string
---@param data moonwire.Data a table is for mw.json.encode
---@param is_binary? boolean
---@return boolean? ok
---@return string? problem
function mw.publish(topic, data, is_binary) end

---How many connections of this worker are subscribed to the topic.
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

---Starts a task. One of the top level is cancelled when a reload replaces its code, unless it is
---spawned within mw.keep.
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

---What the server has counted, by name.
---@return moonwire.Counters
function mw.counters() end

---Loads the app again, in all workers, soon.
function mw.reload() end

---Goes back to the generation before, in all workers, soon.
function mw.rollback() end

---A value that outlives reloads.
---@generic T
---@param name string
---@param make fun(): T makes it the first time; without it, it is an empty table
---@return T
---@overload fun(name: string): table
function mw.keep(name, make) end

---The generations of the app in this worker, the newest first.
---@return moonwire.Generation[]
function mw.versions() end

---Ends the server as SIGTERM does.
function mw.stop() end

return mw
