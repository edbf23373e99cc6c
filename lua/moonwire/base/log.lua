-- mw.log: lines in the server's log.

local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local arguments = lazy.use "moonwire.base.arguments"
local log_fields = lazy.use "moonwire.base.log_fields"
local suggest = lazy.use "moonwire.base.suggest"

local C, worker = native.C, native.worker

--- Writes a line: `mw.log.debug`, `mw.log.info`, `mw.log.warn`, `mw.log.error`.
-- @param text what happened; a table without __tostring is written as JSON, other values than
--   strings go through tostring
-- @param fields optional table of what belongs to it, { name = value }: strings, numbers, booleans,
--   and tables of them; other values go through tostring. They are written after the text, sorted
--   by name.
-- @usage mw.log.info("joined", { room = "lobby", users = 3 })
local M = {}

local levels = { debug = 0, info = 1, warn = 2, error = 3 }

for name, level in pairs(levels) do
    M[name] = function(text, fields, ...)
        if text == M then
            error(string.format("mw.log:%s: write mw.log.%s(…), with a dot", name, name), 2)
        elseif fields ~= nil and type(fields) ~= "table" then
            error(string.format("mw.log.%s: the fields are a table, { name = value }, got %s", name,
                type(fields)), 2)
        end
        arguments.no_more(string.format("mw.log.%s(text, fields)", name), nil, ...)
        text = type(text) == "string" and text or log_fields.text(text)
        local extra = fields and log_fields.members(fields) or ""
        C.mw_log(worker, level, text, #text, extra, #extra)
    end
end

return setmetatable(M, {
    __call = function()
        return suggest.log_level(nil)
    end,
    __index = function(_, name)
        return suggest.log_level(name)
    end,
})
