-- Where in the app? Whatever fails, the log has the file and the line.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

describe("The place of a failure", function()
    describe("is the hook's own definition, when the hook made a tail call", function()
        local server = servers.fresh [[
local mw = require "moonwire"
mw.get("/reject", function(req) return req:reject(401) end)
mw.get("/publish", function() return mw.publish(1) end)
mw.get("/c", function() return string.rep() end)
local w = mw.ws("/", { on_upgrade = function(req) return req:set_header() end })
function w.on_message(ws, data)
    return ws:send {}
end
mw.ws("/close", { on_message = function(ws) return ws:close(77) end })
mw.ws("/listener", { on_open = function(ws)
    ws:addEventListener("message", function(event) return event.target:ping(1) end)
end })
mw.ws("/error", { on_message = function() error "x" end,
    on_error = function(ws) return ws:send(nil) end })
mw.get("/timer", function() mw.after(0, function() return mw.publish() end) return "" end)
mw.get("/task", function() mw.spawn(function() return mw.publish() end) return "" end)
mw.get("/join", function()
    local task = mw.spawn(function() return mw.publish() end)
    task:join()
end)
mw.get("/named", function() mw.after(0, "nobody") return "" end)
mw.publish("topic", "\255")
]]

        local function line_of(path)
            server:get(path)
            return tonumber((server:logged "failed: [^\n]-/app%.lua:(%d+): "))
        end

        local function websocket_line_of(path, text)
            local p = server:websocket(path)
            p:text(text or "x")
            return tonumber((server:logged "failed: [^\n]-/app%.lua:(%d+): "))
        end

        it("in a handler", function()
            assert.equal(2, line_of "/reject")
            assert.equal(3, line_of "/publish")
            assert.equal(4, line_of "/c")
        end)

        it("in a hook or a listener", function()
            assert.equal(9, websocket_line_of "/close")
            assert.equal(11, websocket_line_of "/listener")
            websocket_line_of "/error"
            server:logged "on_error of /error failed: .-/app%.lua:14: send: expected a string"
        end)

        it("in on_upgrade", function()
            local p = server:connect()
            p:send(upgrade)
            server:logged "on_upgrade of / failed: .-/app%.lua:5: "
        end)

        it("in what the top level publishes before the server serves", function()
            assert.matches("the top level of %S+ failed: %S+/app%.lua:22: .*not UTF%-8",
                (server:stop()))
        end)

        it("in a timer or a task, also when another task is told", function()
            assert.equal(15, line_of "/timer")
            assert.equal(16, line_of "/task")
            assert.equal(18, line_of "/join")
            assert.equal(21, line_of "/named")
        end)
    end)

    it("is the handler's definition, when what it returned is bad", function()
        local server = servers.start [[
local mw = require "moonwire"
mw.get("/type", function()
    return true
end)
mw.get("/two", function() return "a", "b" end)
mw.get("/status", function() return 99 end)
mw.get("/header", function() return 200, "x", { ["a b"] = "x" } end)
mw.get("/json", function() return { [print] = 1 } end)
mw.ws("/", { on_upgrade = function(req)
    req.protocol = 7
end })
]]
        for path, line in pairs { type = 2, two = 5, status = 6, header = 7, json = 8 } do
            server:get("/" .. path)
            server:logged(("handler of GET /%s failed: .-/app%%.lua:%d: "):format(path, line))
        end
        local p = server:connect()
        p:send(upgrade)
        server:logged "on_upgrade of / failed: .-/app%.lua:9: req.protocol is a string"
        server:stop()
    end)

    it("is the line that raised something which is no text, or a text without a place", function()
        local server = servers.start [[
local mw = require "moonwire"
local function deep() return 1 + deep() end
mw.get("/nil", function() error() end)
mw.get("/table", function() error { code = 4 } end)
mw.get("/bare", function() error("redis://host:6379: down", 0) end)
mw.get("/deep", function() deep() end)
mw.get("/coroutine", function() coroutine.wrap(function() error() end)() end)
local function odd(text) return setmetatable({}, { __tostring = function() return text end }) end
mw.get("/odd", function() error(odd {}) end)
mw.get("/number", function() error(odd(5)) end)
local locked = setmetatable({}, { __index = function() error "no" end })
mw.get("/locked", function() error(setmetatable({ a = 1 }, { __metatable = locked })) end)
local raises = { __tostring = function() error "no" end }
local cdata = require("ffi").metatype("struct { int a; }", raises)
mw.get("/cdata", function() error(cdata()) end)
mw.get("/log", function() mw.log.info(odd {}) end)
]]
        local texts = {
            ["nil"] = "3: an error that is not a text: nil", table = '4: .*{"code":4}',
            bare = "5: redis://host:6379: down", deep = "[26]: stack overflow",
            coroutine = "7: an error that is not a text: nil",
            odd = "9: a value whose __tostring fails",
            number = "10: a value whose __tostring fails",
            locked = '12: an error that is a table: {"a":1}',
            cdata = "15: an error that is not a text: a value whose __tostring fails",
        }
        for path, text in pairs(texts) do
            server:get("/" .. path)
            server:logged(("handler of GET /%s failed: %%S-/app%%.lua:%s"):format(path, text))
        end
        server:get "/log"
        server:logged "info  a value whose __tostring fails$"
        server:stop()
    end)

    -- Both at the start and in a reload.
    describe("in the top level", function()
        local cases = {
            ["error()"] = "app%.lua:3: an error that is not a text: nil",
            ["error { code = 4 }"] = 'app%.lua:3: an error that is a table: {"code":4}',
            ["error('x', 0)"] = "app%.lua:3: x",
            ["local function f() return 1 + f() end f()"] = "app%.lua:3: stack overflow",
            ["return mw.get(1)"] = "app%.lua:3: mw.get: a route's path is a string",
            ["mw.listen { port = 0, tls = { cert = 'no.pem' } }"] =
                "app%.lua:3: cannot read the certificate .-no%.pem",
            ["require 'raises'"] = 'raises%.lua:2: an error that is a table: {"code":5}',
            ["require 'tail'"] = "tail%.lua:2: publish: a topic is a string",
        }
        local files = {
            ["raises.lua"] = "\nerror { code = 5 }\n",
            ["tail.lua"] = "local mw = require 'moonwire'\nreturn mw.publish(1)\n",
        }

        for code, text in pairs(cases) do
            local app = 'local mw = require "moonwire"\n\n' .. code .. "\n"

            it("is said at the start: " .. code, function()
                local folder = process.folder()
                for name, contents in pairs(files) do
                    folder:write(name, contents)
                end
                local one = process.start { folder:write("app.lua", app) }
                assert.equal(1, one:wait().status)
                assert.matches("^moonwire: %S-" .. text, one.err)
                one:finish()
                folder:remove()
            end)

            it("is said in a reload: " .. code, function()
                local server = servers.start([[
                    local mw = require "moonwire"
                    mw.get("/", function() return "" end)
                    mw.listen { port = 0 }
                ]], { files = files, listen = {} })
                server:edit(app)
                server.process:signal "HUP"
                assert.matches("^%S-" .. text, server:reload_failed())
                server:stop()
            end)
        end
    end)
end)

-- Every function that an app may call, with every kind of wrong argument.
describe("An argument that is wrong", function()
    local app = [[
local mw = require "moonwire"
local WebSocket = require "moonwire.websocket"
local values = { false, true, 1, -1, 0 / 0, 1.5, "", "x", "\255", {}, { 1 }, { x = 1 }, print,
    newproxy(), coroutine.create(print), 5LL }
local function call(f, ...)
    local result = f(...)
    return result
end
local failures = 0
local function check(title, f, ...)
    local ok, problem = pcall(call, f, ...)
    if not ok then
        failures = failures + 1
        if type(problem) ~= "string" or not problem:find "^%S-app%.lua:6: " or
            problem:find("moonwire/", 1, true) or problem:find "attempt to" then
            print("WRONG PLACE: " .. title .. ": " .. tostring(problem))
        end
    end
end
local function try(title, f, ...)
    local arguments, n = { ... }, select("#", ...)
    check(title, f, unpack(arguments, 1, n))
    for i = 1, #values do
        arguments[n + 1] = values[i]
        check(title, f, unpack(arguments, 1, n + 1))
    end
end
local function try_methods(title, object, names)
    for _, name in ipairs(names) do
        try(title .. "." .. name, object[name])
        if name ~= "close" and name ~= "terminate" then
            try(title .. ":" .. name, object[name], object)
        end
    end
end
local function try_all()
    for _, name in ipairs { "ws", "get", "post", "put", "delete", "patch", "options", "any",
        "static", "listen", "limits", "after", "every", "keep", "publish", "subscribers", "spawn",
        "all", "race", "timeout", "sleep" } do
        try(name, mw[name])
        try(name .. ' "/x"', mw[name], "/x")
        try(name .. " 0.001", mw[name], 0.001)
    end
    try("await", function(fn) return mw.await(fn == print or fn) end)
    for _, level in ipairs { "debug", "info", "warn", "error" } do
        try("log", mw.log[level])
        try("log", mw.log[level], "text")
    end
    try("WebSocket.new", WebSocket.new)
    try("WebSocket.new", WebSocket.new, "ws://localhost:1/")
    try("WebSocket.new", WebSocket.new, "ws://localhost:1/", "chat")
end
local of_ws = { "send", "ping", "subscribe", "unsubscribe", "publish", "addEventListener",
    "removeEventListener", "close", "opened", "terminate" }
mw.ws("/", { on_open = function(ws)
    try_methods("ws", ws, of_ws)
    ws:send "done"
end })
mw.get("/", function(req)
    try_methods("req", req, { "set_header", "json", "reject" })
    try_methods("timer", mw.after("1h", print), { "stop" })
    local task = mw.spawn(function() end)
    task:join()
    try_methods("task", task, { "join", "cancel" })
    local client = WebSocket.new("ws://" .. req.headers.host .. "/")
    client:opened()
    try_methods("client", client, of_ws)
    pcall(try_all)
    print("TRIED", failures)
    return ""
end)
]]

    it("is said at the line of the app that called", function()
        local server = servers.start(app)
        server:get "/"
        assert.truthy(tonumber((server:printed "^TRIED\t(%d+)")) > 500)
        local _, out = server:stop()
        assert.is_nil(out:match "WRONG PLACE[^\n]*")
    end)
end)
