-- The Lua side without the engine: moonwire's modules from lua/ on a C that is a table of Lua
-- functions, which writes down its calls and queues real event structs.
--
--   local fake = require "spec.lua.fake"
--   local engine = fake.new()                  -- fresh modules, fresh records
--   engine:load "local mw, seen = require 'moonwire', require 'seen' …"
--   engine:open(conn) engine:message(conn, "hi") engine:run()
--   engine.seen                                -- the table that the app knows as "seen"

local ffi = require "ffi"
local core = require "spec.support.cdef"
local files = require "spec.support.files"
local shell = require "spec.support.shell"

local M = {}

-- The names of the functions that a header of the script layer declares.
function M.functions(path)
    local names = {}
    for name in files.read(path):gsub("/%*.-%*/", ""):gmatch "[%s*](mw_%w[%w_]*)%(" do
        names[#names + 1] = name
    end
    return names
end

-- What modules declare, once in a process: this module is loaded anew for each file of specs. No
-- module that is tested here needs api_control.h.
if not pcall(ffi.typeof, "struct event") then
    for _, name in ipairs { "engine/client/connect", "engine/ground/event", "script/api_text",
        "script/api_site", "script/api_reload", "script/api", "script/api_client" } do
        local text = files.read("src/" .. name .. ".h")
        ffi.cdef((("\n" .. text):gsub("\n#[^\n]*", "\n")))
    end
end

local kinds = {
    upgrade = ffi.C.EVENT_UPGRADE,
    open = ffi.C.EVENT_OPEN,
    message = ffi.C.EVENT_MESSAGE,
    drain = ffi.C.EVENT_DRAIN,
    error = ffi.C.EVENT_ERROR,
    close = ffi.C.EVENT_CLOSE,
    request = ffi.C.EVENT_REQUEST,
    abort = ffi.C.EVENT_ABORT,
    timer = ffi.C.EVENT_TIMER,
    reload = ffi.C.EVENT_RELOAD,
}

-- fn must raise an error that holds the text and names the line of the spec that made the call.
function M.raises(text, fn)
    local ok, problem = pcall(fn)
    assert(not ok, "no error was raised")
    assert(type(problem) == "string" and problem:find("^[^\n]*_spec%.lua:%d+: "),
        ("the error does not name the caller's line: %s"):format(tostring(problem)))
    assert(problem:find(text, 1, true),
        ("expected an error with %q, got %q"):format(text, problem))
end

local function text_of(data, len)
    return type(data) == "string" and data:sub(1, len) or ffi.string(data, len)
end

local function is_utf8(text)
    local state = ffi.new "struct utf8"
    return core.C.utf8_check(state, text, #text) == 0 and core.C.utf8_complete(state)
end

-- ---- the functions of script/api.h ----------------------------------------------------------

local ERR_UTF8, ERR_CLOSED = ffi.C.ERR_UTF8, ffi.C.ERR_CLOSED
local ERR_INVALID, ERR_NOT_FOUND = ffi.C.ERR_INVALID, ffi.C.ERR_NOT_FOUND

-- Functions that have no fake, and why. A call of one of them is an error.
local stdin = "spec/waiting/commands_spec.lua reads standard input, with the real program"
local page = "mw_overlay_wanted says no, so that no page is open"
M.not_faked = {
    mw_input = stdin,
    mw_input_stop = stdin,
    mw_overlay_join = page,
    mw_overlay_path = page,
    mw_site_overlay = page,
    mw_source_text = "only a reload reads files ahead, and no spec of the Lua side does that",
}

local text_names = {
    [ffi.C.MW_TEXT_REMOTE_ADDRESS] = "remote_address",
    [ffi.C.MW_TEXT_PROTOCOL] = "protocol",
    [ffi.C.MW_TEXT_EXTENSIONS] = "extensions",
    [ffi.C.MW_TEXT_URL] = "url",
    [ffi.C.MW_TEXT_PATH] = "path",
    [ffi.C.MW_TEXT_QUERY] = "query",
    [ffi.C.MW_TEXT_HEADERS] = "headers",
}

local function make_c(engine)
    local c = {}

    local function note(...)
        engine.calls[#engine.calls + 1] = { ... }
    end
    local function note_of(conn, name, ...)
        if not engine.conns[conn] then
            return ERR_CLOSED
        end
        note(name, conn, ...)
        return 0
    end
    local function give(text, out, len)
        engine.lent[#engine.lent + 1] = text
        out[0], len[0] = text, #text
        return 0
    end

    for _, name in ipairs(M.functions "src/script/api_text.h") do
        c[name] = core.C[name]
    end

    function c.mw_batch()
        return engine.batch
    end

    -- Its messages never have a block of their own.
    function c.mw_string_begin()
        error "not of a message that lies in the input"
    end
    c.mw_string_end = c.mw_string_begin

    function c.mw_send(_, conn, data, len, kind)
        local text = text_of(data, len)
        if not engine.conns[conn] then
            return ERR_CLOSED
        elseif kind == c.MW_MESSAGE_TEXT and not is_utf8(text) then
            return ERR_UTF8
        end
        local answer = engine.answers.send or 0
        if answer >= 0 then
            note("send", conn, text, kind == c.MW_MESSAGE_BINARY)
        end
        return answer
    end
    function c.mw_close(_, conn, code, reason, len)
        if not is_utf8(text_of(reason, len)) then
            return ERR_UTF8
        elseif not engine.conns[conn] then
            return ERR_CLOSED
        end
        note("close", conn, code, text_of(reason, len))
        engine.conns[conn].ready_state = 2
        return 0
    end
    function c.mw_terminate(_, conn)
        return note_of(conn, "terminate")
    end
    function c.mw_ping(_, conn, data, len)
        return note_of(conn, "ping", text_of(data, len))
    end
    function c.mw_ready_state(_, conn)
        return engine.conns[conn] and engine.conns[conn].ready_state or 3
    end
    function c.mw_buffered_amount(_, conn)
        return engine.conns[conn] and engine.buffered or 0
    end
    function c.mw_flush() end
    function c.mw_close_met() end
    function c.mw_connect_failed(_, conn, text, len, heard)
        note("failed", conn, text_of(text, len), heard)
    end
    function c.mw_inbox(_, conn, bytes)
        if engine.conns[conn] then
            engine.conns[conn].inbox = bytes
        end
    end
    function c.mw_pause(_, conn)
        return note_of(conn, "pause")
    end
    function c.mw_resume(_, conn)
        return note_of(conn, "resume")
    end
    function c.mw_text(_, conn, which, out, len)
        local known = engine.conns[conn]
        if not known then
            return ERR_CLOSED
        end
        return give(known[text_names[tonumber(which)]] or "", out, len)
    end
    function c.mw_param(_, conn, i, out, len)
        local known = engine.conns[conn]
        if not known then
            return ERR_CLOSED
        elseif not known.params[i + 1] then
            return ERR_NOT_FOUND
        end
        return give(known.params[i + 1], out, len)
    end

    function c.mw_subscribe(_, conn, topic, len)
        local known = engine.conns[conn]
        if not known then
            return ERR_CLOSED
        elseif engine.answers.subscribe then
            return engine.answers.subscribe
        end
        topic = text_of(topic, len)
        local new = not known.topics[topic]
        known.topics[topic] = true
        return new and 1 or 0
    end
    function c.mw_leave() end
    function c.mw_unsubscribe(_, conn, topic, len)
        local known = engine.conns[conn]
        if not known then
            return ERR_CLOSED
        end
        topic = text_of(topic, len)
        local was = known.topics[topic]
        known.topics[topic] = nil
        return was and 1 or 0
    end
    function c.mw_subscribers(_, topic, len)
        local count = 0
        for _, known in pairs(engine.conns) do
            count = count + (known.topics[text_of(topic, len)] and 1 or 0)
        end
        return count
    end
    function c.mw_publish(_, except, topic, topic_len, data, len, kind)
        local text = text_of(data, len)
        if kind == c.MW_MESSAGE_TEXT and not is_utf8(text) then
            return ERR_UTF8
        end
        note("publish", except, text_of(topic, topic_len), text, kind == c.MW_MESSAGE_BINARY)
        return 0
    end

    function c.mw_request_get(_, conn, serial)
        local r = engine.requests[conn]
        return r and r.serial == serial and not r.answered and r.struct or nil
    end
    function c.mw_respond(_, conn, serial, status, headers, headers_len, body, body_len)
        local r = engine.requests[conn]
        if not r or r.serial ~= serial or r.answered then
            return ERR_CLOSED
        end
        r.answered = true
        note("respond", conn, status, text_of(headers, headers_len), text_of(body, body_len))
        return 0
    end
    function c.mw_upgrade_accept(_, conn, serial, protocol, protocol_len, headers, headers_len)
        local r = engine.requests[conn]
        if not r or r.serial ~= serial or r.answered then
            return ERR_CLOSED
        end
        protocol = protocol and text_of(protocol, protocol_len)
        if protocol and not (" " .. (r.headers["Sec-WebSocket-Protocol"] or "")):find(
            " " .. protocol, 1, true) then
            return ERR_INVALID
        end
        r.answered = true
        note("accept", conn, protocol or false, text_of(headers, headers_len))
        return 0
    end
    function c.mw_timer_start(_, after, every)
        engine.last_timer = engine.last_timer + 1
        engine.timers[engine.last_timer] = { after = after, every = every }
        return engine.last_timer
    end
    function c.mw_timer_stop(_, id)
        engine.timers[id] = nil
        return 0
    end
    function c.mw_log(_, level, text, len, fields, fields_len)
        engine.logged[#engine.logged + 1] = {
            level = level,
            text = text_of(text, len),
            fields = text_of(fields, fields_len),
        }
    end
    function c.mw_counter_name(i)
        return ({ [0] = "accepted", "opened" })[i]
    end
    function c.mw_counter(_, i)
        return i + 10
    end
    function c.mw_hook_failed(_, _, cause, place, place_len, text, len)
        engine.logged[#engine.logged + 1] = {
            level = 3,
            cause = cause,
            place = text_of(place, place_len),
            text = text_of(text, len),
        }
        engine.failures = engine.failures + 1
    end
    function c.mw_overlay_fault(_, text, len)
        engine.faults[#engine.faults + 1] = text_of(text, len)
    end
    function c.mw_overlay_wanted()
        return 0
    end
    function c.mw_worker_index()
        return 0
    end
    function c.mw_worker_count()
        return 2
    end
    function c.mw_stop()
        note "stop"
    end

    function c.mw_reload()
        note "reload"
    end
    function c.mw_rollback()
        note "rollback"
    end
    function c.mw_taken_back()
        return engine.taken_back and ffi.cast("const char *", engine.taken_back)
    end
    function c.mw_search_begin()
    end
    function c.mw_search_is_over()
        return false
    end
    function c.mw_search_end()
    end
    function c.mw_pauses()
        return nil
    end
    function c.mw_failed_probation()
        return false
    end
    function c.mw_next_open()
        return 0
    end
    function c.mw_opened_in()
        return 1
    end
    function c.mw_generation()
        return engine.generation
    end
    function c.mw_route_was()
        return ERR_NOT_FOUND
    end
    function c.mw_site_file(_, _, path, digest)
        engine.files[path] = digest
        return 0
    end
    -- Connections that the script opens: engine.dialed has what was asked, by handle.
    local function refuse_url(why, text)
        engine.lent[#engine.lent + 1] = text
        why[0] = text
        return ERR_INVALID
    end
    function c.mw_connect(_, options, why)
        if engine.answers.connect then
            return engine.answers.connect
        end
        local function text(pointer, len)
            return pointer ~= nil and ffi.string(pointer, len) or nil
        end
        local dialed = {
            url = text(options.url, options.url_len),
            protocols = text(options.protocols, options.protocols_len),
            headers = text(options.headers, options.headers_len),
            ca_file = text(options.ca_file), cert = text(options.cert_file),
            key = text(options.key_file),
        }
        if dialed.url:find "refused" then
            return refuse_url(why, "it is refused")
        end
        for _, name in ipairs { "connect_seconds", "handshake_seconds", "message_bytes",
            "queued_bytes", "idle_seconds", "pong_seconds", "close_seconds", "insecure",
            "compress" } do
            dialed[name] = options[name]
        end
        engine.last_dialed = engine.last_dialed + 1
        local conn = engine.last_dialed
        engine.dialed[conn] = dialed
        engine:connect(conn, { url = dialed.url, route = c.MW_NO_ROUTE })
        engine.conns[conn].ready_state = 0
        return conn
    end
    function c.mw_exit(_, status)
        note("exit", status)
    end
    function c.mw_complain(_, why)
        note("complain", why)
    end

    -- Sites: what the plan declares, in order.
    local function site_note(...)
        engine.site[#engine.site + 1] = { ... }
        return 0
    end
    local function refuse(text)
        engine.site_error = text
        return ERR_INVALID
    end
    function c.mw_site_error()
        return engine.site_error
    end
    function c.mw_site_eager(_, route)
        return site_note("eager", route)
    end
    function c.mw_site_route(_, pattern, len, methods)
        pattern = text_of(pattern, len)
        if pattern:find "//" then
            return refuse "a segment is empty"
        end
        engine.route_count = engine.route_count + 1
        site_note("route", pattern, tonumber(methods))
        return engine.route_count - 1
    end
    function c.mw_site_static(_, prefix, prefix_len, folder, folder_len)
        engine.route_count = engine.route_count + 1
        site_note("static", text_of(prefix, prefix_len), text_of(folder, folder_len))
        return engine.route_count - 1
    end
    function c.mw_site_type(_, route, ending, ending_len, type, type_len)
        return site_note("type", route, text_of(ending, ending_len), text_of(type, type_len))
    end
    function c.mw_site_folder_check()
        return 0
    end
    function c.mw_site_limit(_, route, name, value)
        if name == "mesage_bytes" then
            return refuse 'there is no limit "mesage_bytes"'
        end
        return site_note("limit", route, name, value)
    end
    function c.mw_site_protocol(_, route, name, len)
        return site_note("protocol", route, text_of(name, len))
    end
    function c.mw_site_origin(_, route, origin, len)
        return site_note("origin", route, text_of(origin, len))
    end
    function c.mw_site_host(_, rule, len)
        return site_note("host", text_of(rule, len))
    end
    function c.mw_site_compress(_, route, name, value)
        return site_note("compress", route, name, value)
    end
    function c.mw_site_upgrade(_, route, has)
        return site_note("upgrade", route, has)
    end
    function c.mw_site_listen(_, host, port)
        site_note("listen", host or false, port)
        return 0
    end
    function c.mw_site_proxy(_, listener, range)
        return site_note("proxy", listener, range)
    end
    function c.mw_limit_name(i)
        return core.C.limits_name(i)
    end
    function c.mw_compress_name(i)
        return ({ [0] = "enabled", "level", "min_bytes", "memory_bytes",
            "server_no_context_takeover" })[i]
    end
    function c.mw_site_certificate(_, listener, cert, key)
        return site_note("certificate", listener, cert, key or false)
    end
    function c.mw_site_dev_certificate(_, listener)
        return site_note("dev_certificate", listener)
    end

    return setmetatable(c, {
        -- Constants are the real ones.
        __index = function(_, name)
            local ok, value = pcall(function()
                return ffi.C[name]
            end)
            return ok and type(value) == "number" and value
                or error(("the fake has no %s"):format(name), 2)
        end,
    })
end

-- ---- the engine -----------------------------------------------------------------------------

local Engine = {}
Engine.__index = Engine

local function forget_modules()
    for name in pairs(package.loaded) do
        if name == "moonwire" or name:find "^moonwire%." then
            package.loaded[name] = nil
        end
    end
end

function M.new()
    forget_modules()
    local engine = setmetatable({
        queue = {}, conns = {}, requests = {}, calls = {}, logged = {}, timers = {}, site = {},
        lent = {}, answers = {}, files = {}, generation = 1,
        failures = 0, last_timer = 0, route_count = 0,
        faults = {}, -- what pages in watch mode would be told
        dialed = {}, last_dialed = 9000, buffered = 42,
        batch = ffi.new "struct event_batch",
    }, Engine)
    if not package.path:find("lua/?.lua", 1, true) then
        package.path = "lua/?.lua;" .. package.path
    end
    engine.seen = {}
    package.loaded.seen = engine.seen
    -- As inside the binary: what an app requires is the one that all share.
    package.preload["moonwire.websocket"] = loadfile "lua/moonwire/websocket.lua"
    package.loaded["moonwire.base.native"] = {
        C = make_c(engine),
        worker = ffi.cast("struct worker *", 0),
        load_ahead = function() end, -- nothing was
        open_json = core.c_function "json_open",
        declare = function() end, -- everything was
        is_terminal = function() return false end,
    }
    return engine
end

-- Loads an app from its text, as if from a file of that name in a folder of its own. Returns what
-- load returns: nil, or the one line, without the folder's name.
function Engine:load(source, name)
    local folder = os.tmpname()
    os.remove(folder)
    shell("mkdir " .. folder)
    self.folder = folder
    local path = folder .. "/" .. (name or "app.lua")
    local file = assert(io.open(path, "w"))
    file:write(source)
    file:close()
    local saved, saved_arg, saved_exit = package.path, _G.arg, os.exit
    local problem = require("moonwire.app.app").load(path, {}, nil)
    package.path, _G.arg = saved, saved_arg
    os.exit = saved_exit -- luacheck: ignore 122
    os.execute("rm -r " .. folder)
    return problem and (problem:gsub(folder:gsub("%p", "%%%0") .. "/", ""))
end

-- The queued events where the dispatcher finds them.
function Engine:give()
    self.events = ffi.new("struct event[?]", math.max(#self.queue, 1))
    self.kept = self.queue
    for i, e in ipairs(self.queue) do
        local to = self.events[i - 1]
        to.kind, to.conn, to.route = kinds[e.kind], e.conn, e.route or 0
        to.code, to.flag = e.code or 0, e.flag and 1 or 0
        if e.serial then
            to.serial = e.serial
        else
            to.slot = e.conn % 2 ^ 20
        end
        if e.data then
            -- In memory that is wiped after the batch, as the loop reuses its own.
            e.memory = ffi.new("char[?]", #e.data + 1, e.data)
            to.data, to.len = e.memory, #e.data
        end
    end
    self.batch.events, self.batch.count, self.batch.at = self.events, #self.queue, 0
    self.queue = {}
end

-- As script_dispatch of src/script/state.c.
local function dispatch_batch()
    local dispatch = require "moonwire.dispatch.dispatch"
    local co, more = dispatch.go_on()
    while more do
        local ok, result = coroutine.resume(co)
        if ok and result == dispatch.DONE then
            return
        end
        co, more = dispatch.go_on(ok, result)
    end
end

function Engine:queue_event(event)
    self.queue[#self.queue + 1] = event
end

-- A connection that C knows. known: url, path, query, headers, params, protocol, …
function Engine:connect(conn, known)
    known = known or {}
    known.ready_state = 1
    known.topics = {}
    known.params = known.params or {}
    known.url = known.url or "ws://localhost:8080/chat"
    known.remote_address = known.remote_address or "127.0.0.1"
    self.conns[conn] = known
end

function Engine:open(conn, known)
    self:connect(conn, known)
    self:queue_event { kind = "open", conn = conn, route = known and known.route or 0 }
end

function Engine:message(conn, data, is_binary)
    self:queue_event { kind = "message", conn = conn, data = data, flag = is_binary,
        route = self.conns[conn].route or 0 }
end

function Engine:close(conn, code, reason, was_clean)
    self:queue_event { kind = "close", conn = conn, code = code or 1000, data = reason or "",
        flag = was_clean ~= false, route = self.conns[conn].route or 0 }
end

-- A request or an upgrade. r: kind, conn, serial, route, method, target, headers, body, params.
function Engine:request(r)
    local base = {}
    local length = 0
    local function put(text)
        local at = length
        base[#base + 1] = text
        length = length + #text
        return { at, #text }
    end
    r.headers = r.headers or {}
    r.serial = r.serial or 1
    local head = ffi.new "struct http_head"
    head.method_name = put(r.method or "GET")
    head.target = put(r.target or "/")
    local path, query = (r.target or "/"):match "^([^?]*)%??(.*)$"
    head.path, head.query = put(path), put(query)
    for name, value in pairs(r.headers) do
        for _, one in ipairs(type(value) == "table" and value or { value }) do
            head.fields[head.field_count].name = put(name)
            head.fields[head.field_count].value = put(one)
            head.field_count = head.field_count + 1
        end
    end
    local struct = ffi.new "struct request"
    for i, param in ipairs(r.params or {}) do
        struct.params[i - 1] = put(param)
        struct.param_count = i
    end
    local text = table.concat(base)
    struct.head, struct.base = head, text
    struct.body, struct.body_len = r.body or "", #(r.body or "")
    struct.secure = r.secure or false
    r.struct, r.head, r.text = struct, head, text -- kept alive
    self.requests[r.conn] = r
    self.conns[r.conn] = self.conns[r.conn] or { remote_address = "127.0.0.1", params = {},
        topics = {} }
    self:queue_event { kind = r.kind or "request", conn = r.conn, serial = r.serial,
        route = r.route or 0 }
end

-- Delivers what is queued in one batch; afterwards its memory holds other bytes. Closed connections
-- are unknown then.
function Engine:run()
    self:give()
    dispatch_batch()
    self.batch.events = nil
    for _, e in ipairs(self.kept or {}) do
        if e.memory then
            ffi.fill(e.memory, #e.data, 0x23)
        end
        if e.kind == "close" then
            self.conns[e.conn] = nil
        end
    end
end

-- Fires the timers that exist now, of limit seconds at most if given, and delivers.
function Engine:fire(limit)
    local ids = {}
    for id, timer in pairs(self.timers) do
        if timer.after <= (limit or math.huge) then
            ids[#ids + 1] = id
        end
    end
    table.sort(ids)
    for _, id in ipairs(ids) do
        local over = self.timers[id].every == 0
        self:queue_event { kind = "timer", conn = id, flag = over }
        if over then
            self.timers[id] = nil
        end
    end
    self:run()
end

-- The calls of one name since the start.
function Engine:called(name)
    local out = {}
    for _, call in ipairs(self.calls) do
        if call[1] == name then
            out[#out + 1] = call
        end
    end
    return out
end

return M
