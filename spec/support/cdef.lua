-- The C core for specs: declares the headers of src/base and src/protocol through the FFI and loads
-- libmoonwire-core.so from the build under test (MOONWIRE_BUILD, default build).
--
--   local core = require "spec.support.cdef"
--   core.C.frame_decode(frame, core.copy "\129\0", 2)
--   core.declare "src/engine/ground/site.h"  -- a header of another folder, with those it includes

local ffi = require "ffi"
local read = require("spec.support.files").read
local posix_dirent = require "posix.dirent"

local M = {}

-- What ffi.cdef understands of a header: no preprocessor, no functions with bodies, no _Atomic (the
-- specs have one thread).
local function declarations(text)
    text = ("\n" .. text):gsub("\n#[^\n]*", "\n"):gsub("_Atomic%s+", "")
        :gsub("\nstatic inline [^;{]*%b{}", "\n")
    return (text:gsub("_Atomic%s*(%b())", function(inner)
        return inner:sub(2, -2)
    end))
end

local declared = {}

local function declare(path)
    if declared[path] then
        return
    end
    declared[path] = true
    local text = read(path)
    for included in text:gmatch '#include "([^"]+)"' do
        declare("src/" .. included)
    end
    local ok, problem = pcall(ffi.cdef, declarations(text))
    if not ok then
        error(path .. ": " .. problem, 0)
    end
end

-- Declares headers, each once and after those that it includes.
function M.declare(...)
    for _, path in ipairs { ... } do
        declare(path)
    end
end

local function headers(folder)
    local paths = {}
    for name in posix_dirent.files(folder) do
        if name:find "%.h$" then
            paths[#paths + 1] = folder .. "/" .. name
        end
    end
    table.sort(paths)
    return paths
end

ffi.cdef(("typedef union { char size[%d]; long align; } pthread_mutex_t;"):format(
    ffi.arch == "arm64" and 48 or 40))
ffi.cdef [[
typedef long time_t;
typedef unsigned socklen_t;
void *malloc(size_t size);
void free(void *p);
]]

for _, folder in ipairs { "src/base", "src/protocol" } do
    for _, path in ipairs(headers(folder)) do
        declare(path)
    end
end

M.build = os.getenv "MOONWIRE_BUILD" or "build"
local library = os.getenv "MOONWIRE_CORE" or M.build .. "/libmoonwire-core.so"
library = library:sub(1, 1) == "/" and library or "./" .. library
M.C = ffi.load(library)

-- A function in C that takes a lua_State, by its name.
function M.c_function(name)
    return assert(package.loadlib(library, name))
end

-- A copy of a string in a block of its own and of exactly its size (uint8_t *, or what as says), so
-- that AddressSanitizer sees a read past its end. Freed with the last reference to it.
function M.copy(text, as)
    local block = ffi.C.malloc(math.max(#text, 1))
    assert(block ~= nil, "out of memory")
    -- An empty input is one byte past the end of a block, where any read is wrong.
    local at = ffi.cast("uint8_t *", block) + (#text == 0 and 1 or 0)
    ffi.copy(at, text, #text)
    local typed = ffi.cast(as or "uint8_t *", at)
    return ffi.gc(typed, function()
        ffi.C.free(block)
    end)
end

-- The string in a buffer (struct buffer), or in the len bytes at a pointer.
function M.string(from, len)
    if len then
        return len == 0 and "" or ffi.string(from, len)
    end
    return from.len == 0 and "" or ffi.string(from.data, from.len)
end

-- A zeroed struct, which deinit (a C function that takes its address) cleans when it is collected.
function M.new(name, deinit)
    local value = ffi.new(name)
    return deinit and ffi.gc(value, deinit) or value
end

-- Calls fn(pieces, how) with the bytes whole, byte by byte, and cut in two at every place. The
-- result should not depend on it.
function M.split(bytes, fn)
    fn({ bytes }, "whole")
    local single = {}
    for i = 1, #bytes do
        single[i] = bytes:sub(i, i)
    end
    fn(single, "byte by byte")
    for at = 1, #bytes - 1 do
        fn({ bytes:sub(1, at), bytes:sub(at + 1) }, "cut after byte " .. at)
    end
end

-- The name of a failure ("ERR_PROTOCOL"), for messages that people read; other numbers as they are.
local error_names = {
    "ERR_MEMORY", "ERR_PROTOCOL", "ERR_UTF8", "ERR_TOO_BIG", "ERR_AGAIN", "ERR_CLOSED", "ERR_IO",
    "ERR_INVALID", "ERR_LIMIT", "ERR_NOT_FOUND", "ERR_IN_USE",
}
function M.name(code)
    return code < 0 and error_names[-code] or code
end

return M
