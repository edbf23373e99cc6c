require("spec.lua.fake").new()
local event_target = require "moonwire.connection.event_target"

describe("an event target", function()
    local target, heard

    local function listener(name)
        return function()
            heard[#heard + 1] = name
        end
    end
    local function fire()
        heard = {}
        event_target.fire(target, { type = "message" }, function(fn, event)
            fn(event)
        end)
        return table.concat(heard, " ")
    end

    before_each(function()
        target = event_target.new()
    end)

    it("calls listeners in the order added", function()
        event_target.add(target, "message", listener "a")
        event_target.add(target, "message", listener "b")
        event_target.add(target, "close", listener "other")
        assert.equal("a b", fire())
    end)

    it("takes the same function once", function()
        local fn = listener "a"
        event_target.add(target, "message", fn)
        event_target.add(target, "message", listener "b")
        event_target.add(target, "message", fn)
        assert.equal("a b", fire())
        event_target.remove(target, "message", fn)
        assert.equal("b", fire())
    end)

    it("calls a listener with once a single time, also when it fires again inside", function()
        local count = 0
        event_target.add(target, "message", function()
            count = count + 1
            if count < 3 then
                fire()
            end
        end, true)
        fire()
        fire()
        assert.equal(1, count)
        assert.is_false(event_target.has(target, "message"))
    end)

    it("keeps the place of a handler that is replaced, not of one that is removed", function()
        event_target.set_handler(target, "message", listener "first")
        event_target.add(target, "message", listener "b")
        event_target.set_handler(target, "message", listener "handler")
        assert.equal("handler b", fire())
        event_target.set_handler(target, "message", nil)
        assert.is_nil(event_target.handler(target, "message"))
        assert.equal("b", fire())
        event_target.set_handler(target, "message", listener "handler")
        assert.equal("b handler", fire())
    end)

    it("lets one function be a handler and a listener", function()
        local fn = listener "x"
        event_target.set_handler(target, "message", fn)
        event_target.add(target, "message", fn)
        assert.equal("x x", fire())
        event_target.remove(target, "message", fn)
        assert.equal("x", fire())
        assert.equal(fn, event_target.handler(target, "message"))
    end)

    it("does not call listeners that are added or removed while it calls", function()
        local late, gone = listener "late", listener "gone"
        event_target.add(target, "message", function()
            event_target.add(target, "message", late)
            event_target.remove(target, "message", gone)
        end)
        event_target.add(target, "message", gone)
        assert.equal("", fire())
        assert.equal("late", fire())
    end)

    it("goes on with what the event was when a listener changes it", function()
        local event, kinds = { type = "message" }, {}
        event_target.add(target, "message", function()
            event.type = nil
        end)
        event_target.add(target, "message", function() end, true)
        event_target.fire(target, event, function(fn, given, kind)
            kinds[#kinds + 1] = kind
            fn(given)
        end)
        assert.same({ "message", "message" }, kinds)
        assert.equal("", fire())
    end)
end)
