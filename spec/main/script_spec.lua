-- Scripts: apps without listeners, programs on the command line and on standard input, and how the
-- process ends (see moonwire --help).

local process = require "spec.support.process"
local shell = require "spec.support.shell"
local unistd = require "posix.unistd"

describe("A script", function()
    local folder = process.fresh_folder()

    local function run(arguments)
        return process.run(arguments)
    end

    -- With text on standard input, through a shell.
    local function piped(text, arguments)
        local path = folder:write("input", text)
        return process.run {
            [0] = "sh", "-c", 'input=$1; shift; exec "$@" < "$input"', "sh", path, process.binary,
            unpack(arguments),
        }
    end

    it("without listeners ends with 0 when nothing is pending", function()
        local ended = run { folder:write("a.lua", "print(arg[0] ~= nil, arg[1], ...)"), "x", "y" }
        assert.same({ 0, "true\tx\tx\ty\n", "" }, { ended.status, ended.out, ended.err })
    end)

    it("goes on while a timer runs, or code waits", function()
        local ended = run { "-e", [[
            local mw = require "moonwire"
            mw.after("0.3s", function()
                print "timer"
                mw.after("5ms", function() print "next" end)
            end)
            mw.sleep "1ms"
            print "slept"
        ]] }
        assert.same({ 0, "slept\ntimer\nnext\n" }, { ended.status, ended.out })
    end)

    it("ends with 1 when a timer, a task or a listener of it has failed", function()
        local failing = {
            'mw.after(0, function() error "x" end)',
            'local t t = mw.every("1ms", function() t:stop() error "x" end)',
            'mw.spawn(function() mw.sleep "5ms" error() end)',
            'local W = require "moonwire.websocket" '
                .. 'W.new("ws://127.0.0.1:1/").onerror = function() error "x" end',
        }
        for _, code in ipairs(failing) do
            local ended = run { "-e", 'local mw = require "moonwire" ' .. code }
            assert.equal(1, ended.status, code)
            assert.matches("error .- failed: %(command line%):1: ", ended.err)
        end
        local fine = {
            'local task = mw.spawn(function() error "x" end) print(pcall(task.join, task))',
            'mw.after(0, function() error "x" end) mw.sleep "20ms" os.exit(0)',
        }
        for _, code in ipairs(fine) do
            assert.equal(0, run { "-e", 'local mw = require "moonwire" ' .. code }.status, code)
        end
    end)

    it("may stand on the command line", function()
        local ended = run { "-e", "print(arg[0], ...)", "--", "--check", "b" }
        assert.same({ 0, "-e\t--check\tb\n" }, { ended.status, ended.out })
        ended = run { "--log-level", "error", "-e", "print(1)", "a" }
        assert.same({ 0, "1\n" }, { ended.status, ended.out })
    end)

    it("may come from standard input", function()
        local ended = piped("print('in', arg[0], ...)", { "-", "a" })
        assert.same({ 0, "in\t-\ta\n" }, { ended.status, ended.out })
        ended = piped("", { "-", "--workers", "2" })
        assert.equal(2, ended.status)
        assert.truthy(ended.err:find "standard input can be read once")
    end)

    it("is named once", function()
        local ended = run { "-e", "print(1)", "-e", "print(2)" }
        assert.equal(2, ended.status)
        assert.equal("moonwire: -e comes twice; write one program\n", ended.err)
        ended = run { "-e" }
        assert.equal(2, ended.status)
        assert.truthy(ended.err:find("-e needs a Lua program", 1, true))
    end)

    it("chooses its status with os.exit, anywhere", function()
        assert.equal(7, run({ "-e", "os.exit(7)" }).status)
        assert.equal(0, run({ "-e", "os.exit(true)" }).status)
        assert.equal(1, run({ "-e", "os.exit(false)" }).status)
        assert.equal(8, run({ "-e", 'require("moonwire").sleep "1ms" os.exit(8)' }).status)
        assert.equal(9, run({ "-e", [[
            local mw = require "moonwire"
            mw.every("1h", print)
            mw.after("1ms", function() os.exit(9) print "not printed" end)
        ]] }).status)
    end)

    it("that does os.exit in its first lines runs no further", function()
        local ended = run { "-e", "print 'a' os.exit(3) print 'b'" }
        assert.same({ 3, "a\n" }, { ended.status, ended.out })
    end)

    it("ends with 1 and one line when it fails, before or after it has waited", function()
        local ended = run { "-e", "local x = nil; x()" }
        assert.equal(1, ended.status)
        assert.matches("^moonwire: %(command line%):1: attempt to call local 'x'[^\n]*\n$",
            ended.err)
        ended = run { "-e", 'require("moonwire").sleep "1ms" error "late"' }
        assert.equal(1, ended.status)
        assert.matches("^moonwire: %(command line%):1: late\n$", ended.err)
        ended = run { "-e", "print(" }
        assert.equal(1, ended.status)
        ended = run { folder.path .. "/none.lua" }
        assert.equal(1, ended.status)
    end)

    it("runs in each of several workers, which all must have ended", function()
        local ended = run { "--workers", "2", "-e", 'require("moonwire").sleep "5ms" print "done"' }
        assert.same({ 0, "done\ndone\n" }, { ended.status, ended.out })
    end)

    it("prints whole lines, whatever other workers print at that time", function()
        local ended = run { "--workers", "4", "-e", [[
            require("moonwire").sleep "20ms" -- until all have begun
            for i = 1, 5000 do print("a", nil, i, true, setmetatable({}, { __tostring = function()
                return "b"
            end })) end
            print()
        ]] }
        local lines, empty, other = 0, 0, nil
        for line in ended.out:gmatch "(.-)\n" do
            if line:match "^a\tnil\t%d+\ttrue\tb$" then
                lines = lines + 1
            elseif line == "" then
                empty = empty + 1
            else
                other = other or line
            end
        end
        assert.same({ 20000, 4 }, { lines, empty }, other)
        assert.is_nil(other)
    end)

    describe("finds C modules beside it,", function()
        local binary = process.binary:sub(1, 1) == "/" and process.binary
            or unistd.getcwd() .. "/" .. process.binary

        -- In a working directory, as a user would.
        local function run_in(directory, path)
            return process.run { [0] = "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", directory,
                binary, path }
        end

        local function compile(name, symbol)
            local source = folder:write("native.c", ([[
                #include <lua.h>
                int luaopen_%s(lua_State *l);
                int luaopen_%s(lua_State *l) { lua_pushinteger(l, 42); return 1; }
            ]]):format(symbol, symbol))
            shell(("cc -shared -fPIC $(pkg-config --cflags luajit) -o '%s/%s' '%s'"):format(
                folder.path, name, source))
        end

        before_each(function()
            shell(("mkdir -p '%s/app/deep' '%s/elsewhere'"):format(folder.path, folder.path))
            compile("app/native.so", "native")
            compile("app/deep/native.so", "deep_native")
            folder:write("app/app.lua", "print(require 'native', require 'deep.native')")
        end)

        for title, where in pairs {
            ["in its own folder"] = { "/app", "app.lua" },
            ["in the folder above"] = { "", "app/app.lua" },
            ["in a folder below"] = { "/app/deep", "../app.lua" },
            ["in another one"] = { "/elsewhere" },
        } do
            it("started " .. title, function()
                local ended = run_in(folder.path .. where[1], where[2]
                    or folder.path .. "/app/app.lua")
                assert.same({ 0, "42\t42\n", "" }, { ended.status, ended.out, ended.err })
            end)
        end

        it("and says where it looked for one that is not there", function()
            folder:write("app/app.lua", "print(select(2, pcall(require, 'absent')))")
            local ended = run_in(folder.path .. "/elsewhere", folder.path .. "/app/app.lua")
            for _, name in ipairs { "absent.lua", "absent/init.lua", "absent.so" } do
                local line = ("\n\tno file '%s/app/%s'"):format(folder.path, name)
                assert.truthy(ended.out:find(line, 1, true), ended.out)
            end
        end)

        it("and says what is wrong with one that cannot be loaded", function()
            folder:write("app/broken.so", "no library")
            folder:write("app/app.lua", "require 'broken'")
            local ended = run_in(folder.path .. "/elsewhere", folder.path .. "/app/app.lua")
            assert.equal(1, ended.status)
            assert.matches("app%.lua:1: error loading module 'broken' from file '%S+/broken.so'",
                ended.err)
        end)
    end)

    it("that prints what has no text is told where", function()
        local ended = run { "-e", "print(setmetatable({}, { __tostring = function() end }))" }
        assert.matches("%(command line%):1: 'tostring' must return a string to 'print'", ended.err)
    end)

    it("with routes but nowhere to listen is a mistake", function()
        local ended = run { "-e", 'require("moonwire").get("/", function() end)' }
        assert.equal(1, ended.status)
        assert.truthy(ended.err:find("nowhere to listen", 1, true))
    end)

    it("is ended by a signal, with what is open", function()
        local started = process.start { "-e", [[
            local mw = require "moonwire"
            mw.every("1h", print)
            mw.after("1ms", function() print "begun" end) -- the loop runs
        ]] }
        started:wait_for("^begun", "out")
        started:signal "TERM"
        assert.equal(0, started:wait().status)
    end)
end)
