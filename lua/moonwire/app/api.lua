-- What an app gets from require "moonwire". Everything is documented for users in docs/api.md.

local failure = require "moonwire.base.failure"
local generations = require "moonwire.reload.generation"
local lazy = require "moonwire.base.lazy"
local log = require "moonwire.base.log"
local native = require "moonwire.base.native"
local route = require "moonwire.app.route"
local wait = require "moonwire.waiting.wait"

local arguments = lazy.use "moonwire.base.arguments"
local concurrent = lazy.use "moonwire.waiting.concurrent"
local json = lazy.use "moonwire.base.json"
local messages = lazy.use "moonwire.connection.messages"
local optional = lazy.use "moonwire.app.options"
local numbers = lazy.use "moonwire.app.numbers"
local suggest = lazy.use "moonwire.base.suggest"
local timer = lazy.use "moonwire.waiting.timer"
local versions = lazy.use "moonwire.reload.versions"

local ffi = require "ffi"

local C, worker = native.C, native.worker

local M = {}

-- ---- routes ---------------------------------------------------------------------------------

local function add_websocket_routes(mw, generation)
    --- A WebSocket route.
    -- @param path "/chat/:room", "/files/*rest": ":name" is one segment, "*name" the rest
    -- @param options optional table of hooks (on_upgrade, on_open, on_message, on_close, on_error,
    --   on_drain) and of protocols, origins, compress, limits, binaryType
    -- @return the route; its hooks are fields, which may be set at any time
    -- @usage local chat = mw.ws "/chat/:room"
    --   function chat.on_message(ws, data) ws:send(data) end
    function mw.ws(path, options, ...)
        arguments.no_more("mw.ws(path, options)", nil, ...)
        local record, proxy = route.websocket(path, options)
        generation:add("ws", {
            kind = "route",
            title = string.format("route %q", path),
            methods = C.HTTP_WEBSOCKET,
            record = record,
        })
        return proxy
    end
end

local http_methods = {
    get = C.HTTP_GET,
    post = C.HTTP_POST,
    put = C.HTTP_PUT,
    delete = C.HTTP_DELETE,
    patch = C.HTTP_PATCH,
    options = C.HTTP_OPTIONS,
    any = C.HTTP_ANY,
}

local function add_http_routes(mw, generation)
    --- HTTP routes: mw.get, mw.post, mw.put, mw.delete, mw.patch, mw.options, mw.any.
    -- @param path as for mw.ws
    -- @param handler function(req), which returns body, or status, body, headers; a table is JSON,
    --   nothing is 204
    -- @usage mw.get("/hello/:name", function(req) return "hello " .. req.params.name end)
    for name, methods in pairs(http_methods) do
        mw[name] = function(path, handler, ...)
            arguments.no_more(string.format("mw.%s(path, handler)", name), "a handler that asks "
                .. "another function first calls it", ...)
            local record = route.http(name, path, handler)
            generation:add(name, {
                kind = "route",
                title = string.format("route %q", path),
                methods = methods,
                record = record,
            })
        end
    end
end

local function add_static(mw, generation)
    --- Serves the files of a folder.
    -- @param prefix "/" or "/assets"
    -- @param folder relative to the folder of the app's file
    -- @param options optional; types: { ending = media type } of files, beyond those that are known
    --   (docs/api.md lists them) or in their place
    -- @usage mw.static("/", "public", { types = { gcode = "text/x.gcode" } })
    function mw.static(prefix, folder, options, ...)
        arguments.no_more("mw.static(prefix, folder [, options])", nil, ...)
        if type(prefix) ~= "string" or string.sub(prefix, 1, 1) ~= "/" then
            error('mw.static: the prefix is a string that begins with /, as in mw.static("/", '
                .. '"public")', 2)
        elseif type(folder) ~= "string" then
            error(string.format("mw.static: the folder is a string, got %s", type(folder)), 2)
        end
        local types = options ~= nil and optional.types(options) or {}
        generation:add("static", {
            kind = "static",
            title = string.format("static %q", prefix),
            prefix = prefix,
            folder = generation:resolve(folder),
            types = types,
        })
    end
end

-- ---- listeners and limits -------------------------------------------------------------------

local listen_options, certificate_options = { "port", "host", "tls", "proxy" }, { "cert", "key" }

-- Raises, at the caller's caller, for a field of options that is none of these names. what: the
-- start of the message.
local function check_names(options, names, what)
    local known = {}
    for _, name in ipairs(names) do
        known[name] = true
    end
    for name in pairs(options) do
        if not known[name] then
            error(string.format("%s %s%s", what, tostring(name), suggest.text(name, names)), 4)
        end
    end
end

-- { cert =, key = } or a list of these.
local function certificates(generation, tls)
    if type(tls) ~= "table" then
        error(string.format("mw.listen: tls is { cert = …, key = … }, a list of these, or true for "
            .. "a development certificate, got %s", type(tls)), 3)
    end
    local out = {}
    for i, pair in ipairs(tls[1] and tls or { tls }) do
        if type(pair) ~= "table" or type(pair.cert) ~= "string"
            or pair.key ~= nil and type(pair.key) ~= "string" then
            error('mw.listen: tls is { cert = "cert.pem", key = "key.pem" }, names of PEM files', 3)
        end
        check_names(pair, certificate_options, "mw.listen: tls has no option")
        out[i] = {
            cert = generation:resolve(pair.cert),
            key = pair.key and generation:resolve(pair.key),
        }
    end
    return out
end

local function check_listen(options)
    if type(options) ~= "table" then
        error("mw.listen: expected a table, mw.listen { port = 8080 }", 3)
    end
    check_names(options, listen_options, "mw.listen: there is no option")
    local host, port = options.host, options.port
    if host ~= nil and type(host) ~= "string" then
        error(string.format("mw.listen: the host is a string, got %s", suggest.shown(host)), 3)
    elseif host and string.find(host, "%c") then
        error(string.format("mw.listen: the host has a control character in %s",
            suggest.shown(host)), 3)
    end
    local is_unix = host and string.find(host, "^unix:")
    if type(port) == "string" and string.find(port, "^%d+$") then
        port = tonumber(port) -- os.getenv "PORT"
    end
    if not is_unix and (type(port) ~= "number" or port % 1 ~= 0 or port < 0 or port > 65535) then
        error(string.format("mw.listen: the port is a whole number from 0 (one that is free) to "
            .. "65535, got %s", suggest.shown(port)), 3)
    end
    return is_unix and 0 or port
end

local function add_listeners(mw, generation)
    --- Listens on an address.
    -- @param options port; host: nil is loopback, "*" every address, "unix:/path" a local socket;
    --   tls: { cert =, key = } (PEM files, relative to the app's folder), a list of these chosen by
    --   SNI, or true for a development certificate for localhost; proxy: only these proxies may
    --   connect, and they begin with a PROXY header: a list of addresses ("10.0.0.0/8", "unix:"),
    --   or true for those on this machine
    -- @usage mw.listen { port = 8443, tls = { cert = "cert.pem", key = "key.pem" } }
    function mw.listen(options, ...)
        local port = check_listen(options)
        arguments.no_more("mw.listen { port = … }", nil, ...)
        local tls = options.tls
        generation:add("listen", {
            kind = "listen",
            title = "listen",
            host = options.host,
            port = port,
            development = tls == true,
            proxies = options.proxy and optional.proxies(options.proxy) or {},
            certificates = tls and tls ~= true and certificates(generation, tls) or {},
        })
    end

    --- Sets limits of the app; those of a route (its option limits) go before.
    -- @param values { name = number }; "64k", "16M" for sizes, "30s", "2m" for seconds. docs/api.md
    --   lists the names.
    -- @usage mw.limits { message_bytes = "64k", idle_seconds = "1m" }
    function mw.limits(values, ...)
        arguments.no_more("mw.limits { name = value }", nil, ...)
        local read, problem = numbers.limits(values)
        if not read then
            error("mw.limits: " .. problem, 2)
        end
        generation:add("limits", { kind = "limits", title = "limits", values = read })
    end
end

local function add_hosts(mw, generation)
    --- The hosts that the app answers for: requests that name another in Host get 421. Several
    -- calls add up; without any, it answers for all.
    -- @param hosts { "example.com", "*.example.com" } ("*" is one label), or one of them
    -- @usage mw.hosts { "example.com", "www.example.com" }
    function mw.hosts(hosts, ...)
        arguments.no_more("mw.hosts { \"example.com\" }", "a list of hosts is one table", ...)
        generation:add("hosts", { kind = "hosts", title = "hosts", rules = optional.hosts(hosts) })
    end
end

-- ---- timers and the rest --------------------------------------------------------------------

-- Raises at this level when no more timers can run.
local function start(new, level)
    local ok, problem = timer.start(new)
    if not ok then
        error(string.format("mw.%s: %s", new.every > 0 and "every" or "after", problem), level)
    end
    return new
end

-- Before the app serves, a timer is only planned. One that mw.keep's function makes (without a top
-- level) lasts.
local function begin(generation, new)
    local top = wait.top()
    if generation.collecting and top then
        new.generation = generation
        generation.timers[#generation.timers + 1] = new
        return new
    elseif generation.collecting then
        generation.deferred[#generation.deferred + 1] = {
            run = function()
                start(new, 0)
            end,
            where = new.where,
        }
        return new
    end
    new.top = top or false
    local started = start(new, 3) -- mw.after and mw.every get here by a tail call
    return started
end

local function add_timers(mw, generation)
    --- Calls a function once, after a while. It may wait.
    -- @param duration seconds, or "250ms", "5s", "2m", "1h"
    -- @return a timer with timer:stop()
    -- @usage mw.after("5s", function() mw.publish("news", "five seconds") end)
    function mw.after(duration, fn, ...)
        arguments.no_more("mw.after(duration, fn)", "write function() … end around a call with "
            .. "arguments", ...)
        local new = timer.new("after", duration, fn, generations.find_function)
        return begin(generation, new)
    end

    --- Calls a function again and again, the first time after one duration. One that raises is
    -- logged and called again; one that still waits is not called a second time meanwhile.
    -- @param fn a function, which stops with its generation if the top level made the timer; or the
    --   name of a global function, or of a module's ("rooms.sweep"): that of the generation that
    --   serves, whenever the timer fires
    -- @return a timer with timer:stop()
    -- @usage local tick = mw.every("1s", function() mw.publish("clock", os.date()) end)
    function mw.every(duration, fn, ...)
        arguments.no_more("mw.every(duration, fn)", "write function() … end around a call with "
            .. "arguments", ...)
        local new = timer.new("every", duration, fn, generations.find_function)
        return begin(generation, new)
    end

end

local function counters()
    local out, i = {}, 0
    local name = C.mw_counter_name(i)
    while name ~= nil do
        out[ffi.string(name)] = C.mw_counter(worker, i)
        i = i + 1
        name = C.mw_counter_name(i)
    end
    return out
end

local function add_reload(mw, generation)
    --- Loads the app again, in all workers, soon: as SIGHUP does. Connections stay open.
    -- @usage mw.every("1h", function() mw.reload() end)
    function mw.reload()
        if generation.collecting then
            error("mw.reload: the top level is being loaded; call it in a hook or a handler", 2)
        end
        C.mw_reload(worker)
    end

    --- Goes back to the generation that served before, in all workers, soon: its hooks, routes,
    -- limits, listeners and timers serve again, under a new number. Connections stay open. The
    -- server does so by itself when a new generation fails as the one before it did not (limit
    -- probation_seconds).
    -- @usage if req.headers.authorization == secret then mw.rollback() end
    function mw.rollback()
        if generation.collecting then
            error("mw.rollback: the top level is being loaded; call it in a hook or a handler", 2)
        end
        C.mw_rollback(worker)
    end

    --- A table that outlives reloads: each worker has one by this name. So do the tasks and timers
    -- that make starts.
    -- @param name a string
    -- @param make optional function() that makes it the first time; without it, it is empty
    -- @return what make returned the first time, whichever generation asks
    -- @usage local rooms = mw.keep("rooms", function() return {} end)
    function mw.keep(name, make, ...)
        arguments.no_more("mw.keep(name, make)", nil, ...)
        if type(name) ~= "string" then
            error(string.format("mw.keep: the name is a string, got %s", type(name)), 2)
        elseif make ~= nil and type(make) ~= "function" then
            error(string.format("mw.keep: expected a function that makes the value, got %s",
                type(make)),
                2)
        end
        return generation:keep(name, make)
    end
end

-- What is found in a module when the app asks for it.
local elsewhere = {
    sleep = timer,
    spawn = concurrent,
    await = concurrent,
    all = concurrent,
    race = concurrent,
    timeout = concurrent,
    versions = versions,
}

-- The names of all that mw has, sorted.
function M.names(mw)
    local known, names = { json = true }, {}
    for _, from in ipairs { mw, elsewhere } do
        for name in pairs(from) do
            known[name] = true
        end
    end
    for name in pairs(known) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

-- What mw has no field for, it has from then on.
local by_name = {}

function by_name.__index(mw, name)
    local value
    if name == "json" then
        value = json.api
    elseif elsewhere[name] then
        value = elsewhere[name][name]
    else
        suggest.no_name(name, M.names(mw))
    end
    rawset(mw, name, value)
    return value
end

local function add_topics(mw, generation)
    --- Sends a message to all subscribers of a topic, in every worker.
    -- @param topic a string
    -- @param data a string (text unless is_binary) or FFI data (binary)
    -- @return true; nil and a text
    function mw.publish(topic, data, is_binary, extra)
        if generation.collecting then
            return messages.publish_later(generation.deferred, topic, data, is_binary, extra)
        end
        return messages.publish(0, topic, data, is_binary, extra)
    end

    --- How many connections of this worker are subscribed to a topic.
    function mw.subscribers(topic, ...)
        arguments.no_more("mw.subscribers(topic)", nil, ...)
        if type(topic) ~= "string" then
            error(string.format("mw.subscribers: a topic is a string, got %s", type(topic)), 2)
        end
        return C.mw_subscribers(worker, topic, #topic)
    end
end

-- Of mw.worker.
local of_worker = {}

function of_worker.__index(_, name)
    error(string.format("mw.worker.%s does not exist%s", tostring(name), suggest.text(name,
        { "index", "count" })), 2)
end

-- The API for one generation.
function M.new(generation)
    local mw = {
        log = log,
        worker = setmetatable({
            index = C.mw_worker_index(worker) + 1,
            count = C.mw_worker_count(worker),
        }, of_worker),
        --- What the server counts, by name, summed over all workers (docs/api.md).
        counters = counters,
    }
    add_websocket_routes(mw, generation)
    add_http_routes(mw, generation)
    add_static(mw, generation)
    add_listeners(mw, generation)
    add_hosts(mw, generation)
    add_timers(mw, generation)
    add_topics(mw, generation)

    --- Ends the server as SIGTERM does: no new connections, 1001 to every client, exit.
    function mw.stop()
        if generation.collecting then
            generation.deferred[#generation.deferred + 1] = { run = mw.stop }
            return
        end
        C.mw_stop(worker)
    end

    add_reload(mw, generation)
    failure.know_api(mw, "mw")
    return setmetatable(mw, by_name)
end

return M
