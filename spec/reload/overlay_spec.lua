-- The dev overlay, on the wire: what pages of mw.static end with in watch mode, and what they are
-- told. What it looks like is in spec/browser/overlay_spec.lua.

local cjson = require "cjson"
local flood = require "spec.support.flood"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local sys_stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local script, socket = "/.moonwire/overlay.js", "/.moonwire/overlay"
local tag = '<script src="/.moonwire/overlay.js"></script>\n'

local app = [[
local mw = require "moonwire"
mw.static("/", "public")
mw.get("/fail/:text", function(req) error(req.params.text, 0) end)
mw.get("/bytes", function() error("\255\0 \27[31m <b>bold</b>", 0) end)
mw.ws("/talk", { on_message = function(ws, data) ws:send(data) end })
]]
local large = ("<p>0123456789abcdef"):rep(20000)

describe("the dev overlay", function()
    local server

    after_each(function()
        server:stop()
    end)

    local function write(name, text)
        return server.folder:write("public/" .. name, text or os.tmpname())
    end

    local function path_of(name)
        return server.folder.path .. "/public/" .. name
    end

    local function start(options)
        options = options or {}
        local setup = options.setup or function() end
        options.arguments = options.arguments or { "--watch" }
        function options.setup(folder)
            for _, name in ipairs { "public", "public/sub", "other" } do
                sys_stat.mkdir(folder.path .. "/" .. name)
            end
            folder:write("public/index.html", "<h1>page")
            folder:write("public/large.html", large)
            folder:write("public/empty.html", "")
            folder:write("public/style.css", "a {}")
            setup(folder)
        end
        server = servers.start(options.app or app, options)
    end

    -- A request on a connection that stays.
    local function ask(one, path, more, method)
        one:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(method or "GET", path,
            more or ""))
        return assert(one:response(method == "HEAD"))
    end

    local function get(path, more, method)
        return ask(server:connect(), path, more, method)
    end

    -- A page's WebSocket, and the state that it is told first.
    local function page()
        local one = assert(server:websocket(socket))
        return one, cjson.decode(one:read_text())
    end

    local function hears(one)
        return cjson.decode(one:read_text())
    end

    -- The changes that a page hears of when one is made that counts.
    local function after_change(one, name)
        write(name or "index.html", "changed")
        return hears(one)
    end

    -- A page hears of this change, and of nothing but style sheets together with it.
    local function hears_of_nothing_but_style(one, changes)
        write("style.css", "changed")
        local state = hears(one)
        assert.same({ changes, true }, { state.changes, state.styles })
    end

    describe("in a page", function()
        it("is a tag behind the file, which the length counts", function()
            start()
            local one = server:connect()
            for path, text in pairs { ["/"] = "<h1>page", ["/large.html"] = large,
                ["/empty.html"] = "" } do
                for _ = 1, 2 do -- the next answer begins where it should
                    local answer = ask(one, path)
                    assert.equal(200, answer.status)
                    assert.equal(text .. tag, answer.body)
                    assert.equal(tostring(#text + #tag), answer.headers["content-length"])
                    assert.equal("none", answer.headers["accept-ranges"])
                end
                local answer = ask(one, path, nil, "HEAD")
                assert.equal(200, answer.status)
                assert.equal(tostring(#text + #tag), answer.headers["content-length"])
            end
        end)

        it("has an ETag of its own, which can be asked for, and no parts", function()
            start()
            local etag = get("/").headers.etag
            assert.equal(304, get("/", "If-None-Match: " .. etag .. "\r\n").status)
            assert.equal(etag, get("/", "If-None-Match: " .. etag .. "\r\n").headers.etag)
            assert.equal(etag, get("/", nil, "HEAD").headers.etag)
            for _, range in ipairs { "0-3", "-5", "5-", "1000000-" } do
                local answer = get("/", ("Range: bytes=%s\r\n"):format(range))
                assert.equal(200, answer.status)
                assert.equal("<h1>page" .. tag, answer.body)
            end
            local plain = etag:gsub("%-overlay", "")
            assert.not_equal(etag, plain)
            assert.equal(200, get("/", "If-None-Match: " .. plain .. "\r\n").status)
            assert.equal(412, get("/", "If-Match: " .. plain .. "\r\n").status)
        end)

        it("is not in other files, nor in what the script answers", function()
            start { app = app .. [[
                mw.get("/page", function()
                    return 200, "<p>", { ["content-type"] = "text/html" }
                end)
            ]] }
            assert.equal("a {}", get("/style.css").body)
            assert.equal("{}", get("/style.css", "Range: bytes=2-3\r\n").body)
            assert.equal("<p>", get("/page").body)
        end)

        it("is not there outside watch mode: neither tag nor routes", function()
            for _, arguments in ipairs { { "--no-watch" }, {} } do -- no terminal: not either
                start { arguments = arguments }
                assert.equal("<h1>page", get("/").body)
                assert.equal(large, get("/large.html").body)
                assert.equal("<h1", get("/", "Range: bytes=0-2\r\n").body)
                assert.is_nil(get("/").headers.etag:find "overlay")
                assert.equal(404, get(script).status)
                assert.equal(404, get(socket).status)
                server:stop()
            end
        end)

        it("is not there in an app that serves no folder", function()
            start { app = [[require("moonwire").get("/", function() return "hi" end)]] }
            assert.equal(404, get(script).status)
            assert.equal(404, get(socket).status)
        end)
    end)

    describe("has routes that", function()
        it("go before the app's own patterns, but not before its paths", function()
            start { app = app .. [[
                mw.any("/.moonwire/*all", function() return "all" end)
                mw.get("/:a/*rest", function() return "rest" end)
                mw.get("/:a/:b", function() return "two" end)
                mw.get("/.moonwire/:any", function() return "any" end)
                mw.ws("/:a/:b", { on_open = function(ws) ws:send "the app's" end })
            ]] }
            assert.matches("use strict", get(script).body, 1, true)
            assert.equal("any", get("/.moonwire/other").body)
            local _, state = page()
            assert.equal(cjson.null, state.failure)
        end)

        for title, route in pairs {
            ["its script"] = [[mw.get("/.moonwire/overlay.js", function() return "mine" end)]],
            ["its WebSocket"] = [[mw.ws("/.moonwire/overlay",
                { on_open = function(ws) ws:send "mine" end })]],
        } do
            it("give way to an app that has the path of " .. title, function()
                start { app = app .. route }
                assert.truthy(server.process.err:find("there is no dev overlay: the app has a "
                    .. "route /.moonwire/overlay", 1, true))
                assert.equal("<h1>page", get("/").body)
                if title == "its script" then
                    assert.equal("mine", get(script).body)
                else
                    assert.equal("mine", assert(server:websocket(socket)):read_text())
                end
            end)
        end

        it("are not shown by --check, and closed to other sites", function()
            start()
            local checked = process.run { server.folder.path .. "/app.lua", "--check", "--watch" }
            assert.equal(0, checked.status)
            assert.is_nil(checked.out:find("moonwire", 1, true), checked.out)
            local refused, status = server:websocket(socket,
                { fields = { Origin = "http://evil.example" } })
            assert.is_nil(refused)
            assert.equal(403, status)
            local answer = get(script)
            assert.equal("text/javascript; charset=utf-8", answer.headers["content-type"])
            assert.equal("no-cache", answer.headers["cache-control"])
        end)

        it("do not depend on the app's limits", function()
            start { app = app .. "mw.limits { subscriptions = 0, queued_bytes = 1 }" }
            local one = page()
            assert.equal(1, after_change(one).changes)
        end)

        it("go with the last folder that the app serves, and come with the first", function()
            start()
            local one = page()
            server:reload((app:gsub("mw.static[^\n]*", "")))
            assert.equal(1012, (one:read_close()))
            assert.equal(404, get(script).status)
            server:reload(app)
            assert.equal("<h1>page" .. tag, get("/").body)
            local _, state = page()
            assert.equal(2, state.attempt)
        end)
    end)

    describe("tells of reloads:", function()
        it("a failure with file, line and source, and that it is over", function()
            start { app = app, arguments = { "--watch", "--workers", "2" } }
            local first = {}
            for i = 1, 4 do -- some on each worker
                local state
                first[i], state = page()
                assert.equal(cjson.null, state.failure)
            end
            server:edit(app .. "x y\n")
            for i = 1, 4 do
                local state = hears(first[i])
                assert.matches("reload failed, generation 1 serves on: [^\n]*app%.lua:6: '='",
                    state.failure)
                assert.matches("\n>    6 | x y", state.failure, 1, true)
                assert.equal(1, state.attempt)
            end
            local late, told = page()
            assert.matches("app%.lua:6:", told.failure)
            server:edit(app)
            for _, one in ipairs { late, unpack(first) } do
                local state = hears(one)
                assert.equal(cjson.null, state.failure)
                assert.equal(2, state.attempt)
                assert.equal(told.process, state.process)
                assert.is_true(state.serial > told.serial)
            end
        end)

        it("code that its probation took back, and that it is over", function()
            start()
            local one = page()
            server:edit(app .. "mw.limits { probation_failures = 1 }\n")
            assert.equal(cjson.null, hears(one).failure)
            get "/fail/broken"
            local state
            repeat -- the failure itself is told too
                state = hears(one)
            until type(state.failure) == "string"
            assert.matches("^rolled back %(probation%): generation 3 serves.*: broken",
                state.failure)
            server:edit(app)
            assert.equal(cjson.null, hears(one).failure)
        end)

        it("whatever bytes the failure holds", function()
            start()
            local one = page()
            server:edit(app .. 'error("</script>\\255\\"\\\\ <img src=x>", 0)\n')
            local state = hears(one)
            assert.matches('</script>\239\191\189"\\ <img src=x>', state.failure, 1, true)
        end)

        it("also those that a signal asks for, and two in a row", function()
            start()
            local one = page()
            server:edit(app .. "x y\n")
            local before = hears(one)
            server.process:signal "HUP"
            local again = hears(one)
            assert.equal(before.failure, again.failure)
            assert.equal(before.attempt + 1, again.attempt)
        end)
    end)

    describe("tells of hooks that fail:", function()
        it("what the log says of them, as text", function()
            start()
            local one = page()
            assert.equal(500, get("/fail/oh").status)
            local fault = hears(one)
            assert.matches("^the handler of GET /fail/:text failed: %S-app%.lua:3: oh", fault.fault)
            assert.equal(0, fault.more)
        end)

        it("whatever bytes they raise", function()
            start()
            local one = page()
            assert.equal(500, get("/bytes").status)
            assert.matches("app.lua:4: \239\191\189\0 \27[31m <b>bold</b>", hears(one).fault, 1,
                true)
        end)

        it("a few of many, and how many more there were", function()
            start()
            local one = page()
            local asking = server:connect()
            local told, more, count = 0, 0, 0
            local function fail()
                count = count + 1
                ask(asking, "/fail/" .. count)
            end
            for _ = 1, 100 do
                fail()
            end
            -- The next one after a pause says how many were left out.
            process.eventually(function()
                fail()
                local text = one:available()
                for fault in text:gmatch '{"fault.-"more":(%d+)}' do
                    told, more = told + 1, more + tonumber(fault)
                end
                return more > 0
            end)
            assert.is_true(told >= 2 and told < count / 2, told)
            assert.is_true(told + more > 20 and told + more <= count, more)
        end)
    end)

    describe("tells of files", function()
        it("that are written, renamed into place or removed; of style sheets apart", function()
            start()
            local one, state = page()
            assert.equal(0, state.changes)
            local function told(changes, styles)
                state = hears(one)
                assert.same({ changes, styles, cjson.null }, { state.changes, state.styles,
                    state.failure })
            end
            write("index.html", "two")
            told(1, false)
            write("style.css", "b {}")
            told(2, true)
            os.rename(write(".index.html.swp", "three"), path_of "index.html")
            told(3, false)
            os.rename(write("index.html~", "four"), path_of "style.css")
            told(4, true)
            os.remove(path_of "large.html")
            told(5, false)
            assert.equal("three" .. tag, get("/").body)
            local _, late = page()
            assert.equal(5, late.changes)
        end)

        it("once for many that change together", function()
            start()
            local one = page()
            write("style.css", "b {}")
            write("index.html", "two")
            write("a.js", "two")
            assert.same({ 1, false }, { hears(one).changes, after_change(one).styles })
            assert.equal(3, after_change(one).changes)
        end)

        it("in folders that come and go, at any depth", function()
            start()
            local one = page()
            sys_stat.mkdir(path_of "new")
            sys_stat.mkdir(path_of "new/a")
            sys_stat.mkdir(path_of "new/a/b")
            write("new/a/b/page.html", "1")
            assert.equal(1, hears(one).changes)
            assert.equal(2, after_change(one, "new/a/b/page.html").changes)
            os.rename(path_of "new/a", path_of "moved")
            assert.equal(3, hears(one).changes)
            assert.equal(4, after_change(one, "moved/b/page.html").changes)
            os.rename(path_of "moved", server.folder.path .. "/outside")
            assert.equal(5, hears(one).changes)
            server.folder:write("outside/b/page.html", "changed") -- not the page's any more
            hears_of_nothing_but_style(one, 6)
            sys_stat.mkdir(path_of "empty") -- nothing in it
            hears_of_nothing_but_style(one, 7)
        end)

        it("also when there were more changes than the system remembers", function()
            start()
            local one = page()
            flood(server.process, server.folder.path .. "/public", function()
                sys_stat.mkdir(path_of "new")
                write("new/page.html", "1")
            end)
            local state = hears(one)
            assert.same({ 1, false }, { state.changes, state.styles })
            assert.equal(2, after_change(one, "new/page.html").changes)
            assert.equal(3, after_change(one, "sub/page.html").changes)
            os.remove(path_of "new/page.html")
            assert.equal(4, hears(one).changes)
        end)

        it("but not of those that editors leave for a while, hidden ones, nor the app's", function()
            start { setup = function(folder)
                sys_stat.mkdir(folder.path .. "/public/.git")
                sys_stat.mkdir(folder.path .. "/public/node_modules")
                unistd.link(folder.path .. "/other", folder.path .. "/public/link", true)
            end }
            local one = page()
            for _, name in ipairs { ".index.html.swp", "index.html~", "#index.html#", "4913",
                "page.tmp", "x.bak", "app.lua", ".git/index", "node_modules/x.js",
                "../other/linked.html", "link/linked.html", "../outside.html" } do
                write(name, "1")
                os.remove(path_of(name))
            end
            hears_of_nothing_but_style(one, 1)
        end)

        it("of the folders that the app serves now", function()
            start()
            local one = page()
            server:edit((app:gsub('"public"', '"other"')))
            assert.equal(1, hears(one).attempt)
            write("index.html", "not served")
            server.folder:write("other/x.css", "served")
            local state = hears(one)
            assert.same({ 1, true }, { state.changes, state.styles })
            server:edit(app)
            assert.equal(2, hears(one).attempt)
            server.folder:write("other/x.html", "not served")
            hears_of_nothing_but_style(one, 2)
        end)

        it("of a folder that takes the place of another, and serves them", function()
            start()
            local one = page()
            local folder = server.folder.path
            assert.equal("<h1>page" .. tag, get("/").body)
            for i, put_away in ipairs {
                function() os.execute(("rm -rf '%s/public'"):format(folder)) end,
                function() os.rename(folder .. "/public", folder .. "/before") end,
            } do
                put_away()
                sys_stat.mkdir(folder .. "/public")
                write("built.html", "built " .. i)
                local state
                repeat
                    state = hears(one)
                until state.attempt == i
                assert.is_true(state.changes >= i)
                assert.is_false(state.styles)
                assert.equal("built " .. i .. tag, get("/built.html").body)
                local later = after_change(one, "built.html")
                assert.is_true(later.changes > state.changes)
            end
        end)

        it("in as many folders as limits.watched_folders says", function()
            start { app = app .. "mw.limits { watched_folders = 1 }" }
            assert.matches("pages do not reload by themselves: limits.watched_folders is 1",
                server:logged "public/sub is not watched, its (.*)", 1, true)
            local one = page()
            sys_stat.mkdir(path_of "third")
            write("sub/x.html", "1")
            hears_of_nothing_but_style(one, 1)
            local _, count = server:stop():gsub("is not watched", "")
            assert.equal(1, count)
        end)
    end)
end)
