-- How long a reload holds up events, and what is cut into slices so that it is not for long. Limits
-- are put on the processor's time: what other processes take is none of it.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local api = [[
    local mw = require "moonwire"
    mw.get("/versions", function() return mw.versions() end)
    mw.get("/heap", function() return tostring(collectgarbage "count") end)
    -- Makes the processor work for so many seconds.
    function work(seconds)
        local begin = os.clock()
        repeat until os.clock() - begin >= seconds
    end
]]

describe("the pauses of a reload", function()
    local server
    -- On builds with a sanitizer nothing lasts as long as it does.
    local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san" ~= nil

    after_each(function()
        server:stop()
    end)

    local function start(source, workers)
        server = servers.start(api .. (source or ""),
            { arguments = { "--workers", tostring(workers or 1) } })
    end

    -- What the next line of the log about a reload says: longest, of what, of the commit.
    local function logged()
        local longest, kind, commit = server:logged(
            "; longest pause ([%d.]+) ms %(([%w_]+)%), of the commit ([%d.]+) ms")
        return tonumber(longest), kind, tonumber(commit)
    end

    local function reload(source)
        server:edit(api .. (source or ""))
        server.process:signal "HUP"
        return logged()
    end

    local function assert_at_most(ms, pauses)
        local most = pauses.longest_cpu_ms
        assert.is_true(is_sanitized or most <= ms, ("%.2f ms (%s)"):format(most, pauses.longest_in))
    end

    it("are told by the log and by mw.versions(), which also keeps the last ones", function()
        start(nil, 2)
        assert.is_nil(server:versions()[1].pauses)
        local longest, kind, commit = reload "work(0.06)" -- in the whole process
        assert.equal("prepare", kind)
        assert.is_true(longest >= 30, longest .. " ms")
        assert.is_true(commit > 0 and commit <= longest, commit .. " ms")
        local first = server:versions()[1].pauses
        assert.equal("prepare", first.longest_in)
        assert.is_true(first.longest_ms >= 30 and first.longest_cpu_ms >= 15)
        assert.is_true(first.commit_ms > 0 and first.commit_cpu_ms > 0)
        assert.is_true(first.commit_ms <= first.longest_ms)
        longest = reload()
        assert.is_true(longest < 30 or is_sanitized, longest .. " ms")
        local list = process.eventually(function()
            local list = server:versions()
            return list[2].pauses.longest_ms == first.longest_ms and list -- of the same worker
        end)
        assert.equal(first.commit_ms, list[2].pauses.commit_ms)
        assert.not_equal(first.commit_ms, list[1].pauses.commit_ms)
        assert.is_nil(list[3] and list[3].pauses)
    end)

    it("are told by moonwire status, of the worker that was held up longest", function()
        start(nil, 2)
        -- Nearly all that the process works then.
        assert.is_true(reload "if mw.worker.index == 2 then work(0.05) end" >= 40)
        local done = process.run { "status", tostring(server.process.pid) }
        local longest, kind = done.out:match "\n  pauses       ([%d.]+) ms at most %(([%w_]+)%), "
        assert.equal("prepare", kind, done.out .. done.err)
        assert.is_true(tonumber(longest) >= 40, done.out)
        assert.matches(" ms at most %(prepare%), %d+%.%d+ ms of the commit\n", done.out)
    end)

    it("are longer by the clock on the wall where the worker waits for something", function()
        start()
        local longest, kind = reload "os.execute 'sleep 0.1'"
        assert.equal("prepare", kind)
        assert.is_true(longest >= 100)
        local pauses = server:versions()[1].pauses
        assert.is_true(pauses.longest_ms >= 100)
        assert.is_true(pauses.longest_cpu_ms < 60, pauses.longest_cpu_ms .. " ms")
    end)

    it("of an eager on_reload end behind the hook that takes them over a millisecond", function()
        local hook = 'mw.ws("/", { reload = "eager", on_reload = function() work(0.004) end })'
        start 'mw.ws "/"'
        for _ = 1, 15 do
            assert(server:websocket "/")
        end
        reload(hook)
        local pauses = process.eventually(function()
            local now = server:versions()[1]
            return now.connections == 15 and now.pauses
        end)
        assert.equal("on_reload", pauses.longest_in)
        assert.is_true(pauses.longest_cpu_ms >= 3, pauses.longest_cpu_ms .. " ms")
        assert_at_most(15, pauses) -- not 60: it is one hook, or the commit with another
    end)

    it("of the closes for a route that is gone are short, though all are due at once", function()
        local at_once = "mw.limits { drain_seconds = 0 }"
        start(at_once .. ' mw.ws "/"')
        local peers = {}
        for i = 1, 600 do
            peers[i] = assert(server:websocket "/")
        end
        reload(at_once)
        for _, peer in ipairs(peers) do
            assert.equal(1012, (peer:read_close()))
        end
        assert_at_most(3, server:versions()[1].pauses) -- in one go it is 4 to 6
    end)

    it("of the search for held functions are short, whatever the connections keep", function()
        local kept = [[
            mw.ws("/", { on_open = function(ws)
                ws.state = { last = ws.query.last and function() end }
                for i = 1, 990 do ws.state[i] = {} end
                ws:send "open"
            end })
        ]]
        start(kept)
        for i = 1, 500 do
            local peer = assert(server:websocket(i == 500 and "/?last=1" or "/"))
            assert.equal("open", peer:read_text())
        end
        reload(kept)
        server:logged "connections hold functions of generation 1"
        assert_at_most(3, server:versions()[1].pauses) -- in one go it is 7
    end)
end)

describe("the collector,", function()
    local server

    after_each(function()
        server:stop()
    end)

    local function start(source)
        server = servers.start(api .. source)
    end

    local garbage = [[
        local seen = setmetatable({}, { __mode = "v" })
        for i = 1, 1000 do seen[i] = {} end
        for i = 1, %d do seen.text = ("x"):rep(1000) .. i end
        seen.text = nil
        local left = 0
        for _ in pairs(seen) do left = left + 1 end
        mw.get("/left", function() return tostring(left) end)
    ]]

    it("while an app is loaded, waits until that is done", function()
        start ""
        server:reload(api .. garbage:format(8000)) -- 8 MB
        assert.equal("1000", (server:get "/left"))
    end)

    it("but not when the app needs much memory for that", function()
        start ""
        server:reload(api .. garbage:format(60000))
        assert.equal("0", (server:get "/left"))
    end)

    it("takes away afterwards what loading has left, though nothing else happens", function()
        start ""
        server:reload(api .. [[
            getmetatable(newproxy(true)).__gc = function() print "taken away" end
        ]] .. garbage:format(8000))
        server:printed "taken away"
        assert.is_true(tonumber((server:get "/heap")) < 8000)
    end)

    it("is as the app has set it, before and while it is loaded", function()
        local ask = [[
            mw.get("/set", function()
                local pause = collectgarbage("setpause", 170)
                return ("%s %d"):format(tostring(collectgarbage "isrunning"), pause)
            end)
        ]]
        start(ask .. 'collectgarbage("setpause", 170)')
        assert.equal("true 170", (server:get "/set"))
        server:reload(api .. ask)
        assert.equal("true 170", (server:get "/set"))
        server:reload(api .. ask .. 'collectgarbage "stop"')
        assert.equal("false 170", (server:get "/set"))
        server:reload(api .. ask)
        assert.equal("false 170", (server:get "/set"))
        server:reload(api .. ask .. 'collectgarbage "restart"')
        assert.equal("true 170", (server:get "/set"))
    end)

    it("may raise in a finaliser, which is logged and stops nothing", function()
        start ""
        server:edit(api .. [[
            mw.limits { probation_seconds = 0 }
            local calls = 0
            for _ = 1, 100 do
                getmetatable(newproxy(true)).__gc = function()
                    calls = calls + 1
                    error(("in vain %d."):format(calls))
                end
            end
        ]] .. garbage:format(8000))
        server.process:signal "HUP"
        server:logged "the finaliser at [^\n]*in vain 1%."
        server:logged "99 more like it within a second" -- or the rest would in a hook
        assert.equal("1000", (server:get "/left"))
    end)
end)
