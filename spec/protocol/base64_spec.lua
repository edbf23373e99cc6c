local core = require "spec.support.cdef"
local ffi = require "ffi"

local function encode(text)
    local out = ffi.new("char[?]", 4 * math.floor((#text + 2) / 3) + 1)
    core.C.base64_encode(out, core.copy(text), #text)
    return ffi.string(out)
end

describe("base64 (RFC 4648)", function()
    it("§10 encodes the RFC's vectors", function()
        local vectors = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
            fooba = "Zm9vYmE=", foobar = "Zm9vYmFy" }
        for text, want in pairs(vectors) do
            assert.equal(want, encode(text))
        end
    end)

    it("§4 uses the whole alphabet", function()
        local bytes = "\0\16\131\16\81\135\32\146\139\48\211\143\65\20\147\81"
            .. "\85\151\97\150\155\113\215\159\130\24\163\146\89\167\162\154"
            .. "\171\178\219\175\195\28\179\211\93\183\227\158\187\243\223\191"
        assert.equal("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            encode(bytes))
    end)
end)
