-- Headers of the PROXY protocol as proxies send them (HAProxy's proxy-protocol.txt).

local bit = require "bit"

local M = {}

M.signature = "\r\n\r\n\0\r\nQUIT\n"

-- Version 1: line "TCP4 192.0.2.1 …", with what ends it.
function M.v1(line)
    return "PROXY " .. line .. "\r\n"
end

function M.tlv(type, value)
    return string.char(type, bit.rshift(#value, 8), bit.band(#value, 255)) .. value
end

function M.port(n)
    return string.char(bit.rshift(n, 8), bit.band(n, 255))
end

-- Version 2 as it lies on the wire. options: first (the byte of version and command; 0x21), length
-- (another one than that of body).
function M.v2(family, body, options)
    options = options or {}
    return M.signature .. string.char(options.first or 0x21, family)
        .. M.port(options.length or #body) .. body
end

M.TCP4, M.TCP6, M.UNIX = 0x11, 0x21, 0x31

-- Addresses and ports of one connection over IPv4: M.v2(M.TCP4, M.ipv4("192.0.2.1", …)).
function M.ipv4(source, destination, source_port, destination_port)
    local function bytes(text)
        return (text:gsub("(%d+)%.?", function(n)
            return string.char(tonumber(n))
        end))
    end
    return bytes(source) .. bytes(destination) .. M.port(source_port) .. M.port(destination_port)
end

-- Slow and plain, for specs to compare with: the CRC-32C of a text (RFC 9260 Appendix A).
function M.crc32c(text)
    local crc = -1
    for i = 1, #text do
        crc = bit.bxor(crc, text:byte(i))
        for _ = 1, 8 do
            local odd = bit.band(crc, 1) == 1
            crc = bit.rshift(crc, 1)
            if odd then
                crc = bit.bxor(crc, 0x82F63B78)
            end
        end
    end
    return bit.bnot(crc)
end

-- A header with a checksum (PP2_TYPE_CRC32C, §2.2.3) after its body; wrong: flips its last bit.
function M.checked(family, body, wrong)
    local whole = M.v2(family, body .. M.tlv(3, "\0\0\0\0"))
    local crc = M.crc32c(whole)
    if wrong then
        crc = bit.bxor(crc, 1)
    end
    return whole:sub(1, -5) .. M.port(bit.rshift(crc, 16)) .. M.port(bit.band(crc, 65535))
end

return M
