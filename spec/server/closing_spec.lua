-- The closing handshake with the real binary (RFC 6455 §5.5.1, §7).

local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local build = frame.build

local app = [[
local mw = require "moonwire"
mw.limits { close_seconds = 1 }
local route = mw.ws "/"
function route.on_message(ws, data)
    if data == "code" then
        ws:close(3001, "enough")
    elseif data == "none" then
        ws:close()
    elseif data == "after" then
        ws:close(1000)
        print(ws:send "too late")
        print(ws:ping "too late")
        print(ws:close(1000))
        print(ws:subscribe "late")
        print(ws.readyState)
    elseif data == "bye" then
        for i = 1, 3 do ws:send("last " .. i) end
        ws:close(1000, "bye")
    elseif data == "terminate" then
        ws:send "not sent"
        ws:terminate()
        print(ws:send "too late")
    else
        print("message " .. data)
    end
end
function route.on_error(ws, text) print("error " .. text) end
function route.on_close(ws, code, reason, was_clean) print("closed", code, reason, was_clean) end
mw.get("/counters", function() return mw.counters() end)
]]

describe("The closing handshake", function()
    local server = servers.fresh(app)

    local function says_closed(code, reason, was_clean)
        local line = server:printed "^closed\t(.*)"
        assert.equal(("%d\t%s\t%s"):format(code, reason, tostring(was_clean)), line)
    end

    describe("that the client begins", function()
        for _, code in ipairs {
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        } do
            it("with the code " .. code .. " gets it back, then TCP's end (§7.4)", function()
                local p = server:websocket "/"
                p:send(build(frame.CLOSE, frame.close(code, "café")))
                assert.same({ code, "café" }, { p:read_close() })
                assert.is_true(p:is_ended())
                says_closed(code, "café", true)
            end)
        end

        it("without a code gets none back, and is 1005 (§7.1.5)", function()
            local p = server:websocket "/"
            p:trickle(build(frame.CLOSE, ""))
            assert.equal("none", (p:read_close()))
            assert.is_true(p:is_ended())
            says_closed(1005, "", true)
        end)

        it("with 123 bytes of reason gets them back", function()
            local p = server:websocket "/"
            local reason = ("r"):rep(123)
            p:trickle(build(frame.CLOSE, frame.close(1000, reason)))
            assert.same({ 1000, reason }, { p:read_close() })
        end)

        for _, code in ipairs {
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535,
        } do
            it("with the code " .. code .. " is refused with 1002 (§7.4)", function()
                local p = server:websocket "/"
                p:send(build(frame.CLOSE, frame.close(code)))
                assert.equal(1002, (p:read_close()))
                assert.is_true(p:is_ended())
                says_closed(1006, "", false)
            end)
        end

        it("with half a code is refused with 1002 (§5.5.1)", function()
            local p = server:websocket "/"
            p:send(build(frame.CLOSE, "\3"))
            assert.equal(1002, (p:read_close()))
            says_closed(1006, "", false)
        end)

        it("with a reason that is not UTF-8 is refused with 1007 (§5.5.1, §8.1)", function()
            local p = server:websocket "/"
            p:send(build(frame.CLOSE, frame.close(1000, "a\255")))
            assert.equal(1007, (p:read_close()))
            says_closed(1006, "", false)
        end)

        it("ends what it has to say: frames behind it are not read (§5.5.1)", function()
            local p = server:websocket "/"
            p:send(build(1, "before") .. build(frame.CLOSE, frame.close(1000)) .. build(1, "behind")
                .. build(frame.PING, "behind") .. build(3, "behind"))
            assert.equal(1000, (p:read_close()))
            assert.is_true(p:is_ended())
            local _, out = server:stop()
            assert.equal("message before\nclosed\t1000\t\ttrue\n", out)
        end)

        it("within a fragmented message is taken (§5.4)", function()
            local p = server:websocket "/"
            p:send(build(1, "half", { fin = false }) .. build(frame.CLOSE, frame.close(1001)))
            assert.equal(1001, (p:read_close()))
            says_closed(1001, "", true)
        end)
    end)

    describe("that the app begins", function()
        it("is done when the client has answered, with the client's code", function()
            local p = server:websocket "/"
            p:text "code"
            assert.same({ 3001, "enough" }, { p:read_close() })
            p:frame(frame.CLOSE, frame.close(3001, "me too"))
            assert.is_true(p:is_ended())
            says_closed(3001, "me too", true)
        end)

        it("may name no code", function()
            local p = server:websocket "/"
            p:text "none"
            assert.equal("none", (p:read_close()))
            p:frame(frame.CLOSE, "")
            assert.is_true(p:is_ended())
            says_closed(1005, "", true)
        end)

        it("sends what was sent before, first (§7.1.2)", function()
            local p = server:websocket "/"
            p:text "bye"
            for i = 1, 3 do
                assert.equal("last " .. i, p:read_text())
            end
            assert.same({ 1000, "bye" }, { p:read_close() })
        end)

        it("sends only pongs afterwards, whatever the script does (§5.5.1, §5.5.2)", function()
            local p = server:websocket "/"
            p:text "after"
            assert.equal(1000, (p:read_close()))
            p:send(build(frame.PING, "p") .. build(1, "not delivered") .. build(frame.PING, "q"))
            for _, data in ipairs { "p", "q" } do
                local opcode, payload = p:read_frame()
                assert.same({ frame.PONG, data }, { opcode, payload })
            end
            p:frame(frame.CLOSE, frame.close(1000))
            assert.is_true(p:is_ended())
            local _, out = server:stop()
            assert.equal(("nil\tclosed\n"):rep(4) .. "2\nclosed\t1000\t\ttrue\n", out)
        end)

        it("fails when the client then breaks the protocol, without a second Close", function()
            local p = server:websocket "/"
            p:text "code"
            assert.equal(3001, (p:read_close()))
            p:send(build(3, "x"))
            assert.is_true(p:is_ended())
            says_closed(1006, "", false)
        end)

        it("waits close_seconds for the answer, then is 1006", function()
            local p = server:websocket "/"
            p:text "code"
            assert.equal(3001, (p:read_close()))
            assert.is_true(p:is_ended())
            says_closed(1006, "", false)
            assert.equal(1, server:counter "close_timeouts")
        end)

        it("waits on while the client still sends, but not for ever", function()
            local p = server:websocket "/"
            p:text "code"
            assert.equal(3001, (p:read_close()))
            local ping = build(frame.PING, "still here")
            repeat
                local alive = p:try_send(ping)
            until not alive
            says_closed(1006, "", false)
        end)
    end)

    describe("that nobody begins:", function()
        it("a client that ends TCP is 1006 (§7.1.5)", function()
            server:websocket("/"):close()
            says_closed(1006, "", false)
        end)

        it("a client that ends its side of TCP is 1006", function()
            local p = server:websocket "/"
            p:shutdown()
            assert.is_true(p:is_ended())
            says_closed(1006, "", false)
        end)

        it("a client that resets TCP is 1006", function()
            server:websocket("/"):reset()
            says_closed(1006, "", false)
        end)

        it("ws:terminate() ends TCP at once", function()
            local p = server:websocket "/"
            p:text "terminate"
            assert.is_nil((p:read_frame()))
            assert.equal("nil\tclosed", (server:printed "^nil.*"))
            says_closed(1006, "", false)
        end)
    end)

    it("of both sides at once is clean on both", function()
        local p = server:websocket "/"
        p:send(build(1, "code") .. build(frame.CLOSE, frame.close(4000, "mine")))
        -- The hook closed for a message that came before the client's Close.
        assert.same({ 3001, "enough" }, { p:read_close() })
        assert.is_true(p:is_ended())
        says_closed(4000, "mine", true)
    end)

    it("comes after the answers to all that was sent before it", function()
        local p = server:websocket "/"
        p:send(build(1, "bye") .. build(frame.CLOSE, frame.close(4000, "mine")))
        for i = 1, 3 do
            assert.equal("last " .. i, p:read_text())
        end
        assert.same({ 1000, "bye" }, { p:read_close() })
        assert.is_true(p:is_ended())
        says_closed(4000, "mine", true)
    end)

    it("is followed by TCP's end also when the client does not end its side", function()
        local p = server:websocket "/"
        p:frame(frame.CLOSE, frame.close(1000))
        assert.equal(1000, (p:read_close()))
        assert.is_true(p:is_ended())
        -- After close_seconds the server takes no more bytes: the client is reset.
        repeat
            local alive = p:try_send(build(frame.PING, ""))
        until not alive
        says_closed(1000, "", true)
    end)
end)
