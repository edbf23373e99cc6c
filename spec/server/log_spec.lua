-- The log: what an app writes to it, and what it says of failed hooks.

local cjson = require "cjson"
local frame = require "spec.support.frame"
local start = require("spec.support.server").start

describe("mw.log", function()
    local server

    after_each(function()
        server:stop()
    end)

    local app = [[
        local mw = require "moonwire"
        mw.get("/", function()
            mw.log.debug "hidden"
            mw.log.info("joined", { room = "the \"hall\"", users = 3, ok = true, what = {} })
            mw.log.warn "two\nlines"
            mw.log.error("forged\r\27[31m 2026-11-22 info  nothing\0")
            mw.log.info(42)
            return "logged"
        end)
    ]]

    it("writes a line of text, with what belongs to it", function()
        server = start(app)
        server:get "/"
        assert.truthy(server:logged "^%d+%-%d+%-%d+T%d+:%d+:%d+%.%d+Z info  joined .*"
            :find([["ok":true,"room":"the \"hall\"","users":3,"what":"table: ]], 1, true))
        server:logged "Z warn  two$"
        server:logged "^%s+lines$"
        local forged = server:logged "Z error forged.*"
        assert.is_nil(forged:find "[%c]")
        server:logged "Z info  42$"
        assert.is_nil((server:stop()):find "hidden")
    end)

    it("writes a line of JSON", function()
        server = start(app, { arguments = { "--log-format", "json", "--log-level", "debug" } })
        server:get "/"
        local lines = {}
        for line in (server:stop()):gmatch "[^\n]+" do
            local entry = cjson.decode(line)
            lines[entry.message] = entry
        end
        assert.equal("debug", lines.hidden.level)
        local joined = lines.joined
        assert.same({ "info", 'the "hall"', 3, true },
            { joined.level, joined.room, joined.users, joined.ok })
        assert.equal("warn", lines["two\nlines"].level)
        assert.equal("error", lines["forged\r\27[31m 2026-11-22 info  nothing\0"].level)
    end)

    it("writes a failed hook's traceback into one entry of JSON", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function() error "no luck" end })
        ]], { arguments = { "--log-format", "json" } })
        local p = server:websocket "/"
        p:text "x"
        assert.equal(1011, (p:read_close()))
        local entry = cjson.decode(server:logged "^{.*no luck.*}$")
        assert.equal("error", entry.level)
        assert.truthy(entry.message:find "app%.lua:2: no luck")
        assert.truthy(entry.message:find "stack traceback:\n%s+.*app%.lua:2: in function")
    end)
end)

describe("The log of what peers do", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("has a warning although many lines of the same second are below its level", function()
        server = start [[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            mw.ws("/", { on_message = function(ws)
                local left = 40
                for _ = 1, left do
                    WebSocket("ws://127.0.0.1:1/").onerror = function()
                        left = left - 1
                        if left == 0 then ws:send "all have failed" end
                    end
                end
            end })
        ]]
        local p = server:websocket "/"
        p:text "connect"
        assert.equal("all have failed", p:read_text())
        p:send(frame.build(3, "")) -- a reserved opcode
        assert.equal(1002, (p:read_close()))
        assert.truthy((server:stop()):find "Z warn  127%.0%.0%.1: .*closed with 1002")
    end)

    it("tells how many lines were left out at the highest level of theirs", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", {})
            mw.get("/later", function() mw.sleep "1100ms" return "later" end)
        ]], { arguments = { "--log-level", "debug" } })
        local peers = {}
        for i = 1, 60 do -- over 20 in a second, also when they fall into two
            peers[i] = server:websocket "/"
        end
        for _, p in ipairs(peers) do
            p:send(frame.build(3, ""))
        end
        assert.equal("later", (server:get "/later"))
        server:get "/nothing" -- a line of the level debug
        assert.equal("warn", (server:logged "Z (%l+) +%d+ more lines about peers were left out"))
        server:logged "Z debug 127%.0%.0%.1: request refused with 404"
    end)
end)
