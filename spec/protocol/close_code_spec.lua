local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function decode(payload)
    local code = ffi.new "uint16_t[1]"
    local rc = C.close_decode(core.copy(payload), #payload, code)
    return rc == 0 and code[0] or core.name(rc)
end

local function encode(code, reason)
    local out = ffi.new "uint8_t[125]"
    local len = C.close_encode(out, code, reason, reason and #reason or 0)
    return ffi.string(out, len)
end

local function wire(code)
    return string.char(math.floor(code / 256), code % 256)
end

describe("close_code", function()
    it("§7.4 takes exactly 1000–1003, 1007–1014 and 3000–4999", function()
        for code = 0, 65535 do
            local good = code >= 1000 and code <= 1003 or code >= 1007 and code <= 1014
                or code >= 3000 and code <= 4999
            if C.close_code_valid(code) ~= good or (decode(wire(code)) == code) ~= good then
                error("code " .. code)
            end
        end
        assert.is_false(C.close_code_valid(65536 + 1000))
    end)

    it("§7.4.1 refuses 1005, 1006 and 1015, which never stand in a frame", function()
        for _, code in ipairs { 1004, 1005, 1006, 1015 } do
            assert.are.equal("ERR_PROTOCOL", decode(wire(code)))
        end
    end)

    it("§7.1.5 reads an empty payload as 1005", function()
        assert.are.equal(1005, decode "")
    end)

    it("§5.5.1 refuses a payload of one byte", function()
        assert.are.equal("ERR_PROTOCOL", decode "\3")
    end)

    it("§5.5.1 reads the code in network byte order, with a reason", function()
        assert.are.equal(1001, decode "\3\233going away")
        assert.are.equal(4999, decode(wire(4999) .. ("é"):rep(61)))
    end)

    it("§8.1 refuses a reason that is not UTF-8 or ends within a character", function()
        assert.are.equal("ERR_UTF8", decode(wire(1000) .. "a\255"))
        assert.are.equal("ERR_UTF8", decode(wire(1000) .. "\237\160\128"))
        assert.are.equal("ERR_UTF8", decode(wire(1000) .. "\226\130"))
    end)

    it("§5.5.1 writes what it reads", function()
        assert.are.equal("\3\232bye", encode(1000, "bye"))
        assert.are.equal("\3\232", encode(1000, nil))
        assert.are.equal(3000, decode(encode(3000, "ünïcödé")))
    end)

    it("§7.4.1 writes 1005 as an empty payload", function()
        assert.are.equal("", encode(1005, "not sent"))
    end)

    it("§5.5 cuts a reason to 123 bytes at a character's start", function()
        assert.are.equal(125, #encode(1000, ("a"):rep(123)))
        assert.are.equal(wire(1000) .. ("a"):rep(123), encode(1000, ("a"):rep(124)))
        for _, unit in ipairs { "é", "日", "🌙" } do
            for before = 0, 4 do
                local reason = ("a"):rep(before) .. unit:rep(70)
                local payload = encode(1000, reason)
                assert.are.equal(1000, decode(payload))
                assert.are.equal(payload:sub(3), reason:sub(1, #payload - 2))
                assert.is_true(#payload > 125 - #unit and #payload <= 125)
            end
        end
    end)

    it("§7.4.1 names a code for each failure of a reader", function()
        assert.are.equal(1002, C.close_code_for(C.ERR_PROTOCOL))
        assert.are.equal(1007, C.close_code_for(C.ERR_UTF8))
        assert.are.equal(1009, C.close_code_for(C.ERR_TOO_BIG))
        assert.are.equal(1011, C.close_code_for(C.ERR_MEMORY))
    end)
end)
