-- A client's sessions to resume (src/transport/tls_tickets.h). They come from real handshakes.

local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local core = require "spec.support.cdef"
local openssl = require "spec.support.openssl"
local transport = require "spec.support.transport"
local C, ssl = transport.C, transport.ssl

ffi.cdef [[
SSL_SESSION *SSL_get_session(const SSL *ssl);
SSL_SESSION *SSL_SESSION_dup(const SSL_SESSION *session);
long SSL_SESSION_set_time(SSL_SESSION *session, long seconds);
long SSL_SESSION_set_timeout(SSL_SESSION *session, long seconds);
]]

describe("tls_tickets", function()
    local remove, session, tickets

    setup(function()
        local folder
        folder, remove = transport.folder()
        local context = assert(transport.context {
            { certificates.make(folder, "first", { "first.test" }) } })
        local link = transport.link(context)
        assert.equal(0, link:handshake())
        link:decrypted()
        -- OpenSSL spoils the session of a connection that is freed without its end: this is a copy.
        session = ffi.gc(ssl.SSL_SESSION_dup(link:session()), ssl.SSL_SESSION_free)
        link:close()
    end)
    teardown(function()
        remove()
    end)
    before_each(function()
        tickets = core.new("struct tls_tickets", C.tls_tickets_deinit)
        C.tls_tickets_init(tickets)
    end)

    -- Keeps a copy that looks age seconds old. Returns it.
    local function keep(server, age, timeout)
        local copy = ssl.SSL_SESSION_dup(session)
        ssl.SSL_SESSION_set_time(copy, os.time() - (age or 0))
        ssl.SSL_SESSION_set_timeout(copy, timeout or 100000)
        C.tls_tickets_keep(tickets, server, copy)
        return copy
    end

    -- What a new client would resume; nil for nothing. The client, returned too, keeps it alive.
    local function offered(server)
        local client = openssl.client {}
        C.tls_tickets_offer(tickets, server, client.ssl)
        local found = ssl.SSL_get_session(client.ssl)
        return found ~= nil and found or nil, client
    end

    it("offers a server its own sessions, the newest first, each once", function()
        local old, new, other = keep "a:443", keep "a:443", keep "b:443"
        assert.is_true(C.tls_tickets_has(tickets, "a:443"))
        assert.equal(new, (offered "a:443"))
        assert.equal(old, (offered "a:443"))
        assert.is_nil((offered "a:443"))
        assert.is_false(C.tls_tickets_has(tickets, "a:443"))
        assert.equal(other, (offered "b:443"))
        assert.is_nil((offered "c:443"))
    end)

    it("keeps the newest of one server", function()
        local kept = {}
        for i = 1, C.TLS_TICKETS + 2 do
            kept[i] = keep "a:443"
        end
        for i = #kept, 3, -1 do
            assert.equal(kept[i], (offered "a:443"))
        end
        assert.is_nil((offered "a:443"))
    end)

    it("begins anew when there are too many servers", function()
        for i = 1, C.TLS_TICKET_SERVERS do
            keep("server:" .. i)
        end
        assert.is_true(C.tls_tickets_has(tickets, "server:1"))
        keep "one:more"
        assert.is_false(C.tls_tickets_has(tickets, "server:1"))
        assert.is_true(C.tls_tickets_has(tickets, "one:more"))
    end)

    it("passes over those that are too old, or come from the future", function()
        local good = keep("a:443", C.TLS_TICKET_SECONDS - 60)
        keep("a:443", C.TLS_TICKET_SECONDS + 60)
        keep("a:443", 120, 60)
        keep("a:443", -60)
        assert.equal(good, (offered "a:443"))
    end)
end)
