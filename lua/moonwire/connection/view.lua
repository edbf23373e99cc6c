-- A binary message that is not copied (binaryType = "buffer"): read-only, and valid until the hook
-- that got it returns.
--
--   #view            bytes
--   view[0]          the first byte as a number; nil past the end
--   view:string([first [, last]])   a Lua string of bytes first..last, counted as view[i] counts
--   tostring(view)   all of it
--   view.data        const uint8_t *, for FFI code

local ffi = require "ffi"

local M = require("moonwire.base.lazy").module(...)

local methods = {}

local function alive(view, level)
    if view.data == nil then
        error("this message is gone: a view is valid only in the hook that got it; keep "
            .. "tostring(view) instead", level + 1)
    end
end

function methods.string(view, first, last)
    alive(view, 2)
    first, last = math.max(first or 0, 0), math.min(last or view.len - 1, view.len - 1)
    return last < first and "" or ffi.string(view.data + first, last - first + 1)
end

local view_type = ffi.metatype("struct { const uint8_t *const data; const uint32_t len; }", {
    __len = function(view)
        return view.len
    end,
    __index = function(view, key)
        if type(key) ~= "number" then
            return methods[key]
        end
        alive(view, 2)
        if key >= 0 and key < view.len then
            return view.data[key]
        end
    end,
    __newindex = function()
        error("a received message cannot be changed; copy it with ffi.copy first", 2)
    end,
    __tostring = function(view)
        return methods.string(view)
    end,
})

local nothing = ffi.new "uint8_t[1]" -- an empty message has no address of its own

function M.new(data, len)
    return view_type(len > 0 and ffi.cast("const uint8_t *", data) or nothing, len)
end

function M.is(value)
    return ffi.istype(view_type, value)
end

-- The fields are constant for the script; this module writes them through another type.
local pointer_type = ffi.typeof "struct { const uint8_t *data; uint32_t len; } *"

local function point(view, data, len)
    local fields = ffi.cast(pointer_type, ffi.cast("void *", view))
    fields.data, fields.len = data, len
end

-- From here on every use raises.
function M.release(view)
    point(view, nil, 0)
end

-- The loop will reuse the bytes, but the hook is not done: gives the view a copy. Returns what must
-- be kept alive as long as the view is.
function M.detach(view)
    local copy = methods.string(view)
    point(view, ffi.cast("const uint8_t *", copy), #copy)
    return copy
end

return M
