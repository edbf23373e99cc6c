-- The peers: how each gets here, and which version came. A peer that cannot be had is left out.
local json = require "cjson"
local process = require "process"

local M = {}

local root, files

--- root is the checkout, files the folder of build products (build/bench).
function M.init(root_folder, files_folder)
    root, files = root_folder, files_folder
end

local function exists(path)
    local f = io.open(path)
    return f ~= nil and f:close()
end

local function first_line(text)
    return text:match "[^\n]*"
end

local function last_line(text)
    return text:match "([^\n]*%S)%s*$" or ""
end

local function has(command)
    return process.run { "sh", "-c", "command -v " .. command .. " >/dev/null" }
end

local function module_path(name)
    return files .. "/peers/node_modules/" .. name
end

local function package_version(name)
    local f = assert(io.open(module_path(name) .. "/package.json"))
    local package = json.decode(f:read "*a")
    f:close()
    return package.version
end

-- Each with npm on its own: one that cannot be had must not keep the others away.
local function npm(wanted, marker, ...)
    if exists(module_path(marker)) then
        return nil
    elseif not (has "npm" and has "node") then
        return "Node and npm are not installed"
    end
    io.stderr:write("bench: npm install ", wanted, " (into build/bench/peers)\n")
    process.run { "mkdir", "-p", files .. "/peers" }
    local text = process.output { "npm", "install", "--prefix", files .. "/peers", "--no-audit",
        "--no-fund", ... }
    return not exists(module_path(marker)) and "npm could not install it: " .. last_line(text) or
        nil
end

local peers = {}

-- Not from its makers, who publish on GitHub only, but a copy of their binaries in npm's registry.
-- Exactly this version, and none of its scripts are run.
peers.uws = {
    prepare = function()
        return npm("@rjweb/uws", "@rjweb/uws/package.json", "--ignore-scripts", "@rjweb/uws@1.5.0")
    end,
    version = function()
        return ("uWebSockets.js (@rjweb/uws %s) on Node %s"):format(package_version "@rjweb/uws",
            first_line(process.output { "node", "--version" }))
    end,
}

peers.bun = {
    prepare = function()
        return npm("bun", ".bin/bun", "bun@1")
    end,
    version = function()
        return "Bun " .. first_line(process.output { module_path ".bin/bun", "--version" })
    end,
}

peers.ws = {
    prepare = function()
        return npm("ws bufferutil", "ws/package.json", "ws@8", "bufferutil@4")
    end,
    version = function()
        return ("ws %s on Node %s"):format(package_version "ws",
            first_line(process.output { "node", "--version" }))
    end,
}

peers.lws = {
    prepare = function()
        if not process.run { "pkg-config", "--exists", "libwebsockets" } then
            return "libwebsockets is not installed: apt-get install libwebsockets-dev brings it"
        end
        local text = process.output { "gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-o",
            files .. "/lws", root .. "/bench/peers/lws.c", "-lwebsockets" }
        return text ~= "" and "it cannot be built: " .. text or nil
    end,
    version = function()
        return "libwebsockets " .. first_line(process.output { "pkg-config", "--modversion",
            "libwebsockets" }):gsub("%-$", "") .. ", libev"
    end,
}

--- A peer that the user brought, with bench/run --peer.
function M.add(name, command)
    peers[name] = {
        prepare = function() end,
        version = function()
            return ("%s: %s, from --peer"):format(name, command)
        end,
    }
end

function M.is_peer(server)
    return peers[server] ~= nil
end

--- Brings what the peer needs. Nil, or why it has no part.
function M.prepare(server)
    return peers[server] and peers[server].prepare()
end

--- For the report.
function M.version(server)
    return peers[server].version()
end

return M
