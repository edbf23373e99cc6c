-- What a worker holds, what open connections cost, and that what they share is each one's own.

local sys_stat = require "posix.sys.stat"

local certificates = require "spec.support.certificates"
local servers = require "spec.support.server"

local start = servers.start

-- Bytes of the process that are in memory and its own.
local function resident(server)
    local total = 0
    local file = assert(io.open(("/proc/%d/smaps_rollup"):format(server.process.pid)))
    for line in file:lines() do
        local kilobytes = line:match "^Private_%a+:%s+(%d+) kB"
        total = total + (kilobytes or 0) * 1024
    end
    file:close()
    return total
end

describe("Open connections", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("have their own request, also where others had the same", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/:room", { on_message = function(ws, name)
                ws:send(tostring(name == "room" and ws.params.room or name == "url" and ws.url
                    or ws.headers[name]))
            end })
        ]]
        local function open(path, fields)
            fields.Host = "a.example"
            return server:websocket(path, { fields = fields })
        end
        local peers = {
            open("/one", { Cookie = "id=1", Accept = "x" }),
            open("/one", { Cookie = "id=1", Accept = "x" }),
            open("/two?q", { Cookie = "id=2", Accept = "x" }),
            open("/two", { Cookie = { "id=3", "more=4" }, ["X-Forwarded-For"] = "10.0.0.1" }),
        }
        peers[1]:close_cleanly()
        assert.are.equal("id=1", peers[2]:ask "cookie")
        assert.are.equal("x", peers[2]:ask "accept")
        assert.are.equal("one", peers[2]:ask "room")
        peers[2]:close_cleanly()
        assert.are.equal("id=2", peers[3]:ask "cookie")
        assert.are.equal("x", peers[3]:ask "accept")
        assert.are.equal("ws://a.example/two?q", peers[3]:ask "url")
        assert.are.equal("id=3; more=4", peers[4]:ask "cookie")
        assert.are.equal("10.0.0.1", peers[4]:ask "x-forwarded-for")
        assert.are.equal("nil", peers[4]:ask "accept")
        assert.are.equal("a.example", peers[4]:ask "host")
        local again = open("/one", { Cookie = "id=1", Accept = "x" })
        assert.are.equal("id=1", again:ask "cookie")
    end)

    -- On builds with a sanitizer memory is not what it is.
    local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san"

    if not is_sanitized then
        it("cost less than 300 bytes each where the script keeps nothing, 650 with a ws.state",
            function()
                server = start [[
                    local mw = require "moonwire"
                    mw.ws("/", { on_message = function() end })
                    mw.ws("/state", { on_upgrade = function() return { user = 1 } end })
                    mw.every("20ms", collectgarbage) -- else what is garbage counts too
                ]]
                local function grown_by(path, count)
                    local before = resident(server)
                    for _ = 1, count do
                        server:websocket(path, { fields = { ["User-Agent"] = ("x"):rep(200) } })
                    end
                    return (resident(server) - before) / count
                end
                -- The least of four: what is made once for all (compiled code, touched pages of the
                -- arenas) comes when it likes.
                local function each_of(path)
                    local least = math.huge
                    for _ = 1, 4 do
                        least = math.min(least, grown_by(path, 400))
                    end
                    return least
                end
                local bare, with_state = each_of "/", each_of "/state"
                assert.is_true(bare < 300, ("%d bytes"):format(bare))
                assert.is_true(with_state < 650, ("%d bytes with a state"):format(with_state))
            end)

        it("cost less than 1,500 bytes each over TLS 1.3", function()
            server = servers.start([[
                local mw = require "moonwire"
                mw.ws("/", { on_message = function() end })
                mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
            ]], {
                listen = {},
                setup = function(folder)
                    certificates.make(folder.path, "a", { "a.test" })
                end,
            })
            local peers, least = {}, math.huge
            -- The first 256 make the worker's cipher contexts.
            for _ = 1, 4 do
                local before = resident(server)
                for _ = 1, 150 do
                    peers[#peers + 1] = assert(server:websocket("/", { tls = {} }))
                end
                least = math.min(least, (resident(server) - before) / 150)
            end
            assert.equal("TLSv1.3", peers[1].socket:version())
            assert.is_true(least < 1500, ("%d bytes"):format(least))
        end)
    end
end)

describe("A worker", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("holds less than 330 KB of Lua when its app only echoes", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws, data)
                collectgarbage() collectgarbage()
                ws:send(tostring(collectgarbage "count"))
            end })
        ]]
        local held = tonumber(server:websocket("/"):ask "?")
        assert.is_true(held < 330, ("%d KB"):format(held))
    end)

    it("loads what is used first in a hook with its own globals, not with that hook's", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws)
                local was = getfenv(0)
                setfenv(0, {}) -- those of the coroutine
                mw.spawn(function() mw.sleep(0.001) ws:send "slept" end)
                setfenv(0, was)
            end })
        ]]
        assert.equal("slept", server:websocket("/"):ask "?")
    end)

    it("gives all generations of an app the same module, whoever uses it first", function()
        local app = [[
            local mw = require "moonwire"
            mw.keep("seen").%s = require "moonwire.websocket"
            mw.ws("/", { on_message = function(ws)
                local seen = mw.keep "seen"
                ws:send(tostring(seen.one == seen.two and type(seen.one.new)))
            end })
        ]]
        server = start(app:format "one", { setup = function(folder)
            sys_stat.mkdir(folder.path .. "/moonwire")
            folder:write("moonwire/websocket.lua", "return {}") -- does not take the place of ours
        end })
        server:reload(app:format "two")
        assert.equal("function", server:websocket("/"):ask "?")
    end)
end)
