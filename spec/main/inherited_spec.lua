-- Sockets that the service manager has opened (sd_listen_fds(3)): the process listens with them.

local free_port = require "spec.support.free_port"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local unistd = require "posix.unistd"

local app = [[
local mw = require "moonwire"
mw.limits { drain_seconds = 0, close_seconds = 1 }
mw.get("/", function(req) return req.remote_address end)
mw.get("/env", function() return tostring(os.getenv "LISTEN_FDS") end)
]]

describe("a socket of the service manager", function()
    local folder, server

    before_each(function()
        folder = process.folder()
    end)

    after_each(function()
        if server then
            server:finish()
        end
        server = nil
        folder:remove()
    end)

    -- sockets: what is opened before, ports, paths, "both:PORT", "udp"; more: of the app.
    local function start(sockets, more, env)
        local path = folder:write("app.lua", app .. more)
        local command = { [0] = "python3", "spec/support/activate.py" }
        for _, one in ipairs(sockets) do
            command[#command + 1] = tostring(one)
        end
        for _, one in ipairs { "--", process.binary, path, "--control", "none" } do
            command[#command + 1] = one
        end
        server = process.start(command, { env = env })
        server:wait_for("listening on ", "err")
    end

    local function stop()
        server:signal "TERM"
        server:wait()
        assert.equal(0, server.status, server.err)
        return server.err
    end

    local function get(to, path)
        return (peer.get(to, path or "/"))
    end

    it("is listened with where the app listens at its address", function()
        local port = free_port()
        start({ port }, ("mw.listen { port = %d, host = '127.0.0.1' }"):format(port))
        assert.equal("127.0.0.1", get(port))
        assert.equal("nil", get(port, "/env"))
        assert.is_nil(stop():find("warn", 1, true))
    end)

    it("goes with others that the process opens itself", function()
        local first, second = free_port(), free_port()
        start({ first },
            ("mw.listen { port = %d } mw.listen { port = %d }"):format(first, second))
        assert.equal("127.0.0.1", get(first))
        assert.equal("127.0.0.1", get(second))
    end)

    it("may be for both families, as systemd opens a port alone", function()
        local port = free_port()
        start({ "both:" .. port }, ("mw.listen { port = %d, host = '*' }"):format(port))
        assert.equal("127.0.0.1", get(port))
        assert.is_nil(stop():find("warn", 1, true))
    end)

    it("may be a unix socket, whose file stays", function()
        local path = folder.path .. "/socket"
        start({ path }, ("mw.listen { host = 'unix:%s' }"):format(path))
        assert.equal("unix", get(path))
        stop()
        assert.equal(0, unistd.access(path))
    end)

    it("is listened with again after the app had no listener there", function()
        local first, second = free_port(), free_port()
        local one, other = ("mw.listen { port = %d, host = '127.0.0.1' }\n"):format(first),
            ("mw.listen { port = %d, host = '127.0.0.1' }\n"):format(second)
        start({ first, second }, one .. other)
        folder:write("app.lua", app .. one)
        server:signal "HUP"
        server:wait_for("no longer listening on ", "err")
        server:wait_for("generation 2 serves", "err")
        folder:write("app.lua", app .. one .. other)
        server:signal "HUP"
        server:wait_for("generation 3 serves", "err")
        assert.equal("127.0.0.1", get(second))
    end)

    it("that nobody wants is told of", function()
        local first, second = free_port(), free_port()
        start({ first, second, folder.path .. "/none", "udp" },
            ("mw.listen { port = %d, host = '127.0.0.1' }"):format(second))
        server:wait_for(("warn  the service manager has opened 127.0.0.1:%d, where the app "
            .. "does not listen"):format(first), "err")
        server:wait_for("warn  the service manager has opened unix:", "err")
        assert.equal("127.0.0.1", get(second))
    end)

    it("is not taken when it is another process's", function()
        local first, second = free_port(), free_port()
        start({ first }, ("mw.listen { port = %d, host = '127.0.0.1' }"):format(second),
            { AS_PID = "1" })
        assert.equal("127.0.0.1", get(second))
        assert.is_nil(stop():find("service manager", 1, true))
    end)
end)
