-- mw.after, mw.every and mw.sleep.

local start = require("spec.support.server").start

describe("Timers", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("fire once after their time, in the order of their times", function()
        server = start [[
            local mw = require "moonwire"
            mw.after("40ms", function() print "third" end)
            mw.after(0.02, function() print "second" end)
            mw.after(0, function() print "first" end)
            mw.after("60ms", function() print "last" end)
        ]]
        server:printed "^last"
        local _, out = server:stop()
        assert.equal("first\nsecond\nthird\nlast\n", out)
    end)

    it("fire again and again until they are stopped", function()
        server = start [[
            local mw = require "moonwire"
            local n, tick = 0, nil
            tick = mw.every("5ms", function()
                n = n + 1
                print("tick " .. n)
                if n == 5 then
                    print(tick:stop(), tick:stop())
                    mw.after("30ms", function() print "end" end)
                end
            end)
            local never = mw.after("1ms", function() print "never" end)
            never:stop()
        ]]
        server:printed "^end"
        local _, out = server:stop()
        assert.equal("tick 1\ntick 2\ntick 3\ntick 4\ntick 5\ntrue\tfalse\nend\n", out)
    end)

    it("are not before their time, however long the hook has worked", function()
        server = start [[
            local mw = require "moonwire"
            local ffi = require "ffi"
            ffi.cdef "typedef struct { long s, ns; } moment; int clock_gettime(int id, moment *m);"
            local function now()
                local m = ffi.new "moment"
                ffi.C.clock_gettime(1, m)
                return tonumber(m.s) + tonumber(m.ns) / 1e9
            end
            mw.get("/", function()
                local busy = now()
                while now() < busy + 0.06 do end
                local before = now()
                mw.sleep "50ms"
                return tostring(now() - before)
            end)
        ]]
        local waited = tonumber((server:get "/"))
        assert.is_true(waited >= 0.05 and waited < 1, tostring(waited))
    end)

    it("may be started in hooks, and send to connections", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws, data)
                mw.after("5ms", function() ws:send("later " .. data) end)
                local tick, n = nil, 0
                tick = mw.every("5ms", function()
                    n = n + 1
                    if n == 3 then tick:stop() end
                    ws:send("tick " .. n)
                end)
            end })
        ]]
        local p = server:websocket "/"
        p:text "x"
        local seen = {}
        for i = 1, 4 do
            seen[i] = p:read_text()
        end
        table.sort(seen)
        assert.same({ "later x", "tick 1", "tick 2", "tick 3" }, seen)
    end)

    it("that raise are logged with their place, and go on", function()
        server = start [[
            local mw = require "moonwire"
            mw.every("2ms", function()
                error "bad tick"
            end)
        ]]
        for _ = 1, 3 do
            server:logged "error mw%.every%(2ms%) of .*app%.lua:2 failed: .*app%.lua:3: bad tick"
        end
    end)

    it("that wait are not called a second time meanwhile", function()
        server = start [[
            local mw = require "moonwire"
            local inside, calls = 0, 0
            mw.every("1ms", function()
                inside = inside + 1
                assert(inside == 1)
                mw.sleep "10ms"
                inside = inside - 1
                calls = calls + 1
                if calls == 5 then print "five" end
            end)
        ]]
        server:printed "^five"
        assert.is_nil((server:stop()):find " error ")
    end)

    it("that cannot run any more, as there are too many, raise where they are made", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                print(pcall(ws.receive, ws, 1))
            end })
            mw.get("/fill", function()
                print(pcall(function()
                    for _ = 1, 150000 do
                        mw.every("1h", print)
                    end
                end))
                print(pcall(mw.sleep, 1))
                print(pcall(mw.timeout, 1, print))
                print(pcall(mw.after, 1, print))
            end)
        ]]
        server:get "/fill"
        server:printed "^false\t.*app%.lua:8: mw%.every: too many timers run in this worker"
        for _, name in ipairs { "sleep", "timeout", "after" } do
            server:printed("^false\t.*mw%." .. name .. ": too many timers run in this worker")
        end
        server:websocket "/"
        server:printed "^false\t.*receive: too many timers run in this worker"
    end)
end)
