local core = require "spec.support.cdef"

local FAR = tonumber(core.C.SUGGEST_FAR)

-- Both ways: the number of edits does not depend on the direction.
local function edits(name, known)
    local there = core.C.suggest_edits(core.copy(name, "char *"), #name, known)
    local back = core.C.suggest_edits(core.copy(known, "char *"), #known, name)
    assert.are.equal(there, back)
    return there
end

describe("suggest", function()
    it("counts nothing for equal names", function()
        assert.are.equal(0, edits("", ""))
        assert.are.equal(0, edits("--listen", "--listen"))
    end)

    it("counts an inserted, a missing and a replaced byte as one each", function()
        assert.are.equal(1, edits("--llisten", "--listen"))
        assert.are.equal(1, edits("--lisen", "--listen"))
        assert.are.equal(1, edits("--lisden", "--listen"))
        assert.are.equal(1, edits("x", ""))
    end)

    it("counts two neighbours that changed places as two", function()
        assert.are.equal(2, edits("message_bytse", "message_bytes"))
    end)

    it("finds the least number of edits", function()
        assert.are.equal(3, edits("kitten", "sitting"))
        assert.are.equal(2, edits("flaw", "lawn"))
        assert.are.equal(3, edits("saturday", "sunday"))
    end)

    it("stops counting at a word that is another", function()
        assert.are.equal(FAR, edits("abcd", "wxyz"))
        assert.are.equal(FAR, edits("intention", "execution"))
        assert.are.equal(FAR, edits("", "message_bytes"))
    end)

    it("reads len bytes of the name and no more", function()
        local name = core.copy("--workers=4", "char *")
        assert.are.equal(0, core.C.suggest_edits(name, #"--workers", "--workers"))
    end)

    it("takes names up to 63 bytes; longer ones are far", function()
        local longest = ("n"):rep(63)
        assert.are.equal(0, edits(longest, longest))
        assert.are.equal(1, edits(longest:sub(2), longest))
        assert.are.equal(FAR, edits(longest .. "n", longest .. "n"))
        assert.are.equal(FAR, edits(longest .. "n", longest))
        assert.are.equal(FAR, edits(("n"):rep(100000), longest))
    end)
end)
