-- The hooks of a route: when they are called, and what happens when one fails.

local frame = require "spec.support.frame"
local start = require("spec.support.server").start

describe("Hooks", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("are called in the order on_open, on_message, on_close", function()
        server = start [[
            local mw = require "moonwire"
            local route = mw.ws "/"
            function route.on_open(ws) print("open", ws.readyState) end
            function route.on_message(ws, data, is_binary)
                print("message", data, is_binary)
            end
            function route.on_close(ws, code, reason, was_clean)
                print("close", code, reason, was_clean, ws.readyState)
            end
        ]]
        local p = server:websocket "/"
        p:send(frame.build(1, "one") .. frame.build(2, "two") .. frame.build(1, "")
            .. frame.build(8, frame.close(1001, "bye")))
        assert.equal(1001, (p:read_close()))
        local _, out = server:stop()
        assert.equal("open\t1\nmessage\tone\tfalse\nmessage\ttwo\ttrue\n"
            .. "message\t\tfalse\nclose\t1001\tbye\ttrue\t3\n", out)
    end)

    it("answer messages that have the client's Close right behind them", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", {
                on_message = function(ws, data)
                    print(ws.readyState)
                    ws:send(data)
                end,
                on_close = function(ws) print(ws.readyState, ws:send "x") end,
            })
        ]]
        local p = server:websocket "/"
        p:send(frame.build(1, "one") .. frame.build(1, "two") .. frame.build(8, frame.close(1000)))
        assert.equal("one", p:read_text())
        assert.equal("two", p:read_text())
        assert.equal(1000, (p:read_close()))
        local _, out = server:stop()
        assert.equal("1\n1\n3\tnil\tclosed\n", out)
    end)

    it("may be given in one table, and may be missing", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/table", { on_message = function(ws, data) ws:send(data) end })
            mw.ws "/nothing"
        ]]
        local p = server:websocket "/table"
        p:text "hello"
        assert.equal("hello", p:read_text())
        p = server:websocket "/nothing"
        p:text "hello"
        p:frame(frame.PING, "still here")
        assert.equal(frame.PONG, (p:read_frame()))
        p:close_cleanly(1000)
    end)

    it("may be exchanged while the server runs", function()
        server = start [[
            local mw = require "moonwire"
            local route = mw.ws "/"
            local function second(ws) ws:send "second" end
            function route.on_message(ws)
                ws:send "first"
                route.on_message = second
                route.on_upgrade = function(req) return req:reject(403, "closed now") end
            end
        ]]
        local p = server:websocket "/"
        p:text "x"
        assert.equal("first", p:read_text())
        p:text "x"
        assert.equal("second", p:read_text())
        assert.equal(403, select(2, server:websocket "/"))
    end)

    describe("that raise", function()
        local app = [[
local mw = require "moonwire"
local function fail(what)
    error("no luck with " .. what)
end
mw.ws("/message", {
    on_message = function(ws, data)
        if data == "fail" then
            fail(data) -- line 8
        end
        ws:send(data)
    end,
    on_error = function(ws, problem) print("on_error", ws.readyState, problem) end,
    on_close = function(ws, code, reason, clean) print("on_close", code, reason, clean) end,
})
mw.ws("/open", { on_open = function() fail "opening" end,
    on_message = function() print "message" end })
mw.ws("/close", { on_close = function() fail "closing" end })
mw.ws("/error", {
    on_message = function() fail "a message" end,
    on_error = function() fail "the error" end,
    on_close = function() print "closed" end,
})
mw.ws("/table", {
    on_message = function() error({ code = 7 }) end,
    on_error = function(ws, problem) print("table", problem.code) end,
})
mw.ws("/nil", { on_message = function() error(nil) end })
mw.ws("/deep", { on_message = function() local function f() return 1 + f() end f() end })
mw.ws("/waited", { on_message = function()
    mw.sleep "1ms"
    fail "waiting"
end })
mw.get("/counters", function() return mw.counters() end)
]]
        before_each(function()
            server = start(app)
        end)

        local function fails(path, text)
            local p = server:websocket(path)
            p:text(text or "fail")
            local code, reason = p:read_close()
            assert.equal(1011, code)
            assert.equal("", reason) -- nothing of the error goes to the peer
            p:frame(frame.CLOSE, frame.close(1011))
            assert.is_true(p:is_ended())
            return p
        end

        it("close their connection with 1011 and tell on_error, then on_close", function()
            fails "/message"
            assert.truthy(server:printed("^on_error\t1\t.*app%.lua:3: no luck with fail$"))
            server:printed "^on_close\t1011\t\ttrue"
        end)

        it("are logged with a traceback of the app's own files and lines", function()
            fails "/message"
            server:logged "error on_message of /message failed: .*app%.lua:3: no luck with fail"
            server:logged "stack traceback:"
            server:logged "app%.lua:3: in function 'fail'"
            server:logged "app%.lua:8: in function"
            local log = server:stop()
            assert.is_nil(log:find("moonwire/", 1, true), log)
        end)

        it("are counted", function()
            fails "/message"
            fails "/message"
            assert.equal(2, server:counter "hook_failures")
        end)

        it("touch nobody else, and no later message of their own", function()
            local other, third = server:websocket "/message", server:websocket "/message"
            local p = server:websocket "/message"
            other:text "before"
            p:send(frame.build(1, "fail") .. frame.build(1, "not delivered"))
            third:text "after"
            assert.equal("before", other:read_text())
            assert.equal("after", third:read_text())
            assert.equal(1011, (p:read_close()))
            other:text "still"
            assert.equal("still", other:read_text())
        end)

        it("may be on_open, on_close, or one that has waited", function()
            fails "/open"
            server:logged "error on_open of /open failed: .*: no luck with opening"
            server:websocket("/close"):close_cleanly(1000)
            server:logged "error on_close of /close failed: .*: no luck with closing"
            fails "/waited"
            server:logged "error on_message of /waited failed: .*: no luck with waiting"
        end)

        it("may be on_error itself", function()
            fails "/error"
            server:logged "error on_message of /error failed: .*: no luck with a message"
            server:logged "error on_error of /error failed: .*: no luck with the error"
            server:printed "^closed"
        end)

        it("may raise any value, which on_error is given as it is", function()
            fails "/table"
            server:printed "^table\t7"
            server:logged "error on_message of /table failed: an error that is not a text: table"
            fails "/nil"
            server:logged "error on_message of /nil failed: an error that is not a text: nil"
        end)

        it("may have run out of stack", function()
            fails "/deep"
            server:logged "error on_message of /deep failed: .*stack overflow"
        end)
    end)

    it("are told of the peer's mistakes through on_error, before on_close", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", {
                on_error = function(ws, problem) print("error", ws.readyState, problem) end,
                on_close = function(ws, code) print("close", ws.readyState, code) end,
            })
        ]]
        local p = server:websocket "/"
        p:frame(3, "")
        assert.equal(1002, (p:read_close()))
        server:printed "^error\t2\ta frame has a reserved opcode"
        server:printed "^close\t3\t1006"
    end)

    it("are called for all other connections when the code around one of them fails", function()
        server = start([[
            local mw = require "moonwire"
            -- Raises where the hook has returned to: in the dispatcher, not in the app.
            local function fail_outside()
                debug.sethook(function()
                    if debug.getinfo(2, "S").short_src:find "dispatch" then
                        debug.sethook()
                        error "not the app's fault"
                    end
                end, "", 1)
            end
            mw.ws("/", {
                on_message = function(ws, data)
                    if data == "fail" then
                        fail_outside()
                    end
                    ws:send(data)
                end,
            })
        ]], { dispatcher_fails = true })
        local other, p = server:websocket "/", server:websocket "/"
        p:send(frame.build(1, "one") .. frame.build(1, "fail") .. frame.build(1, "two"))
        assert.equal("one", p:read_text())
        assert.equal("fail", p:read_text())
        server:logged "error the dispatcher failed: .*not the app's fault"
        assert.equal(1011, (p:read_close()))
        assert.equal("three", other:ask "three")
    end)
end)
