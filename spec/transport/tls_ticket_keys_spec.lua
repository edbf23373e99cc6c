-- src/transport/tls_ticket_keys.c: the keys of session tickets change (RFC 9325 §3.4).

local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local core = require "spec.support.cdef"
local transport = require "spec.support.transport"
local C = transport.C

core.declare "src/transport/tls_ticket_keys.h"

describe("The keys of session tickets", function()
    local remove, pair, context, link

    setup(function()
        local folder
        folder, remove = transport.folder()
        pair = { certificates.make(folder, "first", { "first.test" }) }
    end)
    teardown(function()
        remove()
    end)
    before_each(function()
        context = assert(transport.context { pair })
    end)
    after_each(function()
        link:close()
    end)

    -- As if so many seconds had passed.
    local function pass(seconds)
        local locked = context.ticket_keys.locked
        for _, key in ipairs { locked.current, locked.old } do
            if key.born_ms ~= 0 then
                -- A machine that has just started has no time so long ago: the number wraps, as
                -- the difference does.
                key.born_ms = key.born_ms - seconds * 1000ULL
            end
        end
    end

    local function connect(version, session, with)
        link = transport.link(with or context, { version = version, session = session })
        assert.equal(0, link:handshake())
        link:decrypted()
        return C.tls_resumed(link.server.tls)
    end

    local function session(version)
        assert.is_false(connect(version))
        local kept = link:session()
        link:close()
        return kept
    end

    local function name()
        return ffi.string(context.ticket_keys.locked.current.name, C.TLS_TICKET_NAME_BYTES)
    end

    local SEALS, OPENS = C.TLS_TICKET_KEY_SECONDS, C.TLS_TICKET_KEY_OLD_SECONDS

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        it("stay for twelve hours, with " .. version, function()
            local old, before = session(version), name()
            pass(SEALS - 60)
            assert.is_true(connect(version, old))
            assert.equal(before, name())
        end)

        it("change then, and the old one opens for two hours more, with " .. version, function()
            local old, before = session(version), name()
            pass(SEALS)
            assert.is_true(connect(version, old))
            assert.not_equal(before, name())
            -- Its client has got a new ticket, for the new key.
            local new = link:session()
            link:close()
            pass(OPENS - 60)
            assert.is_true(connect(version, old))
            link:close()
            pass(60)
            assert.is_true(connect(version, new))
            link:close()
            assert.is_false(connect(version, old))
            assert.equal(("\0"):rep(32), ffi.string(context.ticket_keys.locked.old.aes, 32))
        end)

        it("do not open after a silence that was longer than both, with " .. version, function()
            local old = session(version)
            pass(SEALS + OPENS)
            assert.is_false(connect(version, old))
        end)
    end

    it("are those of the context after it, too", function()
        local old = session "TLSv1.3"
        local renewed = assert(transport.context({ pair }, { previous = context }))
        pass(SEALS)
        assert.is_true(connect("TLSv1.3", old, renewed))
        assert.equal(context.ticket_keys, renewed.ticket_keys)
    end)

    it("are another listener's own", function()
        local other = assert(transport.context { pair })
        assert.is_false(connect("TLSv1.3", session "TLSv1.3", other))
    end)
end)
