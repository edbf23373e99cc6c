-- moonwire reload and moonwire status: the real commands against real servers, over their control
-- sockets; and what others may do to those.

local peer = require "spec.support.peer"
local process = require "spec.support.process"
local server = require "spec.support.server"

local unistd = require "posix.unistd"
local sys_stat = require "posix.sys.stat"

local app = [[
local mw = require "moonwire"
local talk = mw.ws "/talk"
function talk.on_message(ws, data) ws:send("first " .. data) end
mw.ws("/never", { limits = { hook_ms = 0 }, on_message = function(ws)
    mw.log.info "never returns"
    while true do end
end })
mw.ws("/waits", { on_message = function(ws) ws:send "waiting" mw.sleep "1h" end })
mw.limits { close_seconds = 0, drain_seconds = 0, reload_seconds = 1 }
]]

local as_root = unistd.geteuid() == 0

describe("the control socket", function()
    local running, folder, env

    -- A server of this spec's own folder; options as in support/server.lua.
    local function start(options)
        options = options or {}
        options.env = options.env or env
        local one = server.start(options.app or app, options)
        running[#running + 1] = one
        one.pid = one.process.pid
        one.socket = ("%s/moonwire/%d.sock"):format(folder.path, one.pid)
        return one
    end

    local function run(...)
        return process.run({ ... }, { env = env })
    end

    -- The answer to one request of a client of our own.
    local function ask(one, request)
        local p = assert(peer.connect(one.socket))
        p:send(request)
        local text = p:rest()
        p:close()
        return text
    end

    local function fails(status, pattern, ...)
        local done = run(...)
        assert.equal("", done.out)
        assert.matches("^moonwire: [^\n]+\n$", done.err)
        assert.matches(pattern, done.err)
        assert.equal(status, done.status)
    end

    -- By further signals, which count from a second after the first one.
    local function end_at_once(one)
        process.eventually(function()
            one.process:signal "TERM"
            local file = assert(io.open(("/proc/%d/stat"):format(one.pid)))
            local state = file:read("*a"):match "%) (%a)"
            file:close()
            return state == "Z" -- it has ended, and nobody has asked how
        end)
        assert.equal(15, one.process:wait().signal_number)
    end

    before_each(function()
        folder = process.folder()
        env = { RUNTIME_DIRECTORY = folder.path }
        running = {}
    end)

    after_each(function()
        for _, one in ipairs(running) do
            one:close_peers()
            one.process:finish()
            one.folder:remove()
        end
        folder:remove()
    end)

    describe("lets moonwire reload", function()
        it("load the app again, with everybody connected, and print how it went", function()
            local one = start()
            local client = assert(one:websocket "/talk")
            one:edit((app:gsub('"first "', '"second "')))
            local done = run "reload"
            assert.equal("", done.err)
            assert.equal(0, done.status)
            assert.matches("^reloaded %S+/app%.lua %(moonwire reload%): generation 2 serves, after "
                .. "[%d.]+ ms; [^\n]+\n$", done.out)
            client:text "a"
            assert.equal("second a", client:read_text())
        end)

        it("show file, line and excerpt of what fails, and end with 1", function()
            local one = start()
            local client = assert(one:websocket "/talk")
            one:edit(app .. "x y\n")
            local done = run "reload"
            assert.equal("", done.out)
            assert.equal(1, done.status)
            assert.matches("^reload failed, generation 1 serves on: %S+/app%.lua:10: '=' expected "
                .. "near 'y'\n", done.err)
            assert.matches("\n>   10 | x y\n$", done.err)
            client:text "a"
            assert.equal("first a", client:read_text())
        end)

        it("come ten times at once, and answer each", function()
            local one = start()
            local clients = {}
            for i = 1, 10 do
                clients[i] = assert(peer.connect(one.socket))
            end
            for _, client in ipairs(clients) do
                client:send "reload\n"
            end
            for _, client in ipairs(clients) do
                local generation = client:rest():match '^{"ok":true,"generation":(%d+),"text":"rel'
                assert.is_true(tonumber(generation) >= 2)
                client:close()
            end
        end)

        it("wait for its own attempt, not for the one that is under way", function()
            local one = start { app = app .. [[
                local until_time = os.time() + 1
                while mw.keep("loaded").once and os.time() < until_time do end
                mw.keep("loaded").once = true
            ]] }
            local first = assert(peer.connect(one.socket))
            first:send "reload\n"
            local second = assert(peer.connect(one.socket))
            -- The first attempt is under way when its own answer to another request is there.
            assert.matches('"pid":', ask(one, "about\n"))
            -- In one go: it may be just about to read the file.
            os.rename(one.folder:write("next.lua", app), one.folder.path .. "/app.lua")
            second:send "reload\n"
            assert.matches('"generation":[23]', first:rest())
            local generation = tonumber(second:rest():match '"generation":(%d+)')
            assert.is_true(generation >= 2)
            assert.matches("first", one:get "/none" and "first")
            first:close()
            second:close()
        end)

        it("be taken back by moonwire rollback, once", function()
            local one = start { arguments = { "--workers", "2" } }
            local client = assert(one:websocket "/talk")
            one:edit((app:gsub('"first "', '"second "')))
            assert.equal(0, run("reload").status)
            local done = run "rollback"
            assert.equal("", done.err)
            assert.equal(0, done.status)
            assert.matches("moonwire rollback", done.out)
            client:text "a"
            assert.equal("first a", client:read_text())
            local status = run("status").out
            assert.matches("\n  reloads      1, 0 failed, 1 rolled back\n", status)
            assert.matches("\n     3  serves  [%d-]+ [%d:]+  code of 1", status)
            assert.matches("\n     2  old     [%d-]+ [%d:]+  [^\n]*rolled back: moonwire "
                .. "rollback\n", status)
            done = run "rollback"
            assert.equal("", done.out)
            assert.equal(1, done.status)
            assert.matches("rollback failed, generation 3 serves on", done.err)
        end)

        it("say so when the server is ending", function()
            local one = start { app = (app:gsub("drain_seconds = 0", "drain_seconds = 30")) }
            local client = assert(one:websocket "/waits")
            local other = assert(one:websocket "/waits")
            one.process:signal "TERM"
            one:logged "SIGTERM: closing"
            assert.equal('{"ok":false,"text":"the server is ending"}\n', ask(one, "reload\n"))
            assert.matches('"draining":true', ask(one, "status\n"))
            client:close()
            other:close()
        end)
    end)

    describe("lets moonwire status", function()
        it("tell what runs, and who is there", function()
            local one = start { arguments = { "--workers", "2" } }
            local moving
            for _ = 1, 3 do
                moving = assert(one:websocket "/talk")
                moving:text "a"
                moving:read_text()
            end
            local waiting = assert(one:websocket "/waits")
            waiting:text "a"
            assert.equal("waiting", waiting:read_text())
            one:reload((app:gsub("first", "second")))
            assert.matches("\n     2  serves  [%d-]+ [%d:]+  4 connections yet to meet it\n",
                run("status").out)
            moving:text "b"
            assert.equal("second b", moving:read_text())
            one:edit(app .. "x y\n")
            run "reload"
            local done = run "status"
            assert.equal("", done.err)
            assert.equal(0, done.status)
            for _, pattern in ipairs {
                "^%S+/app%.lua  pid " .. one.pid .. ", moonwire %d+%.%d+%.%d+, since %d+-%d+-%d+ "
                    .. "%d+:%d+:%d+ %(%d+ s%)\n",
                "\n  listens on   http://127%.0%.0%.1:" .. one.port .. "\n",
                "\n  connections  4 %(by worker: 2, 2%)\n",
                "\n  messages     5 in, 5 out\n",
                "\n  failures     none\n",
                "\n  reloads      1, 1 failed, 0 rolled back\n",
                "\n  last reload  [%d-]+ [%d:]+  reload failed, generation 2 serves on: [^\n]+"
                    .. "expected near 'y'\n",
                "\n +>   10 | x y\n",
                "\ngenerations\n     2  serves  [%d-]+ [%d:]+  1 connection, 3 more yet to meet it"
                    .. "\n        %S+/app%.lua  %x+\n",
                "\n     1  old     [%d-]+ [%d:]+  [^\n]*1 hook waits, for a rollback\n",
            } do
                assert.matches(pattern, done.out)
            end
        end)

        it("tell what of an old generation connections hold", function()
            local one = start { app = app .. [[
                mw.ws("/hold", { on_message = function(ws)
                    ws.state = { callback = function() return ws end }
                    ws:send "held"
                end })
            ]] }
            local client = assert(one:websocket "/hold")
            client:text "a"
            assert.equal("held", client:read_text())
            one:reload((app:gsub("first", "second") .. 'mw.ws "/hold"'))
            one:logged "connections hold functions of (.*)"
            assert.matches("\n     1  old     [^\n]*\n        %S+/app%.lua  %x+\n"
                .. "        connections hold state%.callback of /hold %(1%)\n", run("status").out)
        end)

        it("tell it all as JSON", function()
            local one = start()
            local done = run("status", "--json")
            assert.equal(0, done.status)
            local status = require("cjson").decode(done.out)
            assert.equal(one.pid, status.pid)
            assert.same({ "http://127.0.0.1:" .. one.port }, status.listeners)
            assert.equal(1, status.generation)
            assert.equal(0, status.counters.messages_in)
            assert.equal(1, #status.workers)
            local generation = status.workers[1].generations[1]
            assert.is_true(generation.serving)
            assert.matches("^%x+$", generation.files[1].sha1)
            assert.matches("/app%.lua$", status.file)
        end)

        it("tell of a worker whose hook never returns, while others ask and go away", function()
            local one = start { arguments = { "--workers", "2" } }
            local client = assert(one:websocket "/never")
            client:text "a"
            one:logged "(never returns)"
            for _ = 1, 20 do -- more than there are places, and they go away
                local gone = assert(peer.connect(one.socket))
                gone:send "status\n"
                gone:close()
            end
            local talking = assert(peer.connect(one.socket))
            talking:send "status\n"
            talking:try_send "and more\n"
            local done = run "status"
            assert.equal(0, done.status, done.err)
            assert.matches("\n  worker [12] does not answer: a hook of it does not return\n$",
                done.out)
            assert.matches("\n     1  serves", done.out) -- the other one does
        end)

        it("show names of files that are no text harmlessly", function()
            start { files = { ["\27[31m\200.lua"] = "return 1" },
                app = app .. "require '\27[31m\200'\n" }
            local done = run "status"
            assert.equal(0, done.status, done.err)
            assert.is_nil(done.out:find "\27")
            assert.matches("\\027%[31m\239\191\189%.lua", done.out)
            assert.is_nil(run("status", "--json").out:find "[\27\200]")
        end)

        it("need no more than 20 ms, nearly all of it for the start", function()
            start()
            local best = math.huge
            for _ = 1, 5 do
                local before = require("socket").gettime()
                assert.equal(0, run("status").status)
                best = math.min(best, require("socket").gettime() - before)
            end
            local slow = os.getenv "MOONWIRE_BUILD" and 20 or 1 -- sanitizers
            assert.is_true(best < 0.05 * slow, best .. " s")
        end)
    end)

    describe("is found", function()
        it("by nobody when no server runs", function()
            fails(1, "no server of this user runs", "reload")
            fails(1, "no server of this user runs", "status", "4711")
        end)

        it("by the process, the app's path or its file's name when several run", function()
            local one, two = start(), start()
            local several = "several servers run: %d %%(%%S+app.lua%%), %d %%(%%S+app.lua%%); "
                .. "which one%%? write moonwire reload PID"
            fails(1, several:format(math.min(one.pid, two.pid), math.max(one.pid, two.pid)),
                "reload")
            fails(1, "several servers run: .* write moonwire status PID", "status", "app.lua")
            fails(1, "no server other.lua of this user runs; there is %d+ ", "status", "other.lua")
            assert.matches("generation 2", run("reload", tostring(one.pid)).out)
            assert.matches("generation 2", run("reload", two.folder.path .. "/app.lua").out)
            assert.matches("generation 3", run("reload", two.folder.path .. "/../"
                .. two.folder.path:match "[^/]*$" .. "/app.lua").out)
            two.process:signal "TERM"
            two.process:wait()
            assert.matches("pid " .. one.pid, run("status", "app.lua").out)
            assert.matches("pid " .. one.pid, run("status").out)
        end)

        it("not when its server was killed, and is removed then", function()
            local one = start()
            local two = start()
            one.process:signal "KILL"
            one.process:wait()
            assert.is_true(process.exists(one.socket))
            assert.matches("pid " .. two.pid, run("status").out)
            assert.is_false(process.exists(one.socket))
            assert.is_true(process.exists(two.socket))
        end)

        it("also while another server is stopped", function()
            local one, two = start(), start()
            one.process:signal "STOP"
            assert.matches("pid " .. two.pid, run("status", tostring(two.pid)).out)
            fails(1, one.pid .. " %(does not answer%)", "status")
            one.process:signal "CONT"
        end)

        it("and a server that is asked for by name is said to be stopped, or busy", function()
            local one = start()
            one.process:signal "STOP"
            fails(1, "does not answer: it is stopped, or busy", "status", tostring(one.pid))
            one.process:signal "CONT"
        end)

        it("in the first of a service's runtime directories", function()
            env.RUNTIME_DIRECTORY = folder.path .. ":/nonexistent"
            local one = start()
            assert.is_true(process.exists(one.socket))
            assert.equal(0, run("reload").status)
        end)

        it("in the session's runtime directory", function()
            local session = { XDG_RUNTIME_DIR = folder.path, RUNTIME_DIRECTORY = false }
            local one = start { env = session }
            assert.is_true(process.exists(one.socket))
            assert.matches("pid " .. one.pid,
                process.run({ "status", tostring(one.pid) }, { env = session }).out)
        end)

        it("by root when it is another user's, by the path that the command names", function()
            if not as_root then
                return pending "only root can be another user"
            end
            sys_stat.chmod(folder.path, 493) -- 0755: for that user
            local path = folder:write("app.lua", app .. "mw.listen { port = 0 }")
            local env_of_other = { RUNTIME_DIRECTORY = false, XDG_RUNTIME_DIR = false }
            local one = process.start({ [0] = "setpriv", "--reuid=65534", "--regid=65534",
                "--clear-groups", process.binary, path }, { env = env_of_other })
            local ok, problem = pcall(function()
                one:port()
                local there = ("/tmp/moonwire-65534/%d.sock"):format(one.pid)
                assert.is_true(process.exists(there))
                fails(1, "no server of this user runs; of other users write moonwire status "
                    .. "%-%-control PATH with %S", "status")
                assert.truthy(run("status").err:find(there, 1, true))
                assert.matches("pid " .. one.pid, run("status", "--control", there).out)
                -- One that somebody else has put there is not shown, nor one of nobody.
                for _, name in ipairs { "1.sock", "x.sock" } do
                    local stranger = "/tmp/moonwire-65534/" .. name
                    os.remove(stranger)
                    unistd.link(there, stranger)
                    assert.is_nil(run("status").err:find(stranger, 1, true))
                    os.remove(stranger)
                end
                one:signal "TERM"
                one:wait()
                assert.is_nil(run("status").err:find(there, 1, true))
            end)
            one:finish()
            os.remove(("/tmp/moonwire-65534/%d.sock"):format(one.pid))
            os.remove "/tmp/moonwire-65534" -- when nobody else uses it
            assert(ok, problem)
        end)

        it("where --control says, and nowhere with none", function()
            local path = folder.path .. "/own.sock"
            local one = start { arguments = { "--control", path } }
            assert.is_false(process.exists(one.socket))
            fails(1, "no server of this user runs", "status")
            assert.matches("pid " .. one.pid, run("status", "--control", path).out)
            assert.matches("pid " .. one.pid, run("--control=" .. path, "status").out)
            one.process:signal "TERM"
            one.process:wait()
            assert.is_false(process.exists(path))
            fails(1, "own.sock: no server listens there", "reload", "--control", path)
            local two = start { arguments = { "--control", "none" } }
            assert.is_false(process.exists(folder.path .. "/moonwire"))
            assert.equal(0, two.process.err:find "warn" or 0)
        end)
    end)

    describe("is the owner's alone:", function()
        it("a folder and a socket that nobody else can use, gone at the end", function()
            local one = start()
            local function mode(path)
                return bit.band(sys_stat.lstat(path).st_mode, 511)
            end
            assert.equal(448, mode(folder.path .. "/moonwire")) -- 0700
            assert.equal(384, mode(one.socket)) -- 0600
            one:stop()
            assert.is_false(process.exists(one.socket))
        end)

        it("gone too when the server ends by a second signal, or a hook never returns", function()
            local one = start()
            local client = assert(one:websocket "/never")
            client:text "a"
            one:logged "(never returns)"
            one.process:signal "TERM"
            assert.equal(3, one.process:wait().status)
            assert.is_false(process.exists(one.socket))
            local two = start { app = (app:gsub("drain_seconds = 0", "drain_seconds = 30")) }
            assert(two:websocket "/talk")
            assert(two:websocket "/talk")
            two.process:signal "TERM"
            two:logged "SIGTERM: closing"
            end_at_once(two)
            assert.is_false(process.exists(two.socket))
        end)

        it("another user is refused", function()
            if not as_root then
                return pending "only root can be another user"
            end
            local one = start()
            local command = { [0] = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                process.binary, "reload", "--control", one.socket }
            local done = process.run(command)
            assert.equal(1, done.status)
            assert.matches("Permission denied", done.err)
            -- Even where somebody has opened folder and socket.
            for _, path in ipairs { folder.path, folder.path .. "/moonwire", one.socket } do
                sys_stat.chmod(path, 511)
            end
            done = process.run(command)
            assert.equal(1, done.status)
            assert.equal("only the server's own user may ask\n", done.err)
            assert.equal(1, tonumber(ask(one, "status\n"):match '"generation":(%d+)'))
        end)

        for title, prepare in pairs {
            ["open to others"] = function(path)
                sys_stat.mkdir(path)
                sys_stat.chmod(path, 511)
            end,
            ["a link"] = function(path)
                sys_stat.mkdir(path .. "-other")
                sys_stat.chmod(path .. "-other", 448)
                unistd.link(path .. "-other", path, true)
            end,
            ["a file"] = function()
                folder:write("moonwire", "")
            end,
            ["in a folder where others may rename it"] = function(path)
                sys_stat.mkdir(path)
                sys_stat.chmod(path, 448)
                sys_stat.chmod(folder.path, 511)
            end,
        } do
            it("a folder that is " .. title .. " is not used, and the server serves", function()
                prepare(folder.path .. "/moonwire")
                local one = start()
                assert.matches("no control socket, so moonwire reload and status do not find this "
                    .. "server: %S+/moonwire is not a folder of this user that is closed",
                    one.process.err)
                assert.is_false(process.exists(one.socket))
                fails(1, "no server of this user runs", "status")
                assert(one:websocket "/talk")
            end)
        end
    end)

    describe("that cannot be opened where --control says ends the start:", function()
        local function fails_to_start(pattern, path)
            local file = folder:write("app.lua", app)
            fails(1, pattern, file, "--listen", "127.0.0.1:0", "--control", path)
        end

        it("a path that is too long", function()
            fails_to_start("is too long: %d+ bytes, at most 107 fit",
                folder.path .. "/" .. ("a"):rep(107))
        end)

        it("a folder that is not there", function()
            fails_to_start("/no/such/folder/x.sock: No such file", "/no/such/folder/x.sock")
        end)

        it("a file that is no socket", function()
            fails_to_start("exists and is not a socket", folder:write("taken", "mine"))
        end)

        it("the socket of a server that runs", function()
            local path = folder.path .. "/own.sock"
            start { arguments = { "--control", path } }
            fails_to_start("own.sock is in use", path)
            assert.equal(0, run("status", "--control", path).status)
        end)
    end)

    describe("is taken over by a successor", function()
        local path
        local draining = app:gsub("drain_seconds = 0", "drain_seconds = 30")

        local function successor()
            return start { arguments = { "--control", path } }
        end

        local function drain(one)
            assert(one:websocket "/talk")
            assert(one:websocket "/talk")
            one.process:signal "TERM"
            one:logged "SIGTERM: closing"
        end

        before_each(function()
            path = folder.path .. "/own.sock"
        end)

        it("while the old server drains, which then leaves it alone", function()
            local old = start { app = draining, arguments = { "--control", path } }
            drain(old)
            assert.matches('"draining":true', process.run({ "status", "--json", "--control", path },
                { env = env }).out)
            local new = successor()
            assert.matches("pid " .. new.pid, run("status", "--control", path).out)
            old:close_peers()
            assert.equal(0, old.process:wait().status)
            assert.matches("pid " .. new.pid, run("status", "--control", path).out)
            new:stop()
            assert.is_false(process.exists(path))
        end)

        it("also when the old one ends by a second signal", function()
            local old = start { app = draining, arguments = { "--control", path } }
            drain(old)
            local new = successor()
            end_at_once(old)
            assert.matches("pid " .. new.pid, run("status", "--control", path).out)
        end)

        it("also when a hook of the old one never returns", function()
            local old = start { arguments = { "--control", path } }
            assert(old:websocket "/never"):text "a"
            old:logged "(never returns)"
            old.process:signal "TERM"
            old:logged "SIGTERM: closing"
            local new = successor()
            assert.equal(3, old.process:wait().status)
            assert.matches("pid " .. new.pid, run("status", "--control", path).out)
        end)

        it("for which somebody has cleared the path", function()
            local old = start { arguments = { "--control", path } }
            assert(os.remove(path))
            local new = successor()
            old:stop()
            assert.matches("pid " .. new.pid, run("status", "--control", path).out)
        end)
    end)

    it("replaces one that a server left behind", function()
        local path = folder.path .. "/own.sock"
        local one = start { arguments = { "--control", path } }
        one.process:signal "KILL"
        one.process:wait()
        start { arguments = { "--control", path } }
        assert.equal(0, run("status", "--control", path).status)
    end)

    it("warns when the usual place is too long, and serves", function()
        local long = folder.path .. "/" .. ("a"):rep(100)
        sys_stat.mkdir(long)
        local one = start { env = { RUNTIME_DIRECTORY = long } }
        assert.matches("no control socket.*too long for a socket: at most 107 bytes fit",
            one.process.err)
    end)

    describe("is not held up", function()
        local function works(one)
            assert.equal(0, run("status", tostring(one.pid)).status)
            assert.equal(0, run("reload", tostring(one.pid)).status)
            assert(one:websocket "/talk"):close()
        end

        it("by a client that says nothing, which is closed after 2 s", function()
            local one = start { arguments = { "--workers", "2" } }
            local silent = assert(peer.connect(one.socket))
            local half = assert(peer.connect(one.socket))
            half:send "stat"
            works(one)
            assert.equal("", silent:rest())
            assert.equal("", half:rest())
        end)

        it("by one that sends a byte at a time, and answers it", function()
            local one = start()
            local slow = assert(peer.connect(one.socket))
            for byte in ("about\r\n"):gmatch "." do
                slow:send(byte)
                assert.matches('"pid":' .. one.pid, ask(one, "about\n"))
            end
            assert.matches('"pid":' .. one.pid, slow:rest())
        end)

        it("by one that only stops writing", function()
            local one = start()
            for _, request in ipairs { "status", "reload" } do
                local half = assert(peer.connect(one.socket))
                half:send(request)
                half.socket:shutdown "send"
                assert.matches('^{"ok":true', half:rest())
            end
        end)

        it("by requests that are none, or endless", function()
            local one = start()
            for _, request in ipairs { "\n", "sta\n", "status now\n", "status\0\n", "STATUS\n" } do
                assert.matches('^{"ok":false,"text":"no such request; write about, status,',
                    ask(one, request))
            end
            local huge = assert(peer.connect(one.socket))
            for _ = 1, 1000 do
                if not huge:try_send(("x"):rep(4096)) then
                    break
                end
            end
            assert.is_nil(huge:try_send(("x"):rep(4096)))
            works(one)
        end)

        it("by a hundred clients, some of which do not read what they asked for", function()
            local files, code = {}, app
            for i = 1, 150 do
                local name = ("%03d"):format(i) .. ("n"):rep(200)
                files[name .. ".lua"] = "return 1"
                code = code .. ("require '%s'\n"):format(name)
            end
            local one = start { app = code, files = files, arguments = { "--workers", "8" } }
            local clients = {}
            for i = 1, 100 do
                clients[i] = assert(peer.connect(one.socket))
                if i % 2 == 0 then
                    clients[i]:try_send "status\n"
                end
            end
            assert.is_true(#run("status", "--json").out > 300000) -- more than a socket takes
            works(one)
            for _, client in ipairs(clients) do
                client:close()
            end
            works(one)
        end)
    end)

    it("leaves apps alone that are called as a command", function()
        local binary = process.binary:find "^/" and process.binary
            or unistd.getcwd() .. "/" .. process.binary
        for _, name in ipairs { "reload", "rollback", "status" } do
            folder:write(name, "print('the app ' .. arg[0])")
            for _, arguments in ipairs { { "./" .. name }, { "run", name } } do
                local done = process.run({ [0] = "sh", "-c", "cd \"$1\" && shift && exec \"$@\"",
                    "sh", folder.path, binary, unpack(arguments) })
                assert.equal("the app " .. arguments[#arguments] .. "\n", done.out, done.err)
            end
        end
    end)

    it("takes command lines that make sense only", function()
        fails(2, "reload: one server at a time, not 1 and 2; see moonwire reload %-%-help",
            "reload", "1", "2")
        fails(2, "unknown option %-%-json", "reload", "--json")
        fails(2, "unknown option %-x", "status", "-x")
        fails(2, "%-%-control needs the path", "status", "--control")
        fails(2, "%-%-control names the server already", "status", "4711", "--control", "x")
        fails(2, "%-%-control needs the path of a socket, or none", "--control=", "app.lua")
        for _, command in ipairs { "reload", "rollback", "status" } do
            local done = run(command, "--help")
            assert.equal(0, done.status)
            assert.matches("^moonwire " .. command .. " %- ", done.out)
        end
    end)
end)
