-- Turns the Lua modules into a C table of bytecode (src/script/embedded.h).
--   luajit tools/embed.lua OUT.c HEADER… lua/MODULE.lua… lua/TEXT.js…
-- A text that is no Lua becomes a module that returns it: lua/moonwire/app/overlay.js is
-- moonwire.overlay.js.
-- The header src/script/api.h, after those it includes, becomes the module "moonwire.cdef.api":
-- their text, without comments and preprocessor lines, for ffi.cdef, so that C and Lua read one
-- declaration. The next header's module has what was in none before. In the binary the names that
-- they declare are others (tools/private_names.lua), in the modules too.

package.path = arg[0]:match "^(.-)[^/]*$" .. "?.lua;" .. package.path
local private_names = require "private_names"

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- The text of a header and, before it, of those of ours that it includes.
local function declarations(path, lines, seen)
    seen[path] = true
    local text = read(path)
    for included in text:gmatch '\n#include "([^"]+)"' do
        if not seen["src/" .. included] then
            declarations("src/" .. included, lines, seen)
        end
    end
    for line in text:gsub("/%*.-%*/", ""):gmatch "[^\n]+\n?" do
        if line:sub(1, 1) ~= "#" then
            lines[#lines + 1] = line
        end
    end
    return lines
end

-- "lua/moonwire/base/log.lua" is the module moonwire.base.log, called =moonwire/base/log.lua in
-- tracebacks.
local function module_of(path)
    local inside = path:match "^lua/(.+)$"
    assert(inside, path .. " is not under lua/")
    return inside:gsub("%.lua$", ""):gsub("/", "."), "=" .. inside
end

local function bytes(code)
    local out, line = {}, {}
    for i = 1, #code do
        line[#line + 1] = code:byte(i)
        if #line == 24 or i == #code then
            out[#out + 1] = "    " .. table.concat(line, ",") .. ","
            line = {}
        end
    end
    return table.concat(out, "\n")
end

-- src/script/api.h is moonwire.cdef.api.
local function declaring_module(path, seen)
    local name = path:match "([%w_]+)%.h$"
    return "moonwire.cdef." .. name, ("=moonwire/cdef/%s"):format(name),
        table.concat(declarations(path, {}, seen))
end

local out_path = arg[1]
local sources, declared, names = {}, {}, nil
for i = 2, #arg do
    local name, chunk, text
    if arg[i]:find "%.h$" then
        name, chunk, text = declaring_module(arg[i], declared)
        names = private_names.declared_in(text, names)
        text = ("return %q"):format(private_names.declare(text, names))
    else
        name, chunk = module_of(arg[i])
        text = read(arg[i])
        if arg[i]:find "%.lua$" then
            text = private_names.use(text, names)
        else
            text = ("return %q"):format(text)
        end
    end
    sources[#sources + 1] = { name = name, chunk = chunk, text = text }
end

local arrays, entries = {}, {}
for i, source in ipairs(sources) do
    local chunk, problem = loadstring(source.text, source.chunk)
    if not chunk then
        io.stderr:write(problem, "\n")
        os.exit(1)
    end
    local code = string.dump(chunk)
    arrays[i] = ("static const unsigned char module_%d[] = {\n%s\n};\n"):format(i, bytes(code))
    entries[i] = ("    {%q, module_%d, sizeof(module_%d)},\n"):format(source.name, i, i)
end

local out = assert(io.open(out_path, "wb"))
out:write(
    "/* Written by tools/embed.lua. */\n#include \"script/embedded.h\"\n\n",
    table.concat(arrays, "\n"),
    "\nconst struct embedded_module embedded_modules[] = {\n",
    table.concat(entries),
    "    {NULL, NULL, 0},\n};\n"
)
assert(out:close())
