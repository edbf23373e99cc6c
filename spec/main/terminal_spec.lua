-- What the log and the start look like on a terminal.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local ESC = "\27%["

describe("On a terminal", function()
    local app = [[
        local mw = require "moonwire"
        mw.get("/", function()
            mw.log.warn("joined", { room = "lobby", users = 3, text = "a b", list = { 1, 2 } })
            mw.log.error "forged \27[31m red"
            return ""
        end)
    ]]

    local function start(env, arguments)
        env.TERM = env.TERM or "xterm"
        return servers.start(app, { terminal = true, env = env, arguments = arguments })
    end

    it("the log has short local times and colours, and fields as name=value", function()
        local server = start { TZ = "XXX-5:30", NO_COLOR = false }
        local hour, minute = os.date("!%H:%M", os.time() + 5.5 * 3600):match "(%d+):(%d+)"
        server:get "/"
        local time, level = server:logged("^" .. ESC .. "2m(%d%d:%d%d:%d%d)" .. ESC .. "0m " .. ESC
            .. "33m(%l+)%s*" .. ESC .. "0m joined list=%[1,2%] room=lobby text=\"a b\" users=3$")
        assert.equal("warn", level)
        local late = (time:sub(1, 2) * 60 + time:sub(4, 5) - hour * 60 - minute) % 1440
        assert.is_true(late <= 1, time)
        server:logged(ESC .. "31merror" .. ESC .. "0m forged \\x1b%[31m red$")
        assert.matches(ESC .. "32minfo ", (server:stop()))
    end)

    for title, env in pairs {
        ["NO_COLOR is set"] = { NO_COLOR = "1" },
        ["the terminal is dumb"] = { TERM = "dumb", NO_COLOR = false },
    } do
        it("the log has no colours when " .. title, function()
            local server = start(env)
            server:get "/"
            server:logged "^%d%d:%d%d:%d%d warn  joined "
            assert.is_nil((server:stop()):find "\27")
        end)
    end

    it("a reload is one short line, and the rest is at debug", function()
        local server = start({ NO_COLOR = "1" })
        server.process:signal "HUP"
        server:logged "^%d%d:%d%d:%d%d info  reloaded app%.lua %(%d+ ms%)$"
        assert.is_nil((server:stop()):find "longest pause")
        server = start({ NO_COLOR = "1" }, { "--log-level", "debug" })
        server.process:signal "HUP"
        server:logged "info  reloaded app%.lua %(%d+ ms%)$"
        server:logged "debug reloaded .-app%.lua %(SIGHUP%): generation 2 serves, after .*pause"
        server:stop()
    end)

    it("JSON stays as it is", function()
        local server = start({ NO_COLOR = false }, { "--log-format", "json" })
        server:get "/"
        server:logged '^{"time":"%d+%-%d+%-%d+T[%d:.]+Z","level":"warn","message":"joined",'
        assert.is_nil((server:stop()):find "\27")
    end)

    it("a start that fails shows the lines around the fault", function()
        local folder = process.folder()
        local cases = {
            ["error 'no luck'"] = "app%.lua:3: no luck", ["x x"] = "app%.lua:3: '=' expected",
            ["mw.get(1, print)"] = "app%.lua:3: mw.get: a route's path is a string",
            ["mw.get('/', print) mw.get('/', print)"] =
                'app%.lua:3: route "/": this path and method have a route already',
            ["mw.listen { port = 0, tls = { cert = 'no.pem' } }"] =
                "app%.lua:3: cannot read the certificate",
            ["mw.listen { host = 'unix:/no/such/folder' }"] = "app%.lua:3: cannot listen on unix:",
        }
        for code, text in pairs(cases) do
            local path = folder:write("app.lua", 'local mw = require "moonwire"\n-- above\n' .. code
                .. "\n-- below\n")
            for _, terminal in ipairs { true, false } do
                local one = process.start({ path }, { terminal = terminal })
                assert.equal(1, one:wait().status)
                local excerpt = "\n     2 | -- above\n>    3 | " .. code .. "\n     4 | -- below\n"
                assert.matches("^moonwire: %S-" .. text, one.err)
                assert.equal(terminal, one.err:find(excerpt, 1, true) ~= nil, one.err)
                assert.equal(terminal and 4 or 1, select(2, one.err:gsub("\n", "")), one.err)
                one:finish()
            end
        end
        folder:remove()
    end)
end)

describe("Elsewhere", function()
    it("the log has whole times in UTC and no colours, and a reload's line is whole", function()
        local server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function() return "" end)
        ]], { env = { TERM = "xterm", NO_COLOR = false } })
        server.process:signal "HUP"
        server:logged "^%d+%-%d+%-%d+T[%d:.]+Z info  reloaded .*: generation 2 serves, after"
        assert.is_nil((server:stop()):find "\27")
    end)
end)
