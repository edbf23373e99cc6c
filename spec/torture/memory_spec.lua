-- Ten thousand reloads with modules, timers and waiting hooks, while connections talk: the memory
-- of each worker stays where it was.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local RELOADS = figures.pick(10000, 150)
local EARLY = figures.pick(500, 50) -- what is reached by then is what later is compared with
local CLIENTS = 8
local MESSAGES = 20                 -- of each client, between two reloads
local LUA_BYTES = 100 * 1024        -- of growth in a worker, and
local RESIDENT_KIB = 2048           -- of the process, that is no leak

local app = [[
local mw = require "moonwire"
local filler = ("x"):rep(2000)
local part = require "part"
local talk = mw.ws("/", { compress = true })
function tick() end
function talk.on_open(ws) ws.state = { n = 0 } ws:subscribe "all" end
function talk.on_message(ws, data)
    if data == "stats" then
        collectgarbage() collectgarbage()
        return ws:send(mw.json.encode { lua = collectgarbage "count" * 1024,
            generations = #mw.versions() })
    elseif data == "wait" then
        mw.after("1ms", function() part(filler) end)
        mw.sleep(0.03) -- longer than a reload
        assert(part(filler))
    end
    ws.state.n = ws.state.n + 1
    ws:send(part(data))
end
function talk.on_reload(ws) ws.state.moved = true end
mw.every("1h", function() return part(filler) end)
mw.every("7ms", "tick")
mw.after("5ms", function() mw.publish("nobody", filler) end)
mw.get("/", function() return filler end)
mw.limits { message_bytes = "1M" }
mw.spawn(function() mw.sleep(0.002) return filler end)
]]

describe("reloads by the thousand", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("leave the memory of the workers flat", function()
        server = servers.start(app, { arguments = { "--workers", "2" },
            files = { ["part.lua"] = "local t = {} return function(x) t[1] = x return x end" } })
        local clients = {}
        for i = 1, CLIENTS do
            clients[i] = assert(server:websocket "/")
        end
        local burst = {}
        for i = 1, MESSAGES do
            burst[i] = frame.build(frame.TEXT, i == 1 and "wait" or "x")
        end
        burst = table.concat(burst)

        local function run(from, to)
            for _ = from, to do
                for _, client in ipairs(clients) do
                    client:send(burst)
                end
                server:reload()
                for _, client in ipairs(clients) do
                    for i = 1, MESSAGES do
                        assert.equal(i == 1 and "wait" or "x", client:read_text())
                    end
                end
                server.process.err = "" -- no need to keep it all
                server.process.seen.err = 0
            end
            local lua, generations = 0, 0
            for _, client in ipairs(clients) do -- some in each worker
                client:text "stats"
                local stats = cjson.decode(client:read_text())
                lua = math.max(lua, stats.lua)
                generations = math.max(generations, stats.generations)
            end
            return lua, figures.resident_kib(server.process.pid), generations
        end

        local lua_early, resident_early = run(1, EARLY)
        local lua, resident, generations = run(EARLY + 1, RELOADS)
        figures.say("memory: after %d and %d reloads: %.0f and %.0f KiB of Lua in a worker, %d and "
            .. "%d KiB resident, %d generations alive", EARLY, RELOADS, lua_early / 1024,
            lua / 1024, resident_early, resident, generations)
        assert.is_true(generations <= 2, generations .. " generations are alive")
        assert.is_true(lua < lua_early + LUA_BYTES, ("%d bytes became %d"):format(lua_early, lua))
        -- ASan keeps what is freed for a while.
        if not os.getenv "MOONWIRE_SERVER_ASAN_OPTIONS" then
            assert.is_true(resident < resident_early + RESIDENT_KIB,
                ("%d KiB became %d"):format(resident_early, resident))
        end
    end)
end)
