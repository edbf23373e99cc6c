local ffi = require "ffi"
local core = require "spec.support.cdef"
local proxy = require "spec.support.proxy"
local C = core.C

local sources = { [0] = "proxy", "ipv4", "ipv6", "unix" }

-- Gives the parser all that has come so far, after each piece. Returns the result, as a text, and
-- the length; it must not ask for more when there are bytes behind the header.
local function feed(pieces)
    local header, text = ffi.new "struct proxy_header", ""
    for _, piece in ipairs(pieces) do
        text = text .. piece
        local len = tonumber(C.proxy_header_parse(header, core.copy(text), #text))
        if len == C.ERR_PROTOCOL then
            assert.is_true(header.why ~= nil)
            return "refused: " .. ffi.string(header.why)
        elseif len ~= 0 then
            assert.is_true(len > 0 and len <= #text)
            local bytes = {}
            for i = 0, 15 do
                bytes[i + 1] = ("%02x"):format(header.address[i])
            end
            return ("%s %s %d"):format(sources[tonumber(header.source)], table.concat(bytes),
                header.port), len
        end
    end
    return "more"
end

-- The same whole, byte by byte and cut at each place.
local function parse(text)
    local result, len = feed { text }
    core.split(text, function(pieces, how)
        local other, other_len = feed(pieces)
        assert.equal(result, other, how)
        assert.equal(len, other_len, how)
    end)
    return result, len
end

-- It is whole, and what follows is not looked at.
local function gives(result, text)
    local got, len = parse(text)
    assert.equal(result, got, ("%q"):format(text))
    assert.equal(#text, len)
    for _, rest in ipairs { "G", "GET / HTTP/1.1\r\n\r\n", "\22\3\1", "\n", text } do
        got, len = feed { text .. rest }
        assert.equal(result, got)
        assert.equal(#text, len)
    end
    for cut = 1, #text - 1 do
        assert.equal("more", (feed { text:sub(1, cut) }))
    end
end

local function refuses(why, text)
    local got = parse(text)
    assert.equal("refused: " .. why, got, ("%q"):format(text))
end

local v1, v2, tlv = proxy.v1, proxy.v2, proxy.tlv
local nothing = ("0"):rep(32)
local ipv4 = proxy.ipv4("192.0.2.10", "198.51.100.1", 56324, 443)
local of_ipv4 = "ipv4 c000020a" .. ("0"):rep(24) .. " 56324"
local v6_source = "\32\1\13\184" .. ("\0"):rep(11) .. "\1"
local ipv6 = v6_source .. ("\0"):rep(15) .. "\1" .. proxy.port(1) .. proxy.port(443)
local of_ipv6 = "ipv6 20010db8" .. ("0"):rep(22) .. "01 1"
local paths = ("/client"):rep(15) .. "\0\0\0" .. "/run/x.sock" .. ("\0"):rep(97)

describe("A PROXY header of version 1 (§2.1)", function()
    it("says whose connection it is", function()
        gives(of_ipv4, v1 "TCP4 192.0.2.10 198.51.100.1 56324 443")
        gives("ipv4 ffffffff" .. ("0"):rep(24) .. " 65535",
            v1 "TCP4 255.255.255.255 255.255.255.255 65535 65535")
        gives(of_ipv6, v1 "TCP6 2001:db8::1 ::1 1 443")
        gives("ipv6 " .. ("f"):rep(32) .. " 65535", v1("TCP6 " .. ("ffff:"):rep(7) .. "ffff "
            .. ("ffff:"):rep(7) .. "ffff 65535 65535")) -- 104 bytes
        gives("ipv4 00000000" .. ("0"):rep(24) .. " 0", v1 "TCP4 0.0.0.0 0.0.0.0 0 0")
    end)

    it("may know nobody, whatever else it says", function()
        gives("proxy " .. nothing .. " 0", v1 "UNKNOWN")
        gives("proxy " .. nothing .. " 0", v1 "UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535")
        gives("proxy " .. nothing .. " 0", v1("UNKNOWN " .. ("x"):rep(91))) -- 107 bytes
    end)

    it("is one line of at most 107 bytes", function()
        refuses("its line is longer than 107 bytes", v1("UNKNOWN " .. ("x"):rep(92)))
        refuses("its line is longer than 107 bytes", "PROXY " .. ("x"):rep(1000))
        refuses("its line does not end with CRLF", "PROXY TCP4 192.0.2.10 198.51.100.1 56324 443\n")
        refuses("its line does not end with CRLF", "PROXY UNKNOWN\rX\r\n")
        refuses("its line does not end with CRLF", "PROXY UNKNOWN\n\r\n")
    end)

    it("has five fields with one space between two", function()
        for _, line in ipairs { "", "TCP4", "TCP4 192.0.2.10 198.51.100.1 56324",
            "TCP4 192.0.2.10 198.51.100.1 56324 443 ", "TCP4 192.0.2.10 198.51.100.1 56324 443 1",
            "TCP4  192.0.2.10 198.51.100.1 56324 443", " TCP4 192.0.2.10 198.51.100.1 56324 443",
            "TCP4 192.0.2.10 198.51.100.1 56324 ", "TCP4\t192.0.2.10\t198.51.100.1\t56324\t443",
            "TCP4 192.0.2.10\0 198.51.100.1 56324 443", "TCP4 " .. ("1"):rep(50) .. " 1 1 1" } do
            refuses("its line has not the five fields of version 1", v1(line))
        end
    end)

    it("has a family, and addresses of it", function()
        for _, family in ipairs { "tcp4", "TCP", "TCP5", "UDP4", "UNIX", "UNKNOWNX", "unknown" } do
            refuses("its family is none of TCP4, TCP6 and UNKNOWN",
                v1(family .. " 192.0.2.10 198.51.100.1 56324 443"))
        end
        for _, addresses in ipairs { "TCP4 ::1 ::1", "TCP4 192.0.2.10 ::1", "TCP4 ::1 192.0.2.10",
            "TCP6 192.0.2.1 192.0.2.1", "TCP4 192.0.2.010 1.1.1.1", "TCP4 192.0.2 1.1.1.1",
            "TCP4 192.0.2.256 1.1.1.1", "TCP4 1.1.1.1 0x1.1.1.1", "TCP4 localhost 1.1.1.1",
            "TCP6 fe80::1%lo ::1", "TCP6 [::1] ::1", "TCP6 ::1::2 ::1", "TCP4 -1.1.1.1 1.1.1.1" } do
            refuses("an address is not one of its family", v1(addresses .. " 1 1"))
        end
    end)

    it("has ports that are numbers without leading zeros", function()
        for _, port in ipairs { "65536", "00", "01", "-1", "+1", "1x", "0x1", "1.0", "99999",
            "100000", "4294967297" } do
            refuses("a port is not a number from 0 to 65535", v1("TCP4 1.1.1.1 1.1.1.1 " .. port
                .. " 1"))
            refuses("a port is not a number from 0 to 65535", v1("TCP4 1.1.1.1 1.1.1.1 1 " .. port))
        end
    end)
end)

describe("A PROXY header of version 2 (§2.2)", function()
    it("says whose connection it is", function()
        gives(of_ipv4, v2(proxy.TCP4, ipv4))
        gives(of_ipv6, v2(proxy.TCP6, ipv6))
        gives("unix " .. nothing .. " 0", v2(proxy.UNIX, paths))
    end)

    it("may be about the proxy itself, whatever else it says", function()
        for _, body in ipairs { "", ipv4, "x", ("x"):rep(4080) } do
            gives("proxy " .. nothing .. " 0", v2(proxy.TCP4, body, { first = 0x20 }))
            gives("proxy " .. nothing .. " 0", v2(0, body, { first = 0x20 }))
            gives("proxy " .. nothing .. " 0", v2(0, body))
            gives("proxy " .. nothing .. " 0", v2(0xFF, body, { first = 0x20 }))
        end
    end)

    it("may carry TLVs, which are skipped", function()
        for _, tlvs in ipairs { tlv(4, ""), tlv(4, ("\0"):rep(100)),
            tlv(1, "h2") .. tlv(2, "a.test"),
            tlv(0xEA, "\1vpce-1"), tlv(0x20, "\1\0\0\0\0" .. tlv(0x21, "TLSv1.3")),
            tlv(0xFF, ("x"):rep(4000)) } do
            gives(of_ipv4, v2(proxy.TCP4, ipv4 .. tlvs))
            gives(of_ipv6, v2(proxy.TCP6, ipv6 .. tlv(5, "id")))
        end
        gives("unix " .. nothing .. " 0", v2(proxy.UNIX, paths .. tlv(5, "id")))
    end)

    it("has TLVs that fill it exactly", function()
        for i = 1, 2 do
            refuses("a TLV is cut off", v2(proxy.TCP4, ipv4 .. tlv(4, ""):sub(1, i)))
        end
        refuses("a TLV is cut off", v2(proxy.TCP4, ipv4 .. tlv(4, "a") .. "\4"))
        refuses("a TLV is longer than the header", v2(proxy.TCP4, ipv4 .. tlv(4, "ab"):sub(1, -2)))
        refuses("a TLV is longer than the header", v2(proxy.TCP4, ipv4 .. "\4\255\255"))
    end)

    it("may have a checksum, which must be right", function()
        gives(of_ipv4, proxy.checked(proxy.TCP4, ipv4))
        gives(of_ipv4, proxy.checked(proxy.TCP4, ipv4 .. tlv(1, "h2")))
        gives("unix " .. nothing .. " 0", proxy.checked(proxy.UNIX, paths))
        local behind = proxy.v2(proxy.TCP4, ipv4 .. tlv(3, "\0\0\0\0") .. tlv(1, "h2"))
        local crc = proxy.crc32c(behind)
        gives(of_ipv4, proxy.v2(proxy.TCP4, ipv4 .. tlv(3, proxy.port(bit.rshift(crc, 16))
            .. proxy.port(bit.band(crc, 65535))) .. tlv(1, "h2")))
        refuses("its checksum is wrong", proxy.checked(proxy.TCP4, ipv4, true))
        refuses("its checksum is wrong", proxy.v2(proxy.TCP4, ipv4 .. tlv(3, "\0\0\0\0")))
        refuses("it has no single checksum of 4 bytes", v2(proxy.TCP4, ipv4 .. tlv(3, "\0\0\0")))
        refuses("it has no single checksum of 4 bytes",
            v2(proxy.TCP4, ipv4 .. tlv(3, "\0\0\0\0") .. tlv(3, "\0\0\0\0")))
    end)

    it("has a version, a command and a family that are known", function()
        for _, first in ipairs { 0x01, 0x11, 0x31, 0xF1 } do
            refuses("its version is not 2", v2(proxy.TCP4, ipv4, { first = first }))
        end
        for _, first in ipairs { 0x22, 0x2F } do
            refuses("its command is neither LOCAL nor PROXY",
                v2(proxy.TCP4, ipv4, { first = first }))
        end
        for _, family in ipairs { 0x01, 0x10, 0x13, 0x20, 0x30, 0x41, 0xFF } do
            refuses("its address family is unknown", v2(family, paths))
        end
        for _, family in ipairs { 0x12, 0x22, 0x32 } do
            refuses("it is about datagrams", v2(family, paths))
        end
    end)

    it("has room for its addresses, and is not endless", function()
        for family, body in pairs { [0x11] = ipv4, [0x21] = ipv6, [0x31] = paths } do
            refuses("it is too short for its addresses", v2(family, ""))
            refuses("it is too short for its addresses", v2(family, body:sub(1, -2)))
        end
        gives(of_ipv4, v2(proxy.TCP4, ipv4 .. tlv(4, ("x"):rep(4096 - 16 - 12 - 3))))
        refuses("it is longer than 4096 bytes", v2(proxy.TCP4, ipv4 .. tlv(4, ("x"):rep(4066))))
        refuses("it is longer than 4096 bytes", v2(proxy.TCP4, "", { length = 65535 }))
        refuses("it is longer than 4096 bytes", v2(0, "", { first = 0x20, length = 65535 }))
    end)
end)

describe("What is no PROXY header", function()
    it("is refused at its first wrong byte", function()
        for _, text in ipairs { "GET / HTTP/1.1\r\n\r\n", "\22\3\1\2\0", "PROXY\tTCP4",
            "proxy TCP4", " PROXY TCP4", "\r\n\r\n\0\r\nQUIT\r", "\r\n\r\nGET", "\0", "PROXYX",
            "PRI * HTTP/2" } do
            refuses("there is none", text)
        end
        assert.equal("more", (feed { "" }))
    end)
end)
