local fake = require "spec.lua.fake"

describe("an app's top level", function()
    local engine

    local function load(source, name)
        engine = fake.new()
        return engine:load(source, name)
    end
    local function load_with(source)
        return load('local mw = require "moonwire"\n' .. source)
    end

    it("declares its routes, limits, folders and listeners", function()
        assert.is_nil(load_with [[
            mw.get("/hello/:name", function() end)
            local chat = mw.ws("/chat/:room", {
                on_message = print, protocols = { "v2", "v1" }, origins = "https://example.com",
                compress = { level = 3 }, limits = { message_bytes = "64k" },
            })
            function chat.on_upgrade() end
            mw.static("/", "public")
            mw.static("/s", "/srv/files", { types = { [".GCode"] = "text/x.gcode" } })
            mw.limits { idle_seconds = "2m" }
            mw.listen { port = 8080 }
            mw.listen { host = "*", port = 8443, tls = { cert = "cert.pem", key = "key.pem" } }
            mw.listen { host = "unix:/run/x", tls = { { cert = "/a" }, { cert = "b", key = "c" } } }
            mw.listen { port = 0, tls = true }
            mw.listen { port = 0, proxy = { "10.0.0.0/8", "unix:" } }
            mw.listen { port = 0, proxy = "10.0.0.5" }
            mw.listen { port = 0, proxy = true }
            mw.listen { port = 0, proxy = false }
            mw.hosts { "example.com", "*.example.com" }
            mw.hosts "other.test"
        ]])
        local folder = engine.folder
        assert.same({
            { "route", "/hello/:name", 1 },
            { "route", "/chat/:room", 128 },
            { "protocol", 1, "v2" }, { "protocol", 1, "v1" },
            { "origin", 1, "https://example.com" },
        }, { unpack(engine.site, 1, 5) })
        local compress = { engine.site[6], engine.site[7] }
        table.sort(compress, function(a, b)
            return a[3] < b[3]
        end)
        assert.same({ { "compress", 1, "enabled", 1 }, { "compress", 1, "level", 3 } }, compress)
        assert.same({
            { "upgrade", 1, true },
            { "limit", 1, "message_bytes", 65536 },
            { "static", "/", folder .. "/public" },
            { "static", "/s", "/srv/files" },
            { "type", 3, "GCode", "text/x.gcode" },
            { "limit", -1, "idle_seconds", 120 },
            { "listen", false, 8080 },
            { "listen", "*", 8443 },
            { "certificate", 0, folder .. "/cert.pem", folder .. "/key.pem" },
            { "listen", "unix:/run/x", 0 },
            { "certificate", 0, "/a", false }, { "certificate", 0, folder .. "/b", folder .. "/c" },
            { "listen", false, 0 }, { "dev_certificate", 0 },
            { "listen", false, 0 }, { "proxy", 0, "10.0.0.0/8" }, { "proxy", 0, "unix:" },
            { "listen", false, 0 }, { "proxy", 0, "10.0.0.5" },
            { "listen", false, 0 }, { "proxy", 0, "127.0.0.0/8" }, { "proxy", 0, "::1" },
            { "proxy", 0, "unix:" },
            { "listen", false, 0 },
            { "host", "example.com" }, { "host", "*.example.com" }, { "host", "other.test" },
        }, { unpack(engine.site, 8) })
    end)

    it("tells C when a route gains or loses on_upgrade later", function()
        assert.is_nil(load_with 'require("seen").r = mw.ws "/x"')
        engine.site = {}
        engine.seen.r.on_upgrade = print
        engine.seen.r.on_upgrade = nil
        engine.seen.r.on_open = print
        assert.same({ { "upgrade", 0, true }, { "upgrade", 0, false } }, engine.site)
    end)

    it("names line and route of what the site refuses", function()
        assert.equal('app.lua:3: route "/a//b": a segment is empty', load_with [[

            mw.ws "/a//b"
        ]])
        assert.equal("app.lua:2: mw.limits: limits.mesage_bytes does not exist; did you mean "
            .. "message_bytes?",
            load_with "mw.limits { mesage_bytes = 1 }")
        assert.equal("app.lua:2: mw.ws: limits.mesage_bytes does not exist; did you mean "
            .. "message_bytes?",
            load_with 'mw.ws("/x", { limits = { mesage_bytes = 1 } })')
    end)

    it("is told at once, with its line, what it wrote wrongly", function()
        local cases = {
            ['mw.ws "/x".on_mesage = print'] =
                "on_mesage is not a hook of a route; did you mean on_message?",
            ['mw.ws "/x".on_message = 5'] = "on_message is a function(ws, …), got number",
            ['mw.ws "/x".on_upgrade = 5'] = "on_upgrade is a function(req), got number",
            ['mw.ws("/x", { on_opne = print })'] =
                "on_opne is not a hook or an option of a route; did you mean on_open?",
            ['mw.ws("/x", { protocol = "a" })'] = "did you mean protocols?",
            ['mw.ws("/x", { protocols = { 1 } })'] = "protocols is a string or a list of strings",
            ['mw.ws("/x", { protocols = { "a", b = "c" } })'] = "got the key b",
            ['mw.ws("/x", { origins = { ["https://a.b"] = true } })'] = "got the key https://a.b",
            ['mw.ws("/x", { origins = {} })'] = "origins is an empty list: leave it out",
            ['mw.ws("/x", { limits = { message_bytes = "4 MB" } })'] =
                'limits.message_bytes: "4 MB" is not a size',
            ['mw.ws("/x", {}, { origins = "*" })'] =
                "mw.ws(path, options) takes no more arguments than these, got a table behind them",
            ['mw.get("/x", print, print)'] = "mw.get(path, handler) takes no more arguments",
            ['mw.static("/", "public", { index = false })'] =
                "mw.static: there is no option index; there is types",
            ["mw.static('/', 'public', nil, 5)"] = "got a number behind them",
            ["mw.listen({ port = 1 }, print)"] = "takes no more arguments than these, got a",
            ["mw.limits({}, 5)"] = "mw.limits { name = value } takes no more arguments",
            ["mw.after(1, print, 'x')"] = "write function() … end around a call with arguments",
            ["mw.every(1, print, false)"] = "mw.every(duration, fn) takes no more arguments",
            ["mw.keep('x', print, 5)"] = "mw.keep(name, make) takes no more arguments",
            ['mw.ws("/x", { compress = 5 })'] = "compress is true, false or a table",
            ['mw.ws("/x", { compress = { memory_bytes = "much" } })'] =
                'compress.memory_bytes: "much" is not a size',
            ['mw.ws("/x", { limits = { idle_seconds = {} } })'] =
                "limits.idle_seconds: expected a duration",
            ['mw.ws("/x", { binaryType = "blob" })'] =
                'binaryType is "string" or "buffer", got "blob"',
            ['mw.ws("x")'] = 'a route\'s path is a string that begins with /, got "x"',
            ["mw.ws()"] = "a route's path is a string that begins with /, got nil",
            ['mw.get("/x")'] = "mw.get: the handler is a function(req), got nil",
            ['mw.get("x", print)'] = "begins with /",
            ["mw.static('/')"] = "mw.static: the folder is a string, got nil",
            ["mw.static('/', 'x', true)"] = "mw.static: the options are a table, { types = ",
            ["mw.static('/', 'x', { type = {} })"] =
                "mw.static: there is no option type; did you mean types?",
            ["mw.static('/', 'x', { types = 'text/x' })"] = "types is a table, { gcode = ",
            ["mw.static('/', 'x', { types = { 'text/x' } })"] =
                'types has an ending and its media type, as in { gcode = "text/x.gcode" }, got '
                .. '[1] = "text/x"',
            ["mw.static('/', 'x', { types = { ts = 5 } })"] = "got ts = number",
            ["mw.static('/', 'x', { types = { ts = 'a/b', ['.ts'] = 'a/b' } })"] =
                "types has .ts twice",
            ["mw.listen(8080)"] = "mw.listen: expected a table, mw.listen { port = 8080 }",
            ["mw.listen { prot = 1 }"] = "mw.listen: there is no option prot; did you mean port?",
            ["mw.listen { port = 70000 }"] = "the port is a whole number from 0",
            ["mw.listen { port = 1, host = 5 }"] = "the host is a string, got 5",
            ["mw.listen { port = 1, tls = 'x' }"] = "mw.listen: tls is { cert = …, key = … }",
            ["mw.listen { port = 1, tls = { key = 'x' } }"] = "names of PEM files",
            ["mw.listen { port = 1, tls = { cert = 'a', kye = 'x' } }"] = "did you mean key?",
            ["mw.listen { port = 1, proxy = 5 }"] = "mw.listen: proxy is true (proxies on this "
                .. 'machine) or the addresses of proxies, as in { "127.0.0.1", "10.0.0.0/8", '
                .. '"unix:" }, got number',
            ["mw.listen { port = 1, proxy = {} }"] = "got a table without addresses",
            ["mw.listen { port = 1, proxy = { '::1', 5 } }"] = "got number",
            ["mw.hosts()"] = 'mw.hosts: expected host names, as in mw.hosts { "example.com", '
                .. '"*.example.com" }, got nil',
            ["mw.hosts {}"] = "got a table without any",
            ["mw.hosts { 'a.test', 5 }"] = "mw.hosts: item 2 of the list is a number",
            ["mw.hosts('a.test', 'b.test')"] = "a list of hosts is one table",
            ["mw.limits(5)"] = "mw.limits: limits is a table",
            ["mw.pubish()"] = "mw.pubish does not exist; did you mean publish?",
            ["mw.publish('a', {})"] = "publish: expected a string or an FFI buffer, got table",
            ["mw.publish()"] = "publish: a topic is a string, got nil",
            ["mw.after('x', print)"] = '"x" is not a duration',
            ["mw.sleep('x')"] = '"x" is not a duration',
            ["mw.log.info('x', 5)"] = "the fields are a table, { name = value }, got number",
        }
        for source, problem in pairs(cases) do
            local text = load_with(source)
            assert.is_string(text, source)
            assert.equal("app.lua:2: ", text:sub(1, 11), source .. ": " .. text)
            assert.matches(problem, text, 1, true)
        end
    end)

    it("cannot go on declaring when it serves", function()
        assert.is_nil(load_with 'require("seen").mw = mw')
        for _, name in ipairs { "ws", "get", "static", "listen", "limits" } do
            fake.raises(("mw.%s: an app declares this while it is loaded"):format(name), function()
                local mw = engine.seen.mw
                if name == "ws" or name == "get" then
                    local _ = mw[name]("/x", name == "get" and print or nil)
                elseif name == "static" then
                    mw.static("/", "x")
                else
                    mw[name](name == "listen" and { port = 1 } or { body_bytes = 1 })
                end
            end)
        end
    end)

    it("fails with one line for errors, with the traceback at debug level", function()
        assert.equal("app.lua:1: attempt to call global 'foo' (a nil value)", load "foo()")
        assert.equal(0, engine.logged[1].level)
        assert.matches("stack traceback", engine.logged[1].text, 1, true)
        assert.equal("app.lua:2: '=' expected near '<eof>'", load "\nx")
        assert.equal("app.lua:1: plain", load "error('plain', 0)")
        assert.matches("^app.lua:1: an error that is a table: %[%]", load "error {}")
        assert.matches("^app.lua:1: module 'no.such' not found: looked for [^\n]*no/such%.lua, "
            .. "[^\n]*$", load 'require "no.such"')
    end)

    it("fails with one line when there is no such file, or it is a folder", function()
        engine = fake.new()
        local app = require "moonwire.app.app"
        assert.equal("/no/such.lua: No such file or directory: give the name of your app's Lua "
            .. "file", app.load("/no/such.lua", {}, nil))
        assert.equal("/tmp: this is not a file; give the name of your app's Lua file",
            app.load("/tmp", {}, nil))
    end)

    it("finds modules beside it, and its arguments", function()
        engine = fake.new()
        local folder = os.tmpname()
        os.remove(folder)
        os.execute("mkdir -p " .. folder .. "/pack")
        local function write(name, source)
            local file = assert(io.open(folder .. "/" .. name, "w"))
            file:write(source)
            file:close()
        end
        write("main.lua", [[
            local seen = require "seen"
            seen.got = { require "spec_part", require "pack", arg[0]:match "[^/]*$", arg[1], ... }
        ]])
        write("spec_part.lua", 'return "part"')
        write("pack/init.lua", 'return "init"')
        local path, saved_arg = package.path, _G.arg
        local app = require "moonwire.app.app"
        local problem = app.load(folder .. "/main.lua", { "one", "two" }, nil)
        package.path, _G.arg = path, saved_arg
        package.loaded.spec_part, package.loaded.pack = nil, nil
        os.execute("rm -r " .. folder)
        assert.is_nil(problem)
        assert.same({ "part", "init", "main.lua", "one", "one", "two" }, engine.seen.got)
    end)
end)

describe("mw", function()
    local engine, mw

    before_each(function()
        engine = fake.new()
        assert.is_nil(engine:load 'require("seen").mw = require "moonwire"')
        mw = engine.seen.mw
    end)

    it("publishes to everybody", function()
        assert.is_true(mw.publish("t", "x"))
        assert.is_true(mw.publish("t", "\1", true))
        assert.same({ { "publish", 0, "t", "x", false }, { "publish", 0, "t", "\1", true } },
            engine.calls)
    end)

    it("counts the subscribers of a topic", function()
        engine:connect(1)
        engine.conns[1].topics.t = true
        assert.equal(1, mw.subscribers "t")
        assert.equal(0, mw.subscribers "u")
        fake.raises("a topic is a string, got nil", function()
            local _ = mw.subscribers()
        end)
    end)

    it("counts workers from 1", function()
        assert.same({ index = 1, count = 2 }, mw.worker)
    end)

    it("gives the counters by name", function()
        assert.same({ accepted = 10, opened = 11 }, mw.counters())
    end)

    it("stops", function()
        mw.stop()
        assert.same({ { "stop" } }, engine.calls)
    end)

    it("logs texts with fields as JSON members, sorted", function()
        mw.log.warn("joined", { room = 'a"\n', n = 3, ok = true, bad = 0 / 0, f = 1.5 })
        mw.log.debug(nil)
        local line = engine.logged[1]
        assert.equal(2, line.level)
        assert.equal("joined", line.text)
        assert.matches('^"bad":"%-?nan","f":1.5,"n":3,"ok":true,"room":"a\\"\\n"$', line.fields)
        assert.equal("nil", engine.logged[2].text)
    end)
end)
