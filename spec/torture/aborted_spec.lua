-- A hundred thousand handshakes that are begun and not ended: nothing of them stays.

local certificates = require "spec.support.certificates"
local figures = require "spec.torture.figures"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local EARLY = figures.pick(20000, 1000) -- what is reached by then is what later is compared with
local ABORTED = figures.pick(100000, 3000)
local RESIDENT_KIB = 1024 -- of growth that is no leak
local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san" ~= nil

local app = [[
local mw = require "moonwire"
mw.ws("/", { on_open = function(ws) ws:send "hello" end })
mw.get("/counters", function() return mw.counters() end)
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

local function descriptors(pid)
    local pipe = assert(io.popen(("ls /proc/%d/fd | wc -l"):format(pid)))
    local count = tonumber(pipe:read "*a")
    pipe:close()
    return count
end

describe("aborted handshakes", function()
    local server, clients

    before_each(function()
        server = servers.start(app, {
            listen = {},
            setup = function(folder) certificates.make(folder.path, "a", { "localhost" }) end,
        })
        clients = process.start({ [0] = "node", "spec/torture/abort.js", tostring(server.port),
            tostring(server.process:port()) }, { input = true })
    end)

    after_each(function()
        clients:finish()
        server:stop()
    end)

    -- Returns the memory when so many more have come and gone, up to a number of all, with their
    -- descriptors. The system keeps to itself those that say nothing.
    local function after(count, all, idle)
        clients:write(count .. "\n")
        clients:wait_for("^aborted", "out")
        process.eventually(function()
            server.process.err, server.process.seen.err = "", 0 -- no need to keep it all
            return server:counter "accepted" >= all / 2
                and descriptors(server.process.pid) == idle
        end)
        return figures.resident_kib(server.process.pid)
    end

    it("leave memory and descriptors flat", function()
        server:counter "accepted"
        local idle = descriptors(server.process.pid)
        local early = after(EARLY, EARLY, idle)
        local late = after(ABORTED - EARLY, ABORTED, idle)
        figures.say("aborted handshakes: %d and %d KiB resident after %d and %d; %d descriptors",
            early, late, EARLY, ABORTED, idle)
        if not is_sanitized then
            assert.is_true(late < early + RESIDENT_KIB, ("%d KiB became %d"):format(early, late))
        end
    end)
end)
