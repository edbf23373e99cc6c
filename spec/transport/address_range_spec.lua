local ffi = require "ffi"
local transport = require "spec.support.transport"
local core = require "spec.support.cdef"
local C = transport.C

core.declare "src/transport/address_range.h"

local AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

ffi.cdef "int inet_pton(int family, const char *text, void *out);"

local function address(text)
    local out, bytes = ffi.new "struct address", ffi.new "uint8_t[16]"
    if text == "unix" then
        out.family = AF_UNIX
        return out
    end
    local family = text:find ":" and AF_INET6 or AF_INET
    assert(ffi.C.inet_pton(family, text, bytes) == 1)
    C.address_set(out, family, bytes, 8080)
    return out
end

local function ranges(...)
    local r = ffi.new "struct address_ranges"
    for _, text in ipairs { ... } do
        assert.equal(0, C.address_ranges_add(r, text), text)
    end
    return r
end

describe("a range of addresses", function()
    it("has the peers whose first bits are its own", function()
        for range, cases in pairs {
            ["127.0.0.1"] = { ["127.0.0.1"] = true, ["127.0.0.2"] = false, ["::1"] = false },
            ["10.0.0.0/8"] = { ["10.0.0.0"] = true, ["10.255.255.255"] = true,
                ["11.0.0.0"] = false, ["9.255.255.255"] = false, ["::ffff:10.1.2.3"] = true,
                ["a00::"] = false },
            ["192.0.2.64/27"] = { ["192.0.2.64"] = true, ["192.0.2.95"] = true,
                ["192.0.2.63"] = false, ["192.0.2.96"] = false },
            ["0.0.0.0/0"] = { ["1.2.3.4"] = true, ["::1"] = false, unix = false },
            ["128.0.0.0/1"] = { ["128.0.0.1"] = true, ["127.0.0.1"] = false },
            ["::1"] = { ["::1"] = true, ["::2"] = false, ["0.0.0.1"] = false },
            ["fd00::/8"] = { ["fd12:3456::1"] = true, ["fc00::1"] = false },
            ["2001:db8::/33"] = { ["2001:db8:7fff::1"] = true, ["2001:db8:8000::1"] = false },
            ["::/0"] = { ["2001::1"] = true, ["1.2.3.4"] = false, unix = false },
            ["::ffff:10.0.0.0/104"] = { ["10.1.1.1"] = true, ["11.1.1.1"] = false },
            ["unix:"] = { unix = true, ["127.0.0.1"] = false, ["::1"] = false },
        } do
            local r = ranges(range)
            for peer, is_in in pairs(cases) do
                assert.equal(is_in, C.address_ranges_have(r, address(peer)), range .. " " .. peer)
            end
        end
    end)

    it("is one of several", function()
        local r = ranges("127.0.0.1", "fd00::/8", "unix:")
        for peer, is_in in pairs { ["127.0.0.1"] = true, ["fd00::1"] = true, unix = true,
            ["127.0.0.2"] = false } do
            assert.equal(is_in, C.address_ranges_have(r, address(peer)), peer)
        end
        assert.is_false(C.address_ranges_have(ranges(), address "127.0.0.1"))
        assert.is_false(C.address_ranges_have(ranges("0.0.0.0/0", "::/0", "unix:"),
            ffi.new "struct address"))
    end)

    it("is written without mistakes", function()
        local r = ranges()
        for _, text in ipairs { "", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/",
            "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0", "10", "*",
            "10.0.0.0/255.0.0.0", "::1/0", "::/129", "[::1]", "fe80::1%lo", "unix", "unix:/run/x",
            "::ffff:10.0.0.0/8", "010.0.0.0/8", "10.0.0.0 ", ("1"):rep(100) } do
            assert.equal("ERR_INVALID", core.name(C.address_ranges_add(r, text)), text)
        end
        assert.equal(0, r.count)
    end)

    it("is one of at most 32", function()
        local r = ranges()
        for i = 1, C.ADDRESS_RANGES_MAX do
            assert.equal(0, C.address_ranges_add(r, "10.0.0." .. i))
        end
        assert.equal("ERR_LIMIT", core.name(C.address_ranges_add(r, "10.1.0.0")))
    end)
end)
