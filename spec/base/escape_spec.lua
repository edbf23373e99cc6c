local ffi = require "ffi"
local cjson = require "cjson"
local core = require "spec.support.cdef"
local C = core.C

local function json(text)
    local out = ffi.new "struct buffer"
    assert.equal(0, C.escape_json(out, text, #text))
    local result = ffi.string(out.data, out.len)
    C.buffer_deinit(out)
    return result
end

describe("escape_json", function()
    it("makes a JSON string of any text, which means that text", function()
        for _, text in ipairs {
            "a", 'say "hi"\\', "line\nline\r\n\ttab", "\0\1\31\127", "J\195\188rgen \226\130\172",
            "\240\159\166\139", "\194\133", "</script><!--", "\226\128\168",
        } do
            assert.equal(text, cjson.decode('["' .. json(text) .. '"]')[1])
        end
    end)

    it("leaves no control character and no quote as it is", function()
        for byte = 0, 127 do
            local out = json(string.char(byte))
            assert.is_nil(out:find "%c", byte)
            assert.is_nil(out:find '^"', byte)
        end
        assert.equal("\\u0085", json "\194\133")
    end)

    it("puts U+FFFD for each byte that is not UTF-8", function()
        for text, wanted in pairs {
            ["\255"] = "\\ufffd", ["a\128b"] = "a\\ufffdb", ["\192\128"] = "\\ufffd\\ufffd",
            ["\237\160\128"] = "\\ufffd\\ufffd\\ufffd", ["\226\130"] = "\\ufffd\\ufffd",
            ["\240\159\166"] = "\\ufffd\\ufffd\\ufffd", ["\244\144\128\128"] = ("\\ufffd"):rep(4),
            ["\194x"] = "\\ufffdx",
        } do
            assert.equal(wanted, json(text))
        end
    end)
end)

describe("escape_invalid", function()
    it("leaves JSON as it is, but for bytes that are not UTF-8", function()
        for text, wanted in pairs {
            [""] = "", ['{"a":"\\n\226\130\172"}'] = '{"a":"\\n\226\130\172"}',
            ['["\255a\128"]'] = '["\\ufffda\\ufffd"]', ["\255"] = "\\ufffd",
        } do
            local out = ffi.new "struct buffer"
            assert.equal(0, C.escape_invalid(out, text, #text))
            assert.equal(wanted, ffi.string(out.data, out.len))
            C.buffer_deinit(out)
        end
    end)
end)
