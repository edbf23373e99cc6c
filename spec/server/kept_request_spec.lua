-- A req that an app keeps after its handler has returned.

local servers = require "spec.support.server"

describe("A request that is kept", function()
    local server = servers.fresh [[
        local mw = require "moonwire"
        local kept
        mw.get("/keep/:id", function(req) kept = req return "" end)
        mw.get("/read/:id", function(req) kept = req return req.path .. tostring(req.body) end)
        mw.get("/waits/:id", function(req) kept = req mw.sleep "1ms" return "" end)
        mw.get("/fails/:id", function(req) kept = req error "no luck" end)
        mw.ws("/ws", { on_upgrade = function(req) return req end, on_open = function(ws)
            ws:send(tostring((select(2, pcall(function() return ws.state.params end)))))
        end })
        mw.get("/use/:key", function(req)
            local key = req.params.key
            return tostring((select(2, pcall(function() return kept[key] end))))
        end)
        mw.get("/call/:name", function(req)
            local name = req.params.name
            return tostring((select(2, pcall(function()
                local result = kept[name](kept, 401)
                return result
            end))))
        end)
        mw.get("/string", function() return tostring(kept) end)
        mw.get("/tail", function() return kept:set_header("a", "b") end)
    ]]

    it("says so, whatever is asked of it, at the line that asks", function()
        for _, way in ipairs { "keep", "fails" } do
            server:get("/" .. way .. "/1")
            for _, key in ipairs { "path", "body", "params", "headers", "query", "cookies",
                "protocols", "method", "secure", "remote_address", "target" } do
                assert.matches("app%.lua:12: req%." .. key .. ": this request is over",
                    (server:get("/use/" .. key)))
            end
            for name, line in pairs { set_header = 17, reject = 17, json = 17 } do
                assert.matches(("app%%.lua:%d: req:%s: this request is over"):format(line, name),
                    (server:get("/call/" .. name)))
            end
            assert.equal("req ? ?", (server:get "/string"))
        end
    end)

    it("says so in the log, with the line", function()
        server:get "/keep/1"
        server:get "/tail"
        server:logged "handler of GET /tail failed: .-app%.lua:22: req:set_header: this request is"
    end)

    it("has what was read of it before, and all when its handler has waited", function()
        server:get "/read/1"
        assert.equal("/read/1", (server:get "/use/path"))
        server:get "/waits/1"
        assert.equal("/waits/1", (server:get "/use/path"))
        assert.equal("127.0.0.1", (server:get "/use/remote_address"))
    end)

    it("is over too when it was an upgrade", function()
        assert.matches("app%.lua:8: req%.params: this request is over",
            server:websocket("/ws"):read_text())
    end)
end)
