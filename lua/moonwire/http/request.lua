-- The req object: one HTTP request or upgrade that waits for its answer.
--
-- Its parts are read from C when they are used, and kept then. A handler that waits keeps all of
-- them first (request.keep_all), since the peer may go away meanwhile.

local ffi = require "ffi"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local arguments = lazy.use "moonwire.base.arguments"
local fields = lazy.use "moonwire.http.headers"
local json = lazy.use "moonwire.base.json"
local suggest = lazy.use "moonwire.base.suggest"
local text = lazy.use "moonwire.base.text"

local C, worker = native.C, native.worker

local M = lazy.module(...)

local HANDLE, SERIAL, ROUTE, HEADERS_OUT, REJECTED, DONE = 1, 2, 3, 4, 5, 6

local function span(base, s)
    return ffi.string(base + s.at, s.len)
end

local function source(req)
    local r = C.mw_request_get(worker, req[HANDLE], req[SERIAL])
    return r ~= nil and r or nil
end

-- ---- parts ----------------------------------------------------------------------------------

local function headers_of(r)
    local headers, repeated = {}, {}
    for i = 0, r.head.field_count - 1 do
        local field = r.head.fields[i]
        text.add_field(headers, repeated, string.lower((span(r.base, field.name))),
            span(r.base, field.value))
    end
    return text.join_fields(headers, repeated)
end

local function params_of(r, names)
    local params = {}
    for i = 1, math.min(#names, r.param_count) do
        params[names[i]] = text.decode(span(r.base, r.params[i - 1]), false)
    end
    return params
end

local parts = {
    method = function(r)
        return span(r.base, r.head.method_name)
    end,
    target = function(r)
        return span(r.base, r.head.target)
    end,
    path = function(r)
        return text.decode(span(r.base, r.head.path), false)
    end,
    query = function(r)
        return text.query(span(r.base, r.head.query))
    end,
    headers = headers_of,
    params = function(r, req)
        return params_of(r, req[ROUTE].param_names)
    end,
    body = function(r)
        return ffi.string(r.body, r.body_len)
    end,
    secure = function(r)
        return r.secure
    end,
}

local out = ffi.new "const char *[1]"
local out_len = ffi.new "size_t[1]"

-- Parts that are made of others.
local derived = {
    cookies = function(req)
        return text.cookies(req.headers.cookie or "")
    end,
    protocols = function(req)
        return text.list(req.headers["sec-websocket-protocol"] or "")
    end,
    remote_address = function(req)
        if C.mw_text(worker, req[HANDLE], C.MW_TEXT_REMOTE_ADDRESS, out, out_len) < 0 then
            return ""
        end
        return ffi.string(out[0], out_len[0])
    end,
}

-- What a handler may still want after the peer has gone.
function M.keep_all(req)
    if source(req) then
        for name in pairs(parts) do
            local _ = req[name]
        end
        local _ = req.remote_address
    end
end

-- ---- methods --------------------------------------------------------------------------------

local methods = {}
local meta = {}

-- Raises, at the caller's caller, when the request is over.
local function check_not_over(req, name, level)
    if rawget(req, DONE) then
        error(string.format("req%s: this request is over, since its handler has returned: take "
            .. "what you need "
            .. "of it before (local id = req.params.id), and keep that, not req", name),
            level or 3)
    end
end

local function check_self(req, name)
    if getmetatable(req) ~= meta then
        error(string.format("%s is a method: write req:%s(…), with a colon", name, name), 3)
    elseif name ~= "json" or rawget(req, "body") == nil then
        check_not_over(req, ":" .. name, 4)
    end
end

--- Adds a header to the answer, whichever it will be: the 101 of an upgrade, a refusal, a response.
-- May be called again for a header that comes more than once (Set-Cookie).
-- @usage req:set_header("Set-Cookie", "session=" .. id .. "; HttpOnly; SameSite=Strict")
function methods.set_header(req, name, value, ...)
    check_self(req, "set_header")
    arguments.no_more("req:set_header(name, value)", nil, ...)
    local one, problem = fields.line(name, value)
    if not one then
        error("set_header: " .. problem, 2)
    end
    rawset(req, HEADERS_OUT, (rawget(req, HEADERS_OUT) or "") .. one)
end

--- Refuses an upgrade: no WebSocket is opened, whatever on_upgrade returns afterwards.
-- @param status 400 to 599, or a redirection (300 to 399, with the header Location)
-- @param body the answer's text; nil: none
-- @param headers { name = value }
-- @usage return req:reject(401, "say who you are")
function methods.reject(req, status, body, headers, ...)
    check_self(req, "reject")
    arguments.no_more("req:reject(status, text, headers)", nil, ...)
    if req[ROUTE].kind ~= "websocket" then
        error("reject refuses an upgrade; in an HTTP handler write: return 403, \"no\"", 2)
    end
    if type(status) ~= "number" or status % 1 ~= 0 or status < 300 or status > 599 then
        error(string.format("reject: the status is a whole number from 300 to 599, got %s",
            suggest.shown(status)), 2)
    end
    if body ~= nil and type(body) ~= "string" then
        error(string.format("reject: the text is a string, got %s", type(body)), 2)
    end
    local lines, problem = fields.lines(headers or {})
    if not lines then
        error("reject: " .. problem, 2)
    end
    rawset(req, REJECTED, { status = status, body = body or "", headers = lines })
end

--- The body, decoded from JSON.
-- @return the value; nil and a text when it is not JSON
-- @usage local order, problem = req:json()
function methods.json(req)
    check_self(req, "json")
    return json.api.decode(req.body)
end

function meta.__index(req, key)
    local method = methods[key]
    if method then
        return method
    end
    local part, value = parts[key], nil
    if part then
        local r = source(req)
        if r then
            value = part(r, req)
        else
            check_not_over(req, "." .. key)
        end
    elseif derived[key] then
        if key == "remote_address" or rawget(req, "headers") == nil then
            check_not_over(req, "." .. key)
        end
        value = derived[key](req)
    end
    if value ~= nil then
        rawset(req, key, value)
    end
    return value
end

failure.add_methods("req", function()
    return methods
end)

meta.__tostring = function(req)
    local over = rawget(req, DONE)
    return string.format("req %s %s", over and rawget(req,
        "method") or not over and req.method or "?",
        over and rawget(req, "target") or not over and req.target or "?")
end

function M.new(handle, serial, route)
    return setmetatable({ handle, serial, route }, meta)
end

-- The handler has returned, or failed: nothing can be asked of the request any more but what was
-- read of it before.
function M.finish(req)
    rawset(req, DONE, true)
end

function M.handle(req)
    return req[HANDLE]
end

function M.is(req, serial)
    return req[SERIAL] == serial
end

-- ---- answers --------------------------------------------------------------------------------

local function respond(req, status, headers, body)
    headers = (rawget(req, HEADERS_OUT) or "") .. headers
    return C.mw_respond(worker, req[HANDLE], req[SERIAL], status, headers, #headers, body, #body)
end

local TEXT = "Content-Type: text/plain; charset=utf-8\r\n"
local JSON = "Content-Type: application/json\r\n"

local function has_type(lines)
    return string.find("\n" .. string.lower(lines), "\ncontent-type:", 1, true) ~= nil
end

-- The script failed: nothing of the error goes to the peer.
function M.fail(req)
    C.mw_respond(worker, req[HANDLE], req[SERIAL], 500, TEXT, #TEXT, "internal error\n", 15)
end

-- The type and the text of a body; nil and a text when it is none.
local function encoded(body)
    if body == nil or type(body) == "string" then
        return TEXT, body
    elseif type(body) ~= "table" then
        return nil, string.format("the body is a string, or a table for JSON, got %s", type(body))
    end
    local ok, text_of = pcall(json.api.encode, body)
    if not ok then
        return nil, "the body cannot be written as JSON: " .. tostring(text_of)
    end
    return JSON, text_of
end

-- What a handler returned: body | status [, body [, headers]]; a table is JSON; nil is 204.
-- nil and a text when it is none of these.
function M.answer(req, first, second, third, ...)
    local status, body, headers = 200, first, nil
    local extra = arguments.first(...)
    if extra ~= nil then
        return nil, string.format("a handler returns body, or status, body, headers: nothing "
            .. "stands behind the headers, got a %s there", type(extra))
    elseif type(first) == "number" then
        status, body, headers = first, second, third
    elseif second ~= nil or third ~= nil then
        return nil, "a handler returns body, or status, body, headers: the status is missing"
    elseif first == nil then
        status = 204
    end
    if status % 1 ~= 0 or status < 200 or status > 599 then
        return nil, string.format("the status is a whole number from 200 to 599, got %s",
            tostring(status))
    end
    local lines = ""
    if headers then
        local problem
        lines, problem = fields.lines(headers)
        if not lines then
            return nil, problem
        end
    end
    local kind
    kind, body = encoded(body)
    if not kind then
        return nil, body
    end
    if body and not has_type(lines .. (rawget(req, HEADERS_OUT) or "")) then
        lines = kind .. lines
    end
    if respond(req, status, lines, body or "") == C.ERR_INVALID then
        return nil, string.format("status %d cannot be answered with this", status)
    end
    return true
end

function M.rejected(req)
    return rawget(req, REJECTED)
end

-- Sends what req:reject was given.
function M.refuse(req, refusal)
    local kind = has_type(refusal.headers .. (rawget(req, HEADERS_OUT) or "")) and "" or TEXT
    respond(req, refusal.status, kind .. refusal.headers, refusal.body)
end

-- Accepts an upgrade. nil and a text when req.protocol is not one that the client offered.
function M.accept(req)
    local protocol = rawget(req, "protocol")
    if protocol ~= nil and type(protocol) ~= "string" then
        return nil, string.format("req.protocol is a string, got %s", type(protocol))
    end
    local headers = rawget(req, HEADERS_OUT) or ""
    local result = C.mw_upgrade_accept(worker, req[HANDLE], req[SERIAL], protocol,
        protocol and #protocol or 0, headers, #headers)
    if result == C.ERR_INVALID then
        return nil, string.format("req.protocol is %q, which the client did not offer "
            .. "(req.protocols lists what it did)", protocol or "")
    end
    return result >= 0
end

return M
