-- Request bodies as handlers get them (RFC 9112 §6, §7.1), and Expect (RFC 9110 §10.1.1).

local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { body_bytes = "4M" }
mw.any("/echo", function(req) return 200, req.body, { ["X-Length"] = #req.body } end)
mw.post("/json", function(req)
    local value, problem = req:json()
    return value and { got = value } or { problem = problem }
end)
mw.post("/wait", function(req)
    mw.sleep("20ms")
    return req.body
end)
]]

describe("a request's body", function()
    local server = servers.shared(app)
    local p

    before_each(function()
        p = assert(server:connect())
    end)

    local function head(fields, path, method)
        return ("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(method or "POST", path or "/echo",
            fields)
    end

    local function with_length(body, path, method)
        return head("Content-Length: " .. #body .. "\r\n", path, method) .. body
    end

    -- The body in chunks of these sizes, again and again.
    local function chunked(body, sizes, path)
        local parts, at, i = {}, 1, 0
        while at <= #body do
            local part = body:sub(at, at + sizes[i % #sizes + 1] - 1)
            parts[#parts + 1] = ("%x\r\n%s\r\n"):format(#part, part)
            at, i = at + #part, i + 1
        end
        return head("Transfer-Encoding: chunked\r\n", path) .. table.concat(parts) .. "0\r\n\r\n"
    end

    local function comes_back(body)
        local r = assert(p:response())
        assert.equal(200, r.status)
        assert.equal(#body, tonumber(r.headers["x-length"]))
        assert.is_true(body == r.body, "another body came back")
    end

    -- Every byte, and none twice in the same place of two chunks.
    local bytes = {}
    for i = 0, 255 do
        bytes[#bytes + 1] = string.char(i, 255 - i)
    end
    local small = table.concat(bytes)
    local large = small:rep(4096) -- 2 MB

    it("may be empty", function()
        p:send(with_length "")
        comes_back ""
        p:send(head "Transfer-Encoding: chunked\r\n" .. "0\r\n\r\n")
        comes_back ""
        p:send(head "")
        comes_back ""
    end)

    it("comes with its length, in one piece or byte by byte", function()
        p:send(with_length(small))
        comes_back(small)
        p:trickle(with_length(small))
        comes_back(small)
        p:send(with_length(large))
        comes_back(large)
    end)

    it("comes in chunks of any size", function()
        for _, sizes in ipairs { { 1 }, { 2, 3, 5 }, { 255, 1 }, { 256 }, { 512 } } do
            p:send(chunked(small, sizes))
            comes_back(small)
        end
        for _, sizes in ipairs { { 65536 }, { 1, 100000 }, { #large } } do
            p:send(chunked(large, sizes))
            comes_back(large)
        end
    end)

    it("comes in chunks, byte by byte", function()
        p:trickle(chunked(small, { 7, 200 }))
        comes_back(small)
    end)

    it("comes in chunks with extensions and trailers, which say nothing here", function()
        p:trickle(head "Transfer-Encoding: Chunked\r\n"
            .. "3;name=value\r\nabc\r\n00A;q=\"a;b\"\r\n0123456789\r\n0;last\r\n"
            .. "X-Checksum: 1\r\nContent-Length: 99\r\n\r\n")
        comes_back "abc0123456789"
    end)

    it("comes with every method that has a handler", function()
        for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
            p:send(with_length("from " .. method, "/echo", method))
            comes_back("from " .. method)
        end
    end)

    it("follows another one on the same connection, in whatever form", function()
        p:send(with_length "one" .. chunked("two", { 2 }) .. with_length "three"
            .. chunked("four", { 1 }))
        for _, body in ipairs { "one", "two", "three", "four" } do
            comes_back(body)
        end
    end)

    it("is still there when the handler has waited and the next one has come", function()
        p:send(with_length("first", "/wait") .. chunked("second", { 3 }, "/wait"))
        assert.equal("first", p:response().body)
        assert.equal("second", p:response().body)
    end)

    it("is read as JSON", function()
        p:send(with_length('{"a":[1,2,{"b":null}]}', "/json"))
        local r = p:response()
        assert.equal("application/json", r.headers["content-type"])
        assert.equal('{"got":{"a":[1,2,{"b":null}]}}', r.body)
        p:send(with_length('{"a":', "/json"))
        assert.truthy(require("cjson").decode(p:response().body).problem)
    end)

    describe("that was announced with Expect: 100-continue", function()
        local expect = "Expect: 100-continue\r\n"

        it("is asked for, when nothing of it is there yet", function()
            for _, text in ipairs {
                head("Content-Length: 5\r\n" .. expect),
                head("Expect: 100-Continue\r\nContent-Length: 5\r\n"),
            } do
                p:send(text)
                local h, status = p:head()
                assert.equal(100, status)
                assert.equal("HTTP/1.1 100 Continue\n", h)
                p:send "hello"
                comes_back "hello"
            end
            p:send(head("Transfer-Encoding: chunked\r\n" .. expect))
            assert.equal(100, select(2, p:head()))
            p:send "5\r\nhello\r\n0\r\n\r\n"
            comes_back "hello"
        end)

        it("is not asked for when it came along", function()
            p:send(head("Content-Length: 5\r\n" .. expect) .. "hello")
            comes_back "hello"
        end)

        it("is not asked for when there is none", function()
            p:send(head("Content-Length: 0\r\n" .. expect))
            comes_back ""
        end)

        it("is not asked for in HTTP/1.0, which knows no 100", function()
            p:send("POST /echo HTTP/1.0\r\nContent-Length: 5\r\n" .. expect .. "\r\n")
            p:send "hello"
            comes_back "hello"
        end)

        it("is refused before it is sent, when it will not be taken", function()
            for status, text in pairs {
                [413] = head("Content-Length: 4194305\r\n" .. expect),
                [404] = head("Content-Length: 5\r\n" .. expect, "/nowhere"),
                [405] = head("Content-Length: 5\r\n" .. expect, "/json", "PUT"),
            } do
                local other = assert(server:connect())
                other:send(text)
                local r = other:response()
                assert.equal(status, r.status)
                assert.equal("close", r.headers.connection)
                assert.equal("", other:rest())
            end
        end)
    end)
end)
