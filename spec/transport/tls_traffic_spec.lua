-- A TLS 1.3 connection after its handshake (RFC 8446 §4.6.3, §5.1, §6), without a socket.

local ffi = require "ffi"
local records = require "spec.support.records"

local C = records.C
local HANDSHAKE, ALERT = C.TLS_CONTENT_HANDSHAKE, C.TLS_CONTENT_ALERT
local UPDATE, UPDATE_BOTH = "\24\0\0\1\0", "\24\0\0\1\1"

describe("after the handshake", function()
    local ends
    before_each(function()
        ends = records.ends()
    end)

    -- The peer changes its keys, and perhaps asks for the server's.
    local function update(message)
        local record = ends:say(message, HANDSHAKE)
        assert.equal(0, C.tls_keys_update(ends.peer.out, ends.ciphers))
        return record
    end
    local function fails(with, bytes)
        local _, out = ends:open(bytes)
        assert.is_true(out.failed)
        assert.equal(tonumber(ffi.cast("int", with)), out.alert)
        return out
    end
    local function goes_on(bytes)
        local text, out = ends:open(bytes)
        assert.is_false(out.failed, "alert " .. out.alert)
        assert.equal(#bytes, tonumber(out.used))
        return text
    end

    describe("data", function()
        it("comes out of all whole records, and the rest is left", function()
            local first, second = ends:say "hello ", ends:say "world"
            local bytes = first .. second
            for cut = 1, #bytes - 1 do
                ends.t["in"].sequence = 0
                local text, out = ends:open(bytes:sub(1, cut))
                assert.equal(cut < #first and "" or "hello ", text)
                assert.equal(cut < #first and 0 or #first, tonumber(out.used))
                assert.is_false(out.failed or out.ended)
                local rest = ends:open(bytes:sub(tonumber(out.used) + 1))
                assert.equal("hello world", text .. rest)
            end
        end)

        it("of many large records is in order, wherever they lie", function()
            local parts, bytes = {}, {}
            for i, len in ipairs { 16384, 16384, 1, 9000, 16384, 0, 300, 16384 } do
                parts[i] = ("%08d"):format(i):rep(2048):sub(1, len)
                bytes[i] = ends:say(parts[i])
            end
            assert.is_true(table.concat(parts) == goes_on(table.concat(bytes)))
        end)

        it("before a failure is given, and nothing behind it", function()
            local bytes = ends:say "good" .. ("\23"):rep(40) .. ends:say "late"
            local text, out = ends:open(bytes)
            assert.equal("good", text)
            assert.is_true(out.failed)
            assert.equal(C.TLS_ALERT_PROTOCOL_VERSION, out.alert)
        end)

        it("is refused as soon as a header shows that it is too long", function()
            fails(C.TLS_ALERT_RECORD_OVERFLOW, "\23\3\3\65\1")
        end)

        it("that the peer did not seal is bad_record_mac, and not seen", function()
            local record = ends:say "hello"
            local text, out = ends:open(record:sub(1, -2) .. "x")
            assert.equal("", text)
            assert.is_true(out.failed)
            assert.equal(C.TLS_ALERT_BAD_RECORD_MAC, out.alert)
        end)

        it("in the clear is unexpected_message, also change_cipher_spec (§5)", function()
            for _, bytes in ipairs {
                "\21\3\3\0\2\1\0", "\22\3\3\0\5" .. UPDATE, "\20\3\3\0\1\1",
            } do
                fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, bytes)
            end
        end)

        it("of a type that has no place is unexpected_message", function()
            for _, kind in ipairs { 1, 20, 24, 255 } do
                ends = records.ends()
                fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say("\1", kind))
            end
        end)

        it("may be empty (§5.1), but not always", function()
            for _ = 1, 5 do
                for _ = 1, C.TLS_USELESS_RECORDS do
                    assert.equal("", goes_on(ends:say ""))
                end
                assert.equal("x", goes_on(ends:say "x"))
            end
            for _ = 1, C.TLS_USELESS_RECORDS do
                goes_on(ends:say "")
            end
            fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say "")
        end)
    end)

    for suite, name in pairs(records.names) do
        it("keys change at the peer's KeyUpdate, again and again, with " .. name, function()
            ends = records.ends(suite, 1)
            for i = 1, 5 do
                local text = "text " .. i
                local bytes = ends:say "a" .. update(UPDATE) .. ends:say(text)
                assert.equal("a" .. text, goes_on(bytes))
            end
            assert.is_false(ends.t.update_due)
            assert.same({ { "b", C.TLS_CONTENT_DATA } }, ends:hear((ends:seal "b")))
        end)

        it("the server answers update_requested before its next data, with " .. name, function()
            ends = records.ends(suite, 1)
            for _ = 1, 3 do
                goes_on(update(UPDATE_BOTH) .. update(UPDATE_BOTH) .. ends:say "x")
                local bytes, taken = ends:seal("re", "ply")
                assert.equal(5, taken)
                assert.same({ { UPDATE, HANDSHAKE }, { "reply", C.TLS_CONTENT_DATA } },
                    ends:hear(bytes))
                assert.same({ { "more", C.TLS_CONTENT_DATA } }, ends:hear((ends:seal "more")))
            end
        end)
    end

    it("an old key opens nothing after KeyUpdate", function()
        local record = ends:say(UPDATE, HANDSHAKE)
        goes_on(record .. "")
        fails(C.TLS_ALERT_BAD_RECORD_MAC, ends:say "old")
    end)

    it("a KeyUpdate may come in parts, but nothing between them (§5.1)", function()
        for cut = 1, 4 do
            goes_on(ends:say(UPDATE:sub(1, cut), HANDSHAKE))
            goes_on(update(UPDATE:sub(cut + 1)))
            assert.equal("x", goes_on(ends:say "x"))
        end
        for i = 1, 4 do
            goes_on(ends:say(UPDATE:sub(i, i), HANDSHAKE))
        end
        goes_on(update(UPDATE:sub(5)))
        assert.equal("x", goes_on(ends:say "x"))
        for _, kind in ipairs { ALERT, C.TLS_CONTENT_DATA } do
            ends = records.ends()
            goes_on(ends:say("\24\0", HANDSHAKE))
            fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say("\1\0", kind))
        end
    end)

    it("a KeyUpdate is the last of its record (§5.1)", function()
        for _, more in ipairs { "\24", UPDATE, "\0" } do
            ends = records.ends()
            fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say(UPDATE .. more, HANDSHAKE))
        end
    end)

    it("a KeyUpdate that is malformed is refused", function()
        for _, case in ipairs {
            { "\24\0\0\1\2", C.TLS_ALERT_ILLEGAL_PARAMETER },
            { "\24\0\0\1\255", C.TLS_ALERT_ILLEGAL_PARAMETER },
            { "\24\0\0\0", C.TLS_ALERT_DECODE_ERROR },
            { "\24\0\0\2\0\0", C.TLS_ALERT_DECODE_ERROR },
            { "\24\1", C.TLS_ALERT_DECODE_ERROR }, { "", C.TLS_ALERT_UNEXPECTED_MESSAGE },
        } do
            ends = records.ends()
            fails(case[2], ends:say(case[1], HANDSHAKE))
        end
    end)

    it("any other handshake message is unexpected_message", function()
        for kind = 0, 255 do
            if kind ~= 24 then
                ends = records.ends(nil, 1)
                fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say(string.char(kind), HANDSHAKE))
            end
        end
    end)

    it("KeyUpdates without data between them come to an end", function()
        for _ = 1, C.TLS_USELESS_RECORDS do
            goes_on(update(UPDATE_BOTH))
        end
        fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, update(UPDATE_BOTH))
        -- All of them got one answer.
        assert.equal(2, #ends:hear((ends:seal "x")))
    end)

    it("KeyUpdates are not too many for a peer that only listens", function()
        for i = 1, 3 * C.TLS_USELESS_RECORDS do
            goes_on(update(UPDATE_BOTH))
            assert.same({ { UPDATE, HANDSHAKE }, { tostring(i), C.TLS_CONTENT_DATA } },
                ends:hear((ends:seal(tostring(i)))))
        end
    end)

    it("the server changes its keys before they are used too often (§5.5)", function()
        ends.ciphers.records_per_key = 3
        local kinds = {}
        for i = 1, 8 do
            for _, record in ipairs(ends:hear((ends:seal(tostring(i))))) do
                kinds[#kinds + 1] = record[1]
            end
        end
        assert.same({ "1", "2", "3", UPDATE, "4", "5", "6", UPDATE, "7", "8" }, kinds)
        assert.is_true(C.TLS_RECORDS_PER_KEY < 2 ^ 24.5)
        assert.equal(C.TLS_RECORDS_PER_KEY, tonumber(records.ciphers().records_per_key))
    end)

    describe("an alert", function()
        it("close_notify is the end of the peer's side, and the server may go on (§6.1)", function()
            local bytes = ends:say "bye" .. ends:say("\1\0", ALERT) .. ends:say "ignored"
            local text, out = ends:open(bytes)
            assert.equal("bye", text)
            assert.is_true(out.ended)
            assert.is_false(out.failed)
            assert.same({ { "x", C.TLS_CONTENT_DATA } }, ends:hear((ends:seal "x")))
        end)

        it("of any other kind is a failure, whatever its level (§6.2)", function()
            for _, level in ipairs { "\1", "\2", "\7" } do
                for _, kind in ipairs { 10, 20, 40, 100, 255 } do
                    ends = records.ends()
                    local out = fails(0, ends:say(level .. string.char(kind), ALERT))
                    assert.equal(kind, out.told)
                    assert.is_false(out.ended)
                end
            end
        end)

        it("user_canceled is only the announcement of an end", function()
            goes_on(ends:say("\1\90", ALERT))
            assert.equal("x", goes_on(ends:say "x"))
            for _ = 1, C.TLS_USELESS_RECORDS do
                goes_on(ends:say("\1\90", ALERT))
            end
            fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say("\1\90", ALERT))
        end)

        it("is one whole alert (§5.1)", function()
            for _, text in ipairs { "\1", "\1\0\1", "\1\0\1\0" } do
                ends = records.ends()
                fails(C.TLS_ALERT_DECODE_ERROR, ends:say(text, ALERT))
            end
            ends = records.ends()
            fails(C.TLS_ALERT_UNEXPECTED_MESSAGE, ends:say("", ALERT)) -- §5.4
        end)

        it("of the server is the last that it sends", function()
            assert.same({ { "\1\0", ALERT } },
                ends:hear((ends:alert(C.TLS_ALERT_CLOSE_NOTIFY))))
            assert.equal(C.ERR_CLOSED, select(2, ends:seal "x"))
            assert.equal(C.ERR_CLOSED, select(2, ends:alert(C.TLS_ALERT_CLOSE_NOTIFY)))
            assert.equal("still read", goes_on(ends:say "still read"))
            ends = records.ends()
            assert.same({ { "\2\20", ALERT } },
                ends:hear((ends:alert(C.TLS_ALERT_BAD_RECORD_MAC))))
            assert.equal(C.ERR_CLOSED, select(2, ends:seal "x"))
        end)
    end)
end)
