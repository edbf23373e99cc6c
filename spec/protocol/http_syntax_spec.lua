local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function is_token(text)
    return C.http_is_token(core.copy(text, "char *"), #text)
end

local function equal(text, lower)
    return C.http_equal(core.copy(text, "char *"), #text, lower)
end

local function trim(text)
    local at = ffi.new("const char *[1]", { core.copy(text, "char *") })
    local block, len = at[0], ffi.new("size_t[1]", #text)
    C.http_trim(at, len)
    local result = ffi.string(at[0], len[0])
    assert(block ~= nil)
    return result
end

local function list(text)
    local block = core.copy(text, "char *")
    local at, len = ffi.new("const char *[1]", { block }), ffi.new("size_t[1]", #text)
    local item, item_len = ffi.new "const char *[1]", ffi.new "size_t[1]"
    local items = {}
    while C.http_list_next(at, len, item, item_len) do
        items[#items + 1] = ffi.string(item[0], item_len[0])
    end
    assert.are.equal(0, tonumber(len[0]))
    assert.is_true(at[0] == block + #text)
    return items
end

describe("field syntax (RFC 9110 §5.6)", function()
    it("§5.6.2 knows the bytes of a token", function()
        local allowed = "!#$%&'*+-.^_`|~0123456789"
            .. "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for byte = 0, 255 do
            local c = string.char(byte)
            assert.are.equal(allowed:find(c, 1, true) ~= nil, is_token("a" .. c), "byte " .. byte)
        end
    end)

    it("§5.6.2 does not take nothing for a token", function()
        assert.is_false(is_token "")
    end)

    it("compares without case, and to the end", function()
        assert.is_true(equal("WebSocket", "websocket"))
        assert.is_true(equal("", ""))
        assert.is_false(equal("web", "websocket"))
        assert.is_false(equal("websocket13", "websocket"))
        assert.is_false(equal("websockeT\0", "websocket"))
        assert.is_false(equal("[", "{"))
        assert.is_false(equal("a\0b", "a"))
    end)

    it("§5.6.3 cuts blanks at both ends only", function()
        assert.are.equal("a \t b", trim " \t a \t b\t ")
        assert.are.equal("", trim " \t ")
        assert.are.equal("", trim "")
        assert.are.equal("\11a", trim "\11a")
    end)

    it("§5.6.1 cuts lists at commas, without blanks and empty members", function()
        assert.are.same({ "a", "b c", "d" }, list ", a ,\tb c,,d , ")
        assert.are.same({ "a" }, list "a")
        assert.are.same({}, list "")
        assert.are.same({}, list " , ,\t")
    end)
end)
