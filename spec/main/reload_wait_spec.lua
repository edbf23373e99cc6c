-- moonwire reload --wait: what has become of new code when its probation is over.

local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local function app(seconds, more)
    return ([[
        local mw = require "moonwire"
        mw.limits { probation_seconds = %d, probation_failures = 1 }
        mw.get("/counters", function() return mw.counters() end)
        %s
    ]]):format(seconds, more or "")
end

describe("moonwire reload --wait", function()
    local server, folder, env

    local function start(seconds)
        folder = process.folder()
        env = { RUNTIME_DIRECTORY = folder.path }
        server = servers.start(app(seconds), { env = env })
    end

    after_each(function()
        server:stop()
        folder:remove()
    end)

    local function run()
        return process.run({ "reload", "--wait" }, { env = env })
    end

    -- It waits on a connection of our own, so that the spec can go on.
    local function ask()
        local p = assert(peer.connect(("%s/moonwire/%d.sock"):format(folder.path,
            server.process.pid)))
        p:send "reload wait\n"
        server:logged "generation 2 serves, after"
        return p
    end

    local function answers(p, pattern)
        assert.matches(pattern, p:rest())
        p:close()
    end

    it("ends with 0 when the new code is kept, and says how it has done", function()
        start(1)
        server:edit(app(1, "mw.get('/', function() return 'new' end)"))
        local done = run()
        assert.same({ "", 0 }, { done.err, done.status })
        assert.equal("generation 2 is kept: in its probation of 1 s it failed 0 times, and 0 of "
            .. "these as the code before it had\n", done.out)
    end)

    it("ends at once when there is no probation", function()
        start(0)
        local done = run()
        assert.same({ "", 0 }, { done.err, done.status })
        assert.equal("generation 2 is kept: it has no probation (limits.probation_seconds = 0)\n",
            done.out)
    end)

    it("ends with 1 when the new code is taken back, and says why", function()
        start(600)
        server:edit(app(600, "mw.after(0.01, function() error 'broken' end)"))
        local done = run()
        assert.same({ "", 1 }, { done.out, done.status })
        assert.matches("^rolled back %(probation%): generation 3 serves, the code of generation 1, "
            .. ".*broken", done.err)
    end)

    it("ends with 1 when the new code does not load", function()
        start(600)
        server:edit "x y"
        local done = run()
        assert.same({ "", 1 }, { done.out, done.status })
        assert.matches("^reload failed, generation 1 serves on: ", done.err)
    end)

    it("ends with 1 when other code takes its place", function()
        start(600)
        local p = ask()
        server.process:signal "HUP"
        answers(p, '^{"ok":false,"generation":3,"text":"generation 3 took the place of generation '
            .. '2 before its probation was over"}\n$')
    end)

    it("goes on waiting when other code does not load", function()
        start(600)
        local p = ask()
        server:edit "x y"
        server.process:signal "HUP"
        server:reload_failed()
        assert.equal("", p:available())
        server:edit(app(600))
        server.process:signal "HUP"
        answers(p, '"generation 3 took the place of generation 2')
    end)

    it("waits no longer than the server lives", function()
        start(600)
        local p = ask()
        server:stop()
        answers(p, '^{?.*$')
    end)
end)
