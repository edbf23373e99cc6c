-- New code that fails far more than the code before it is taken back by the server itself.

local frame = require "spec.support.frame"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local function app(limits, more)
    return ([[
        local mw = require "moonwire"
        mw.limits { %s }
        local talk = mw.ws "/talk"
        function talk.on_message(ws, data) ws:send("fine " .. data) end
        mw.get("/versions", function() return mw.versions() end)
        mw.get("/counters", function() return mw.counters() end)
        mw.get("/rollback", function() mw.rollback() return "soon" end)
        %s
    ]]):format(limits, more or "")
end

local bad = [[
    function talk.on_message(ws, data)
        local nothing
        ws:send(nothing.field)
    end
]]

describe("new code on probation", function()
    local server

    local function start(source)
        server = servers.start(source, { arguments = { "--workers", "2" } })
    end

    local function failures()
        return server:counter "hook_failures"
    end

    -- So many hooks that fail, each on a connection of its own, and those from addresses of their
    -- own, or all from one.
    local function fail(count, from)
        local before = failures()
        for i = 1, count do
            local client = assert(server:websocket("/talk", { from = from or "127.0.1." .. i }))
            client:text "x"
            assert.equal(1011, (client:read_close()))
        end
        process.eventually(function()
            return failures() >= before + count
        end)
    end

    after_each(function()
        server:stop()
    end)

    it("is taken back when its hooks fail and the old ones did not", function()
        start(app "")
        local clients = {}
        for i = 1, 10 do
            clients[i] = assert(server:websocket "/talk")
        end
        server:reload(app("", bad))
        fail(5)
        local how, text = server:logged "(rolled back.*); (generation 2 failed.*)"
        assert.matches("^rolled back %(probation%): generation 3 serves, the code of generation 1",
            how)
        assert.matches("^generation 2 failed 5 times in the [%d.]+ s since it served, as the code "
            .. "before it had not: 0 times of its own doing, and 5 times for 5 peers, in %d+ "
            .. "events: on_message of /talk failed: "
            .. ".*app.lua:%d+: attempt to index local 'nothing'", text)
        -- Those that had no event meanwhile have noticed nothing.
        for i, client in ipairs(clients) do
            client:text(tostring(i))
            assert.equal("fine " .. i, client:read_text())
        end
        local list = server:versions()
        assert.same({ 3, 1, 2 }, { list[1].number, list[1].code_of, list[2].number })
        assert.equal(text, list[2].rolled_back:match "^[^\n]*")
        assert.matches("\nstack traceback:\n.*app.lua:%d+: in function", list[2].rolled_back)
        assert.equal(1, server:counter "rollbacks")
        -- What came back is not on probation, and its record is kept when the other is collected.
        server:reload(app("", "collectgarbage() collectgarbage()"))
        server:reload(app("", "collectgarbage() collectgarbage()"))
        for _, one in ipairs(server:versions()) do
            assert.equal(one.number == 2, one.rolled_back ~= nil)
        end
    end)

    it("stays when the code before it failed in the same way", function()
        start(app("", bad))
        fail(1)
        server:reload(app("", "-- a line more\n" .. bad))
        fail(20)
        assert.equal(2, server:versions()[1].number)
        server:reload(app("", "function talk.on_message() error 'in another way' end"))
        fail(5)
        assert.same({ 4, 2, "probation" }, { server:rolled_back() })
    end)

    it("stays whatever one address does", function()
        start(app "")
        server:reload(app("", bad))
        fail(30, "127.0.0.1")
        assert.equal(2, server:versions()[1].number)
        assert.is_nil(server:stop():find("rolled back", 1, true))
    end)

    it("stays when a few of many fail, from however many addresses", function()
        start(app "")
        server:reload(app("", [[
            function talk.on_message(ws, data)
                if data == "x" then error "bad message" end
                ws:send(data)
            end
        ]]))
        local client = assert(server:websocket "/talk")
        for _ = 1, 100 do
            client:text "fine"
            assert.equal("fine", client:read_text())
        end
        fail(5)
        assert.equal(2, server:versions()[1].number)
        local i = 5
        repeat -- until it is more than one in ten
            i = i + 1
            client = assert(server:websocket("/talk", { from = "127.0.1." .. i }))
            client:text "x"
        until client:read_frame() == frame.TEXT or i > 100
        assert.same({ 3, 1, "probation" }, { server:rolled_back() })
    end)

    it("blames for tasks and timers those whose events made them", function()
        start(app "")
        server:reload(app("probation_failures = 2", [[
            mw.get("/fail", function()
                mw.spawn(function()
                    mw.spawn(function() mw.sleep(0) error "within" end)
                    error "a task"
                end)
                mw.after(0, function() mw.sleep(0) error "a timer" end)
                mw.after(0, function() mw.spawn(error, "in a timer") end)
                return ""
            end)
        ]]))
        local p = assert(server:connect())
        for _ = 1, 3 do
            p:send "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.equal(200, assert(p:response()).status)
        end
        process.eventually(function()
            return failures() >= 12
        end)
        assert.equal(2, server:versions()[1].number)
    end)

    it("stays when probation is off, or its limit is not reached", function()
        start(app "")
        server:reload(app("probation_seconds = 0", bad))
        fail(20)
        server:reload(app "")
        server:reload(app("probation_failures = 100", bad))
        fail(20)
        assert.equal(4, server:versions()[1].number)
        assert.is_nil(server:stop():find("rolled back", 1, true))
    end)

    it("has failed with whatever failed of it", function()
        local one = "probation_failures = 1"
        start(app(one))
        local client -- of the code before
        local function ask()
            server:get "/fail"
        end
        local function say()
            local other = assert(server:websocket "/talk")
            other:text "x"
        end
        local kinds = {
            { "on_message of /talk", bad, say },
            { "on_open of /talk", "function talk.on_open() error 'broken' end", say },
            { "on_upgrade of /talk", "function talk.on_upgrade() error 'broken' end", function()
                server:websocket "/talk"
            end },
            { "on_reload of /talk", "function talk.on_reload() error 'broken' end", function()
                client:text "x"
                assert.equal(1011, (client:read_close()))
            end },
            { "on_message of /talk", [[
                function talk.on_message() local function deep() return 1 + deep() end deep() end
            ]], say },
            { "the handler of GET /fail", "mw.get('/fail', function() error 'broken' end)", ask },
            { "the handler of GET /fail", "mw.get('/fail', function() return {}, {} end)", ask },
            { "the handler of GET /fail", [[
                mw.get("/fail", function() mw.sleep(0) error "broken" end)
            ]], ask },
            { "mw.after", "mw.after('1ms', function() error 'broken' end)" },
            { "mw.every", "function named() error 'broken' end mw.every('1ms', 'named')" },
            { "the task of", "mw.spawn(function() error 'broken' end)" },
            { "the task of", [[
                mw.get("/fail", function() mw.spawn(error, "broken") return "" end)
            ]], ask },
            { 'a listener for "message"', [[
                function talk.on_open(ws) ws.onmessage = function() error "broken" end end
            ]], say },
            { "the top level of", "mw.publish('a', '\255')" },
        }
        for _, kind in ipairs(kinds) do
            client = assert(server:websocket "/talk")
            server:reload(app(one, kind[2]))
            if kind[3] then
                kind[3]()
            end
            local text = server:logged "rolled back %(probation%).* events: (.*)"
            assert.equal(kind[1], text:sub(1, #kind[1]))
            server:close_peers()
        end
    end)

    it("is not blamed for what old code does that goes on", function()
        start(app("", [[
            mw.get("/start", function()
                local function newer() return mw.counters().reloads > 0 end
                mw.every("1ms", function() if newer() then error "old" end end)
                repeat mw.sleep "1ms" until newer()
                error "old too"
            end)
        ]]))
        local p = assert(server:connect())
        p:send "GET /start HTTP/1.1\r\nHost: a\r\n\r\n"
        process.eventually(function()
            return server:versions()[1].waiting == 1 -- workers answer in turn
        end)
        server:reload(app("probation_failures = 1", [[
            mw.get("/start", function() error "new" end)
        ]]))
        assert.equal(500, assert(p:response()).status)
        assert.truthy(server:logged "GET /start failed: .*(old too)")
        server:logged "more like it within a second: mw.every"
        assert.equal(2, server:versions()[1].number)
        server:get "/start"
        assert.matches("GET /start failed: .*new", server:logged "rolled back %(probation%)(.*)")
    end)

    it("is nothing to go back to once it has failed, whatever takes its place", function()
        start(app "")
        -- It fails when a reload waits already, which is what was asked for first.
        server:reload(app("probation_failures = 1", [[
            mw.get("/fail", function() mw.reload() error "broken" end)
            function talk.on_message(ws) ws:send "second" end
        ]]))
        server:edit(app("", "function talk.on_message(ws) ws:send 'third' end"))
        server:get "/fail"
        assert.equal(3, server:reloaded())
        assert.matches("for generation 3 serves already: generation 2 failed 1 times",
            server:logged "not rolled back, (.*)")
        local client = assert(server:websocket "/talk")
        client:text "x"
        assert.equal("third", client:read_text())
        server:get "/rollback"
        assert.same({ 4, 1, "mw.rollback" }, { server:rolled_back() })
        client:text "y"
        assert.equal("fine y", client:read_text())
        client:frame(frame.CLOSE, frame.close(1000))
    end)

    describe("in a terminal", function()
        local function start_there(...)
            server = servers.start(app "", {
                terminal = true,
                arguments = { "--workers", "2", "--log-level", "debug", ... },
            })
        end

        it("in watch mode is not taken back: its failures are shown", function()
            start_there "--watch"
            server:edit(app("", bad))
            assert.equal(2, server:reloaded())
            fail(5)
            local why = server:logged "warn.* not rolled back, since files .-%)%: (.*)"
            assert.matches("^generation 2 failed 5 times in the .*app.lua:%d+: attempt to index",
                why)
            fail(5) -- it goes on
            server:edit(app("", "function talk.on_message() error 'in another way' end"))
            assert.equal(3, server:reloaded())
            fail(5)
            server:logged "not rolled back, .*: generation 3 failed"
            server:get "/rollback" -- somebody may still ask for it
            assert.same({ 4, 2, "mw.rollback" }, { server:rolled_back() })
            assert.equal(1, server:counter "rollbacks")
        end)

        it("is taken back when files are not watched", function()
            start_there "--no-watch"
            server:reload(app("", bad))
            fail(5)
            assert.same({ 3, 1, "probation" }, { server:rolled_back() })
        end)
    end)
end)
