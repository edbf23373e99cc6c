-- Mistakes in what an app declares: the start ends with one line that names file and line, and says
-- what to write.

local process = require "spec.support.process"

describe("An app", function()
    local folder = process.fresh_folder()

    -- The one line that a start with this second line ends with.
    local function problem_of(line)
        local path = folder:write("app.lua", ('local mw = require "moonwire"\n%s\n'
            .. "mw.listen { port = 0 }\n"):format(line))
        local run = process.run { "--check", path }
        assert.equal(1, run.status, line)
        assert.equal("", run.out)
        assert.matches("^moonwire: [^\n]*app%.lua:2: [^\n]+\n$", run.err)
        return run.err
    end

    describe("with mw.static may not make public", function()
        local unistd, sys_stat = require "posix.unistd", require "posix.sys.stat"

        before_each(function()
            for _, name in ipairs { "public", "lib", "keys" } do
                assert(sys_stat.mkdir(folder.path .. "/" .. name))
            end
            folder:write("lib/rooms.lua", "return {}")
            assert(unistd.link(folder.path, folder.path .. "/public/up", true))
            assert(unistd.link("..", folder.path .. "/link", true))
        end)

        it("its own file, wherever above it the folder is", function()
            for _, name in ipairs { ".", "./", "..", "public/..", "/", "/tmp", folder.path,
                "public/up", "link" } do
                local problem = problem_of(("mw.static('/', %q)"):format(name))
                assert.matches('static "/": the folder ', problem, 1, true)
                assert.matches("holds [^ ]*app%.lua, the app's own file", problem)
                assert.matches('mw.static("/", "public")', problem, 1, true)
            end
        end)

        it("a module", function()
            assert.matches("holds [^ ]*lib/rooms.lua, a module of the app",
                problem_of 'mw.static("/lib", "lib") require "lib.rooms"')
        end)

        it("a key, whichever is declared first", function()
            local certificates = require "spec.support.certificates"
            certificates.make(folder.path .. "/keys", "a", { "localhost" })
            local listen = 'mw.listen { port = 0, tls = { cert = "keys/a.pem", '
                .. 'key = "keys/a.key" } }'
            local static = 'mw.static("/", "keys")'
            for _, line in ipairs { listen .. " " .. static, static .. " " .. listen } do
                assert.matches("holds [^ ]*keys/a.key, a listener's private key", problem_of(line))
            end
            assert.matches("holds [^ ]*keys/both.pem, a listener's private key",
                problem_of('mw.listen { port = 0, tls = { cert = "keys/both.pem" } } ' .. static,
                    folder:write("keys/both.pem", "both")))
        end)
    end)

    it("is told that patterns of other routers mean nothing here", function()
        for pattern, wanted in pairs {
            ["/:id?"] = "declare two routes", ["/{id}"] = "a parameter is written :id",
            ["/:id.json"] = "a parameter is a whole part of a path",
            ["/g*"] = "write %2A for an asterisk", ["/(.*)"] = "/files/*path",
        } do
            for _, declare in ipairs { "mw.ws(%q, {})", "mw.get(%q, print)" } do
                local problem = problem_of(declare:format(pattern))
                assert.matches(('route "%s": '):format(pattern), problem, 1, true)
                assert.matches(wanted, problem, 1, true)
            end
        end
        assert.matches('static "/a+": ', problem_of 'mw.static("/a+", "/")', 1, true)
    end)

    it("is told it in one line, whatever its names hold, and once what it is about", function()
        for line, wanted in pairs {
            ['mw.static("/", "no\\nfolder")'] = 'no\\x0afolder": no such directory',
            ['mw.static("/", "nothing")'] = '2: static "/": folder "',
            ['mw.static("/x/:y", "/")'] = '2: static "/x/:y": a prefix',
            ['mw.get("/a\\0b", print)'] = '2: route "/a": a pattern holds no NUL',
            ['mw.get("/a\\\\b", print)'] = '2: route "/a\\b": a path is no',
            ['mw.get("/a\\nb", print)'] = '2: route "/a\\x0ab": a path has a control character',
            ['mw.get("a\\nb", print)'] = 'begins with /, got "a\\nb"',
            ['mw.ws("/", { origins = "https://a\\nb" })'] = 'origins has a control character in '
                .. '"https://a\\nb"',
            ['mw.listen { host = "unix:/a\\0b" }'] = 'the host has a control character in '
                .. '"unix:/a\\0b"',
            ['mw.limits { message_bytes = "4\\0k" }'] = '"4\\0k" is not a size: write',
            ['mw.limits { idle_seconds = "4\\ns" }'] = '"4\\ns" is not a duration: write',
        } do
            assert.matches(wanted, problem_of(line), 1, true)
        end
    end)

    it("is told what is on or off, and what a number", function()
        assert.matches("connections: expected a number, got true",
            problem_of "mw.limits { connections = true }", 1, true)
        assert.matches("level: expected a number, got true",
            problem_of 'mw.ws("/", { compress = { level = true } })', 1, true)
        assert.matches('server_no_context_takeover: true or false, got "yes"',
            problem_of 'mw.ws("/", { compress = { server_no_context_takeover = "yes" } })', 1, true)
    end)

    -- The same from a start that goes on to its listeners.
    local function listening_problem_of(line)
        local path = folder:write("app.lua", ('local mw = require "moonwire"\n%s\n'):format(line))
        local run = process.run { path }
        assert.equal(1, run.status, line)
        return run.err
    end

    it("is told how a host is written", function()
        for host, wanted in pairs {
            ["http://localhost"] = "write the host alone, without http://",
            ["/run/a.sock"] = "write unix: before the path",
            ["localhost:80"] = "write the port as port",
        } do
            assert.matches(wanted,
                listening_problem_of(("mw.listen { port = 0, host = %q }"):format(host)), 1, true)
        end
    end)

    it("is told that it lists a unix socket twice, by whatever name", function()
        local listen = 'mw.listen { host = "unix:%s/%sx.sock" } '
        assert.matches("the app listens there already", listening_problem_of(
            listen:format(folder.path, "") .. listen:format(folder.path, "./")), 1, true)
    end)

    it("is told that an origin's * stands for one label", function()
        assert.matches('route "/": origin "https://a.*.com": * stands for one whole label',
            problem_of 'mw.ws("/", { origins = { "https://a.*.com" } })', 1, true)
    end)

    it("is told how sizes and durations are written", function()
        assert.matches('"4m" is not a size: write .*; did you mean "4M"%?',
            problem_of 'mw.limits { message_bytes = "4m" }')
        assert.matches('"5min" is not a duration: write .*; did you mean "5m"%?',
            problem_of 'mw.limits { idle_seconds = "5min" }')
    end)

    it("is told of arguments that nothing takes", function()
        for call, form in pairs {
            ['mw.get("/", print, print)'] = "mw.get(path, handler)",
            ["mw.sleep(0, 1)"] = "mw.sleep(duration)",
            ["mw.all({}, print)"] = "mw.all { a, b }",
            ["mw.race({ print }, print)"] = "mw.race { a, b }",
            ["mw.await(function(r) r() end, 1)"] = "mw.await(fn)",
            ['mw.publish("a", "b", false, 1)'] = "publish(topic, data, is_binary)",
            ['mw.subscribers("a", "b")'] = "mw.subscribers(topic)",
            ['mw.log.info("a", {}, "b")'] = "mw.log.info(text, fields)",
            ['require "moonwire.websocket".new("ws://127.0.0.1:1/", nil, {}, 1)'] =
                "WebSocket.new(url, protocols, options)",
            ['require "moonwire.websocket"("ws://127.0.0.1:1/", nil, {}, 1)'] =
                "WebSocket.new(url, protocols, options)",
        } do
            form = form .. " takes no more arguments than these, got a"
            assert.matches(form, problem_of(call), 1, true)
        end
    end)
end)
