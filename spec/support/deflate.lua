-- A client's compression (RFC 7692 §7.2): zlib itself, through the FFI, one window for a whole
-- connection.

local ffi = require "ffi"

ffi.cdef [[
typedef struct {
    const uint8_t *next_in; unsigned avail_in; unsigned long total_in;
    uint8_t *next_out; unsigned avail_out; unsigned long total_out;
    const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
    int data_type; unsigned long adler; unsigned long reserved;
} moonwire_spec_z_stream;
int deflateInit2_(moonwire_spec_z_stream *s, int level, int method, int bits, int memory,
                  int strategy, const char *version, int size);
int deflate(moonwire_spec_z_stream *s, int flush);
int deflateReset(moonwire_spec_z_stream *s);
int deflateEnd(moonwire_spec_z_stream *s);
int inflateInit2_(moonwire_spec_z_stream *s, int bits, const char *version, int size);
int inflate(moonwire_spec_z_stream *s, int flush);
int inflateReset(moonwire_spec_z_stream *s);
int inflateEnd(moonwire_spec_z_stream *s);
const char *zlibVersion(void);
]]

local z = ffi.load "z"
local stream_type = ffi.typeof "moonwire_spec_z_stream"
local version, size = z.zlibVersion(), ffi.sizeof(stream_type)
local Z_SYNC_FLUSH, Z_OK, Z_BUF_ERROR, Z_DEFLATED = 2, 0, -5, 8

local M = {}

local Stream = {}
Stream.__index = Stream

local function check(status, stream)
    if status ~= Z_OK and status ~= Z_BUF_ERROR then
        local text = stream.msg ~= nil and ffi.string(stream.msg) or "status " .. status
        error("zlib: " .. text, 0)
    end
end

-- Runs the bytes through; returns all that comes out, made in pieces of so many bytes.
local function pump(run, stream, bytes, chunk)
    local out, parts = ffi.new("uint8_t[?]", chunk), {}
    stream.next_in, stream.avail_in = ffi.cast("const uint8_t *", bytes), #bytes
    repeat
        stream.next_out, stream.avail_out = out, chunk
        check(run(stream, Z_SYNC_FLUSH), stream)
        parts[#parts + 1] = ffi.string(out, chunk - stream.avail_out)
    until stream.avail_out > 0
    return table.concat(parts)
end

-- A compressor with a window of so many bits (15).
function M.deflater(bits)
    local s = stream_type()
    check(z.deflateInit2_(s, 9, Z_DEFLATED, -(bits or 15), 8, 0, version, size), s)
    return setmetatable({ stream = ffi.gc(s, z.deflateEnd) }, Stream)
end

-- A decompressor that has a window of so many bits, and refuses what refers to more.
function M.inflater(bits)
    local s = stream_type()
    check(z.inflateInit2_(s, -(bits or 15), version, size), s)
    return setmetatable({ stream = ffi.gc(s, z.inflateEnd) }, Stream)
end

-- A message's payload for it (§7.2.1): without the 00 00 ff ff of the flush.
function Stream:deflate(text)
    local out = pump(z.deflate, self.stream, text, 65536)
    assert(out:sub(-4) == "\0\0\255\255")
    return out:sub(1, -5)
end

-- The message of a payload (§7.2.2).
function Stream:inflate(payload)
    -- In small pieces: zlib sees a distance beyond the window only where it has to look there.
    return pump(z.inflate, self.stream, payload .. "\0\0\255\255", 64)
end

-- Forgets a compressor's window.
function Stream:forget()
    check(z.deflateReset(self.stream), self.stream)
end

return M
