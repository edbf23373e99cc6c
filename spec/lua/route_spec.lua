local fake = require "spec.lua.fake"

describe("patterns of routes", function()
    it("name their parameters in order", function()
        fake.new()
        local route = require "moonwire.app.route"
        local function names(pattern)
            return route.http("get", pattern, function() end).param_names
        end
        assert.same({ "room", "user", "rest" }, names "/chat/:room/x/:user/*rest")
        assert.same({}, names "/a/b")
    end)
end)
