-- mw.json: JSON (RFC 8259) for apps, on the codec in C (src/script/json.c).

local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local suggest = lazy.use "moonwire.base.suggest"

local codec = native.open_json()

local M = lazy.module(...)

local api = {
    --- A text for a value: tables with the keys 1 and up are lists, as are those of mw.json.array;
    -- others are objects. Numbers keep all their digits. Raises for what JSON does not have, and
    -- says where in the value that is.
    -- @usage ws:send(mw.json.encode { type = "joined", users = mw.json.array(names) })
    encode = codec.encode,
    --- The value of a text.
    -- @return the value, where null is mw.json.null and a list, also an empty one, is encoded as a
    --   list again; nil and a text that says what is wrong, and where
    -- @usage local order, problem = mw.json.decode(data)
    decode = codec.decode,
    null = codec.null,
    array_mt = codec.list_meta,
}

--- Marks a table as a list, so that it is encoded as one when it is empty.
-- @param list optional table without a metatable
-- @return the list
function api.array(list)
    list = list == nil and {} or list
    if type(list) ~= "table" then
        error(string.format("mw.json.array: expected a table, got %s", type(list)), 2)
    end
    local meta = getmetatable(list)
    if meta ~= nil and meta ~= codec.list_meta then
        error("mw.json.array: the table has a metatable of its own already", 2)
    end
    return setmetatable(list, codec.list_meta)
end

local names = { "encode", "decode", "null", "array", "array_mt" }

failure.know_api(api, "mw.json")

M.api = setmetatable(api, {
    __call = function()
        error("mw.json is a table of functions: write mw.json.encode(value), or "
            .. "mw.json.decode(text)", 2)
    end,
    __index = function(_, name)
        error(string.format("mw.json.%s does not exist%s", tostring(name),
            suggest.text(tostring(name),
            names)), 2)
    end,
})

return M
