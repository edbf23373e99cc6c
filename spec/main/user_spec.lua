-- --user: what only root may do is done, and then the process is somebody else for good.

local certificates = require "spec.support.certificates"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local read = require("spec.support.files").read
local shell = require "spec.support.shell"
local pwd = require "posix.pwd"
local sys_stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local app = [[
local mw = require "moonwire"
mw.limits { drain_seconds = 0, close_seconds = 1 }
mw.get("/", function() return "first" end)
mw.get("/env", function() return os.getenv "HOME" .. " " .. os.getenv "USER" end)
mw.get("/write", function() return tostring(io.open("/etc/moonwire-spec", "w")) end)
]]

local as_root = unistd.geteuid() == 0
local nobody = pwd.getpwnam "nobody"

describe("--user", function()
    local folder, path, server

    before_each(function()
        folder = process.folder()
        sys_stat.chmod(folder.path, tonumber("755", 8))
        path = folder:write("app.lua", app)
    end)

    after_each(function()
        if server then
            server:finish()
        end
        server = nil
        folder:remove()
    end)

    local function fails(pattern, ...)
        local done = process.run { path, "--listen", "127.0.0.1:0", ... }
        assert.same({ 1, "" }, { done.status, done.out })
        assert.matches("^moonwire: [^\n]+\n$", done.err)
        assert.matches(pattern, done.err, 1, true)
    end

    it("needs a user that there is, and that is not root", function()
        fails("--user no-such-user: there is no such user", "--user", "no-such-user")
        fails("--user 4000000001: there is no such user", "--user", "4000000001")
        fails("--user -1: there is no such user", "--user=-1")
        local done = process.run { path, "--user=" }
        assert.equal(2, done.status)
        assert.matches("--user needs the name of a user", done.err)
        if as_root then
            fails("--user root: that is the superuser: name one without rights", "--user", "root")
        end
    end)

    if not as_root then
        it("needs root to become another", function()
            fails("only the superuser can become another user", "--user", "nobody")
        end)
        return
    end

    local function start(arguments, options)
        local command = { path, "--user", "nobody" }
        for _, one in ipairs(arguments or {}) do
            command[#command + 1] = one
        end
        server = process.start(command, options)
    end

    local function ids()
        local text = read(("/proc/%d/status"):format(server.pid))
        return text:match "\nUid:\t([^\n]*)", text:match "\nGid:\t([^\n]*)",
            text:match "\nGroups:\t([%d ]*)", text:match "\nCapEff:\t(%x*)"
    end

    it("becomes it with all ids and groups, in each thread, and cannot go back", function()
        start { "--listen", "127.0.0.1:0", "--workers", "2" }
        local port = server:port()
        assert.equal("first", (peer.get(port, "/")))
        local uid, gid, groups, rights = ids()
        local four = ("\t%d"):rep(4):sub(2)
        assert.equal(four:format(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid, nobody.pw_uid), uid)
        assert.equal(four:format(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid, nobody.pw_gid), gid)
        assert.equal(tostring(nobody.pw_gid), (groups:gsub(" $", "")))
        assert.equal(("0"):rep(16), rights)
        local done = process.run { [0] = "sh", "-c",
            ("cat /proc/%d/task/*/status | grep ^Uid: | sort -u | wc -l"):format(server.pid) }
        assert.equal("1\n", done.out)
        assert.equal("nil", (peer.get(port, "/write")))
        assert.equal(nobody.pw_dir .. " nobody", (peer.get(port, "/env")))
    end)

    it("takes a number, too", function()
        path = folder:write("app.lua", app)
        server = process.start { path, "--user", tostring(nobody.pw_uid), "--listen",
            "127.0.0.1:0" }
        assert.equal("first", (peer.get(server:port(), "/")))
        assert.matches("^" .. nobody.pw_uid .. "\t", (ids()))
    end)

    it("has ports and keys before that only root may have", function()
        local certificate, key = certificates.make(folder.path, "own", { "localhost" })
        shell("chmod 600 " .. key)
        folder:write("app.lua", app .. ("mw.listen { port = 0, tls = { cert = %q, key = %q } }\n")
            :format(certificate, key))
        start()
        local port = server:port()
        local function get()
            local p = assert(peer.connect(port, { tls = { mode = "client", protocol = "any",
                verify = "none" } }))
            p:send "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            local r = assert(p:response())
            p:close()
            return r.body
        end
        assert.equal("first", get())
        -- A reload cannot read the key again: the listener keeps what it has.
        server:signal "HUP"
        server:wait_for("keeps its certificate: cannot read the key", "err")
        server:wait_for("generation 2 serves", "err")
        assert.equal("first", get())
    end)

    it("has its control socket where the user has it, for the user and root", function()
        local runtime = folder.path .. "/runtime"
        sys_stat.mkdir(runtime)
        unistd.chown(runtime, nobody.pw_uid, nobody.pw_gid)
        sys_stat.chmod(runtime, tonumber("700", 8))
        start({ "--listen", "127.0.0.1:0" }, { env = { RUNTIME_DIRECTORY = runtime } })
        server:port()
        local socket = ("%s/moonwire/%d.sock"):format(runtime, server.pid)
        process.eventually(function()
            return sys_stat.stat(socket)
        end)
        local done = process.run { "reload", "--control", socket }
        assert.equal(0, done.status, done.err)
        assert.equal(nobody.pw_uid, sys_stat.stat(socket).st_uid)
        server:signal "TERM"
        server:wait()
        assert.equal(0, server.status)
        assert.is_nil(sys_stat.stat(socket))
    end)

    it("changes nothing for who is that user already", function()
        folder:write("run.sh", 'exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"')
        server = process.start({ [0] = "sh", folder.path .. "/run.sh", process.binary, path,
            "--user", "nobody", "--listen", "127.0.0.1:0", "--control", "none" })
        assert.equal("first", (peer.get(server:port(), "/")))
        server:signal "TERM"
        server:wait()
        local done = process.run { [0] = "sh", folder.path .. "/run.sh", process.binary, path,
            "--user", "daemon", "--listen", "127.0.0.1:0" }
        assert.equal(1, done.status)
        assert.matches("--user daemon: only the superuser can become another user", done.err)
    end)
end)
