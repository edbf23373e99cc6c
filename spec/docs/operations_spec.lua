-- What docs/operations.md tells people to copy works as it stands: its unit passes systemd's check,
-- and Debian's nginx and HAProxy, with its very blocks, pass on requests and WebSockets. Only paths
-- and ports are replaced, and the unit's user, group, umask and modes are set up as systemd would.

local core = require "spec.support.cdef"
local process = require "spec.support.process"
local peer = require "spec.support.peer"
local free_port = require "spec.support.free_port"
local read = require("spec.support.files").read
local shell = require "spec.support.shell"

local unistd = require "posix.unistd"
local sys_stat = require "posix.sys.stat"

local document = read "docs/operations.md"
local as_root = unistd.geteuid() == 0
local binary = process.binary:sub(1, 1) == "/" and process.binary
    or unistd.getcwd() .. "/" .. process.binary

-- The text of a block of code: the first one of this language that holds the text.
local function block(language, holding)
    for text in document:gmatch("\n```" .. language .. "\n(.-)\n```\n") do
        if text:find(holding, 1, true) then
            return text .. "\n"
        end
    end
    error(("docs/operations.md has no block of %s with %s"):format(language, holding))
end

-- A text with another one in place of what must be there.
local function replaced(text, from, to)
    local first, last = text:find(from, 1, true)
    assert(first, from .. " is not in:\n" .. text)
    return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

local unit = block("ini", "[Unit]")

local function setting(name)
    local value = unit:match("\n" .. name .. "=([^\n]+)")
    return value or error("the unit has no " .. name)
end

local app = [[
    local mw = require "moonwire"
    mw.get("/where", function(req)
        return req.remote_address .. " for " .. (req.headers["x-forwarded-for"] or "nobody")
    end)
    mw.post("/length", function(req) return tostring(#req.body) end)
    mw.ws("/chat/:room", {
        on_open = function(ws) ws:send(ws.params.room .. " " .. ws.remote_address) end,
        on_message = function(ws, text) ws:send(text) end,
    })
    mw.ws("/named", { origins = { "https://chat.example.com" } })
    mw.limits { close_seconds = 1, drain_seconds = 0 }
]]

describe("the unit of docs/operations.md", function()
    local folder = process.fresh_folder()

    local function verify(text)
        local path = folder:write("chat.service", text)
        return process.run { [0] = "systemd-analyze", "verify", "--man=no", path }
    end

    -- The command's path is that of another machine.
    local function with_binary(text)
        return (text:gsub("=/usr/local/bin/moonwire ", "=" .. binary:gsub("%%", "%%%%") .. " "))
    end

    it("passes systemd-analyze verify", function()
        local done = verify(with_binary(unit))
        assert.same({ 0, "", "" }, { done.status, done.out, done.err })
    end)

    it("passes it with the credentials for TLS", function()
        local credentials = block("ini", "LoadCredential")
        local done = verify(replaced(with_binary(unit), "[Service]\n",
            "[Service]\n" .. credentials))
        assert.same({ 0, "", "" }, { done.status, done.out, done.err })
    end)

    it("passes it with the sockets of its socket unit, which hold its ports", function()
        folder:write("chat.service", with_binary(unit))
        local path = folder:write("chat.socket", block("ini", "[Socket]"))
        local done = process.run { [0] = "systemd-analyze", "verify", "--man=no", path }
        assert.same({ 0, "", "" }, { done.status, done.out, done.err })
    end)

    -- What a service that is taken over could do, as systemd sees it: 10 is everything.
    it("exposes less than 2 of 10 to whoever takes the service over", function()
        local path = folder:write("chat.service", with_binary(unit))
        local function exposure()
            local done = process.run { [0] = "systemd-analyze", "security", "--offline=yes",
                "--no-pager", path }
            return tonumber(done.out:match "exposure level for chat.service: ([%d.]+)")
        end
        assert.is_true(exposure() < 2)
        folder:write("chat.service", with_binary(unit:gsub("\nSystemCallFilter=[^\n]*", "")))
        assert.is_true(exposure() >= 2)
    end)

    it("would not, with a mistake", function()
        local done = verify(replaced(with_binary(unit), "UMask=", "UMsk="))
        assert.matches("UMsk", done.err)
    end)

    it("gives the server time to end", function()
        local limits = core.C.limits_default
        assert.is_true(tonumber(setting "TimeoutStopSec")
            > limits.drain_seconds + limits.close_seconds)
    end)
end)

describe("docs/operations.md behind", function()
    local folder, running, proxy_port

    -- The app as systemd would start it: in its group and with its umask, with a runtime directory.
    local function start_app(listen)
        local run = folder.path .. "/run"
        shell(("mkdir '%s'"):format(run))
        local path = folder:write("app.lua", app .. listen:gsub("/run/chat", run))
        local command = { [0] = "sh", "-c", 'umask "$1" && shift && exec "$@"', "sh",
            setting "UMask" }
        if as_root then
            shell(("chown nobody:%s '%s' && chmod %s '%s' && chmod 755 '%s'"):format(
                setting "Group", run, setting "RuntimeDirectoryMode", run, folder.path))
            for _, word in ipairs { "setpriv", "--reuid=nobody", "--regid=" .. setting "Group",
                "--clear-groups" } do
                command[#command + 1] = word
            end
        end
        for _, word in ipairs { binary, path, "--control", "none" } do
            command[#command + 1] = word
        end
        local server = process.start(command)
        running[#running + 1] = server
        return server, run
    end

    -- check: what makes the program look at its configuration, and end.
    local function start_proxy(command, check)
        local checked = process.run { [0] = command[0], check, unpack(command) }
        assert.equal(0, checked.status, checked.out .. checked.err)
        running[#running + 1] = process.start(command)
        process.eventually(function()
            local p = peer.connect(proxy_port)
            if p then
                p:close()
            end
            return p
        end)
    end

    before_each(function()
        folder, running = process.folder(), {}
        proxy_port = free_port()
    end)

    after_each(function()
        for _, one in ipairs(running) do
            one:signal "TERM"
        end
        for _, one in ipairs(running) do
            pcall(one.wait, one)
            one:finish()
        end
        folder:remove()
    end)

    local fields = { Host = "chat.example.com", Origin = "http://chat.example.com" }

    -- All that the document promises of a proxy. remote: what the app sees as the other end.
    local function passes_on(remote, forwarded)
        assert.equal(("%s for %s"):format(remote, forwarded), (peer.get(proxy_port, "/where")))
        local ws = assert(peer.websocket(proxy_port, "/chat/lobby", { fields = fields }))
        assert.equal("lobby " .. remote, ws:read_text())
        assert.equal("a", ws:ask "a")
        local long = ("x"):rep(100000)
        assert.equal(long, ws:ask(long))
        ws:close_cleanly(1000)
        ws:close()
        -- Host is passed on as it came: the Origin of another host is refused, and one that the
        -- route names is not.
        local other = { Host = "chat.example.com", Origin = "http://other.example.com" }
        assert.equal(403, select(2, peer.websocket(proxy_port, "/chat/lobby", { fields = other })))
        local named = { Host = "chat.example.com", Origin = "https://chat.example.com" }
        assert.equal(403, select(2, peer.websocket(proxy_port, "/chat/lobby", { fields = named })))
        ws = assert(peer.websocket(proxy_port, "/named", { fields = named }))
        ws:close()
        local p = assert(peer.connect(proxy_port))
        p:send("POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            .. "Content-Length: 100000\r\n\r\n" .. long)
        assert.equal("100000", p:response().body)
        p:close()
    end

    it("nginx works as it stands", function()
        local listen = 'mw.listen { host = "unix:/run/chat/chat.sock" }'
        assert.truthy(document:find(listen, 1, true))
        local server, run = start_app(listen)
        server:wait_for "listening on unix:(.*)"
        -- In Debian's own file, which has nginx's user.
        local config = read "/etc/nginx/nginx.conf"
        config = replaced(config, "/run/nginx.pid", folder.path .. "/nginx.pid")
        config = replaced(config, "error_log /var/log/nginx/error.log", "error_log stderr")
        config = replaced(config, "access_log /var/log/nginx/access.log", "access_log off")
        config = replaced(config, "include /etc/nginx/conf.d/*.conf",
            "include " .. folder.path .. "/chat.conf")
        config = replaced(config, "include /etc/nginx/sites-enabled/*;", "")
        local chat = block("nginx", "upstream")
        chat = replaced(chat, "listen 80;", ("listen 127.0.0.1:%d;"):format(proxy_port))
        chat = replaced(chat, "unix:/run/chat/chat.sock", ("unix:%s/chat.sock"):format(run))
        folder:write("chat.conf", chat)
        local path = folder:write("nginx.conf", config)
        start_proxy({ [0] = "nginx", "-c", path, "-e", "stderr", "-g", "daemon off;" }, "-t")
        passes_on("unix", "127.0.0.1")
        local mode = bit.band(sys_stat.lstat(run .. "/chat.sock").st_mode, 511)
        assert.equal(0, bit.band(mode, 7), "the socket is open to everybody")
    end)

    -- Below Debian's own global and defaults, with its user and its chroot.
    local function start_haproxy(text)
        local config = read "/etc/haproxy/haproxy.cfg"
        config = replaced(config, "/run/haproxy/admin.sock", folder.path .. "/admin.sock")
        config = replaced(config, "\tdaemon\n", "")
        local path = folder:write("haproxy.cfg", config .. "\n" .. text)
        start_proxy({ [0] = "haproxy", "-db", "-f", path }, "-c")
    end

    local web = replaced(block("haproxy", "frontend"), "bind :80", "bind 127.0.0.1:%d")

    it("HAProxy works as it stands", function()
        if not as_root then
            return pending "only root can use Debian's chroot"
        end
        local listen = "mw.listen { port = 8080 }"
        assert.truthy(document:find(listen, 1, true))
        local port = start_app(replaced(listen, "8080", "0")):port()
        local text = replaced(web:format(proxy_port), "127.0.0.1:8080", "127.0.0.1:" .. port)
        start_haproxy(text)
        passes_on("127.0.0.1", "127.0.0.1")
    end)

    it("HAProxy works with the PROXY protocol", function()
        if not as_root then
            return pending "only root can use Debian's chroot"
        end
        local listen = "mw.listen { port = 8081, proxy = true }"
        assert.truthy(document:find(listen, 1, true))
        local port = start_app(replaced(listen, "8081", "0")):port()
        local text = replaced(web:format(proxy_port), "default_backend chat",
            "default_backend proxied") .. "\n" .. replaced(block("haproxy", "backend proxied"),
            "127.0.0.1:8081", "127.0.0.1:" .. port)
        start_haproxy(text)
        -- The client is at another address than the proxy.
        assert.equal("127.0.0.5 for nobody",
            (peer.get(proxy_port, "/where", { from = "127.0.0.5" })))
        passes_on("127.0.0.1", "nobody")
    end)
end)
