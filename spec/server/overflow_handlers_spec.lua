-- An app's own handler of errors, in a stack that has overflowed
-- (lua/moonwire/app/guard_handlers.lua).

local servers = require "spec.support.server"

describe("A handler of errors in a stack that has overflowed", function()
    local server = servers.fresh [[
local mw = require "moonwire"
local function deep() return 1 + deep() end
local function walk(node) for _, child in pairs(node) do walk(child) end return 1 end
local loop = {}
loop.itself = loop

local function tell(problem) return (debug.traceback(problem)) end
local handlers = {
    traceback = debug.traceback,
    calling = function(problem) local text = debug.traceback(problem) return text end,
    level = function(problem) local text = debug.traceback(problem, 1) return text end,
    helper = function(problem) local text = tell(problem) return text end,
    info = function() local at = debug.getinfo(1) return "by getinfo: " .. at.short_src end,
    name = function() local at = debug.getinfo(1, "n") return "by name: " .. tostring(at.name) end,
    none = function() local text = debug.traceback() return text end,
    value = function() local value = debug.traceback { 1 } return "a value: " .. type(value) end,
}
mw.get("/:handler", function(req)
    local told
    for _ = 1, 8 do
        pcall(deep)
        told = select(2, xpcall(deep, handlers[req.params.handler]))
        xpcall(walk, handlers[req.params.handler], loop)
    end
    return told
end)
mw.get("/", function()
    local text = select(2, xpcall(function() error "no overflow" end, debug.traceback))
    return text .. "|" .. tostring(debug.getinfo(1).short_src)
end)
]]

    for name, text in pairs {
        traceback = "stack overflow", calling = "stack overflow", level = "stack overflow",
        helper = "stack overflow", info = "by getinfo: %S*app%.lua", name = "by name: ",
        none = "stack traceback:\n\t%S*app%.lua", value = "a value: table",
    } do
        it("may ask for names, and ends nothing: " .. name, function()
            for _ = 1, 3 do
                assert.matches(text, (server:get("/" .. name)))
            end
        end)
    end

    it("tells the calls without names, and the last ones only", function()
        local lines = select(2, (server:get "/calling"):gsub("\n\t%S*app%.lua", ""))
        assert.is_true(lines >= 5 and lines <= 12, lines)
    end)

    it("has all names again when the stack has not overflowed", function()
        server:get "/calling"
        assert.matches("no overflow\nstack traceback:\n\t%[C%]: in function 'error'\n.*"
            .. "|%S*app%.lua$", (server:get "/"))
    end)
end)
