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
        local bytes = 0
        for i = 0, count - 1 do
            bytes = bytes + (C.limits_at(i).wide and 8 or 4)
        end
        assert.are.equal(ffi.sizeof "struct limits", bytes + bytes % 8)
    end)

    it("finds the field that a name says, and no other", function()
        local limits = ffi.new "struct limits"
        for i, name in ipairs(names()) do
            assert.are.equal(i - 1, C.limits_find(name))
            C.limits_put(limits, i - 1, i)
        end
        for i, name in ipairs(names()) do
            assert.are.equal(i, tonumber(limits[name]), name)
            assert.are.equal(i, tonumber(C.limits_get(limits, i - 1)), name)
        end
    end)

    it("may be 4 GiB and more where the field is wide", function()
        local limits = ffi.new "struct limits"
        local wide = C.limits_find "memory_bytes"
        assert.is_true(C.limits_at(wide).wide)
        assert.are.equal(2 ^ 53, tonumber(C.limits_at(wide).most))
        C.limits_put(limits, wide, 2 ^ 40)
        assert.are.equal(2 ^ 40, tonumber(C.limits_get(limits, wide)))
        assert.are.equal(2 ^ 40, tonumber(limits.memory_bytes))
    end)

    it("knows no other names", function()
        for _, name in ipairs { "", "message", "message_bytes ", "MESSAGE_BYTES", "nothing" } do
            assert.are.equal(C.ERR_NOT_FOUND, C.limits_find(name), name)
        end
        assert.is_true(C.limits_name(#names()) == nil)
        assert.is_true(C.limits_at(#names()) == nil)
    end)

    it("has bounds that its defaults keep, and durations that end within a year", function()
        for i, name in ipairs(names()) do
            local limit, default = C.limits_at(i - 1), C.limits_default[name]
            assert.are.equal(name, ffi.string(limit.name))
            assert.is_true(limit.least <= default and default <= limit.most, name)
            if name:find "_seconds$" then
                assert.is_true(limit.most <= 365 * 24 * 3600, name)
            end
        end
    end)

    it("leaves no route a limit that counts before the route is known", function()
        for _, name in ipairs { "target_bytes", "head_bytes", "header_count", "handshake_seconds",
            "keep_alive_seconds", "connections", "reload_seconds" } do
            assert.is_true(C.limits_at(C.limits_find(name)).app_only, name)
        end
    end)

    it("has defaults that bound everything a stranger can use up", function()
        local d = C.limits_default
        for _, name in ipairs(names()) do
            -- The last two: 0 is a share of what the machine has.
            local unlimited = name == "inflated_bytes" or name == "messages_per_second"
                or name == "connections_per_address" or name == "lua_bytes"
                or name == "memory_bytes"
            assert.are.equal(unlimited, d[name] == 0, name)
        end
        assert.are.equal(1048576, d.message_bytes)
        assert.are.equal(16777216, d.queued_bytes)
        assert.is_true(d.target_bytes < d.head_bytes)
        assert.is_true(d.header_count <= C.HTTP_FIELDS_MAX)
    end)
end)
