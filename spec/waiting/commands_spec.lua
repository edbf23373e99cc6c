-- moonwire connect and moonwire repl.

local process = require "spec.support.process"
local server = require "spec.support.server"

local app = [[
    local mw = require "moonwire"
    local r = mw.ws("/chat", { protocols = "chat", compress = true })
    function r.on_upgrade(req) return { who = req.headers["x-who"] or "" } end
    function r.on_message(ws, data, is_binary)
        if data == "bye" then ws:close(4001, "told so")
        elseif data == "who" then
            ws:send(ws.state.who .. " " .. ws.protocol .. " " .. ws.extensions)
        elseif data == "bin" then ws:send("\1\2hello, sixteen\255", true)
        elseif data == "colour" then ws:send "\27[31mred"
        else ws:send(data, is_binary) end
    end
]]

describe("moonwire", function()
    local chat, url

    setup(function()
        chat = server.start(app)
        url = ("ws://127.0.0.1:%d/chat"):format(chat.port)
    end)

    teardown(function()
        chat:stop()
    end)

    -- Runs to the end with this input; at a terminal when that is wanted.
    local function run(command, input, terminal, env)
        if terminal then
            command = { [0] = "script", "-qec",
                process.binary .. " " .. table.concat(command, " ") .. (command.after or ""),
                "/dev/null" }
        end
        local done = process.start(command, { input = true, env = {
            HOME = env and env.HOME or "/nonexistent",
            LD_LIBRARY_PATH = env and env.LD_LIBRARY_PATH,
        } })
        for _, step in ipairs(type(input) == "table" and input or { input }) do
            if type(step) == "function" then
                step(done)
            else
                done:write(step)
            end
        end
        if not terminal then
            done:close_input()
        end
        local ok, problem = pcall(done.wait, done)
        done:finish()
        assert(ok, problem)
        return done
    end

    describe("connect", function()
        it("sends lines, prints messages, and closes when the input ends", function()
            local done = run({ "connect", url, "--wait", "100ms" }, "hello\nbin\nlast")
            assert.equal("hello\nbinary, 17 bytes\n"
                .. "00000000  01 02 68 65 6c 6c 6f 2c  20 73 69 78 74 65 65 6e  "
                .. "|..hello, sixteen|\n"
                .. "00000010  ff                                                |.|\nlast\n",
                done.out)
            assert.same({ 0, "" }, { done.status, done.err })
        end)

        it("carries many lines in order, however slow", function()
            local lines = {}
            for i = 1, 20000 do
                lines[i] = i .. "\n"
            end
            local text = table.concat(lines)
            local file = assert(io.open(os.tmpname(), "w"))
            file:close()
            local folder = process.folder()
            local path = folder:write("lines", text)
            local done = process.run { [0] = "sh", "-c",
                ("%s connect %s --wait 300ms < %s"):format(process.binary, url, path) }
            folder:remove()
            assert.equal(0, done.status, done.err)
            assert.is_true(done.out == text)
        end)

        it("tells the code and reason of the server's close", function()
            local done = run({ "connect", url }, { "bye\n", function(p)
                p:wait_for("closed (.*)", "err")
            end })
            assert.same({ 1, "closed 4001 told so\n" }, { done.status, done.err })
        end)

        it("tells them too when the server closes at once, and ends though its input does not",
            function()
                local closer = require("spec.support.server").start [[
                    local mw = require "moonwire"
                    mw.ws("/", { on_open = function(ws) ws:close(4001, "not you") end })
                    mw.ws("/fine", { on_open = function(ws) ws:close(1000, "enough") end })
                    mw.ws("/text", { on_open = function(ws) ws:send "go away" ws:close(4002) end })
                ]]
                local address = "ws://127.0.0.1:" .. closer.port
                local done = process.run { [0] = "sh", "-c",
                    ("mkfifo %s/in; %s connect %s <> %s/in"):format(closer.folder.path,
                        process.binary, address, closer.folder.path) }
                assert.same({ 1, "" }, { done.status, done.out })
                assert.matches("closed 4001 not you\n$", done.err)
                done = run({ "connect", address .. "/fine" }, { function(p)
                    p:wait_for("closed (.*)", "err")
                end })
                assert.same({ 0, "closed 1000 enough\n" }, { done.status, done.err })
                done = run({ "connect", address .. "/text" }, "")
                assert.same({ 1, "go away\n", "closed 4002\n" },
                    { done.status, done.out, done.err })
                closer:stop()
            end)

        it("passes its options on", function()
            local done = run({ "connect", "--header", "X-Who: ann", "--protocol=nope", "--protocol",
                "chat", "--compress", url, "--wait=50ms" }, "who\n")
            assert.matches("^ann chat permessage%-deflate", done.out)
        end)

        it("takes an address without a scheme", function()
            local address = url:match "^ws://(.*)$"
            assert.equal(0, run({ "connect", address }, "").status)
            local port = address:match ":(%d+)"
            for _, short in ipairs { "localhost:" .. port .. "/none", ":" .. port .. "/none",
                port .. "/none" } do
                local done = run({ "connect", short }, "")
                assert.equal(1, done.status)
                assert.matches("ws://localhost:" .. port .. "/none: ", done.err, 1, true)
            end
        end)

        it("says in one line what is wrong", function()
            for _, case in ipairs {
                { { "connect" }, 2, "which URL?" },
                { { "connect", "chat" }, 2, "SyntaxError: WebSocket: the URL \"chat\"" },
                { { "connect", url, "--nope" }, 2, "unknown option --nope" },
                { { "connect", url, url }, 2, "one URL only" },
                { { "connect", url, "--header", "x" }, 2, "write NAME:VALUE" },
                { { "connect", url, "--wait", "x" }, 2, "not a duration" },
                { { "connect", url, "--protocol" }, 2, "--protocol wants a value" },
                { { "connect", url, "--protocol", "a b" }, 2, "is not a subprotocol" },
                { { "connect", "ws://127.0.0.1:1/" }, 1, "Connection refused" },
                { { "connect", url .. "/none" }, 1, "404" },
            } do
                local done = run(case[1], "")
                assert.equal(case[2], done.status, done.err)
                assert.matches("^moonwire: [^\n]*\n$", done.err)
                assert.matches(case[3], done.err, 1, true)
                assert.equal("", done.out)
            end
            assert.matches("moonwire connect URL", run({ "connect", "--help" }, "").out, 1, true)
        end)

        it("is a conversation at a terminal, and lets no message write to it", function()
            local done = run({ "connect", url }, { function(p)
                p:wait_for("(connected)", "out")
            end, "hello\r", function(p)
                p:wait_for("(< hello)", "out")
            end, "colour\r", function(p)
                p:wait_for("(< \\027%[31mred)", "out")
            end, "\4" }, true)
            assert.matches("closed 1000", done.out, 1, true)
            assert.equal(0, done.status)
        end)

        it("gives the terminal back when the server closes", function()
            local done = run({ "connect", url, after = "; stty -a" }, { function(p)
                p:wait_for("(connected)", "out")
            end, "bye\r" }, true)
            assert.matches("closed 4001 told so", done.out, 1, true)
            assert.equal("", done.out:match "(%-?)icanon")
        end)
    end)

    describe("repl", function()
        it("evaluates lines, over several lines too, and goes on after errors", function()
            local done = run({ "repl" }, [[
1 + 1
_ * 3
"a\0b\n", nil
{ 1, 2, x = { y = true }, [3.5] = "z" }
nothing.x
) (
for i = 1, 2 do
print(i)
end
local t = {} t.t = t return t
mw.sleep(0.01)
mw.spawn(function() return "joined" end):join()
]])
            assert.equal(0, done.status, done.err)
            local lines = {}
            for line in done.out:gmatch "[^\n]+" do
                lines[#lines + 1] = line
            end
            assert.same({ "2", "6", '"a\\000b\\n"\tnil',
                '{ 1, 2, [3.5] = "z", x = { y = true } }',
                "repl:1: attempt to index global 'nothing' (a nil value)", "stack traceback:",
                "\trepl:1: in main chunk", "repl:1: unexpected symbol near ')'", "1", "2",
                "{ t = { … itself } }", '"joined"' }, lines)
        end)

        it("prints the events of its WebSockets as they come", function()
            local done = run({ "repl" }, { ('ws = WebSocket.new("%s", "chat")\n'):format(url),
                "ws:opened()\n", 'ws:send "hello"\n', function(p)
                    p:wait_for('(message "hello")', "out")
                end, 'ws:send "bye"\n', function(p)
                    p:wait_for("(close 4001)", "out")
                end, "ws.readyState == WebSocket.CLOSED\n" })
            local name = "ws " .. url
            assert.equal(name .. ": open\ntrue\ntrue\n" .. name .. ': message "hello"\ntrue\n'
                .. name .. ': close 4001 "told so"\ntrue\n', done.out)
        end)

        describe("at a terminal", function()
            local function started(p)
                p:wait_for("(Ctrl%-D ends)", "out")
            end

            -- A timer fires while a line is edited; before that Ctrl-D is no key.
            local function ready(p)
                p:write "mw.after(0.01, function() print 'ready' end)\r"
                p:wait_for("(ready)\r?$", "out")
            end

            -- Ctrl-A goes to the beginning of the line, where lines are edited.
            local function sum(answer, env)
                return run({ "repl" }, { started, "1 + 17\0011\r", function(p)
                    p:wait_for(answer, "out")
                end, "os.exit(0)\r" }, true, env)
            end

            it("edits lines with libedit", function()
                local done = sum "^(28)\r?$"
                assert.equal(0, done.status, done.out)
                assert.is_nil(done.out:find("libedit", 1, true))
            end)

            it("brings back the lines before, those of another time too", function()
                local home = process.folder()
                local function session(lines, n, ends)
                    local steps = { started }
                    for _, line in ipairs(lines) do
                        steps[#steps + 1] = line
                    end
                    steps[#steps + 1] = function(p)
                        p:wait_for("^(sum\t" .. n .. ")\r?$", "out")
                    end
                    steps[#steps + 1] = ready
                    steps[#steps + 1] = ends
                    return run({ "repl" }, steps, true, { HOME = home.path }).status
                end
                -- Ctrl-P, and the key with the arrow. An empty line is none to come back.
                assert.equal(0, session({ "n = (n or 40) + 1 print('sum', n)\r", "  \r", "\16\r" },
                    42, "\4"))
                assert.equal(0, session({ "\27[A\27[A", "\r" }, 41, "\4"))
                -- Ended by code, which comes back first.
                assert.equal(0, session({ "n = 50 print('sum', n)\r" }, 50, "os.exit(0)\r"))
                assert.equal(0, session({ "\27[A\27[A\27[A", "\r" }, 50, "\4"))
                home:remove()
            end)

            it("keeps the last thousand lines", function()
                local home = process.folder()
                local lines = {}
                for i = 1, 1100 do
                    lines[i] = ("line%d=1\r"):format(i)
                end
                local done = run({ "repl" }, { started, table.concat(lines), ready, "\4" }, true,
                    { HOME = home.path })
                local file = assert(io.open(home.path .. "/.moonwire_history"))
                local text = file:read "*a"
                file:close()
                home:remove()
                assert.equal(0, done.status)
                local _, count = text:gsub("\n[^\n]", "") -- behind a first line of libedit's own
                assert.equal(1000, count)
                assert.is_nil(text:find("line101=1\n", 1, true))
                assert.truthy(text:find("line102=1\n", 1, true))
            end)

            it("gives the terminal back while a line runs, and at its end", function()
                local function icanon(out)
                    local seen = {}
                    for sign in out:gmatch "(%-?)icanon" do
                        seen[#seen + 1] = sign
                    end
                    return seen
                end
                for _, ends in ipairs { "\4", "os.exit(0)\r",
                    "mw.after(0.01, function() os.execute 'kill -TERM $PPID' end)\r" } do
                    local done = run({ "repl", after = "; stty -a" }, { started,
                        "os.execute('stty -a')\r", ready, ends }, true)
                    assert.same({ "", "" }, icanon(done.out), ends)
                end
            end)

            it("takes lines as they are without it, and says so", function()
                local folder = process.folder()
                folder:write("libedit.so.2", "") -- no library
                folder:write("libedit.so.0", "")
                local done = sum("(unexpected symbol)", { LD_LIBRARY_PATH = folder.path })
                folder:remove()
                assert.equal(0, done.status, done.out)
                assert.matches("Lines are not edited here: libedit is not installed", done.out, 1,
                    true)
            end)
        end)

        it("edits lines at a terminal, with events above them", function()
            local sign = os.tmpname()
            os.remove(sign)
            local done = run({ "repl" }, { function(p)
                p:wait_for("(Ctrl%-D ends)", "out")
            end, "1 + 12\1277\r", function(p) -- 1 + 17
                p:wait_for("^(18)\r?$", "out")
            end, "mw.after(0.02, function() print 'tick' end) unfinished",
                "\21", -- Ctrl-U
                ("mw.every(0.01, function() if os.remove %q then print 'tick' end end)\r")
                    :format(sign),
                "half", function(p)
                    p:shows("> half", "out")
                    assert(io.open(sign, "w")):close()
                    p:wait_for("(tick)\r?$", "out")
                end, "\21\4" }, true)
            assert.equal(0, done.status, done.out)
            -- What was typed already stands below it again.
            assert.matches("tick\r?\n[^\n]*> half", done.out)
        end)
    end)
end)
