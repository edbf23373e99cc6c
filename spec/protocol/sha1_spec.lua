local core = require "spec.support.cdef"
local ffi = require "ffi"

local function sha1(text)
    local out = ffi.new "uint8_t[20]"
    core.C.sha1(out, core.copy(text), #text)
    return (ffi.string(out, 20):gsub(".", function(c)
        return ("%02x"):format(c:byte())
    end))
end

-- Digests from sha1sum.
describe("SHA-1 (FIPS 180-4)", function()
    it("digests the standard's messages", function()
        assert.equal("da39a3ee5e6b4b0d3255bfef95601890afd80709", sha1 "")
        assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", sha1 "abc")
        assert.equal("84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            sha1 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
        assert.equal("34aa973cd4c4daa4f61eeb2bdbad27316534016f", sha1(("a"):rep(1000000)))
    end)

    it("gives the same with the processor's instructions for it and without", function()
        for len = 0, 300 do
            local text = {}
            for i = 1, len do
                text[i] = string.char((i * i * 7 + len * 31) % 256)
            end
            text = table.concat(text)
            local out = ffi.new "uint8_t[2][20]"
            core.C.sha1_as(core.C.SHA1_SCALAR, out[0], core.copy(text), len)
            core.C.sha1_as(core.C.sha1_form_best(), out[1], core.copy(text), len)
            assert.equal(ffi.string(out[0], 20), ffi.string(out[1], 20))
        end
        assert.equal("da39a3ee5e6b4b0d3255bfef95601890afd80709", sha1 "")
    end)

    it("§5.1.1 pads at every length around a block", function()
        local all = {}
        for len = 0, 130 do
            all[#all + 1] = sha1(("x"):rep(len))
        end
        assert.equal("264556ac95806d1e869b3f1fad8691f6633bcdfa", sha1(table.concat(all)))
    end)
end)
