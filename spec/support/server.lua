-- The real binary with an app that a spec writes down.
--
--   local server = require("spec.support.server").start [[
--       local mw = require "moonwire"
--       mw.ws("/echo", { on_message = function(ws, data) ws:send(data) end })
--   ]]
--   local peer = server:websocket "/echo"
--   …
--   server:stop() -- ends it as an operator would, and looks at how
--
-- In a describe, local server = servers.fresh(app) has one for each spec, servers.shared(app) one
-- for all.

local assert = require "luassert"
local busted = require "busted"
local cjson = require "cjson"
local peer = require "spec.support.peer"
local process = require "spec.support.process"

local M = {}

local Server = {}
Server.__index = Server

local function arguments_of(path, options)
    local out = {}
    for _, argument in ipairs(options.arguments or {}) do
        out[#out + 1] = argument
    end
    for _, address in ipairs(options.listen or { "127.0.0.1:0" }) do
        out[#out + 1] = "--listen"
        out[#out + 1] = address
    end
    table.insert(out, 1, path)
    return out
end

-- What was there of an earlier run is gone.
local function run(self, app, options)
    for name in pairs(self) do
        self[name] = nil
    end
    local folder = process.folder()
    for name, text in pairs(options.files or {}) do
        folder:write(name, text)
    end
    if options.setup then
        options.setup(folder)
    end
    local path = folder:write("app.lua", app)
    self.folder, self.peers, self.dispatcher_fails = folder, {}, options.dispatcher_fails
    self.process = process.start(arguments_of(path, options),
        { env = options.env, terminal = options.terminal })
    local ok, problem = pcall(function()
        self.port = self.process:port()
    end)
    if not ok then
        self.stopped = true
        self.process:finish()
        folder:remove()
        error(problem, 3)
    end
end

-- Starts an app and waits until it listens. options: arguments for the binary; listen: its
-- addresses (a free port of 127.0.0.1; {} for those of the app); files: { name = text } beside
-- app.lua; setup(folder) before the start; env; terminal: its log is one; dispatcher_fails: it is
-- meant to.
function M.start(app, options)
    local self = setmetatable({}, Server)
    run(self, app, options or {})
    return self
end

-- Within describe: the same, started before each of its specs and stopped after it.
function M.fresh(app, options)
    local self = setmetatable({}, Server)
    busted.before_each(function()
        run(self, app, options or {})
    end)
    busted.after_each(function()
        self:stop()
    end)
    return self
end

-- Within describe: one for all of its specs.
function M.shared(app, options)
    local self = setmetatable({}, Server)
    busted.setup(function()
        run(self, app, options or {})
    end)
    busted.teardown(function()
        self:stop()
    end)
    return self
end

local function keep(self, one, ...)
    if one then
        self.peers[#self.peers + 1] = one
    end
    return one, ...
end

-- These are peer.connect, peer.websocket and peer.get; stop() closes their connections.
function Server:connect(options)
    return keep(self, peer.connect(self.port, options))
end

function Server:close_peers()
    for _, one in ipairs(self.peers) do
        one:close()
    end
    self.peers = {}
end

-- To another of its listeners.
function Server:connect_to(port, options)
    return keep(self, peer.connect(port, options))
end

function Server:websocket(path, options)
    return keep(self, peer.websocket(self.port, path, options))
end

function Server:get(path)
    return peer.get(self.port, path)
end

-- A counter's value (docs/tuning.md), of an app that has
--   mw.get("/counters", function() return mw.counters() end)
function Server:counter(name)
    return cjson.decode((self:get "/counters"))[name]
end

-- What mw.versions() gives, of an app that has
--   mw.get("/versions", function() return mw.versions() end)
function Server:versions()
    return cjson.decode((self:get "/versions"))
end

-- Waits for the next line of the log, or of what the app prints, that matches; its captures.
function Server:logged(pattern)
    return self.process:wait_for(pattern, "err")
end

function Server:printed(pattern)
    return self.process:wait_for(pattern, "out")
end

-- Another text for app.lua, or a file beside it, as `>` in a shell writes it.
function Server:edit(text, name)
    self.folder:write(name or "app.lua", text)
end

-- Waits until another generation serves; its number.
function Server:reloaded()
    return tonumber((self:logged "generation (%d+) serves, after"))
end

-- Loads the app again, with another text if there is one, and waits; the generation's number.
function Server:reload(text)
    if text then
        self:edit(text)
    end
    self.process:signal "HUP"
    return self:reloaded()
end

-- Waits until a rollback is done: the number that serves, whose code it is, and what asked for it.
function Server:rolled_back()
    local cause, number, code = self:logged("rolled back %((.-)%): generation (%d+) serves, "
        .. "the code of generation (%d+), after")
    return tonumber(number), tonumber(code), cause
end

-- Waits until one has failed; why.
function Server:rollback_failed()
    return self:logged "rollback failed, generation %d+ serves on: (.*)"
end

-- Waits until a reload has failed; why.
function Server:reload_failed()
    return self:logged "reload failed, generation %d+ serves on: (.*)"
end

-- What no spec expects, whatever it is about; but for one that makes the dispatcher fail.
local function check_log(text, failing)
    for _, sign in ipairs { "Sanitizer", "runtime error:", "PANIC",
        not failing and "the dispatcher failed" or nil } do
        assert.is_nil(text:find(sign, 1, true), text)
    end
end

-- Ends it by SIGTERM, which it must survive: status 0, and no sanitizer's report. Returns all that
-- it logged and printed.
function Server:stop()
    if self.stopped then
        return self.process.err, self.process.out
    end
    self.stopped = true
    self:close_peers()
    self.process:signal "TERM"
    local ok, problem = pcall(self.process.wait, self.process)
    self.process:finish()
    self.folder:remove()
    assert(ok, problem)
    check_log(self.process.err, self.dispatcher_fails)
    assert.is_nil(self.process.signal_number, self.process.err)
    assert.equal(0, self.process.status, self.process.err)
    return self.process.err, self.process.out
end

return M
