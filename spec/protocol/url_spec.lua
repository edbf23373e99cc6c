local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function decode(text, plus)
    local out = ffi.new("char[?]", #text + 1)
    local len = tonumber(C.url_decode(out, core.copy(text, "char *"), #text, plus or 0))
    if len < 0 then
        return nil, len
    end
    return ffi.string(out, len)
end

local function authority(text)
    local out, block = ffi.new "struct url_authority", core.copy(text, "char *")
    local result = C.url_authority(out, block, #text)
    if result ~= 0 then
        assert.are.equal(C.ERR_INVALID, result)
        return nil
    end
    return ffi.string(out.host, out.host_len), out.has_port and tonumber(out.port) or nil
end

describe("URLs (RFC 3986)", function()
    describe("§2.1 percent-encoding", function()
        it("is decoded", function()
            assert.are.equal("a b/c%", decode "a%20b%2Fc%25")
            assert.are.equal("\0\255", decode "%00%fF")
            assert.are.equal("", decode "")
        end)

        it("is decoded for every byte", function()
            for byte = 0, 255 do
                assert.are.equal(string.char(byte), decode(("%%%02x"):format(byte)))
                assert.are.equal(string.char(byte), decode(("%%%02X"):format(byte)))
            end
        end)

        it("is not decoded twice", function()
            assert.are.equal("%41", decode "%2541")
        end)

        it("is refused when it is broken", function()
            for _, text in ipairs { "%", "a%", "%4", "%4g", "%g4", "%%41", "% 1", "%-1", "%4\0" } do
                assert.are.equal(C.ERR_INVALID, select(2, decode(text)), text)
            end
        end)

        it("makes blanks of plus signs only when asked", function()
            assert.are.equal("a+b+", decode("a+b%2B", 0))
            assert.are.equal("a b+", decode("a+b%2B", 1))
        end)

        it("may be decoded in place", function()
            local text = core.copy("%41%42c%43", "char *")
            assert.are.equal(4, tonumber(C.url_decode(text, text, 10, 0)))
            assert.are.equal("ABcC", ffi.string(text, 4))
        end)
    end)

    describe("§3.2 authority", function()
        it("has a host", function()
            for _, host in ipairs { "a", "example.com", "127.0.0.1", "A-b_c~d!$&'()*+,;=",
                "%41b" } do
                assert.are.same({ host }, { authority(host) })
            end
        end)

        it("may have a port", function()
            assert.are.same({ "a", 80 }, { authority "a:80" })
            assert.are.same({ "a", 0 }, { authority "a:0" })
            assert.are.same({ "a", 65535 }, { authority "a:65535" })
            assert.are.same({ "a", 80 }, { authority "a:00080" })
            assert.are.same({ "a" }, { authority "a:" })
        end)

        it("may have an IPv6 address, in brackets", function()
            assert.are.same({ "[::1]" }, { authority "[::1]" })
            assert.are.same({ "[2001:DB8::1]", 443 }, { authority "[2001:DB8::1]:443" })
            assert.are.same({ "[::ffff:1.2.3.4]" }, { authority "[::ffff:1.2.3.4]" })
        end)

        it("is refused when it is anything else", function()
            for _, text in ipairs { "", ":80", "a:b", "a:65536", "a:99999999999", "a:8 0", "a:+80",
                "a:80:80", "user@a", "a b", "a/", "a?", "a#", "a%", "a%4", "a%xx", "a\0", "[", "[]",
                "[::1", "[::1]80", "[::1]]", "[1]", "[::g]", "[v1.a]", "[::1%25eth0]", "::1",
                "a\128", "[::1\0]", "[" .. ("1"):rep(100) .. "]" } do
                assert.is_nil(authority(text), text)
            end
        end)
    end)
end)
