-- The servers that are compared: how each is started for a row.
local M = {}

local root, files

--- root is the checkout, files the folder of build products (build/bench).
function M.init(root_folder, files_folder)
    root, files = root_folder, files_folder
end

local function with_certificate(argv, app)
    if app == "tls" then
        argv[#argv + 1] = files .. "/cert.pem"
        argv[#argv + 1] = files .. "/key.pem"
    end
    return argv
end

local function peer_argv(program, script, app, port)
    return with_certificate({ program, root .. "/bench/peers/" .. script, app, port }, app)
end

local servers = {
    raw = function(row, port)
        return { files .. "/raw", port, row.app == "fanout" and "fanout" or nil }
    end,
    moonwire = function(row, port)
        local argv = { root .. "/build/moonwire", root .. "/bench/apps/" .. row.app .. ".lua",
            "--log-level", "warn" }
        if row.app ~= "tls" then
            argv[#argv + 1] = "--listen"
            argv[#argv + 1] = "127.0.0.1:" .. port
        end
        return argv
    end,
    bun = function(row, port)
        return peer_argv(files .. "/peers/node_modules/.bin/bun", "bun.js", row.app, port)
    end,
    ws = function(row, port)
        return peer_argv("node", "ws.js", row.app, port)
    end,
    uws = function(row, port)
        return peer_argv("node", "uws.js", row.app, port)
    end,
    lws = function(row, port)
        return with_certificate({ files .. "/lws", row.app, port }, row.app)
    end,
}

--- One more server, a program of the user's that takes the arguments of peers/lws.c: MODE PORT, and
--- for tls CERT KEY. command is split at spaces.
function M.add(name, command)
    servers[name] = function(row, port)
        local argv = {}
        for word in command:gmatch "%S+" do
            argv[#argv + 1] = word
        end
        argv[#argv + 1] = row.app
        argv[#argv + 1] = port
        return with_certificate(argv, row.app)
    end
end

--- Whether that server has a part in that row.
function M.takes_part(server, row)
    if row.only and row.only ~= server then
        return false
    end
    return server ~= "raw" or row.raw == true
end

--- The server's argv and its further environment.
function M.command(server, row, port)
    return servers[server](row, port), {
        BENCH_PORT = port,
        BENCH_CERT = files .. "/cert.pem",
        BENCH_KEY = files .. "/key.pem",
        NODE_PATH = files .. "/peers/node_modules",
    }
end

function M.known(server)
    return servers[server] ~= nil
end

return M
