local ffi = require "ffi"
local core = require "spec.support.cdef"
local http = require "spec.support.http"
local C = core.C

local function head(fields)
    local out = core.new("struct buffer", C.buffer_deinit)
    fields.now = 784111777
    assert.are.equal(0, C.http_response_head(out, ffi.new("struct http_response", fields)))
    return core.string(out)
end

local function header(name, value)
    local out = core.new("struct buffer", C.buffer_deinit)
    local result = C.http_response_header(out, core.copy(name, "char *"), #name,
        core.copy(value, "char *"), #value)
    assert.is_true(result == 0 or out.len == 0)
    return result, core.string(out)
end

local date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

describe("a response's head (RFC 9112)", function()
    it("§4 begins with the status line", function()
        assert.are.equal("HTTP/1.1 404 Not Found\r\n" .. date .. "\r\n", head { status = 404 })
    end)

    it("§4 keeps the blank of a status without a text", function()
        assert.are.equal("HTTP/1.1 299 \r\n" .. date .. "\r\n", head { status = 299 })
        assert.are.equal("", ffi.string(C.http_status_text(299)))
    end)

    it("has every field that was asked for", function()
        local more = "Set-Cookie: a=b\r\nX-A: c\r\n"
        local text = head {
            status = 200, type = "text/plain", has_length = true, close = true,
            content_length = 18446744073709551615ULL, headers = more, headers_len = #more,
        }
        assert.are.equal("HTTP/1.1 200 OK\r\n" .. date .. "Content-Type: text/plain\r\n"
            .. "Content-Length: 18446744073709551615\r\nConnection: close\r\n" .. more .. "\r\n",
            text)
    end)

    it("§9.3 tells an HTTP/1.0 client that the connection stays, unless it closes", function()
        local text = head { status = 200, keep_alive = true }
        assert.is_truthy(text:find "Connection: keep%-alive\r\n")
        text = head { status = 200, keep_alive = true, close = true }
        assert.is_truthy(text:find "Connection: close\r\n")
        assert.is_nil(text:find "keep%-alive")
    end)

    it("§8.6 of RFC 9110: has no length with 1xx and 204", function()
        for _, status in ipairs { 100, 101, 204 } do
            assert.is_nil(head { status = status, has_length = true }:find "Content%-Length")
        end
        for _, status in ipairs { 200, 205, 304, 404 } do
            local text = head { status = status, has_length = true }
            assert.is_truthy(text:find "Content%-Length: 0\r\n")
        end
    end)

    it("is what our own parser reads, for every status with a text", function()
        local texts = 0
        for status = 100, 599 do
            if C.http_status_text(status)[0] ~= 0 then
                texts = texts + 1
                local text = head { status = status, type = "a/b" }
                local parsed = http.parse(text, { response = true })
                assert.are.equal(1, parsed.result)
                assert.are.equal(status, parsed.head.status)
            end
        end
        assert.is_true(texts > 40)
    end)

    it("is appended to what is there", function()
        local out = core.new("struct buffer", C.buffer_deinit)
        assert.are.equal(0, C.buffer_append(out, "before", 6))
        local r = ffi.new("struct http_response", { status = 200 })
        assert.are.equal(0, C.http_response_head(out, r))
        assert.are.equal("beforeHTTP/1.1 200 OK\r\n", core.string(out):sub(1, 23))
    end)
end)

describe("a header of a script (RFC 9110 §5)", function()
    it("is written as a line", function()
        assert.are.same({ 0, "X-A: b c\r\n" }, { header("X-A", "b c") })
        assert.are.same({ 0, "X-A: \r\n" }, { header("X-A", "") })
        assert.are.same({ 0, "X-A: \t\128\255\r\n" }, { header("X-A", "\t\128\255") })
    end)

    it("§5.1 must have a token for a name", function()
        for _, name in ipairs { "", "a b", "a:", "a\r\nb", "a\0", "\195\169", "(a)" } do
            assert.are.equal(C.ERR_INVALID, header(name, "x"))
        end
    end)

    it("§5.5 cannot split the response", function()
        for byte = 0, 127 do
            local bad = byte < 32 and byte ~= 9 or byte == 127
            assert.are.equal(bad and C.ERR_INVALID or 0, (header("X-A", "a" .. string.char(byte))))
        end
        assert.are.equal(C.ERR_INVALID, (header("X-A", "a\r\nSet-Cookie: b")))
    end)

    it("may not be one that the server writes itself, in any case of letters", function()
        for _, name in ipairs { "Connection", "content-length", "DATE", "Transfer-Encoding",
            "Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Version", "Sec-WebSocket-Key" } do
            assert.are.equal(C.ERR_INVALID, (header(name, "x")), name)
        end
    end)

    it("may be any other", function()
        for _, name in ipairs { "Set-Cookie", "Content-Type", "Location", "Cache-Control", "Vary",
            "Connection-Id", "Updated", "Server" } do
            assert.are.equal(0, (header(name, "x")), name)
        end
    end)
end)
