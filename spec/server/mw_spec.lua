-- What an app finds in mw: counters, JSON, its worker, the end.

local cjson = require "cjson"
local start = require("spec.support.server").start

describe("mw", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("counts what the server does", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws, data)
                if data == "raise" then error "x" end
                ws:send(data)
            end })
            mw.get("/counters", function() return mw.counters() end)
        ]]
        local function counters()
            return cjson.decode((server:get "/counters"))
        end
        local before = counters()
        for _, name in ipairs {
            "accepted", "opened", "closed", "requests", "messages_in", "messages_out",
            "forwarded", "refused_requests", "refused_handshakes", "refused_connections",
            "protocol_errors", "too_big", "queue_overflows", "rate_overflows", "handshake_timeouts",
            "dead_peers", "close_timeouts", "dropped_pongs", "dropped_bytes", "tls_failures",
            "hook_failures",
        } do
            assert.is_number(before[name], name)
        end
        for i = 1, 3 do
            local p = server:websocket "/"
            for _ = 1, i do
                p:text "x"
                p:read_text()
            end
            if i == 3 then
                p:text "raise"
                assert.equal(1011, (p:read_close()))
                p:frame(8, "\3\243")
                assert.is_true(p:is_ended())
            else
                p:close_cleanly(1000)
            end
        end
        local p = server:websocket "/"
        p:frame(3, "")
        assert.equal(1002, (p:read_close()))
        assert.is_true(p:is_ended())
        assert.is_nil((server:websocket("/", { fields = { Origin = "http://evil.example" } })))
        local after = counters()
        local changes = {
            accepted = 6, opened = 4, closed = 4, requests = 1, messages_in = 7, messages_out = 6,
            hook_failures = 1, protocol_errors = 1, refused_handshakes = 1,
        }
        for name, value in pairs(after) do
            assert.equal(changes[name] or 0, value - before[name], name)
        end
    end)

    it("sums them over workers", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws) ws:send "x" end })
            mw.get("/opened", function() return tostring(mw.counters().opened) end)
        ]], { arguments = { "--workers", "2" } })
        for _ = 1, 4 do
            server:websocket("/"):read_text()
        end
        assert.equal("4", (server:get "/opened"))
    end)

    it("reads and writes JSON", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws, data)
                local value = mw.json.decode(data)
                value.list[#value.list + 1] = value.null == mw.json.null
                ws:send(mw.json.encode(value))
            end })
        ]]
        local p = server:websocket "/"
        p:text '{"text":"é\\u00e9","n":1.5,"list":[1,2,{}],"null":null}'
        local back = cjson.decode(p:read_text())
        assert.equal("éé", back.text)
        assert.equal(1.5, back.n)
        assert.same({ 1, 2, {}, true }, back.list)
        assert.equal(cjson.null, back.null)
    end)

    it("refuses what is no JSON, keeps empty lists and all digits", function()
        server = start [[
            local mw = require "moonwire"
            mw.post("/", function(req)
                local value, problem = req:json()
                if not value then return 400, problem end
                return value
            end)
        ]]
        local function post(text)
            local p = server:connect()
            p:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#text,
                text))
            return assert(p:response())
        end
        for _, text in ipairs { "[NaN]", "[0x10]", "[+1]", "[Infinity]", "[01]", "", "[1,]",
            ("["):rep(100000) } do
            local r = post(text)
            assert.equal(400, r.status, text)
            assert.matches("^this is not JSON: line 1, column %d+: ", r.body)
        end
        for _, text in ipairs { '{"list":[]}', "[9007199254740991,0.1,0.30000000000000004,[]]" } do
            assert.equal(text, post(text).body)
        end
    end)

    it("knows its worker", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", { on_open = function(ws)
                ws:send(mw.worker.index .. " of " .. mw.worker.count)
            end })
        ]], { arguments = { "--workers", "2" } })
        local seen = {}
        for i = 1, 4 do
            seen[i] = server:websocket("/"):read_text()
        end
        table.sort(seen)
        assert.same({ "1 of 2", "1 of 2", "2 of 2", "2 of 2" }, seen)
    end)

    it("ends the server by mw.stop(), with 1001 to every client", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function() mw.stop() end })
        ]]
        local p, other = server:websocket "/", server:websocket "/"
        p:text "stop"
        for _, one in ipairs { p, other } do
            assert.equal(1001, (one:read_close()))
            one:frame(8, "\3\233")
            assert.is_true(one:is_ended())
            one:close()
        end
        assert.equal(0, server.process:wait().status)
    end)
end)
