-- The files of an app that is loaded again are read and compiled by a thread of their own, so that
-- no event waits for that; and nobody can tell, but by the time.

local cjson = require "cjson"
local dirent = require "posix.dirent"
local process = require "spec.support.process"
local read = require("spec.support.files").read
local servers = require "spec.support.server"

local function app(answer, more)
    return ([[
        local mw = require "moonwire"
        local talk = mw.ws "/talk"
        function talk.on_message(ws, data) ws:send(%q .. " " .. data) end
        mw.get("/versions", function() return mw.versions() end)
        %s
    ]]):format(answer, more or "")
end

-- Bytes that each of the server's workers has read from files so far, by its number.
local function worker_reads(server, workers)
    local tasks = ("/proc/%d/task/"):format(server.process.pid)
    return process.eventually(function() -- a thread is named when it runs already
        local out, count = {}, 0
        for task in dirent.files(tasks) do
            local name = tonumber(task) and read(tasks .. task .. "/comm"):match "^moonwire/(%d+)"
            if name then
                out[name] = tonumber(read(tasks .. task .. "/io"):match "rchar: (%d+)")
                count = count + 1
            end
        end
        return count == (workers or 1) and out
    end)
end

local function largest_growth(before, after)
    local most = 0
    for name, bytes in pairs(after) do
        most = math.max(most, bytes - before[name])
    end
    return most
end

-- All that a debugger, a traceback or a program can ask code about, as JSON.
local telling = [==[
#!a line for the system
local mw = require "moonwire"
local up, down = "up", -1
local function inner(one, two, ...)
    local three = { one, two, ..., nested = { 1, 2.5, -0.25, 1e300, "text", true, up } }
    local four = 0x7fffffffffffffffLL + 1ULL -- of the FFI
    for i = 1, #three do down = down + i end
    error("raised: " .. tostring(four) .. tostring(2i) .. down)
end
function outer(...) local ok, why = xpcall(inner, debug.traceback, ...) return why end
local function names(fn)
    local out = {}
    for i = 1, 20 do out[#out + 1] = debug.getlocal(fn, i) or nil end
    for i = 1, 20 do out[#out + 1] = debug.getupvalue(fn, i) or nil end
    return out
end
local function lines(fn)
    local out = {}
    for line in pairs(debug.getinfo(fn, "L").activelines) do out[#out + 1] = line end
    table.sort(out)
    return out
end
local main = debug.getinfo(1, "f").func
local function about(fn)
    local info = debug.getinfo(fn, "nSu")
    info.names, info.lines = names(fn), lines(fn)
    return info
end
local trace = outer(1, 2, 3):match "^(.-in main chunk)"
local told = { trace = trace, inner = about(inner), outer = about(outer), main = about(main),
    part = about(require "part"), sum = require("part")(),
    own = getfenv(inner) == _G and getfenv(main) == _G and getfenv(require "part") == _G,
    arguments = { n = select("#", ...), ... } }
mw.get("/told", function() return told end)
]==]

-- More constants than 16 bits number, in one table.
local function part()
    local out = { "local t = {\n" }
    for i = 1, 70000 do
        out[#out + 1] = ("%d, k%d = 'v%d',\n"):format(i * 3, i, i)
    end
    out[#out + 1] = "}\nreturn function() return #t + #t.k70000 + t[69999] end\n"
    return table.concat(out)
end

describe("the files of an app that is loaded again", function()
    local server

    local function start(source, options)
        server = servers.start(source, options)
    end

    local function ask(text)
        return assert(server:websocket "/talk"):ask(text)
    end

    after_each(function()
        server:stop()
    end)

    it("are read by no worker", function()
        local padding = ("-- a line of no meaning\n"):rep(50000)
        start(app("one", 'require "part"') .. padding,
            { arguments = { "--workers", "2" }, files = { ["part.lua"] = padding } })
        local before = worker_reads(server, 2)
        assert.equal(2, server:reload(app("two", 'require "part"') .. padding))
        assert.equal("two a", ask "a")
        assert.is_true(largest_growth(before, worker_reads(server, 2)) < #padding / 10)
        local file = server:versions()[1].files[2]
        assert.matches("part.lua", file.path, 1, true)
        local sum = io.popen("sha1sum " .. server.folder.path .. "/part.lua"):read "*a"
        assert.equal(sum:match "^%x+", file.sha1)
        -- One that was not needed before is.
        server:edit(padding, "new.lua")
        assert.equal(3, server:reload(app("three", 'require "new"')))
        assert.is_true(largest_growth(before, worker_reads(server, 2)) > #padding)
        -- And also after a failure it is known by then.
        server:edit(app("four", 'require "new" require "part"'))
        server:edit(padding .. "x y", "part.lua")
        server.process:signal "HUP"
        server:reload_failed()
        server:edit(padding, "part.lua")
        before = worker_reads(server, 2)
        assert.equal(4, server:reload())
        assert.is_true(largest_growth(before, worker_reads(server, 2)) < #padding / 10)
    end)

    it("make the same code as when they are parsed", function()
        start(telling, { files = { ["part.lua"] = part() } })
        local parsed = server:get "/told"
        assert.matches("raised: 9223372036854775808ULL0%+2i5", cjson.decode(parsed).trace)
        assert.is_true(cjson.decode(parsed).own)
        assert.equal(2, server:reload())
        assert.same(cjson.decode(parsed), cjson.decode((server:get "/told")))
        local growth = worker_reads(server)
        assert.equal(3, server:reload(telling .. "\n"))
        assert.is_true(largest_growth(growth, worker_reads(server)) < 100000)
    end)

    local many = {}
    for i = 1, 201 do
        many[i] = ("local v%d = %d\n"):format(i, i)
    end

    for title, source in pairs {
        ["two words"] = "\n\nx y",
        ["an end that is missing"] = "function f() if x then",
        ["a text without an end"] = 'local t = "abc\n',
        ["too many local variables"] = table.concat(many),
        ["a goto that leads nowhere"] = "goto nowhere",
        ["a byte that means nothing"] = "x = 1 \1\255",
        ["a zero byte"] = "x = 1 \0 y",
        ["nothing but the system's line"] = "#!/usr/bin/moonwire",
    } do
        it("with " .. title .. " fail as they do at the start", function()
            start(app("one", 'pcall(require, "part")'))
            server:edit(app("two", 'require "part"'))
            server:edit(source, "part.lua")
            local path = server.folder.path .. "/app.lua"
            local first = process.run { "--check", path }
            if first.status == 0 then -- there it is no fault
                assert.equal(2, server:reload())
                return
            end
            server.process:signal "HUP"
            assert.equal(first.err:match "^moonwire: ([^\n]*)", server:reload_failed())
            -- The app's own file.
            server:edit(source)
            first = process.run { "--check", path }
            server.process:signal "HUP"
            assert.equal(first.err:match "^moonwire: ([^\n]*)", server:reload_failed())
            assert.equal("one a", ask "a")
        end)
    end

    it("show the lines around a fault, at their beginning and end too", function()
        start(app "one")
        server:edit("x y\n-- two\n-- three\n")
        server.process:signal "HUP"
        assert.matches("app.lua:1: ", server:reload_failed(), 1, true)
        assert.equal("    >    1 | x y", server:logged "(    >    1 | .*)")
        assert.equal("         2 | -- two", server:logged "(%s+2 | .*)")
        server:edit("-- one\n-- two\nif x then")
        server.process:signal "HUP"
        assert.matches("app.lua:3: 'end' expected", server:reload_failed(), 1, true)
        assert.equal("         2 | -- two", server:logged "(%s+2 | .*)")
        assert.equal("    >    3 | if x then", server:logged "(    >    3 | .*)")
        server:edit("error('app.lua:99999999999: far', 0)")
        server.process:signal "HUP"
        assert.matches("app.lua:99999999999: far", server:reload_failed(), 1, true)
    end)

    it("are read once more when the top level itself has written them", function()
        local source = app("one", [[
            local here = arg[0]:gsub("app.lua$", "")
            local count = mw.keep("count", function() return { n = 0 } end)
            count.n = count.n + 1
            for _, name in ipairs { "made", "done" } do
                local file = assert(io.open(here .. name .. ".lua", "w"))
                file:write("return " .. count.n .. ("-- a comment\n"):rep(count.n))
                file:close()
            end
            local sum = require "made" + dofile(here .. "done.lua")
            function talk.on_message(ws, data) ws:send(sum .. " " .. data) end
        ]])
        start(source)
        assert.equal("2 a", ask "a")
        assert.equal(2, server:reload())
        assert.equal("4 b", ask "b") -- at the first attempt
    end)

    it("are not waited for by a rollback, and the next reload comes all the same", function()
        start(app "one")
        server:reload(app("two", [[
            mw.get("/both", function()
                mw.reload()
                local tasks = "cat /proc/$PPID/task/*/comm 2>/dev/null"
                for _ = 1, 100 do
                    if io.popen(tasks):read "*a":find "files" then
                        break -- the reload's thread has begun
                    end
                end
                mw.rollback()
                return "soon"
            end)
        ]]))
        local line = "x = { 1, 2, 3, a = 'text', b = { 5 } }\n"
        server:edit("print 'it runs'\n" .. line:rep(14e6 / #line))
        assert.equal("soon", (server:get "/both"))
        assert.equal("mw.reload", server:logged "the reload %((.*)%) is dropped")
        assert.equal(3, (server:rolled_back()))
        assert.equal("one a", ask "a")
        assert.equal(4, server:reload(app "four"))
        assert.equal("four a", ask "a")
        local _, printed = server:stop()
        assert.is_nil(printed:find("it runs", 1, true))
    end)

    it("may be too large for that, and are parsed by the workers then", function()
        local padding = ("-- " .. ("x"):rep(1020) .. "\n"):rep(17 * 1024)
        start(app "one" .. padding)
        local before = worker_reads(server)
        assert.equal(2, server:reload(app "two" .. padding))
        assert.equal("two a", ask "a")
        assert.is_true(largest_growth(before, worker_reads(server)) > #padding)
    end)

    it("may be bytecode", function()
        -- Without lines and names.
        local code = string.dump(loadstring "return 'from bytecode'", true)
        start(app "one", { files = { ["part.lua"] = code } })
        local source = app("two", [[
            local part = require "part"
            function talk.on_message(ws, data) ws:send(part .. " " .. data) end
        ]])
        assert.equal(2, server:reload(source))
        assert.equal(3, server:reload(source))
        assert.equal("from bytecode a", ask "a")
    end)

    it("are the same in all workers, also when they change while the server starts", function()
        start(app("old", [[
            mw.every("1h", "answer")
            local file = assert(io.open(arg[0]))
            local text = file:read "*a"
            file:close()
            if not text:find("-- new$") then
                file = assert(io.open(arg[0], "w"))
                file:write((text:gsub('"old"', '"new"')), "-- new")
                file:close()
            end
        ]]) .. "function answer() end\n", { arguments = { "--workers", "2", "--no-watch" } })
        assert.equal(2, server:reloaded())
        for _ = 1, 4 do
            assert.equal("new a", ask "a")
        end
    end)
end)
