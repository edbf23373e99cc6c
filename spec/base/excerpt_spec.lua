-- The lines of a file around a fault.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local process = require "spec.support.process"
local C = core.C

describe("An excerpt", function()
    local folder = process.fresh_folder()

    -- What is put behind the text, in a buffer of so many bytes.
    local function of(why, bytes)
        local text = ffi.new("char[?]", bytes or 2048)
        ffi.copy(text, why)
        C.excerpt_append(text, bytes or 2048)
        return ffi.string(text):sub(#why + 1)
    end

    it("has the line, and those around it that are not empty", function()
        local path = folder:write("a.lua", "one\r\n\nthree\nfour\nfive")
        assert.equal("\n>    1 | one", of(path .. ":1: x"))
        assert.equal("\n     1 | one\n>    2 | \n     3 | three", of(path .. ":2: x"))
        assert.equal("\n     4 | four\n>    5 | five", of(path .. ":5: x: y:3: z"))
        assert.equal("\n     5 | five", of(path .. ":6: x"))
    end)

    it("finds a file whose name has colons", function()
        local path = folder:write("c:2", "x")
        assert.equal("\n>    1 | x", of(path .. ":1: y"))
    end)

    it("is nothing without a place, without the file, or where there is one", function()
        local path = folder:write("a.lua", "one\n")
        for _, why in ipairs { "", "x", ":1: x", "12: x", path, path .. ":", path .. ":1", path
            .. ":x: y", path .. "none:1: x", folder.path .. ":1: x", path .. ":1: x\nmore",
            path .. ":99999999999999999999: x", "(command line):1: x" } do
            assert.equal("", of(why), why)
        end
    end)

    it("fits into what there is, whatever the lines hold", function()
        local path = folder:write("a.lua", ("x"):rep(1000) .. "\n")
        assert.equal("\n>    1 | " .. ("x"):rep(160), of(path .. ":1: x"))
        local why = path .. ":1: x"
        assert.equal("\n>    1 |", of(why, #why + 10))
        assert.equal("", of(why, #why + 1))
    end)
end)
