-- Scripts: they run until nothing is pending, and end with a status.

local process = require "spec.support.process"

describe("a script", function()
    local function run(code, ...)
        local done = process.run { "-e", code, ... }
        assert.is_nil(done.signal_number, done.err)
        return done
    end

    it("ends with 0 when it is done", function()
        local done = run 'print(arg[1], ...)'
        assert.same({ 0, "nil\n", "" }, { done.status, done.out, done.err })
    end)

    it("has its arguments", function()
        assert.equal("a b\tc\tc\n", run("print(arg[1], arg[2], (select(2, ...)))", "a b", "c").out)
    end)

    it("runs until its timers and tasks are done", function()
        local done = run [[
            local mw = require "moonwire"
            mw.after(0.05, function() print "after" end)
            mw.spawn(function() mw.sleep(0.1) print "task" end)
            local n = 0
            local every
            every = mw.every(0.03, function()
                n = n + 1
                if n == 5 then every:stop() print(n) end
            end)
            mw.sleep(0.01)
            print "main"
        ]]
        assert.equal("main\nafter\ntask\n5\n", done.out)
        assert.same({ 0, "" }, { done.status, done.err })
    end)

    it("runs as long as a connection of its own is open", function()
        local done = run [[
            local WebSocket = require "moonwire.websocket"
            local ws = WebSocket.new "ws://127.0.0.1:1/"
            ws.onerror = function(e) print(e.type, e.message ~= "") end
            ws.onclose = function(e) print(e.type, e.code, e.reason, e.wasClean) end
            print(ws.readyState)
        ]]
        assert.equal("0\nerror\ttrue\nclose\t1006\t\tfalse\n", done.out)
        assert.equal(0, done.status)
    end)

    it("ends with the status of os.exit, having printed", function()
        for code, status in pairs { ["os.exit(7)"] = 7, ["os.exit(true)"] = 0,
            ["os.exit(false)"] = 1, ["pcall(os.exit, 3)"] = 3,
            ["require'moonwire'.sleep(0.01) os.exit(4)"] = 4,
            ["require'moonwire'.after(0.01, function() os.exit(5) end)"] = 5,
            ["local mw = require'moonwire' mw.every(1, print) mw.spawn(os.exit, 6)"] = 6 } do
            local done = run("io.write 'no line feed' " .. code .. " mw = nil")
            assert.same({ status, "no line feed" }, { done.status, done.out }, code)
        end
    end)

    it("ends with 1 and one line for an error, before and after it waits", function()
        for _, before in ipairs { "", "require'moonwire'.sleep(0.01) " } do
            local done = run(before .. "local x = nothing.y")
            assert.equal(1, done.status)
            assert.matches("^moonwire: %(command line%):1: attempt to index global 'nothing' "
                .. "%(a nil value%)\n$", done.err)
        end
    end)

    it("ends with 1 and one line when it waits for what cannot come", function()
        local done = run "require'moonwire'.await(function() end)"
        assert.same({ 1, "moonwire: (command line):1: it waits for something that cannot come any "
            .. "more\n" }, { done.status, done.err })
    end)

    it("may come from standard input", function()
        local script = process.start({ "-", "one" }, { input = true })
        script:write "print(arg[0], arg[1], ...)\n"
        script:write "error 'here'"
        script:close_input()
        script:wait()
        assert.same({ 1, "-\tone\tone\n" }, { script.status, script.out })
        assert.matches("^moonwire: stdin:2: here\n$", script.err)
    end)

    it("ends by a signal", function()
        local script = process.start { "-e", "print 'up' require'moonwire'.sleep '1h'" }
        script:wait_for("(up)", "out")
        script:signal "TERM"
        script:wait()
        assert.is_true(script.signal_number == 15 or script.status == 0)
    end)
end)
