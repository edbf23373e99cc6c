local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local transport = require "spec.support.transport"
local C, ssl = transport.C, transport.ssl

local function pattern(len, from)
    local parts = {}
    for i = math.floor(from / 8), math.floor((from + len) / 8) do
        parts[#parts + 1] = ("%08x"):format(i)
    end
    return table.concat(parts):sub(from % 8 + 1, from % 8 + len)
end

describe("tls", function()
    local folder, remove, first, wild, plain, context, link
    -- With it TLS 1.3 is taken over from OpenSSL when the handshake is done.
    local ciphers

    local function certificate(name, names)
        return { certificates.make(folder, name, names) }
    end

    setup(function()
        folder, remove = transport.folder()
        first = certificate("first", { "first.test" })
        wild = certificate("wild", { "*.Wild.test", "wild.test" })
        plain = certificate "plain"
        context = assert(transport.context { first, wild, plain })
        ciphers = ffi.new "struct tls_ciphers *[1]"
    end)
    teardown(function()
        remove()
        C.tls_ciphers_free(ciphers[0])
    end)
    before_each(function()
        link = nil
    end)
    after_each(function()
        if link then
            link:close()
        end
        assert.equal(0, tonumber(ssl.ERR_peek_error()), "an error was left in OpenSSL's queue")
    end)

    local function open(options, with)
        link = transport.link(with or context, options)
        local status = link:handshake()
        assert.equal(0, status, status ~= 0 and link:why() or nil)
        return link
    end
    local function refused(options, with)
        link = transport.link(with or context, options)
        assert.equal(C.ERR_IO, link:handshake())
        return link:why()
    end

    describe("a context", function()
        local function failure(pair)
            local made, why = transport.context { pair }
            assert.is_nil(made)
            assert.is_nil(why:find "\n")
            return why
        end

        it("says which file cannot be read or used", function()
            local missing, text = folder .. "/missing.pem", folder .. "/text.pem"
            files.write(text, "hello\n")
            assert.equal("cannot read the certificate " .. missing .. ": No such file or directory",
                failure { missing, first[2] })
            assert.equal("cannot read the key " .. missing .. ": No such file or directory",
                failure { first[1], missing })
            assert.equal(text .. " holds no certificate in PEM form", failure { text, first[2] })
            assert.equal(text .. " holds no private key in PEM form", failure { first[1], text })
            assert.equal(first[1] .. " holds no private key in PEM form", failure { first[1] })
            assert.equal("TLS needs a certificate and its key", select(2, transport.context {}))
        end)

        it("says that a key belongs to another certificate", function()
            local why = "the key %s does not belong to the certificate %s"
            assert.equal(why:format(wild[2], first[1]), failure { first[1], wild[2] })
        end)

        it("says that a key is encrypted, and asks nobody for the passphrase", function()
            local key = folder .. "/encrypted.key"
            transport.run(("openssl pkey -in %s -aes256 -passout pass:word -out %s"):format(
                first[2], key))
            assert.matches("encrypted.key is encrypted", failure { first[1], key })
        end)

        it("says that a certificate is cut short", function()
            local path = folder .. "/cut.pem"
            files.write(path, files.read(first[1]):sub(1, 300))
            assert.matches("cut.pem is damaged", failure { path, first[2] })
        end)

        it("takes certificate and key from one file", function()
            local path = folder .. "/both.pem"
            local both = files.read(first[1]) .. files.read(first[2])
            files.write(path, both)
            local made, why = transport.context { { path } }
            assert.is_truthy(made)
            assert.equal("", why)
        end)
    end)

    describe("the handshake", function()
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            it("agrees on " .. version .. " and http/1.1", function()
                open { version = version, alpn = { "h2", "http/1.1" } }
                assert.equal(version, ffi.string(C.tls_version_name(link.server.tls)))
                assert.equal("http/1.1", link:protocol())
            end)

            it("resumes a session of " .. version .. ", also with another certificate", function()
                open { version = version }
                assert.is_false(C.tls_resumed(link.server.tls))
                link:decrypted()
                local session = link:session()
                assert.equal(1, ssl.SSL_SESSION_is_resumable(session))
                link:close()
                local renewed = assert(transport.context({ plain }, { previous = context }))
                open({ version = version, session = session }, renewed)
                assert.is_true(C.tls_resumed(link.server.tls))
            end)
        end

        it("refuses older versions", function()
            assert.matches("unsupported protocol", refused { version = "TLSv1.1" })
            link:close()
            local modern = assert(transport.context({ first },
                { min_version = C.TLS_VERSION_1_3 }))
            assert.matches("unsupported protocol", refused({ version = "TLSv1.2" }, modern))
        end)

        it("refuses a client that offers other protocols only (RFC 7301 §3.2)", function()
            assert.matches("no application protocol", refused { alpn = { "h2" } })
            link:close()
            assert.matches("no application protocol",
                refused { alpn = { "h2" }, name = "wild.test" })
        end)

        it("shows the certificate of the name that the client asked for", function()
            local cases = {
                { nil, "first.test" }, { "first.test", "first.test" },
                { "FIRST.test", "first.test" },
                { "a.wild.test", "a.wild.test" }, { "wild.test", "wild.test" },
                { "plain.test", "plain.test" }, { "a.b.wild.test", "first.test" },
                { "unknown.test", "first.test" }, { "test", "first.test" },
            }
            for _, case in ipairs(cases) do
                open { name = case[1] }
                assert.is_true(link:shows(case[2]), case[1])
                link:close()
            end
        end)

        it("tells plain HTTP from TLS", function()
            link = transport.link(context)
            link:send_raw "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            transport.wait(link.server.fd)
            assert.equal(C.ERR_IO, C.transport_handshake(link.server))
            assert.equal("http request", link:why())
        end)

        it("fails when the peer leaves", function()
            link = transport.link(context)
            ffi.C.shutdown(link.fd, 1)
            transport.wait(link.server.fd)
            assert.equal(C.ERR_IO, C.transport_handshake(link.server))
            assert.equal("the peer left during the TLS handshake", link:why())
        end)
    end)

    describe("is taken over from OpenSSL", function()
        for _, suite in ipairs {
            "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        } do
            it("with " .. suite .. ", resumed or not, and still has a name", function()
                local session
                for _, resumed in ipairs { false, true } do
                    open { version = "TLSv1.3", ciphers = ciphers, suites = suite,
                        session = session }
                    assert.is_truthy(link.server.tls.traffic)
                    assert.equal("TLSv1.3", ffi.string(C.tls_version_name(link.server.tls)))
                    assert.equal(suite, ffi.string(C.tls_cipher_name(link.server.tls)))
                    assert.equal(resumed, C.tls_resumed(link.server.tls))
                    assert.equal(5, link:write "hello")
                    transport.wait(link.fd)
                    link:fetch()
                    assert.equal("hello", link:decrypted())
                    link:send_raw(link:encrypt "back")
                    assert.equal("back", link:read_all(4))
                    session = link:session()
                    link:close()
                end
            end)
        end

        it("at the number of records that it has written: the ticket's", function()
            open { ciphers = ciphers }
            assert.equal(1, tonumber(link.server.tls.traffic.out.sequence))
            assert.equal(0, tonumber(link.server.tls.traffic["in"].sequence))
        end)

        it("but not in TLS 1.2", function()
            open { version = "TLSv1.2", ciphers = ciphers }
            assert.is_true(link.server.tls.traffic == nil)
            assert.is_true(link.server.tls.takeover == nil)
        end)

        it("and needs its context no more", function()
            local other = assert(transport.context { first })
            local before = other.references
            open({ ciphers = ciphers }, other)
            assert.equal(before, other.references)
            link:close()
            open({}, other)
            assert.equal(before + 1, other.references)
        end)

        it("with nothing that came right behind the handshake lost", function()
            link = transport.link(context, { ciphers = ciphers })
            local sent
            repeat
                ssl.SSL_do_handshake(link.ssl)
                local bytes = link:outgoing()
                local finished = #bytes > 0 and ssl.SSL_write(link.ssl, "early", 5) == 5
                link:send_raw(bytes .. (finished and link:outgoing() or ""))
                sent = sent or finished
                transport.wait(link.server.fd)
                local status = C.transport_handshake(link.server)
                assert.is_true(status == 0 or status == C.ERR_AGAIN, link:why())
                link:fetch()
            until status == 0
            assert.is_true(sent)
            assert.is_truthy(link.server.tls.traffic)
            assert.equal("early", link:read_all(5))
        end)
    end)

    for whose, ours in pairs { ["OpenSSL's records"] = false, ["records of our own"] = true } do
        local function open_so(options)
            options = options or {}
            options.ciphers = ours and ciphers or nil
            open(options)
            assert.equal(ours, link.server.tls.traffic ~= nil)
            assert.equal(ours, link.server.tls.ssl == nil)
        end

        describe("reading with " .. whose, function()
            it("gives the bytes of all records that came, cut at each place", function()
                open_so()
                local cut = 1
                repeat
                    local bytes = link:encrypt "hello " .. link:encrypt "world"
                    link:send_raw(bytes:sub(1, cut))
                    transport.wait(link.server.fd)
                    local got = link:read() or ""
                    link:send_raw(bytes:sub(cut + 1))
                    got = got .. link:read_all(11 - #got)
                    assert.equal("hello world", got, "cut at " .. cut)
                    cut = cut + 1
                until cut == #bytes
            end)

            for _, room in ipairs { 65536, 100000, 524288 } do
                it("keeps the order of large records in " .. room .. " bytes", function()
                    open_so()
                    local sent = 0
                    -- Records of every length class, cut where no record ends, so that a part of
                    -- one is held while the rest comes with others.
                    local waiting = ""
                    for _, len in ipairs { 16384, 1, 16000, 16384, 300, 16384, 16384, 7, 9000 } do
                        waiting = waiting .. link:encrypt(pattern(len, sent))
                        sent = sent + len
                    end
                    local got, at = "", 1
                    for _, cut in ipairs { 10000, 26000, 26005, 40003, #waiting } do
                        link:send_raw(waiting:sub(at, cut))
                        at = cut + 1
                        transport.wait(link.server.fd)
                        repeat
                            local text = link:read(room)
                            got = got .. (text or "")
                        until not text
                    end
                    got = got .. link:read_all(sent - #got, room)
                    assert.is_true(got == pattern(sent, 0))
                end)
            end

            it("gives bytes before the end that came with them, then the end", function()
                open_so()
                local bytes = link:encrypt "bye"
                ssl.SSL_shutdown(link.ssl)
                link:send_raw(bytes .. link:outgoing())
                transport.wait(link.server.fd)
                assert.equal("bye", link:read())
                assert.is_true(C.transport_pending(link.server))
                assert.equal(0, select(2, link:read()))
                assert.is_false(C.transport_pending(link.server))
            end)

            it("gives bytes before a failure that came with them", function()
                open_so()
                link:send_raw(link:encrypt "bye" .. ("\23"):rep(50))
                transport.wait(link.server.fd)
                assert.equal("bye", link:read())
                assert.is_true(C.transport_pending(link.server))
                assert.equal(C.ERR_IO, select(2, link:read()))
                assert.is_true(link:write "x" < 0)
            end)

            it("refuses a record that was changed on its way", function()
                open_so()
                local bytes = link:encrypt "hello"
                link:send_raw(bytes:sub(1, -2) .. string.char(bit.bxor(bytes:byte(-1), 1)))
                transport.wait(link.server.fd)
                assert.equal(C.ERR_IO, select(2, link:read()))
                assert.equal("decryption failed or bad record mac", link:why())
            end)

            it("takes an end without close_notify as the end", function()
                open_so()
                ffi.C.shutdown(link.fd, 1)
                transport.wait(link.server.fd)
                assert.equal(0, select(2, link:read()))
            end)

            it("goes on after the peer changed its keys (RFC 8446 §4.6.3)", function()
                open_so { version = "TLSv1.3" }
                link:decrypted()
                assert.equal(1, ssl.SSL_key_update(link.ssl, 1))
                link:send_raw(link:encrypt "new key")
                assert.equal("new key", link:read_all(7))
                assert.equal(5, link:write "reply")
                transport.wait(link.fd)
                link:fetch()
                assert.equal("reply", link:decrypted())
            end)
        end)

        describe("writing with " .. whose, function()
            -- The client reads little meanwhile. What was taken counts, and the next write begins
            -- behind it.
            it("loses and repeats nothing when the socket is full", function()
                open_so { buffer = 20000 }
                link:decrypted()
                local taken, got, blocked = 0, {}, 0
                for i = 1, 300 do
                    local len = i % 7 == 0 and 50000 or 1 + i * 37 % 300
                    local n = link:write(pattern(len, taken))
                    if n == C.ERR_AGAIN then
                        blocked = blocked + 1
                        assert.is_true(C.transport_wants_write(link.server))
                    else
                        assert.is_true(n > 0)
                        taken = taken + n
                    end
                    if i % 3 == 0 and link:fetch(4000) > 0 then
                        got[#got + 1] = link:decrypted()
                    end
                end
                assert.is_true(blocked > 10)
                while true do
                    local status = C.transport_flush(link.server)
                    if link:fetch() > 0 then
                        got[#got + 1] = link:decrypted()
                    elseif status == 0 then
                        break
                    else
                        assert.equal(C.ERR_AGAIN, status)
                    end
                end
                C.transport_shutdown(link.server)
                repeat
                    transport.wait(link.fd)
                    local n = link:fetch()
                    got[#got + 1] = link:decrypted()
                until n == 0
                assert.is_false(C.transport_wants_write(link.server))
                assert.is_true(table.concat(got) == pattern(taken, 0))
            end)

            it("packs small pieces into one record", function()
                open_so()
                link:fetch()
                link:decrypted()
                local pieces = ffi.new "struct iovec[4]"
                local texts = { "one ", "", "two ", "three" }
                for i, text in ipairs(texts) do
                    pieces[i - 1].iov_base, pieces[i - 1].iov_len = ffi.cast("void *", text), #text
                end
                assert.equal(13, tonumber(C.transport_writev(link.server, pieces, 4)))
                transport.wait(link.fd)
                -- Header, bytes, type, tag: RFC 8446 §5.2.
                assert.equal(5 + 13 + 1 + 16, link:fetch())
                assert.equal("one two three", link:decrypted())
            end)

            it("sends a file, and says where it ends", function()
                local path, len = folder .. "/file", 200000
                files.write(path, pattern(len, 0))
                open_so()
                link:decrypted()
                local file = assert(io.open(path))
                local fd = ffi.C.fileno(file)
                local at, got = ffi.new "off_t[1]", {}
                while at[0] < len do
                    local n = tonumber(C.transport_send_file(link.server, fd, at, len - at[0]))
                    assert.is_true(n > 0 or n == C.ERR_AGAIN)
                    link:fetch()
                    got[#got + 1] = link:decrypted()
                end
                while C.transport_flush(link.server) == C.ERR_AGAIN do
                    link:fetch()
                    got[#got + 1] = link:decrypted()
                end
                assert.equal(0, tonumber(C.transport_send_file(link.server, fd, at, 10)))
                file:close()
                C.transport_shutdown(link.server)
                repeat
                    transport.wait(link.fd)
                    local n = link:fetch()
                    got[#got + 1] = link:decrypted()
                until n == 0
                assert.is_true(table.concat(got) == pattern(len, 0))
            end)

            it("ends its side with close_notify and still reads", function()
                open_so()
                C.transport_shutdown(link.server)
                local RECEIVED = 2
                repeat
                    transport.wait(link.fd)
                    local n = link:fetch()
                    link:decrypted()
                until n == 0
                assert.equal(RECEIVED, bit.band(ssl.SSL_get_shutdown(link.ssl), RECEIVED))
                link:send_raw(link:encrypt "late")
                assert.equal("late", link:read_all(4))
            end)
        end)
    end
end)
