-- What fails leaves nothing behind: no memory, no descriptor. `make leaks` is the long
-- test, 100,000 cycles.

local acceptors = require "spec.support.acceptor"
local peer = require "spec.support.peer"
local process = require "spec.support.process"

local cycles = tonumber(os.getenv "MOONWIRE_SPEC_CYCLES" or 5000)
local sanitized = (os.getenv "MOONWIRE_BUILD" or ""):find "san$" ~= nil

-- Ways to fail, in turn: nobody listens, the server refuses, TLS with a server that has none, a
-- wrong answer, closing before it is open, a lost connection; and one that opens and closes well.
local script = [[
local mw = require "moonwire"
local WebSocket = require "moonwire.websocket"
local good, closed, cycles = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local urls = {
    ("ws://127.0.0.1:%d/"):format(closed),
    ("ws://127.0.0.1:%d/missing"):format(good),
    ("wss://127.0.0.1:%d/echo"):format(good),
    ("ws://127.0.0.1:%d/page"):format(good),
    ("ws://127.0.0.1:%d/echo"):format(good),
    ("ws://127.0.0.1:%d/kicks"):format(good),
    ("ws://127.0.0.1:%d/echo"):format(good),
}
local function status(name)
    return tonumber(io.open("/proc/self/status"):read("*a"):match(name .. ":%s+(%d+)"))
end
local function files()
    local n = 0
    for _ in io.popen("ls /proc/" .. io.open("/proc/self/stat"):read("*n") .. "/fd"):lines() do
        n = n + 1
    end
    return n
end
local ended = 0
local function cycle(i, next)
    local way = i % #urls + 1
    local ws = WebSocket.new(urls[way], way == 3 and { "a", "b" } or nil, { compress = true })
    ws.onopen = function() if way == 7 then ws:send(("x"):rep(2000)) end end
    ws.onmessage = function() ws:close() end
    ws.onclose = function() ended = ended + 1 next() end
    if way == 5 then ws:close() end
end
local i = 0
local first_memory, first_files
local function go_on()
    i = i + 1
    if i == math.floor(cycles / 5) then
        collectgarbage() collectgarbage()
        first_memory, first_files = status "VmRSS", files()
    end
    if i <= cycles then
        return cycle(i, go_on)
    end
    if ended < cycles then
        return
    end
    mw.after("0.5s", function()
        collectgarbage() collectgarbage()
        print("ended", ended)
        print("files", files() - first_files)
        print("memory", status "VmRSS" - first_memory)
    end)
end
for _ = 1, 8 do go_on() end
]]

local app = [[
local mw = require "moonwire"
mw.get("/page", function() return "hello" end)
mw.ws("/echo", { compress = { min_bytes = 0 }, on_message = function(ws, d) ws:send(d) end })
mw.ws("/kicks", { on_open = function(ws) ws:terminate() end })
mw.limits { connections_per_address = 0 }
]]

describe("Connections of a client that fail", function()
    it("leave no memory and no descriptor behind", function()
        local folder = process.folder()
        local free, nobody = acceptors.new(), acceptors.new()
        free:close()
        nobody:close()
        local server = process.start {
            folder:write("app.lua", app), "--listen", "127.0.0.1:" .. free.port,
            "--log-level", "off",
        }
        local client
        finally(function()
            server:finish()
            folder:remove()
            if client then
                client:discard()
            end
        end)
        local port = tostring(free.port)
        process.eventually(function()
            return (peer.connect(free.port))
        end):close()
        client = acceptors.run(script, { port, tostring(nobody.port), tostring(cycles),
            "--log-level", "error" })
        local out = client:ended()
        assert.equal(cycles, tonumber(out:match "ended\t(%d+)"))
        assert.truthy(tonumber(out:match "files\t(%-?%d+)") <= 0, out)
        if not sanitized then -- there freed memory is kept back; leaks are reported
            assert.truthy(tonumber(out:match "memory\t(%-?%d+)") < 2048, out)
        end
    end)
end)
