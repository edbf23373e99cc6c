-- The log: what an app writes to it, and what it says of failed hooks.

local cjson = require "cjson"
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
