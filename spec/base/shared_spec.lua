local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

describe("shared", function()
    it("is made with one reference and room for its bytes", function()
        local s = C.shared_new(5)
        assert.are.equal(1, s.references)
        assert.are.equal(5, s.len)
        ffi.copy(s.data, "hello", 5)
        assert.are.equal("hello", ffi.string(s.data, s.len))
        C.shared_unref(s)
    end)

    it("may be empty", function()
        local s = C.shared_new(0)
        assert.are.equal(0, s.len)
        C.shared_unref(s)
    end)

    it("lives until as many references are given back as were taken", function()
        local s = C.shared_new(3)
        ffi.copy(s.data, "abc", 3)
        assert.is_true(C.shared_ref(s) == s)
        C.shared_ref(s)
        assert.are.equal(3, s.references)
        C.shared_unref(s)
        C.shared_unref(s)
        assert.are.equal(1, s.references)
        assert.are.equal("abc", ffi.string(s.data, 3))
        C.shared_unref(s)
    end)

    it("takes NULL for nothing to give back", function()
        C.shared_unref(nil)
    end)

    it("is counted in an account, once, until it is freed", function()
        local account = ffi.new "uint64_t[1]"
        local s = C.shared_new(1000)
        C.shared_ref(s)
        C.shared_charge(s, account)
        C.shared_charge(s, account)
        assert.are.equal(1000, tonumber(account[0]))
        C.shared_unref(s)
        assert.are.equal(1000, tonumber(account[0]))
        C.shared_unref(s)
        assert.are.equal(0, tonumber(account[0]))
    end)

    it("refuses a length that its field cannot hold", function()
        assert.is_true(C.shared_new(2 ^ 32) == nil)
    end)
end)
