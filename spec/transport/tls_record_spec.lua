-- One record of TLS 1.3 (RFC 8446 §5), and its keys (§7).

local ffi = require "ffi"
local records = require "spec.support.records"

local C, hex = records.C, records.hex

-- RFC 8448 §3, "Simple 1-RTT Handshake".
local trace = {
    client_secret = hex [[9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52
        87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 a5]],
    client_key = hex "17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51",
    client_iv = hex "5b 78 92 3d ee 08 57 90 33 e5 23 d9",
    client_data = hex [[17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42
        f9 14 aa 66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92
        a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4]],
    client_end = hex "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3",
    server_secret = hex [[a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32
        82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43]],
    server_key = hex "9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56",
    server_iv = hex "cf 78 2b 88 dd 83 54 9a ad f1 e9 84",
    server_data = hex [[17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32
        25 d0 5f 82 aa 1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0
        a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d]],
    server_end = hex "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9",
}
local fifty = {}
for i = 0, 49 do
    fifty[#fifty + 1] = string.char(i)
end
trace.data = table.concat(fifty)

describe("a record of TLS 1.3", function()
    local ciphers
    before_each(function()
        ciphers = records.ciphers()
    end)

    local function pair(suite)
        local secret = records.secret(suite, "one")
        return records.keys(ciphers, suite, true, secret),
            records.keys(ciphers, suite, false, secret)
    end

    describe("is that of RFC 8448 §3:", function()
        local function keys(who, seals)
            return records.keys(ciphers, records.AES_128, seals, trace[who .. "_secret"])
        end

        for _, who in ipairs { "client", "server" } do
            it("key and IV of the " .. who, function()
                local k = keys(who, true)
                assert.equal(trace[who .. "_key"], ffi.string(k.key, 16))
                assert.equal(trace[who .. "_iv"], ffi.string(k.iv, 12))
            end)

            it("data and end of the " .. who .. ", opened and sealed", function()
                local opens, seals = keys(who, false), keys(who, true)
                -- The server's ticket came before.
                opens.sequence = who == "server" and 1 or 0
                seals.sequence = opens.sequence
                local text, kind = records.open(opens, ciphers, trace[who .. "_data"])
                assert.equal(trace.data, text)
                assert.equal(C.TLS_CONTENT_DATA, kind)
                text, kind = records.open(opens, ciphers, trace[who .. "_end"])
                assert.equal("\1\0", text)
                assert.equal(C.TLS_CONTENT_ALERT, kind)
                assert.equal(trace[who .. "_data"], records.seal(seals, ciphers, trace.data))
                assert.equal(trace[who .. "_end"],
                    records.seal(seals, ciphers, "\1\0", C.TLS_CONTENT_ALERT))
            end)
        end
    end)

    for suite, name in pairs(records.names) do
        describe("with " .. name, function()
            it("opens to what was sealed, of every length class, in order", function()
                local seals, opens = pair(suite)
                for _, len in ipairs { 0, 1, 15, 16, 17, 1023, 1024, 5000, 16383, 16384 } do
                    local text = ("%d "):format(len):rep(len):sub(1, len)
                    local got, kind = records.open(opens, ciphers,
                        records.seal(seals, ciphers, text))
                    assert.equal(C.TLS_CONTENT_DATA, kind)
                    assert.is_true(got == text, "length " .. len)
                end
                assert.equal(10, tonumber(opens.sequence))
            end)

            it("does not open when any byte was changed, and leaves nothing", function()
                local seals, opens = pair(suite)
                local record = records.seal(seals, ciphers, "secret words")
                for i = 6, #record do
                    local changed = record:sub(1, i - 1)
                        .. string.char(bit.bxor(record:byte(i), 0x40)) .. record:sub(i + 1)
                    local text, alert, left = records.open(opens, ciphers, changed)
                    assert.is_nil(text)
                    assert.equal(C.TLS_ALERT_BAD_RECORD_MAC, alert)
                    assert.equal(("\0"):rep(13), left)
                end
                -- The header counts: a shorter or longer one is another record.
                assert.equal(C.TLS_ALERT_BAD_RECORD_MAC, select(2, records.open(opens, ciphers,
                    record:sub(1, 4) .. string.char(record:byte(5) - 1) .. record:sub(6, -2))))
                assert.equal("secret words", records.open(opens, ciphers, record))
            end)

            it("does not open twice, nor out of order", function()
                local seals, opens = pair(suite)
                local first, second =
                    records.seal(seals, ciphers, "1"), records.seal(seals, ciphers, "2")
                assert.equal(C.TLS_ALERT_BAD_RECORD_MAC,
                    select(2, records.open(opens, ciphers, second)))
                assert.equal("1", records.open(opens, ciphers, first))
                assert.equal(C.TLS_ALERT_BAD_RECORD_MAC,
                    select(2, records.open(opens, ciphers, first)))
                assert.equal("2", records.open(opens, ciphers, second))
            end)

            it("has other keys after an update, from 0 on (§7.2)", function()
                local seals, opens = pair(suite)
                local before = records.seal(seals, ciphers, "1")
                assert.equal(0, C.tls_keys_update(seals, ciphers))
                assert.equal(0, tonumber(seals.sequence))
                local after = records.seal(seals, ciphers, "2")
                assert.is_nil((records.open(opens, ciphers, after)))
                assert.equal("1", records.open(opens, ciphers, before))
                assert.equal(0, C.tls_keys_update(opens, ciphers))
                assert.equal("2", records.open(opens, ciphers, after))
            end)
        end)
    end

    it("has a header of application_data, 0x0303 and at most 2^14 + 256 (§5.2)", function()
        local function body(text)
            return C.tls_record_body(ffi.cast("const uint8_t *", text))
        end
        assert.equal(0, body "\23\3\3\0\0")
        assert.equal(16640, body "\23\3\3\65\0")
        assert.equal(-C.TLS_ALERT_RECORD_OVERFLOW, body "\23\3\3\65\1")
        assert.equal(-C.TLS_ALERT_RECORD_OVERFLOW, body "\23\3\3\255\255")
        assert.equal(-C.TLS_ALERT_PROTOCOL_VERSION, body "\23\3\1\0\20")
        assert.equal(-C.TLS_ALERT_PROTOCOL_VERSION, body "\23\3\4\0\20")
        -- An alert, a handshake and change_cipher_spec in the clear (§5), SSLv2, HTTP.
        for _, text in ipairs {
            "\21\3\3\0\2", "\22\3\3\0\5", "\20\3\3\0\1", "\128\3\3\0\1", "GET /",
        } do
            assert.equal(-C.TLS_ALERT_UNEXPECTED_MESSAGE, body(text))
        end
    end)

    it("shorter than its tag is bad_record_mac", function()
        local _, opens = pair(records.AES_128)
        for len = 0, 15 do
            assert.equal(C.TLS_ALERT_BAD_RECORD_MAC, select(2, records.open(opens, ciphers,
                "\23\3\3\0" .. string.char(len) .. ("x"):rep(len))))
        end
    end)

    -- A record with this inner text: content, type and padding as a spec likes them.
    local function sealed_inner(seals, inner)
        local kind = inner:byte(-1)
        return records.seal(seals, ciphers, inner:sub(1, -2), kind)
    end

    it("may be padded with zeros, and needs a type before them (§5.4)", function()
        local seals, opens = pair(records.AES_128)
        local text, kind = records.open(opens, ciphers,
            sealed_inner(seals, "hi\23" .. ("\0"):rep(300)))
        assert.equal("hi", text)
        assert.equal(C.TLS_CONTENT_DATA, kind)
        text, kind = records.open(opens, ciphers, sealed_inner(seals, "\0\0\22\0"))
        assert.equal("\0\0", text)
        assert.equal(C.TLS_CONTENT_HANDSHAKE, kind)
        for _, zeros in ipairs { 1, 2, 16000 } do
            assert.equal(C.TLS_ALERT_UNEXPECTED_MESSAGE, select(2,
                records.open(opens, ciphers, sealed_inner(seals, ("\0"):rep(zeros)))))
        end
    end)

    it("with padding is no longer than 2^14 + 1 inside (§5.4)", function()
        -- Longer ones than the server seals, by OpenSSL itself.
        ffi.cdef [[
        int EVP_EncryptUpdate(struct evp_cipher_ctx_st *c, uint8_t *out, int *n, const char *in,
                              int len);
        int EVP_EncryptFinal_ex(struct evp_cipher_ctx_st *c, uint8_t *out, int *n);
        int EVP_CIPHER_CTX_ctrl(struct evp_cipher_ctx_st *c, int type, int arg, void *p);
        int EVP_CipherInit_ex(struct evp_cipher_ctx_st *c, void *cipher, void *e, void *key,
                              const uint8_t *iv, int enc);
        ]]
        local crypto, GET_TAG = ffi.load "libcrypto.so.3", 0x10
        local seals, opens = pair(records.AES_128)
        local function long(inner)
            local header = "\23\3\3" .. string.char(bit.rshift(#inner + 16, 8), (#inner + 16) % 256)
            local ctx = C.tls_keys_context(seals, ciphers)
            local nonce, n = ffi.new("uint8_t[12]", seals.iv), ffi.new "int[1]"
            nonce[11] = bit.bxor(nonce[11], tonumber(seals.sequence))
            local out = ffi.new("uint8_t[?]", #inner + 16)
            assert(crypto.EVP_CipherInit_ex(ctx, nil, nil, nil, nonce, -1) == 1)
            assert(crypto.EVP_EncryptUpdate(ctx, nil, n, header, 5) == 1)
            assert(crypto.EVP_EncryptUpdate(ctx, out, n, inner, #inner) == 1)
            assert(crypto.EVP_EncryptFinal_ex(ctx, out + #inner, n) == 1)
            assert(crypto.EVP_CIPHER_CTX_ctrl(ctx, GET_TAG, 16, out + #inner) == 1)
            seals.sequence = seals.sequence + 1
            return header .. ffi.string(out, #inner + 16)
        end
        local text = ("x"):rep(16384)
        assert.is_true(text == records.open(opens, ciphers, long(text .. "\23")))
        assert.equal(16383, #records.open(opens, ciphers, long(("x"):rep(16383) .. "\23\0")))
        for _, inner in ipairs { text .. "\23\0", text .. "x\23", ("x"):rep(16623) .. "\23" } do
            assert.equal(C.TLS_ALERT_RECORD_OVERFLOW,
                select(2, records.open(opens, ciphers, long(inner))))
        end
    end)

    it("is not sealed or opened when sequence numbers are used up (§5.3)", function()
        local seals, opens = pair(records.AES_128)
        seals.sequence, opens.sequence = -2ULL, -2ULL
        assert.equal("last", records.open(opens, ciphers, records.seal(seals, ciphers, "last")))
        assert.equal(C.ERR_MEMORY, tonumber(C.tls_record_seal_bytes(seals, ciphers,
            C.TLS_CONTENT_DATA, "x", 1, ffi.new "uint8_t[100]")))
        assert.equal(C.TLS_ALERT_INTERNAL_ERROR,
            select(2, records.open(opens, ciphers, "\23\3\3\0\32" .. ("x"):rep(32))))
    end)

    it("has its whole number in its nonce, in network order (§5.3)", function()
        for place = 0, 7 do
            local numbered, moved = pair(records.AES_128), pair(records.AES_128)
            numbered.sequence = 2ULL ^ (8 * place)
            moved.iv[11 - place] = bit.bxor(moved.iv[11 - place], 1) -- the same nonce by hand
            assert.equal(records.seal(moved, ciphers, "x"), records.seal(numbered, ciphers, "x"))
        end
    end)

    it("is made of small and large pieces alike, 16 KiB at most", function()
        local seals, opens = pair(records.AES_128)
        local texts = {
            "", "one ", ("two "):rep(300), "", "three ", "four ", ("five "):rep(700), "",
            ("six "):rep(4000), "seven", "",
        }
        local all = table.concat(texts)
        local at, held = records.pieces(texts)
        local out, got = ffi.new("uint8_t[?]", C.TLS_SEALED_MAX), {}
        C.tls_pieces_advance(at, 0)
        while at.left > 0 do
            local n = tonumber(C.tls_record_seal(seals, ciphers, C.TLS_CONTENT_DATA, at, out))
            got[#got + 1] = records.open(opens, ciphers, ffi.string(out, n))
        end
        assert.equal(2, #got)
        assert.equal(16384, #got[1])
        assert.is_true(table.concat(got) == all)
        assert.equal(#all, tonumber(at.taken))
        assert.is_truthy(held)
    end)

    it("needs no context of its own between two uses", function()
        for _, contexts in ipairs { 1, 2, 3, 7 } do
            local few, ends = records.ciphers(contexts), {}
            for i = 1, 12 do
                local suite = 0x1301 + i % 3
                local secret = records.secret(suite, tostring(i))
                ends[i] = { records.keys(few, suite, true, secret),
                    records.keys(few, suite, false, secret) }
            end
            for round = 1, 5 do
                for i = 1, #ends, 1 + round % 3 do
                    local text = ("%d %d"):format(round, i)
                    assert.equal(text,
                        records.open(ends[i][2], few, records.seal(ends[i][1], few, text)))
                end
                -- Some end meanwhile, and leave no key behind that another one would use.
                local last = table.remove(ends)
                C.tls_keys_deinit(last[1], few)
                for i = 0, contexts - 1 do
                    assert.is_true(few.slots[i].owner ~= last[1])
                end
            end
        end
    end)

    it("leaves the context to keys that are used", function()
        local few, many = records.ciphers(4), {}
        for i = 1, 6 do
            many[i] = records.keys(few, records.AES_128, true,
                records.secret(records.AES_128, tostring(i)))
        end
        local busy = many[1]
        for i = 2, 6 do
            for _ = 1, 3 do
                records.seal(busy, few, "x")
            end
            local slot = busy.slot
            records.seal(many[i], few, "x")
            records.seal(busy, few, "x")
            assert.equal(slot, busy.slot)
        end
    end)

    it("has keys of which nothing is left when they are cleared", function()
        local keys = records.keys(ciphers, records.AES_256, true,
            records.secret(records.AES_256, "one"))
        records.seal(keys, ciphers, "x")
        C.tls_keys_deinit(keys, ciphers)
        assert.equal(("\0"):rep(ffi.sizeof(keys)), ffi.string(keys, ffi.sizeof(keys)))
    end)
end)
