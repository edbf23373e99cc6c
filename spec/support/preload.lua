-- A library in front of the C library, for specs of what the system does only in bad times: made
-- from a C source, and put into a process by its environment.
--
--   local library = preload.build(folder, "slow", [[ int getaddrinfo(…) { … } ]])
--   acceptors.run(script, {}, preload.env(library))

local shell = require "spec.support.shell"

local M = {}

-- The sanitizers' runtime must be the first library that a process has.
local function runtime()
    if not (os.getenv "MOONWIRE_BUILD" or ""):find "asan$" then
        return ""
    end
    local pipe = assert(io.popen "gcc -print-file-name=libasan.so")
    local path = pipe:read "*l"
    pipe:close()
    return path .. " "
end

-- Compiles it into a folder of process.lua's: the library's path.
function M.build(folder, name, source)
    local file = folder:write(name .. ".c", "#define _GNU_SOURCE\n" .. source)
    local library = ("%s/%s.so"):format(folder.path, name)
    shell(("cc -shared -fPIC -O1 -Wall -Werror -o '%s' '%s' -ldl"):format(library, file))
    return library
end

-- The variables that a process needs; more: others.
function M.env(library, more)
    local env = { LD_PRELOAD = runtime() .. library }
    for key, value in pairs(more or {}) do
        env[key] = value
    end
    return env
end

return M
