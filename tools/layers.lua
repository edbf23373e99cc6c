-- Checks the direction of includes (ARCHITECTURE.md): luajit tools/layers.lua FILE…

local rank = { base = 1, protocol = 2, transport = 3, engine = 4, script = 5, main = 6 }

-- Outside headers that one place alone may know.
local owners = {
    { header = "%f[%w]ev%.h$", place = "^src/engine/", says = "only src/engine knows libev" },
    { header = "%f[%w]lua%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]lauxlib%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]lualib%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]luajit%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "^openssl/", place = "^src/transport/", says = "only src/transport knows OpenSSL" },
}

local faults = 0
local function fault(path, number, text)
    faults = faults + 1
    io.stderr:write(("%s:%d: %s\n"):format(path, number, text))
end

local function check_include(path, number, layer, header)
    local target = header:match "^(%w+)/[%w_/]+%.h$"
    if rank[target] and rank[target] > rank[layer] then
        fault(path, number, ("%s may not include %s: it is a layer above"):format(layer, header))
    end
    for _, owner in ipairs(owners) do
        if header:find(owner.header) and not path:find(owner.place) then
            fault(path, number, owner.says)
        end
    end
end

-- These headers are given to ffi.cdef, by the specs and by the server. It knows no preprocessor and
-- no function bodies.
local function is_read_by_lua(path)
    return path:find "^src/base/.*%.h$" or path:find "^src/protocol/.*%.h$"
        or path == "src/engine/ground/event.h" or path == "src/script/api.h"
end

local function check_declaration(path, number, line)
    if line:find "^%s*#%s*define" then
        fault(path, number, "a #define in a header that Lua reads: use an enum")
    elseif line:find "static%s+inline" or line:find "inline%s+static" then
        fault(path, number, "an inline function in a header that Lua reads")
    end
end

for _, path in ipairs(arg) do
    local layer = path:match "^src/(%w+)/"
    if not rank[layer] then
        fault(path, 1, "in a folder that is not a layer")
    else
        local for_lua = is_read_by_lua(path)
        local number = 0
        for line in io.lines(path) do
            number = number + 1
            local header = line:match '^%s*#%s*include%s*[<"]([^>"]+)[>"]'
            if header then
                check_include(path, number, layer, header)
            elseif for_lua then
                check_declaration(path, number, line)
            end
        end
    end
end
os.exit(faults == 0 and 0 or 1)
