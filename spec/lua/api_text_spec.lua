-- The functions for texts that Lua may call: src/script/api_text.c, in the specs' library.

local core = require "spec.support.cdef"
local ffi = require "ffi"
local C = core.C

require "spec.lua.fake" -- declares them

local out = ffi.new "char[64]"
local function written(len)
    return len < 0 and core.name(tonumber(len)) or ffi.string(out, len)
end

describe("The functions for texts", function()
    describe("mw_header_append", function()
        local function append(name, value, size)
            return written(C.mw_header_append(out, size or 64, name, #name, value, #value))
        end

        it("writes a whole line, if it fits", function()
            assert.equal("X-A: b\r\n", append("X-A", "b"))
            assert.equal("X-A: b\r\n", append("X-A", "b", 8))
            assert.equal("ERR_TOO_BIG", append("X-A", "b", 7))
        end)

        it("refuses what is malformed, and what the server writes itself", function()
            assert.equal("ERR_INVALID", append("X A", "b"))
            assert.equal("ERR_INVALID", append("X-A", "b\r\nX-B: c"))
            assert.equal("ERR_INVALID", append("Connection", "close"))
        end)
    end)

    describe("mw_url_decode", function()
        local function decode(text, plus)
            return written(C.mw_url_decode(out, core.copy(text, "char *"), #text, plus or 0))
        end

        it("decodes escapes, and a plus where that is asked for", function()
            assert.equal("a b+ü", decode "a%20b+%C3%bc")
            assert.equal("a b ", decode("a%20b+", 1))
            assert.equal("", decode "")
        end)

        it("refuses a broken escape, and bytes that are no text", function()
            assert.equal("ERR_INVALID", decode "%4")
            assert.equal("ERR_INVALID", decode "%g0")
            assert.equal("ERR_UTF8", decode "a%ff")
            assert.equal("ERR_UTF8", decode "a%C3")
        end)
    end)

    describe("mw_url_serialize", function()
        local why = ffi.new "const char *[1]"
        local function serialize(url, size)
            return written(C.mw_url_serialize(url, #url, out, size or 64, why))
        end

        it("writes the URL that is connected to, if it fits", function()
            assert.equal("wss://h/?q", serialize "HTTPS://h:443?q")
            assert.equal("ws://h/", serialize("ws://h", 7))
            assert.equal("ERR_TOO_BIG", serialize("ws://h", 6))
        end)

        it("says what is wrong with one that cannot be", function()
            assert.equal("ERR_INVALID", serialize "chat")
            assert.truthy(ffi.string(why[0]):find("not absolute", 1, true))
        end)
    end)

    describe("mw_lines", function()
        local function lines(text, first, count)
            local at = ffi.new "const char *[1]"
            local copy = core.copy(text, "const char *")
            local len = tonumber(C.mw_lines(copy, #text, first, count, at))
            return len < 0 and core.name(len) or ffi.string(at[0], len)
        end

        it("finds lines, without the end of the last one", function()
            assert.equal("a", lines("a\nb\nc", 1, 1))
            assert.equal("b\nc", lines("a\nb\nc", 2, 2))
            assert.equal("b", lines("a\nb\n", 2, 1))
            assert.equal("", lines("\n\n", 2, 1))
        end)

        it("finds fewer where the text ends", function()
            assert.equal("c", lines("a\nb\nc", 3, 5))
            assert.equal("", lines("a\n", 2, 5))
            assert.equal("", lines("", 1, 1))
            assert.equal("ERR_NOT_FOUND", lines("a\nb", 3, 1))
            assert.equal("ERR_NOT_FOUND", lines("", 2, 1))
        end)
    end)

    it("write a digest as digits, with a NUL", function()
        C.mw_digest("abc", 3, out) -- FIPS 180-4's example
        assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", ffi.string(out))
    end)
end)
