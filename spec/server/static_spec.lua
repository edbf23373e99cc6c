-- mw.static: the files of a folder (RFC 9110 §8.8, §13, §14), and nothing else.

local certificates = require "spec.support.certificates"
local servers = require "spec.support.server"
local sys_stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local utime = require "posix.utime"

local app = [[
local mw = require "moonwire"
mw.limits { request_seconds = 60, close_seconds = 1 }
mw.static("/", "public")
mw.static("/files", "public", { types = { [".Part"] = "model/x.part", js = "text/x-other" } })
mw.get("/handled", function() return "by the handler" end)
mw.ws("/chat", {})
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

-- 20 MB in which every 8 bytes are others.
local function numbered()
    local parts = {}
    for i = 1, 20 * 1024 * 1024 / 8 do
        parts[i] = ("%07d\n"):format(i)
    end
    return table.concat(parts)
end
local large = numbered()
local day = 1000000000 -- Sun, 09 Sep 2001 01:46:40 GMT
local day_text = "Sun, 09 Sep 2001 01:46:40 GMT"

describe("mw.static", function()
    local server, secure_port, public, p

    local function write(name, text)
        server.folder:write("public/" .. name, text)
    end

    setup(function()
        server = servers.start(app, {
            listen = {},
            setup = function(folder)
                public = folder.path .. "/public"
                for _, name in ipairs { "", "/sub", "/empty", "/.git", "/.well-known" } do
                    assert(sys_stat.mkdir(public .. name))
                end
                for name, text in pairs {
                    ["index.html"] = "<p>start", ["a.txt"] = "0123456789",
                    ["sub/index.html"] = "<p>sub", ["a b.txt"] = "blank",
                    ["J\195\188rgen"] = "name",
                    ["100%.txt"] = "percent", [".hidden"] = "secret", [".git/config"] = "secret",
                    [".well-known/x"] = "known", ["empty.txt"] = "", ["large.bin"] = large,
                    ["app.js"] = "1", ["style.css"] = "1", ["data.json"] = "1", ["pic.png"] = "1",
                    ["UPPER.HTML"] = "1", ["noending"] = "1", ["vector.svg"] = "1",
                    ["a.part"] = "1",
                    ["x.wasm"] = "1", ["late.lua"] = "secret", ["Users.DB"] = "secret",
                    ["app.sqlite3"] = "secret", ["app.sqlite3-wal"] = "secret",
                    ["x.db-journal"] = "secret", ["a.key"] = "secret",
                    ["privkey.pem"] = "secret", ["ca.pem"] = "public", ["lua"] = "public",
                    ["a.lua.txt"] = "public", ["a.bak"] = "public", ["b~"] = "public",
                    ["app.lua~"] = "secret", ["#app.lua#"] = "secret", ["app.lua.bak"] = "secret",
                    ["app.lua.swp"] = "secret", ["app.luac"] = "secret", ["x.db3"] = "secret",
                    ["users.db.old"] = "secret", ["a.p12"] = "secret",
                } do
                    folder:write("public/" .. name, text)
                end
                folder:write("secret.txt", "secret")
                folder:write("public/unreadable", "secret")
                for link, target in pairs {
                    ["/out.txt"] = "../secret.txt",
                    ["/absolute.txt"] = folder.path .. "/secret.txt",
                    ["/up"] = "..", ["/root"] = "/", ["/inside.txt"] = "a.txt",
                    ["/sub/inside.txt"] = "../a.txt", ["/loop"] = "loop", ["/self"] = "/proc/self",
                    ["/gone.txt"] = "nowhere",
                } do
                    assert(unistd.link(target, public .. link, true))
                end
                assert(sys_stat.mkfifo(public .. "/fifo", 384))
                utime.utime(public .. "/a.txt", day)
                certificates.make(folder.path, "a", { "localhost" })
            end,
        })
        secure_port = server.process:port()
    end)

    teardown(function()
        server:stop()
    end)

    before_each(function()
        p = assert(server:connect())
    end)

    after_each(function()
        server:close_peers()
    end)

    local function get(path, fields, method)
        local lines = { ("%s %s HTTP/1.1\r\nHost: a\r\n"):format(method or "GET", path) }
        for name, value in pairs(fields or {}) do
            lines[#lines + 1] = name .. ": " .. value .. "\r\n"
        end
        p:send(table.concat(lines) .. "\r\n")
        return assert(p:response(method == "HEAD"))
    end

    local function gives(body, path)
        local r = get(path)
        assert.equal(200, r.status, path)
        assert.equal(body, r.body)
        return r
    end

    describe("finds", function()
        it("a file, under each of its prefixes", function()
            gives("0123456789", "/a.txt")
            gives("0123456789", "/a.txt?version=2")
            gives("0123456789", "/files/a.txt")
            gives("", "/empty.txt")
        end)

        it("a file whose name is escaped in the path", function()
            gives("blank", "/a%20b.txt")
            gives("name", "/J%C3%BCrgen")
            gives("percent", "/100%25.txt")
            gives("0123456789", "/%61.txt")
            assert.equal(404, get("/a+b.txt").status)
        end)

        it("index.html for a folder", function()
            gives("<p>start", "/")
            gives("<p>start", "/files/")
            gives("<p>sub", "/sub/")
            assert.equal(404, get("/empty/").status)
        end)

        it("a folder without its slash by a redirection", function()
            for path, to in pairs {
                ["/sub"] = "/sub/", ["/sub?a=b&c"] = "/sub/?a=b&c", ["/files/sub"] = "/files/sub/",
                ["/%73ub"] = "/%73ub/",
            } do
                local r = get(path)
                assert.equal(301, r.status)
                assert.equal(to, r.headers.location)
            end
        end)

        it("links that stay inside", function()
            gives("0123456789", "/inside.txt")
            gives("0123456789", "/sub/inside.txt")
        end)

        it(".well-known (RFC 8615), though hidden files are not served", function()
            gives("known", "/.well-known/x")
        end)

        it("what a route has not taken", function()
            gives("by the handler", "/handled")
            assert.equal(426, get("/chat").status)
        end)
    end)

    it("knows types by the ending, and forbids guessing others", function()
        for path, type in pairs {
            ["/"] = "text/html; charset=utf-8", ["/a.txt"] = "text/plain; charset=utf-8",
            ["/app.js"] = "text/javascript; charset=utf-8", ["/data.json"] = "application/json",
            ["/style.css"] = "text/css; charset=utf-8", ["/pic.png"] = "image/png",
            ["/UPPER.HTML"] = "text/html; charset=utf-8", ["/vector.svg"] = "image/svg+xml",
            ["/x.wasm"] = "application/wasm", ["/noending"] = "application/octet-stream",
            ["/a.part"] = "application/octet-stream", ["/files/a.part"] = "model/x.part",
            ["/files/app.js"] = "text/x-other", ["/files/style.css"] = "text/css; charset=utf-8",
        } do
            local r = get(path)
            assert.equal(type, r.headers["content-type"], path)
            assert.equal("nosniff", r.headers["x-content-type-options"])
        end
    end)

    describe("gives nothing away:", function()
        local function hides(status, path, method)
            local other = assert(server:connect())
            other:send((method or "GET") .. " " .. path .. " HTTP/1.1\r\nHost: a\r\n\r\n")
            local r = assert(other:response())
            other:close()
            assert.equal(status, r.status, path)
            assert.is_nil(r.body:find "secret")
        end

        it("no way up by dots, however they are written", function()
            for _, path in ipairs {
                "/../secret.txt", "/%2e%2e/secret.txt", "/.%2e/secret.txt", "/%2E./secret.txt",
                "/sub/../../secret.txt", "/sub/%2e%2e/%2e%2e/secret.txt", "/..%2fsecret.txt",
                "/%2e%2e%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt", "/%2e%2e",
                "/files/../secret.txt", "/files/../../secret.txt", "/./a.txt", "/%2e/a.txt",
                "/sub/..", "/..", "/../public/a.txt", "/%252e%252e/secret.txt",
            } do
                hides(404, path)
            end
        end)

        it("no slash, NUL or broken escape in a name", function()
            for _, path in ipairs {
                "/sub%2findex.html", "/%2fetc/passwd", "/a.txt%00", "/a.txt%00.html", "/%zz", "/%",
                "/a.txt%2", "//a.txt", "//etc/passwd", "/sub//index.html", "/a.txt/",
                "/a.txt/index.html",
            } do
                hides(404, path)
            end
        end)

        it("no link that leads out, and none that leads nowhere", function()
            for _, path in ipairs {
                "/out.txt", "/absolute.txt", "/up/secret.txt", "/up/public/a.txt",
                "/root/etc/passwd", "/root/", "/loop", "/self/environ", "/self/", "/gone.txt",
            } do
                hides(404, path)
            end
        end)

        it("no hidden files", function()
            for _, path in ipairs { "/.hidden", "/.git/config", "/.git/", "/%2ehidden" } do
                hides(404, path)
            end
        end)

        it("no code, keys and databases, whatever else is public", function()
            for _, path in ipairs { "/late.lua", "/late%2elua", "/Users.DB", "/app.sqlite3",
                "/app.sqlite3-wal", "/x.db-journal", "/a.key", "/privkey.pem", "/files/late.lua",
                "/none.lua", "/app.lua~", "/%23app.lua%23", "/app.lua.bak", "/app.lua.swp",
                "/app.luac", "/x.db3", "/users.db.old", "/a.p12" } do
                hides(404, path)
            end
            for _, path in ipairs { "/ca.pem", "/lua", "/a.lua.txt", "/a.bak", "/b~" } do
                gives("public", path)
            end
        end)

        it("no copies of such files that editors and people leave behind", function()
            for _, path in ipairs { "/late.lua~", "/late.lua.bak", "/privkey.pem.old", "/a.p12",
                "/x.db3" } do
                write(path:sub(2), "secret")
                hides(404, path)
            end
        end)

        it("not the app's file or a key by any other name", function()
            for name, to in pairs { ["code.txt"] = "app.lua", ["words.txt"] = "a.key" } do
                assert(unistd.link(server.folder.path .. "/" .. to, public .. "/" .. name))
                hides(404, "/" .. name)
                assert(unistd.unlink(public .. "/" .. name))
            end
        end)

        it("no pipe, and nobody waits for one", function()
            hides(404, "/fifo")
            gives("0123456789", "/a.txt")
        end)

        it("no name that is longer than a name can be", function()
            hides(404, "/" .. ("x"):rep(300))
            hides(404, "/" .. ("x/"):rep(3000))
        end)

        it("nothing for other methods", function()
            hides(405, "/a.txt", "DELETE")
        end)

        if unistd.geteuid() ~= 0 then
            it("nothing that the server's user may not read", function()
                sys_stat.chmod(public .. "/unreadable", 0)
                hides(403, "/unreadable")
            end)
        end
    end)

    describe("answers conditions (RFC 9110 §13)", function()
        local etag

        before_each(function()
            etag = get("/a.txt").headers.etag
        end)

        local function answers(status, fields, method)
            local r = get("/a.txt", fields, method)
            assert.equal(status, r.status, require("cjson").encode(fields))
            if status == 304 then -- §15.4.5
                assert.equal("", r.body)
                assert.equal(etag, r.headers.etag)
                assert.equal(day_text, r.headers["last-modified"])
                assert.is_nil(r.headers["content-length"])
            end
        end

        it("with a strong tag and the time of the last change", function()
            local r = get "/a.txt"
            assert.truthy(r.headers.etag:find '^"[^"]+"$')
            assert.equal(day_text, r.headers["last-modified"])
            assert.equal("no-cache", r.headers["cache-control"])
        end)

        it("with a tag that shows neither inode nor nanoseconds", function()
            local st = sys_stat.stat(public .. "/a.txt")
            assert.equal(etag, get("/a.txt").headers.etag)
            assert.is_nil(etag:find(("%x"):format(st.st_ino), 1, true))
            assert.is_nil(etag:find(("%x"):format(day * 1000), 1, true))
        end)

        it("with another tag when another file has taken its place, as long and as old", function()
            write("changes.txt", "one")
            utime.utime(public .. "/changes.txt", day, day)
            local before = get("/changes.txt").headers.etag
            write("changes.new", "two")
            utime.utime(public .. "/changes.new", day, day)
            assert(os.rename(public .. "/changes.new", public .. "/changes.txt"))
            assert.not_equal(before, get("/changes.txt").headers.etag)
        end)

        it("with another tag when the file has changed, even within a second", function()
            write("changes.txt", "one")
            local before = get("/changes.txt").headers.etag
            write("changes.txt", "two, longer")
            assert.not_equal(before, get("/changes.txt").headers.etag)
        end)

        it("§13.1.2 If-None-Match", function()
            answers(304, { ["If-None-Match"] = etag })
            answers(304, { ["If-None-Match"] = "W/" .. etag })
            answers(304, { ["If-None-Match"] = '"other", ' .. etag })
            answers(304, { ["If-None-Match"] = "*" })
            answers(304, { ["If-None-Match"] = etag }, "HEAD")
            answers(200, { ["If-None-Match"] = '"other"' })
        end)

        it("§13.1.3 If-Modified-Since", function()
            answers(304, { ["If-Modified-Since"] = day_text })
            answers(304, { ["If-Modified-Since"] = "Sun, 09 Sep 2001 01:46:41 GMT" })
            answers(200, { ["If-Modified-Since"] = "Sun, 09 Sep 2001 01:46:39 GMT" })
            answers(304, { ["If-Modified-Since"] = "Sunday, 09-Sep-01 01:46:40 GMT" })
            answers(304, { ["If-Modified-Since"] = "Sun Sep  9 01:46:40 2001" })
            answers(200, { ["If-Modified-Since"] = "yesterday" })
        end)

        it("§13.1.1 If-Match", function()
            answers(200, { ["If-Match"] = etag })
            answers(200, { ["If-Match"] = "*" })
            answers(412, { ["If-Match"] = '"other"' })
            answers(412, { ["If-Match"] = "W/" .. etag }) -- compared strongly
        end)

        it("§13.1.4 If-Unmodified-Since", function()
            answers(200, { ["If-Unmodified-Since"] = day_text })
            answers(412, { ["If-Unmodified-Since"] = "Sun, 09 Sep 2001 01:46:39 GMT" })
        end)

        it("§13.2.2 in this order", function()
            local past = "Sun, 09 Sep 2001 01:46:39 GMT"
            -- If-Match before If-Unmodified-Since, which does not count then.
            answers(200, { ["If-Match"] = etag, ["If-Unmodified-Since"] = past })
            -- Both before If-None-Match.
            answers(412, { ["If-Match"] = '"other"', ["If-None-Match"] = etag })
            answers(412, { ["If-Unmodified-Since"] = past, ["If-None-Match"] = etag })
            answers(304, { ["If-Match"] = etag, ["If-None-Match"] = etag })
            -- If-None-Match before If-Modified-Since, which does not count then.
            answers(200, { ["If-None-Match"] = '"other"', ["If-Modified-Since"] = day_text })
            answers(304, { ["If-None-Match"] = etag, ["If-Modified-Since"] = past })
            -- All before Range.
            answers(304, { ["If-None-Match"] = etag, ["Range"] = "bytes=0-1" })
            answers(412, { ["If-Match"] = '"other"', ["Range"] = "bytes=99-" })
        end)
    end)

    describe("gives a part (RFC 9110 §14)", function()
        local function part(body, range, fields)
            fields = fields or {}
            fields.Range = range
            local r = get("/a.txt", fields)
            if not body then
                assert.equal(200, r.status, range)
                assert.equal("0123456789", r.body)
                assert.is_nil(r.headers["content-range"])
                return
            end
            assert.equal(206, r.status, range)
            assert.equal(body, r.body)
            local first = ("0123456789"):find(body, 1, true) - 1
            assert.equal(("bytes %d-%d/10"):format(first, first + #body - 1),
                r.headers["content-range"])
        end

        it("§14.1.2 from the beginning, the middle, the end", function()
            part("0", "bytes=0-0")
            part("01234", "bytes=0-4")
            part("56789", "bytes=5-")
            part("56789", "bytes=5-99")
            part("789", "bytes=-3")
            part("0123456789", "bytes=-99")
            part("9", "bytes=9-9")
        end)

        it("and says that it does", function()
            assert.equal("bytes", get("/a.txt").headers["accept-ranges"])
        end)

        it("§14.2 but not for what it does not understand, nor several at once", function()
            part(nil, "lines=0-1")
            part(nil, "bytes=4-2")
            part(nil, "bytes=a-b")
            part(nil, "bytes=0-1,4-5")
            part(nil, "bytes=")
        end)

        it("§15.5.17 416 past the end", function()
            for _, range in ipairs { "bytes=10-", "bytes=10-12", "bytes=-0" } do
                local r = get("/a.txt", { Range = range })
                assert.equal(416, r.status, range)
                assert.equal("bytes */10", r.headers["content-range"])
            end
        end)

        it("§14.2 to GET only", function()
            local r = get("/a.txt", { Range = "bytes=0-1" }, "HEAD")
            assert.equal(200, r.status)
            assert.equal("10", r.headers["content-length"])
        end)

        it("§13.1.5 If-Range: when the file is still the same", function()
            local r = get "/a.txt"
            part("01", "bytes=0-1", { ["If-Range"] = r.headers.etag })
            part("01", "bytes=0-1", { ["If-Range"] = day_text })
            part(nil, "bytes=0-1", { ["If-Range"] = '"other"' })
            part(nil, "bytes=0-1", { ["If-Range"] = "W/" .. r.headers.etag })
            part(nil, "bytes=0-1", { ["If-Range"] = "Sun, 09 Sep 2001 01:46:39 GMT" })
            part(nil, "bytes=0-1", { ["If-Range"] = "Sun, 09 Sep 2001 01:46:41 GMT" })
        end)

        it("§13.1.5 If-Range: not by the date of a file that just changed", function()
            write("new.txt", "0123456789")
            local r = get "/new.txt"
            r = get("/new.txt", { Range = "bytes=0-1", ["If-Range"] = r.headers["last-modified"] })
            assert.equal(200, r.status)
        end)

        it("of a long file", function()
            local r = get("/large.bin", { Range = "bytes=10000000-19999999" })
            assert.equal(206, r.status)
            assert.is_true(r.body == large:sub(10000001, 20000000))
        end)
    end)

    it("answers HEAD with the same fields and no body", function()
        for _, path in ipairs { "/a.txt", "/large.bin", "/", "/sub", "/nothing", "/empty.txt" } do
            local full, head = get(path), get(path, nil, "HEAD")
            full.headers.date, head.headers.date = nil, nil
            assert.equal(full.status, head.status)
            assert.same(full.headers, head.headers)
        end
    end)

    describe("sends a long file", function()
        local function request(to)
            to:send "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n"
        end

        local function is_whole(to)
            local r = to:response()
            assert.equal(tostring(#large), r.headers["content-length"])
            assert.is_true(large == r.body, "other bytes came")
        end

        for _, how in ipairs { "plain", "TLS" } do
            describe("over " .. how, function()
                local function open(options)
                    options = options or {}
                    options.tls = how == "TLS" and {} or nil
                    return assert(server:connect_to(how == "TLS" and secure_port or server.port,
                        options))
                end

                it("whole", function()
                    local one = open()
                    request(one)
                    is_whole(one)
                    one:send "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"
                    assert.equal("0123456789", one:response().body)
                end)

                it("to a slow reader, while others are served", function()
                    local slow = open { receive_buffer = 4096 }
                    request(slow)
                    local head, status = slow:head()
                    assert.equal(200, status)
                    assert.truthy(head)
                    local at = 0
                    for size = 1, 2000, 37 do
                        assert.is_true(slow:bytes(size) == large:sub(at + 1, at + size))
                        at = at + size
                        gives("0123456789", "/a.txt")
                    end
                    assert.is_true(slow:bytes(#large - at) == large:sub(at + 1))
                end)

                it("several at once and behind one another", function()
                    local many = {}
                    for i = 1, 4 do
                        many[i] = open { receive_buffer = 16384 }
                        request(many[i])
                        request(many[i])
                    end
                    for _, one in ipairs(many) do
                        is_whole(one)
                        is_whole(one)
                    end
                end)

                it("as it was when it was asked for, though it is replaced meanwhile", function()
                    write("replaced.bin", large)
                    local slow = open { receive_buffer = 4096 }
                    slow:send "GET /replaced.bin HTTP/1.1\r\nHost: a\r\n\r\n"
                    slow:head()
                    write("replaced.new", "other")
                    assert(os.rename(public .. "/replaced.new", public .. "/replaced.bin"))
                    assert.is_true(slow:bytes(#large) == large)
                end)

                it("that shrinks meanwhile only as far as it goes, and closes", function()
                    write("shrinks.bin", large)
                    local slow = open { receive_buffer = 4096 }
                    slow:send "GET /shrinks.bin HTTP/1.1\r\nHost: a\r\n\r\n"
                    slow:head()
                    write("shrinks.bin", "")
                    local _, _, got = slow.socket:receive(#large)
                    assert.is_true(#got < #large, "bytes that are in no file")
                    assert.is_true(got == large:sub(1, #got))
                    gives("0123456789", "/a.txt")
                end)
            end)
        end
    end)

    it("closes every file that it opened, also for those who left early", function()
        local open
        for _ = 1, 1000 do -- it notices the last one's end when it will
            local pipe = io.popen("ls -l /proc/" .. server.process.pid .. "/fd")
            open = pipe:read("*a"):match "[^\n]*public/[^\n]*"
            pipe:close()
            if not open then
                break
            end
            gives("0123456789", "/a.txt")
        end
        assert.is_nil(open)
    end)
end)
