local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

-- Reads a body in pieces. Returns what ended it (0: more is wanted), the payload, and how many
-- bytes were consumed.
local function read(pieces, chunked, length, max)
    local body = ffi.new "struct http_body"
    local result = C.http_body_start(body, chunked, length, max)
    local payload, consumed = {}, 0
    for _, piece in ipairs(result == 0 and pieces or {}) do
        local block = core.copy(piece, "char *")
        local at, len = ffi.new("const char *[1]", { block }), ffi.new("size_t[1]", #piece)
        local out, out_len = ffi.new "const char *[1]", ffi.new "size_t[1]"
        repeat
            result = C.http_body_read(body, at, len, out, out_len)
            if result == 1 then
                assert.is_true(out_len[0] > 0)
                payload[#payload + 1] = ffi.string(out[0], out_len[0])
            end
        until result ~= 1
        consumed = consumed + #piece - tonumber(len[0])
        if result ~= 0 then
            break
        end
    end
    if result < 0 then
        assert.is_true(body.why ~= nil)
        assert.are.equal(result, C.http_body_read(body, ffi.new "const char *[1]",
            ffi.new "size_t[1]", nil, nil), "a failure is repeated")
    end
    return { result, table.concat(payload), consumed }
end

local function expect(wanted, bytes, chunked, length, max)
    core.split(bytes, function(pieces, how)
        assert.are.same(wanted, read(pieces, chunked, length, max or 1000), how .. ": " .. bytes)
    end)
end

local function chunked(bytes, payload, left, max)
    expect({ 2, payload, #bytes - #(left or "") }, bytes, true, 0, max)
end

local function refuse(bytes, max)
    core.split(bytes, function(pieces, how)
        local got = read(pieces, true, 0, max or 1000)
        assert.are.equal(C.ERR_PROTOCOL, got[1], how .. ": " .. bytes)
    end)
end

describe("a message body (RFC 9112)", function()
    describe("§6.2 of a known length", function()
        it("is that many bytes, and the rest is the next message's", function()
            expect({ 2, "hello", 5 }, "helloGET /", false, 5)
        end)

        it("may be empty", function()
            expect({ 2, "", 0 }, "GET /", false, 0)
        end)

        it("is incomplete before its last byte", function()
            expect({ 0, "hell", 4 }, "hell", false, 5)
        end)

        it("is refused at once when it is over the limit", function()
            local body = ffi.new "struct http_body"
            assert.are.equal(0, C.http_body_start(body, false, 1000, 1000))
            assert.are.equal(C.ERR_TOO_BIG, C.http_body_start(body, false, 1001, 1000))
            assert.are.equal(C.ERR_TOO_BIG,
                C.http_body_start(body, false, 18446744073709551615ULL, 1000))
        end)
    end)

    describe("§7.1 chunked", function()
        it("is the chunks' data, up to a chunk of size 0", function()
            chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world", "GET /")
        end)

        it("may be empty", function()
            chunked("0\r\n\r\n", "")
        end)

        it("has sizes in hexadecimal, of either case, with zeros before", function()
            chunked("a\r\n0123456789\r\n00B\r\n0123456789a\r\n000\r\n\r\n", "01234567890123456789a")
        end)

        it("may hold CR and LF in its data", function()
            chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n")
        end)

        it("is incomplete before its last byte", function()
            local text = "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n"
            for n = 0, #text - 1 do
                assert.are.equal(0, read({ text:sub(1, n) }, true, 0, 1000)[1])
            end
        end)

        it("is refused when a size is not hexadecimal", function()
            for _, size in ipairs { "", "g", "-5", "+5", "0x5", " 5", "\t5", "5g", "5-", "\0",
                "5.0", "٥" } do
                refuse(size .. "\r\nhello\r\n")
            end
        end)

        it("is refused when a size does not fit 64 bits, whatever the limit", function()
            refuse("10000000000000000\r\n", 18446744073709551615ULL)
            refuse("fffffffffffffffff\r\n", 18446744073709551615ULL)
            refuse(("f"):rep(64) .. "\r\n", 18446744073709551615ULL)
        end)

        it("is refused when blanks stand behind a size", function()
            refuse "5 \r\nhello\r\n"
            refuse "5\t\r\nhello\r\n"
            refuse "5 5\r\nhello\r\n"
        end)

        it("is refused when a line ends with a bare LF or CR", function()
            refuse "5\nhello\r\n0\r\n\r\n"
            refuse "5\r\nhello\n0\r\n\r\n"
            refuse "5\r\nhello\r\n0\n\r\n"
            refuse "5\r\nhello\r\n0\r\n\n"
            refuse "5\rhello\r\n0\r\n\r\n"
            refuse "5;a\nhello\r\n0\r\n\r\n"
            refuse "5;a\rb\r\nhello\r\n0\r\n\r\n"
        end)

        it("is refused when a chunk's data is longer or shorter than its size", function()
            refuse "5\r\nhello!\r\n0\r\n\r\n"
            refuse "5\r\nhell\r\n0\r\n\r\n"
        end)

        it("is refused as soon as a chunk passes the limit", function()
            expect({ C.ERR_TOO_BIG, "hello", 13 }, "5\r\nhello\r\n6\r\n world", true, 0, 10)
            chunked("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", "helloworld", "", 10)
            expect({ C.ERR_TOO_BIG, "", 18 }, "ffffffffffffffff\r\nx", true, 0, 10)
            expect({ C.ERR_TOO_BIG, "ab", 25 }, "2\r\nab\r\nffffffffffffffff\r\nx", true, 0,
                18446744073709551615ULL)
        end)
    end)

    describe("§7.1.1 chunk extensions", function()
        it("are dropped, with blanks before the semicolon", function()
            chunked("5;a=b;c=\"d e\"\r\nhello\r\n0 \t;x\r\n\r\n", "hello")
        end)

        it("fit a line of 256 bytes", function()
            local room = tonumber(C.HTTP_BODY_LINE_MAX) - #"5;\r\n"
            local rest = "\r\nhello\r\n0\r\n\r\n"
            chunked("5;" .. ("x"):rep(room) .. rest, "hello")
            refuse("5;" .. ("x"):rep(room + 1) .. rest)
            refuse("5" .. (" "):rep(room + 1) .. ";" .. rest)
            refuse(("0"):rep(room + 3) .. "5" .. rest)
        end)

        it("hold no control characters", function()
            refuse "5;\0\r\nhello\r\n0\r\n\r\n"
            refuse "5;\127\r\nhello\r\n0\r\n\r\n"
        end)
    end)

    describe("§7.1.2 trailers", function()
        it("are dropped", function()
            chunked("5\r\nhello\r\n0\r\nA: b\r\nExpires:\r\n\r\nGET /", "hello", "GET /")
        end)

        it("fit 4096 bytes", function()
            local function trailers(bytes)
                return "0\r\nA:" .. ("x"):rep(bytes - #"A:\r\n\r\n") .. "\r\n\r\n"
            end
            local max = tonumber(C.HTTP_BODY_TRAILERS_MAX)
            assert.are.equal(2, read({ trailers(max) }, true, 0, 1000)[1])
            assert.are.equal(C.ERR_PROTOCOL, read({ trailers(max + 1) }, true, 0, 1000)[1])
            local many = "0\r\n" .. ("A:\r\n"):rep(max / 4) .. "\r\n"
            assert.are.equal(C.ERR_PROTOCOL, read({ many }, true, 0, 1000)[1])
        end)

        it("must be fields", function()
            refuse "0\r\n: a\r\n\r\n"
            refuse "0\r\nA\r\n\r\n"
            refuse "0\r\nA : b\r\n\r\n"
            refuse "0\r\n A: b\r\n\r\n"
            refuse "0\r\nA: \0\r\n\r\n"
            refuse "0\r\nA: b\n\r\n"
            refuse "0\r\nA: b\r\r\n"
        end)
    end)
end)
