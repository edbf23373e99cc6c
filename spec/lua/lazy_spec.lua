local fake = require "spec.lua.fake"

describe("a module that is loaded lazily", function()
    local lazy, loads, fails

    before_each(function()
        fake.new()
        lazy = require "moonwire.base.lazy"
        loads, fails = 0, 0
        package.loaded["spec.late"] = nil
        package.preload["spec.late"] = function(...)
            loads = loads + 1
            local M = lazy.module(...)
            M.first = loads
            if fails > 0 then
                fails = fails - 1
                error "not enough memory"
            end
            function M.load_count()
                return loads
            end
            return M
        end
    end)
    after_each(function()
        package.preload["spec.late"], package.loaded["spec.late"] = nil, nil
    end)

    it("is loaded once, when it is first asked for a field, and is one table for all", function()
        local late, same = lazy.use "spec.late", lazy.use "spec.late"
        assert.equal(0, loads)
        assert.equal(1, late.load_count())
        assert.is_nil(late.nothing)
        assert.is_nil(getmetatable(late))
        assert.is_true(late == same and late == require "spec.late")
        assert.is_true(late == lazy.use "spec.late")
        assert.equal(1, loads)
    end)

    it("is not loaded again when others have required it meanwhile", function()
        local late = lazy.use "spec.late"
        assert.is_true(late == require "spec.late")
        assert.is_nil(late.nothing)
        assert.equal(1, late.load_count())
    end)

    it("may have been required before, and hand over a table of its own", function()
        local module = require "moonwire.base.units"
        assert.is_true(lazy.use "moonwire.base.units" == module)
        package.loaded["spec.late"] = { load_count = "its own" }
        assert.equal("its own", lazy.use("spec.late").load_count)
        assert.equal(0, loads)
    end)

    it("is tried again by the next one who asks, when loading it has failed", function()
        local late = lazy.use "spec.late"
        fails = 2
        for _ = 1, 2 do
            local ok, problem = pcall(function()
                return late.load_count
            end)
            assert.is_false(ok)
            assert.matches("not enough memory", problem)
        end
        assert.equal(3, late.load_count())
        assert.equal(3, late.first)
    end)
end)
