-- src/transport/address.c: the addresses of peers, and what tells strangers from each other.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

core.declare "src/transport/address.h"

ffi.cdef "int moonwire_spec_pton(int family, const char *text, void *out) __asm__(\"inet_pton\");"

local AF_INET, AF_INET6 = 2, 10

local function address(text, port)
    local out = ffi.new "struct address"
    local family = text:find(":", 1, true) and AF_INET6 or AF_INET
    local bytes = ffi.new "uint8_t[16]"
    assert(ffi.C.moonwire_spec_pton(family, text, bytes) == 1, text)
    C.address_set(out, family, bytes, port or 1)
    return out
end

describe("two addresses", function()
    local function are_one(a, b)
        local one, other = ffi.new "struct address", ffi.new "struct address"
        C.address_stranger(one, address(a, 1000))
        C.address_stranger(other, address(b, 2000))
        return ffi.string(one, ffi.sizeof(one)) == ffi.string(other, ffi.sizeof(other))
    end

    it("of one /64 of IPv6 are one stranger's, whatever the ports", function()
        assert.is_true(are_one("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"))
        assert.is_true(are_one("2001:db8:0:1::1", "2001:db8:0:1::2"))
        assert.is_false(are_one("2001:db8:0:1::1", "2001:db8:0:2::1"))
    end)

    it("of IPv4 are two strangers'", function()
        assert.is_true(are_one("192.0.2.1", "192.0.2.1"))
        assert.is_false(are_one("192.0.2.1", "192.0.2.2"))
    end)

    it("of which one is IPv4-mapped IPv6 count as IPv4", function()
        assert.is_true(are_one("::ffff:192.0.2.1", "192.0.2.1"))
        assert.is_false(are_one("::ffff:192.0.2.1", "::ffff:192.0.2.2"))
    end)
end)
