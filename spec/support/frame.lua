-- WebSocket frames as bytes (RFC 6455 §5.2), legal or not, for peers that say what no client would.

local bit = require "bit"
local ffi = require "ffi"

local M = {}

M.CONTINUATION, M.TEXT, M.BINARY, M.CLOSE, M.PING, M.PONG = 0, 1, 2, 8, 9, 10

local default_key = "\55\250\33\61"

-- Masked or unmasked: the same (§5.3).
function M.mask(payload, key)
    local n = #payload
    local out = ffi.new("uint8_t[?]", math.max(n, 1), {})
    local k = { key:byte(1, 4) }
    ffi.copy(out, payload, n)
    for i = 0, key == "\0\0\0\0" and -1 or n - 1 do
        out[i] = bit.bxor(out[i], k[i % 4 + 1])
    end
    return ffi.string(out, n)
end

-- A number in size bytes, the highest first.
function M.big_endian(n, size)
    local out = {}
    for i = size, 1, -1 do
        out[i] = string.char(n % 256)
        n = math.floor(n / 256)
    end
    return table.concat(out)
end

-- The length's marker (7 bits) and the bytes that follow. form: 7, 16, 64; nil: the shortest.
local function length_of(n, form)
    form = form or (n < 126 and 7 or n < 65536 and 16 or 64)
    if form == 7 then
        return n, ""
    end
    return form == 16 and 126 or 127, M.big_endian(n, form / 8)
end

-- A client's frame. options: fin (true), rsv1, rsv2, rsv3 (false), key (four bytes; false: not
-- masked), form (7, 16 or 64 bits of length; nil: the shortest), claims (a length other than the
-- payload's own).
function M.build(opcode, payload, options)
    local o = options or {}
    local marker, length = length_of(o.claims or #payload, o.form)
    local first = (o.fin == false and 0 or 0x80) + (o.rsv1 and 0x40 or 0) + (o.rsv2 and 0x20 or 0)
        + (o.rsv3 and 0x10 or 0) + opcode
    if o.key == false then
        return string.char(first, marker) .. length .. payload
    end
    local key = o.key or default_key
    return string.char(first, marker + 0x80) .. length .. key .. M.mask(payload, key)
end

-- The payload of a Close frame (§5.5.1).
function M.close(code, reason)
    return code and M.big_endian(code, 2) .. (reason or "") or ""
end

-- A Close frame's payload to code and reason; nothing for an empty one.
function M.parse_close(payload)
    if #payload >= 2 then
        return payload:byte(1) * 256 + payload:byte(2), payload:sub(3)
    end
end

-- A server's frame as it arrives, in the shortest form.
function M.from_server(opcode, payload, options)
    local o = {}
    for name, value in pairs(options or {}) do
        o[name] = value
    end
    o.key = false
    return M.build(opcode, payload, o)
end

-- Reads a frame with bytes(n), which gives n bytes or nil, why. Returns { opcode, payload, fin,
-- rsv1, rsv2, rsv3, masked }, or nil, why when the stream ends before one begins.
function M.read(bytes)
    local head, why = bytes(2)
    if not head then
        return nil, why
    end
    local first, second = head:byte(1, 2)
    local n = bit.band(second, 0x7f)
    if n >= 126 then
        local long = assert(bytes(n == 126 and 2 or 8))
        n = 0
        for i = 1, #long do
            n = n * 256 + long:byte(i)
        end
    end
    local key = second >= 0x80 and assert(bytes(4))
    local payload = n > 0 and assert(bytes(n)) or ""
    return {
        opcode = bit.band(first, 0x0f),
        payload = key and M.mask(payload, key) or payload,
        fin = first >= 0x80,
        rsv1 = bit.band(first, 0x40) ~= 0,
        rsv2 = bit.band(first, 0x20) ~= 0,
        rsv3 = bit.band(first, 0x10) ~= 0,
        masked = second >= 0x80,
    }
end

return M
