local ffi = require "ffi"
local core = require "spec.support.cdef"
local http = require "spec.support.http"
local C = core.C

local key = "dGhlIHNhbXBsZSBub25jZQ=="
local accept_value = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

-- A NULL-terminated list of texts, and its owner.
local function list(texts)
    if not texts then
        return nil
    end
    local out = ffi.new("const char *[?]", #texts + 1)
    for i, text in ipairs(texts) do
        out[i - 1] = text
    end
    return out
end

-- The fields of a good request or answer, with some replaced, removed (false) or added. A value
-- that is a table makes several fields.
local function fields(defaults, changes)
    local lines, done = {}, {}
    local function add(name, value)
        for _, v in ipairs(type(value) == "table" and value or { value or nil }) do
            lines[#lines + 1] = name .. ": " .. v .. "\r\n"
        end
        done[name] = true
    end
    for _, pair in ipairs(defaults) do
        local value = changes[pair[1]]
        if value == nil then
            value = pair[2]
        end
        add(pair[1], value)
    end
    for name, value in pairs(changes) do
        if not done[name] and name:find "^%u" then
            add(name, value)
        end
    end
    return table.concat(lines) .. "\r\n"
end

local good_request = {
    { "Host", "example.com" }, { "Upgrade", "websocket" }, { "Connection", "Upgrade" },
    { "Sec-WebSocket-Key", key }, { "Sec-WebSocket-Version", "13" },
}

-- Checks a request. o: fields, and line, protocols, origins, deflate, secure.
local function check(o)
    local text = (o.line or "GET /chat HTTP/1.1") .. "\r\n" .. fields(good_request, o)
    local parsed = http.parse(text)
    assert.are.equal(1, parsed.result, parsed.why)
    local protocols, origins = list(o.protocols), list(o.origins)
    local rules = ffi.new("struct handshake_rules", { protocols = protocols, origins = origins })
    rules.deflate = C.deflate_options_default
    rules.deflate.enabled = o.deflate or false
    local out = ffi.new "struct handshake"
    ffi.fill(out, ffi.sizeof(out), 0xa5)
    local result = C.handshake_check(out, parsed.head, parsed.base, rules, o.secure or false)
    parsed.protocol = out.protocol ~= nil and ffi.string(out.protocol) or nil
    return result, out, parsed
end

local function accepted(o)
    local result, out, parsed = check(o)
    assert.are.equal(0, result, result ~= 0 and ffi.string(out.why) or nil)
    return out, parsed
end

local function refused(status, o)
    local result, out = check(o)
    assert.are.equal(C.ERR_PROTOCOL, result)
    assert.are.equal(status, out.status)
    assert.is_true(#ffi.string(out.why) > 10)
end

describe("the opening handshake of a server (RFC 6455)", function()
    it("§4.2.1 accepts the RFC's example", function()
        local out, parsed = accepted {
            Host = "server.example.com", Origin = "http://example.com",
            ["Sec-WebSocket-Protocol"] = "chat, superchat", origins = { "http://example.com" },
            protocols = { "superchat" },
        }
        assert.are.equal(key, http.span(parsed, out.key))
        assert.are.equal("superchat", parsed.protocol)
        assert.is_false(out.deflate.enabled)
    end)

    it("§4.2.1 item 1: must be a GET", function()
        for _, method in ipairs { "POST", "HEAD", "OPTIONS", "get" } do
            refused(405, { line = method .. " /chat HTTP/1.1" })
        end
    end)

    it("§4.2.1 item 1: must be HTTP/1.1", function()
        refused(400, { line = "GET /chat HTTP/1.0" })
    end)

    it("§4.2.1 item 3: needs Upgrade: websocket, in any case of letters", function()
        accepted { Upgrade = "WebSocket" }
        accepted { Upgrade = "foo, websocket" }
        refused(426, { Upgrade = false })
        refused(426, { Upgrade = "h2c" })
        refused(426, { Upgrade = false, Connection = false })
    end)

    it("§4.2.1 item 4: needs Connection: upgrade, in any case of letters", function()
        accepted { Connection = "keep-alive, UPGRADE" }
        accepted { Connection = { "keep-alive", "upgrade" } }
        refused(400, { Connection = false })
        refused(400, { Connection = "keep-alive" })
    end)

    it("§4.2.1 item 5: needs one key", function()
        refused(400, { ["Sec-WebSocket-Key"] = false })
        refused(400, { ["Sec-WebSocket-Key"] = { key, key } })
    end)

    it("§4.2.1 item 5: needs a key that is the base64 of 16 bytes", function()
        accepted { ["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA==" }
        accepted { ["Sec-WebSocket-Key"] = "+/+/+/+/+/+/+/+/+/+/+/==" }
        for _, bad in ipairs { "", "x", "AAAA", key .. "=", key:sub(1, 23), key:sub(1, 22) .. "AA",
            key:sub(1, 23) .. "A", "dGhlIHNhbXBsZSBub25jZQ= =", "dGhlIHNhbXBsZSBub25j-_==",
            "=====================Q==", "dGhlIHNhbXBs ZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j\255Q==",
            ("A"):rep(22), ("A"):rep(42) .. "==", "dGhlIHNhbXBsZSBub25jZQ" } do
            refused(400, { ["Sec-WebSocket-Key"] = bad })
        end
    end)

    it("§4.2.1 item 6, §4.4: needs version 13, or tells it with 426", function()
        for _, version in ipairs { false, "", "8", "12", "14", "130", "013", "13, 8", "13;",
            "x" } do
            refused(426, { ["Sec-WebSocket-Version"] = version })
        end
        refused(426, { ["Sec-WebSocket-Version"] = "8", ["Sec-WebSocket-Key"] = false })
    end)

    it("§4.2.1 item 6: refuses a version that is repeated", function()
        refused(400, { ["Sec-WebSocket-Version"] = { "13", "13" } })
        refused(400, { ["Sec-WebSocket-Version"] = { "8", "13" } })
    end)

    describe("§4.2.1 item 7, §10.2 Origin", function()
        it("may be absent: the client is no browser", function()
            accepted { origins = { "https://example.com" } }
            accepted {}
        end)

        it("is the request's own host by default", function()
            accepted { Origin = "http://example.com" }
            accepted { Origin = "http://example.com:80" }
            accepted { Origin = "HTTP://EXAMPLE.com" }
            accepted { Origin = "ws://example.com" }
            accepted { Origin = "http://example.com", Host = "example.com:80" }
            accepted { Origin = "http://localhost:8080", Host = "localhost:8080" }
            accepted { Origin = "http://[::1]:8080", Host = "[::1]:8080" }
            accepted { Origin = "https://example.com", secure = true }
            accepted { Origin = "https://example.com:443", secure = true }
            accepted { Origin = "https://example.com", Host = "example.com:443", secure = true }
        end)

        it("is refused by default when host, port or scheme differ", function()
            refused(403, { Origin = "http://example.org" })
            refused(403, { Origin = "http://example.com:8080" })
            refused(403, { Origin = "http://example.com", Host = "example.com:8080" })
            refused(403, { Origin = "https://example.com" })
            refused(403, { Origin = "http://example.com", secure = true })
            refused(403, { Origin = "http://example.com:443", secure = true })
            refused(403, { Origin = "http://www.example.com" })
            refused(403, { Origin = "http://example.com.evil.org" })
            refused(403, { Origin = "http://example.comx" })
            refused(403, { Origin = "http://example.co" })
        end)

        it("is refused when it is null or malformed", function()
            for _, origin in ipairs { "null", "", "example.com", "http:example.com", "http://",
                "http://example.com/", "http://example.com/x", "http://user@example.com",
                "ftp://example.com", "http://example.com, http://example.com",
                "http://example.com http://example.com", "file://" } do
                refused(403, { Origin = origin })
            end
        end)

        it("is refused when it is repeated", function()
            refused(400, { Origin = { "http://example.com", "http://example.com" } })
            refused(400, { Origin = { "http://a", "http://b" }, origins = { "*" } })
        end)

        it("is one of the route's list, exactly", function()
            local origins = { "https://example.com", "http://localhost:3000", "null" }
            accepted { Origin = "https://example.com", origins = origins }
            accepted { Origin = "HTTPS://Example.Com:443", origins = origins }
            accepted { Origin = "http://localhost:3000", origins = origins }
            accepted { Origin = "null", origins = origins }
            refused(403, { Origin = "http://example.com", origins = origins })
            refused(403, { Origin = "https://example.com:8443", origins = origins })
            refused(403, { Origin = "https://www.example.com", origins = origins })
            refused(403, { Origin = "http://localhost", origins = origins })
            refused(403, { Origin = "https://example.com", origins = {} })
        end)

        it("is anything with an asterisk", function()
            accepted { Origin = "https://other.example", origins = { "*" } }
            accepted { Origin = "null", origins = { "*" } }
        end)
    end)

    describe("§4.2.1 item 8, §4.2.2 item 5.5 subprotocol", function()
        local function chosen(sent, protocols)
            local _, parsed = accepted { ["Sec-WebSocket-Protocol"] = sent, protocols = protocols }
            return parsed.protocol
        end

        it("is the first of the route's that the client named", function()
            assert.are.equal("v2.chat", chosen("chat, v2.chat", { "v2.chat", "chat" }))
            assert.are.equal("chat", chosen("x, chat", { "v2.chat", "chat" }))
            assert.are.equal("b", chosen({ "a", "b" }, { "b" }))
            assert.are.equal("b", chosen(" a ,\tb\t", { "b" }))
        end)

        it("is none when they have nothing in common", function()
            assert.is_nil(chosen("chat", { "v2.chat" }))
            assert.is_nil(chosen("Chat", { "chat" }))
            assert.is_nil(chosen("chat", nil))
            assert.is_nil(chosen(false, { "chat" }))
            assert.is_nil(chosen("chat", {}))
        end)

        it("is refused when the list is malformed", function()
            for _, value in ipairs { "", ",", "a b", "a, (b)", "a/b", "a\"", "\195\169", "a;b" } do
                refused(400, { ["Sec-WebSocket-Protocol"] = value })
            end
            refused(400, { ["Sec-WebSocket-Protocol"] = { "a", "" } })
        end)

        it("is refused when the client names one twice", function()
            refused(400, { ["Sec-WebSocket-Protocol"] = "a, b, a" })
            refused(400, { ["Sec-WebSocket-Protocol"] = { "a", "a" } })
            accepted { ["Sec-WebSocket-Protocol"] = "a, A, aa" }
        end)

        it("is refused when there are too many to choose from", function()
            local names = {}
            for i = 1, tonumber(C.HANDSHAKE_PROTOCOLS_MAX) do
                names[i] = "p" .. i
            end
            assert.are.equal("p64", chosen(table.concat(names, ","), { "p64" }))
            refused(400, { ["Sec-WebSocket-Protocol"] = table.concat(names, ",") .. ",more" })
        end)

        it("can be asked for afterwards", function()
            local _, parsed = accepted { ["Sec-WebSocket-Protocol"] = { "a, b", "c" } }
            local function offers(name)
                return C.handshake_offers(parsed.head, parsed.base, name, #name)
            end
            assert.is_true(offers "a" and offers "b" and offers "c")
            assert.is_false(offers "A" or offers "" or offers "a, b" or offers "d")
        end)
    end)

    describe("§4.2.1 item 9, §9.1 extensions", function()
        it("are agreed where the route wants them", function()
            local out = accepted {
                deflate = true, ["Sec-WebSocket-Extensions"] = "foo, permessage-deflate",
            }
            assert.is_true(out.deflate.enabled)
            out = accepted { ["Sec-WebSocket-Extensions"] = "permessage-deflate" }
            assert.is_false(out.deflate.enabled)
        end)

        it("may be spread over several fields, the first acceptable one wins", function()
            local out = accepted {
                deflate = true,
                ["Sec-WebSocket-Extensions"] = {
                    "foo", "permessage-deflate; server_max_window_bits=10", "permessage-deflate",
                },
            }
            assert.are.equal(10, out.deflate.server_max_window_bits)
        end)

        it("are refused when any field is malformed", function()
            for _, deflate in ipairs { true, false } do
                refused(400, { deflate = deflate, ["Sec-WebSocket-Extensions"] = "" })
                refused(400, { deflate = deflate,
                    ["Sec-WebSocket-Extensions"] = { "permessage-deflate", "foo;" } })
            end
        end)
    end)

    describe("§4.2.2 the answer", function()
        local function accept(text)
            local out = ffi.new "char[29]"
            C.handshake_accept(out, core.copy(text, "char *"))
            return ffi.string(out)
        end

        local function response(protocol, deflate, headers)
            local out = core.new("struct buffer", C.buffer_deinit)
            assert.are.equal(0, C.handshake_response(out, core.copy(key, "char *"), protocol,
                deflate, headers, headers and #headers or 0))
            return core.string(out)
        end
        local none = ffi.new "struct deflate_params"

        it("proves that the key was read", function()
            assert.are.equal(accept_value, accept(key))
            assert.are.equal("HSmrc0sMlYUkAGmm5OPpG2HaGWk=", accept "x3JJHMbDL1EzLkh9GBhXDw==")
        end)

        it("is a 101 with the fields of the protocol", function()
            assert.are.equal("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                .. "Connection: Upgrade\r\nSec-WebSocket-Accept: " .. accept_value .. "\r\n\r\n",
                response(nil, none))
        end)

        it("names subprotocol, extension and more headers", function()
            local agreed = ffi.new("struct deflate_params", {
                enabled = true, server_no_context_takeover = true, server_max_window_bits = 15,
                client_max_window_bits = 12,
            })
            assert.are.equal("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                .. "Connection: Upgrade\r\nSec-WebSocket-Accept: " .. accept_value .. "\r\n"
                .. "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; "
                .. "server_no_context_takeover; client_max_window_bits=12\r\n"
                .. "Set-Cookie: a=b\r\n\r\n", response("chat", agreed, "Set-Cookie: a=b\r\n"))
        end)
    end)
end)

-- An offer of a client, with what it points to kept alive.
local function offer(o)
    local protocols = list(o.protocols)
    local out = ffi.new("struct handshake_offer", {
        host = o.host or "example.com", target = o.target or "/chat", origin = o.origin,
        protocols = protocols, headers = o.headers, headers_len = o.headers and #o.headers or 0,
    })
    out.deflate = C.deflate_options_offer
    out.deflate.enabled = o.deflate or false
    return out, protocols
end

local function request(o)
    local out = core.new("struct buffer", C.buffer_deinit)
    local asked, protocols = offer(o)
    assert.are.equal(0, C.handshake_request(out, asked, core.copy(key, "char *")))
    assert(o.protocols == nil or protocols)
    return core.string(out)
end

describe("the opening handshake of a client (RFC 6455)", function()
    it("§4.1 makes a key of 16 random bytes", function()
        local out = ffi.new "char[25]"
        C.handshake_key(out, core.copy "the sample nonce")
        assert.are.equal(key, ffi.string(out))
    end)

    it("§4.1 asks with every field that is needed", function()
        assert.are.equal("GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
            .. "Connection: Upgrade\r\nSec-WebSocket-Key: " .. key .. "\r\n"
            .. "Sec-WebSocket-Version: 13\r\n\r\n", request {})
    end)

    it("§4.1 asks for subprotocols and extensions, with Origin and more headers", function()
        assert.are.equal("GET /a?b HTTP/1.1\r\nHost: [::1]:81\r\nUpgrade: websocket\r\n"
            .. "Connection: Upgrade\r\nSec-WebSocket-Key: " .. key .. "\r\n"
            .. "Sec-WebSocket-Version: 13\r\nOrigin: http://x\r\nSec-WebSocket-Protocol: b, a\r\n"
            .. "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            .. "Cookie: c\r\n\r\n", request {
                host = "[::1]:81", target = "/a?b", origin = "http://x", protocols = { "b", "a" },
                deflate = true, headers = "Cookie: c\r\n",
            })
    end)

    it("§4.1 asks what our own server accepts", function()
        local parsed = http.parse(request { protocols = { "a", "b" }, deflate = true })
        assert.are.equal(1, parsed.result)
        local protocols = list { "b" }
        local rules = ffi.new("struct handshake_rules", { protocols = protocols })
        rules.deflate = C.deflate_options_default
        rules.deflate.enabled = true
        local out = ffi.new "struct handshake"
        assert.are.equal(0, C.handshake_check(out, parsed.head, parsed.base, rules, false))
        assert.are.equal("b", ffi.string(out.protocol))
        assert.is_true(out.deflate.enabled)
    end)

    local good_answer = {
        { "Upgrade", "websocket" }, { "Connection", "Upgrade" },
        { "Sec-WebSocket-Accept", accept_value },
    }

    local function answer(o)
        local parsed = http.parse((o.line or "HTTP/1.1 101 Switching Protocols") .. "\r\n"
            .. fields(good_answer, o), { response = true })
        assert.are.equal(1, parsed.result, parsed.why)
        local asked, protocols = offer(o)
        local out = ffi.new "struct handshake_answer"
        ffi.fill(out, ffi.sizeof(out), 0xa5)
        local result = C.handshake_client_check(out, parsed.head, parsed.base, asked,
            core.copy(key, "char *"))
        assert(o.protocols == nil or protocols)
        return result, out
    end

    local function taken(o)
        local result, out = answer(o)
        assert.are.equal(0, result, result ~= 0 and ffi.string(out.why) or nil)
        assert.is_true(out.why == nil)
        return out
    end

    local function failed(o)
        local result, out = answer(o)
        assert.are.equal(C.ERR_PROTOCOL, result)
        assert.is_true(#ffi.string(out.why) > 10)
    end

    it("§4.1 takes a good answer", function()
        local out = taken {}
        assert.is_true(out.protocol == nil)
        assert.is_false(out.deflate.enabled)
        taken { Upgrade = "WebSocket", Connection = "keep-alive, upgrade" }
    end)

    it("§4.1 item 1: takes nothing but 101", function()
        for _, status in ipairs { 100, 200, 301, 400, 426, 500 } do
            failed { line = "HTTP/1.1 " .. status .. " x" }
        end
        failed { line = "HTTP/1.0 101 Switching Protocols" }
    end)

    it("§4.1 items 2 and 3: needs Upgrade and Connection", function()
        failed { Upgrade = false }
        failed { Upgrade = "foo" }
        failed { Upgrade = "websocket, foo" }
        failed { Upgrade = { "websocket", "websocket" } }
        failed { Connection = false }
        failed { Connection = "close" }
    end)

    it("§4.1 item 4: needs the proof that fits the key, once", function()
        failed { ["Sec-WebSocket-Accept"] = false }
        failed { ["Sec-WebSocket-Accept"] = accept_value:lower() }
        failed { ["Sec-WebSocket-Accept"] = accept_value .. "=" }
        failed { ["Sec-WebSocket-Accept"] = key }
        failed { ["Sec-WebSocket-Accept"] = { accept_value, accept_value } }
    end)

    it("§4.1 item 5: takes only an extension that it offered", function()
        local agreed = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" }
        failed(agreed)
        agreed.deflate = true
        assert.is_true(taken(agreed).deflate.enabled)
        failed { deflate = true, ["Sec-WebSocket-Extensions"] = "foo" }
        failed { deflate = true, ["Sec-WebSocket-Extensions"] = "" }
        failed { deflate = true,
            ["Sec-WebSocket-Extensions"] = { "permessage-deflate", "permessage-deflate" } }
    end)

    it("§4.1 item 6: takes only a subprotocol that it offered", function()
        local protocols = { "a", "b" }
        assert.are.equal("b", ffi.string(
            taken { protocols = protocols, ["Sec-WebSocket-Protocol"] = "b" }.protocol))
        failed { protocols = protocols, ["Sec-WebSocket-Protocol"] = "c" }
        failed { protocols = protocols, ["Sec-WebSocket-Protocol"] = "B" }
        failed { protocols = protocols, ["Sec-WebSocket-Protocol"] = "a, b" }
        failed { protocols = protocols, ["Sec-WebSocket-Protocol"] = "" }
        failed { protocols = protocols, ["Sec-WebSocket-Protocol"] = { "a", "a" } }
        failed { ["Sec-WebSocket-Protocol"] = "a" }
    end)

    it("(WHATWG WebSockets) fails when none of its subprotocols is taken", function()
        failed { protocols = { "a" } }
    end)
end)
