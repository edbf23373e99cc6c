local core = require "spec.support.cdef"
local C = core.C

-- bit.bnot and the like are signed.
local function crc32c(text, crc)
    return bit.tobit(C.crc32c(crc or 0, core.copy(text), #text))
end

describe("CRC-32C", function()
    it("gives the values of RFC 3720 §B.4", function()
        assert.equal(bit.tobit(0x8A9136AA), crc32c(("\0"):rep(32)))
        assert.equal(bit.tobit(0x62A8AB43), crc32c(("\255"):rep(32)))
        local rising = {}
        for i = 0, 31 do
            rising[#rising + 1] = string.char(i)
        end
        assert.equal(bit.tobit(0x46DD794E), crc32c(table.concat(rising)))
        assert.equal(bit.tobit(0xE3069283), crc32c "123456789")
        assert.equal(0, crc32c "")
    end)

    it("goes on where it was", function()
        core.split("123456789", function(pieces, how)
            local crc = 0
            for _, piece in ipairs(pieces) do
                crc = C.crc32c(crc, core.copy(piece), #piece)
            end
            assert.equal(bit.tobit(0xE3069283), bit.tobit(crc), how)
        end)
    end)
end)
