local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function names()
    local list = {}
    while C.limits_name(#list) ~= nil do
        list[#list + 1] = ffi.string(C.limits_name(#list))
    end
    return list
end

describe("limits", function()
    it("has a name for every field of the struct, once", function()
        local seen, count = {}, 0
        for _, name in ipairs(names()) do
            assert.is_nil(seen[name], name)
            assert.is_truthy(ffi.offsetof("struct limits", name), name)
            seen[name], count = true, count + 1
        end
        assert.are.equal(ffi.sizeof "struct limits" / 4, count)
    end)

    it("finds the field that a name says, and no other", function()
        local limits = ffi.new "struct limits"
        for i, name in ipairs(names()) do
            C.limits_field(limits, name)[0] = i
        end
        for i, name in ipairs(names()) do
            assert.are.equal(i, limits[name], name)
        end
    end)

    it("knows no other names", function()
        local limits = ffi.new "struct limits"
        for _, name in ipairs { "", "message", "message_bytes ", "MESSAGE_BYTES", "nothing" } do
            assert.is_true(C.limits_field(limits, name) == nil, name)
        end
        assert.is_true(C.limits_name(1000) == nil)
    end)

    it("has defaults that bound everything a stranger can use up", function()
        local d = C.limits_default
        for _, name in ipairs(names()) do
            local unlimited = name == "inflated_bytes" or name == "messages_per_second"
                or name == "connections_per_address"
            assert.are.equal(unlimited, d[name] == 0, name)
        end
        assert.are.equal(1048576, d.message_bytes)
        assert.are.equal(16777216, d.queued_bytes)
        assert.is_true(d.target_bytes < d.head_bytes)
        assert.is_true(d.header_count <= C.HTTP_FIELDS_MAX)
    end)
end)
