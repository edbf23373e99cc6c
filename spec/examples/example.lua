-- An example, run by the real binary on free ports.
--
--   local chat = require("spec.examples.example").start("chat", { arguments = { "0", "0" } })
--   local ada = chat:websocket "/chat/lobby?name=Ada"
--   …
--   chat:stop() -- in after_each

local assert = require "luassert"
local peer = require "spec.support.peer"
local process = require "spec.support.process"

local M = {}

local Example = {}
Example.__index = Example

function M.path(name)
    return ("examples/%s/%s.lua"):format(name, name)
end

-- options: arguments (the ports; a free one), path of another copy of the example. The development
-- certificate goes to a folder of the spec.
function M.start(name, options)
    options = options or {}
    local arguments = options.arguments or { "0" }
    local folder = process.folder()
    local command = { options.path or M.path(name) }
    for _, argument in ipairs(arguments) do
        command[#command + 1] = argument
    end
    local self = setmetatable({
        folder = folder,
        process = process.start(command, { env = { XDG_STATE_HOME = folder.path } }),
        peers = {},
    }, Example)
    local ok, problem = pcall(function()
        self.port = self.process:port()
        self.tls_port = tonumber(arguments[2]) and self.process:port()
    end)
    if not ok then
        self.process:finish()
        folder:remove()
        error(problem, 2)
    end
    return self
end

-- A WebSocket, or nil and the status when it is refused; options as in peer.websocket.
function Example:websocket(path, options)
    local one, status = peer.websocket(self.port, path, options)
    self.peers[#self.peers + 1] = one
    return one, status
end

function Example:get(path)
    return peer.get(self.port, path)
end

-- Tells it to end, and stop() then waits for that.
function Example:terminate()
    self.terminated = true
    self.process:signal "TERM"
end

-- Ends it as an operator would. Returns what it logged, which holds no failure.
function Example:stop()
    for _, one in ipairs(self.peers) do
        one:close()
    end
    if not self.terminated then
        self:terminate()
    end
    local ok, problem = pcall(self.process.wait, self.process)
    self.process:finish()
    self.folder:remove()
    assert(ok, problem)
    assert.equal(0, self.process.status, self.process.err)
    for _, sign in ipairs { " error ", "traceback", "Sanitizer", "runtime error:" } do
        assert.is_nil(self.process.err:find(sign, 1, true), self.process.err)
    end
    return self.process.err
end

return M
