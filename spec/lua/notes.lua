-- Apps on the fake engine that write down what happens to them.
--
--   local engine, problem = notes.load [[ mw.after(1, function() note("after", 1) end) ]]
--   engine:fire()
--   assert.equal("after 1", notes.take(engine))

local fake = require "spec.lua.fake"

local M = {}

local prologue = [[
local mw, seen = require "moonwire", require "seen"
local function note(...)
    seen.log[#seen.log + 1] = table.concat({ ... }, " ")
end
]]

-- An engine with an app, which has mw, seen and note(...), from its line 5; why it was not
-- loaded, if it was not.
function M.load(source)
    local engine = fake.new()
    engine.seen.log = {}
    return engine, engine:load(prologue .. source)
end

-- What was noted since the last call.
function M.take(engine)
    local text = table.concat(engine.seen.log, ", ")
    engine.seen.log = {}
    return text
end

return M
