local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function options(o)
    local out = ffi.new("struct deflate_options", {
        enabled = true, server_max_window_bits = 15, client_max_window_bits = 15, level = 6,
        memory_level = 8,
    })
    for name, value in pairs(o or {}) do
        out[name] = value
    end
    return out
end

local function text_of(write, subject)
    local out = core.copy(("\0"):rep(tonumber(C.EXTENSION_TEXT_MAX)), "char *")
    return ffi.string(out, tonumber(write(out, subject)))
end

-- Everything agreed, for comparing: "sc 15 cc 15", with s and c where a context is kept.
local function summary(d)
    if not d.enabled then
        return "declined"
    end
    return ("%s%d %s%d"):format(d.server_no_context_takeover and "-" or "s",
        d.server_max_window_bits, d.client_no_context_takeover and "-" or "c",
        d.client_max_window_bits)
end

-- The server's answer to an offer: its summary, and its text.
local function accept(offer, o)
    local out = ffi.new "struct deflate_params"
    ffi.fill(out, ffi.sizeof(out), 1)
    local result = C.extension_accept(core.copy(offer, "char *"), #offer, options(o), out)
    if result ~= 0 then
        assert.are.equal(C.ERR_PROTOCOL, result)
        assert.is_false(out.enabled)
        return "refused"
    end
    return summary(out), text_of(C.extension_response, out)
end

-- What a client understands of a server's answer.
local function check(answer, o)
    local out = ffi.new "struct deflate_params"
    local result = C.extension_check(core.copy(answer, "char *"), #answer, options(o), out)
    if result ~= 0 then
        assert.are.equal(C.ERR_PROTOCOL, result)
        assert.is_false(out.enabled)
        return "refused"
    end
    return summary(out)
end

local plain = "permessage-deflate"

describe("Sec-WebSocket-Extensions (RFC 6455 §9.1)", function()
    it("may list extensions that nobody knows", function()
        for _, value in ipairs { "foo", "foo; a", "foo; a=b; c=\"d\"", "foo, bar;a=1",
            "foo;a=\"\\b\\c\"", " foo , bar ", ",foo,,bar,", "foo ;\ta = b",
            "x-webkit-deflate-frame", "permessage-bzip2; client_max_window_bits=99" } do
            assert.are.equal("declined", accept(value), value)
        end
    end)

    it("is refused when it is not such a list", function()
        for _, value in ipairs { "", " ", ",", ", ,", ";", "foo;", "foo;;a", "foo; =b", "foo; a=",
            "foo; a=b c", "foo bar", "foo; a=\"", "foo; a=\"b", "foo; a=\"\"", "foo; a=\"b c\"",
            "foo; a=\"b,c\"", "foo; a=\"b\"c", "foo; a=\"\\\"", "foo; a=\"b\\", "\"foo\"", "foo=b",
            "foo; a=b=c", "foo; a\0", "\128", "foo, ;a", "foo/1", plain .. ", foo;",
            plain .. ";", plain .. "; client_max_window_bits=" } do
            assert.are.equal("refused", accept(value), value)
            assert.are.equal("refused", accept(value, { enabled = false }), value)
        end
    end)

    it("is read no further than its end", function()
        local whole = plain .. '; client_max_window_bits="10" , foo; a=b'
        for n = 1, #whole do
            accept(whole:sub(1, n))
            check(whole:sub(1, n))
        end
    end)
end)

describe("permessage-deflate (RFC 7692)", function()
    describe("§5.1 the server", function()
        it("agrees to a plain offer", function()
            assert.are.same({ "s15 c15", plain }, { accept(plain) })
        end)

        it("declines when the route does not want it", function()
            assert.are.same({ "declined", "" }, { accept(plain, { enabled = false }) })
        end)

        it("takes the first offer that it can honour", function()
            local offers = "foo, permessage-deflate; server_max_window_bits=8, "
                .. "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12, "
                .. plain
            assert.are.same({ "s12 c15", plain .. "; server_max_window_bits=12" },
                { accept(offers) })
        end)

        it("compares names as they are", function()
            assert.are.equal("declined", (accept "Permessage-Deflate"))
            assert.are.equal("declined", (accept(plain .. "; Server_no_context_takeover")))
        end)
    end)

    describe("§7.1 declines an offer", function()
        it("with a parameter that is unknown", function()
            assert.are.equal("declined", (accept(plain .. "; foo")))
            assert.are.equal("declined", (accept(plain .. "; server_max_window_bits_=10")))
        end)

        it("with a parameter that is repeated", function()
            for _, p in ipairs { "server_no_context_takeover", "client_no_context_takeover",
                "server_max_window_bits=10", "client_max_window_bits",
                "client_max_window_bits=10" } do
                assert.are.equal("declined", (accept(("%s; %s; %s"):format(plain, p, p))), p)
            end
        end)

        it("with a value that is out of range, or there where none belongs", function()
            for _, p in ipairs { "server_no_context_takeover=1", "client_no_context_takeover=true",
                "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
                "server_max_window_bits=010", "server_max_window_bits=09",
                "server_max_window_bits=a", "server_max_window_bits=+9",
                "server_max_window_bits=100", "client_max_window_bits=7",
                "client_max_window_bits=16", "client_max_window_bits=015",
                "client_max_window_bits=10000000000", "client_max_window_bits=1.0" } do
                assert.are.equal("declined", (accept(plain .. "; " .. p)), p)
            end
        end)
    end)

    describe("§7.1.1 context takeover", function()
        it("is given up where either side wants that", function()
            assert.are.same({ "-15 c15", plain .. "; server_no_context_takeover" },
                { accept(plain .. "; server_no_context_takeover") })
            assert.are.same({ "s15 -15", plain .. "; client_no_context_takeover" },
                { accept(plain .. "; client_no_context_takeover") })
            assert.are.same({ "-15 -15",
                plain .. "; server_no_context_takeover; client_no_context_takeover" },
                { accept(plain, { server_no_context_takeover = true,
                    client_no_context_takeover = true }) })
        end)
    end)

    describe("§7.1.2.1 server_max_window_bits", function()
        it("is the smaller one of offer and options", function()
            for bits = 9, 14 do
                local text = plain .. "; server_max_window_bits=" .. bits
                assert.are.same({ ("s%d c15"):format(bits), text }, { accept(text) })
                assert.are.same({ ("s%d c15"):format(bits), text },
                    { accept(plain, { server_max_window_bits = bits }) })
            end
            assert.are.equal("s10 c15", (accept(plain .. "; server_max_window_bits=12",
                { server_max_window_bits = 10 })))
        end)

        it("is answered when it was offered, even as 15", function()
            local text = plain .. "; server_max_window_bits=15"
            assert.are.same({ "s15 c15", text }, { accept(text) })
        end)

        it("is declined as 8, which zlib cannot make", function()
            assert.are.equal("declined", (accept(plain .. "; server_max_window_bits=8")))
            assert.are.equal("s15 c15", (accept(plain .. "; server_max_window_bits=8, " .. plain)))
        end)
    end)

    describe("§7.1.2.2 client_max_window_bits", function()
        it("is asked of a client that says it can", function()
            assert.are.same({ "s15 c10", plain .. "; client_max_window_bits=10" },
                { accept(plain .. "; client_max_window_bits", { client_max_window_bits = 10 }) })
            assert.are.same({ "s15 c15", plain }, { accept(plain .. "; client_max_window_bits") })
        end)

        it("is the smaller one of offer and options", function()
            local offer = plain .. "; client_max_window_bits=12"
            assert.are.same({ "s15 c12", offer }, { accept(offer) })
            assert.are.equal("s15 c10", (accept(offer, { client_max_window_bits = 10 })))
            assert.are.equal("s15 c12", (accept(offer, { client_max_window_bits = 14 })))
            assert.are.equal("s15 c8", (accept(plain .. "; client_max_window_bits=8")))
        end)

        it("is never said to a client that did not offer it", function()
            assert.are.same({ "s15 c15", plain },
                { accept(plain, { client_max_window_bits = 10 }) })
        end)
    end)

    it("§5.2 takes values in quotes, and quoted bytes in them", function()
        assert.are.equal("s15 c10", (accept(plain .. '; client_max_window_bits="10"')))
        assert.are.equal("s15 c10", (accept(plain .. '; client_max_window_bits="\\1\\0"')))
        assert.are.equal("s12 c15", (accept(plain .. ' ;server_max_window_bits = "12" , foo')))
        assert.are.equal("declined", (accept(plain .. '; client_max_window_bits="7"')))
    end)

    describe("a memory budget", function()
        local function deflater(bits, level)
            return tonumber(C.deflater_memory(bits, level or 8))
        end
        local function inflater(bits)
            return tonumber(C.inflater_memory(bits))
        end
        local both = plain .. "; client_max_window_bits"

        it("follows zlib's formulae", function()
            assert.is_true(deflater(15) >= 2 ^ 17 + 2 ^ 17)
            assert.is_true(inflater(15) >= 2 ^ 15 + 7 * 1024)
        end)

        it("changes nothing that fits", function()
            local o = { memory_bytes = deflater(15) + inflater(15) }
            assert.are.equal("s15 c15", (accept(both, o)))
            assert.are.equal("s15 c15", (accept(plain, o)))
        end)

        it("shrinks the larger window first", function()
            assert.are.equal("s14 c15",
                (accept(both, { memory_bytes = deflater(15) + inflater(15) - 1 })))
            assert.are.equal("s14 c14",
                (accept(both, { memory_bytes = deflater(14) + inflater(15) - 1 })))
            assert.are.equal("s9 c9", (accept(both, { memory_bytes = deflater(9) + inflater(9) })))
        end)

        it("shrinks a client's window only where the client offered that", function()
            assert.are.equal("s9 c15",
                (accept(plain, { memory_bytes = deflater(9) + inflater(15) })))
        end)

        it("gives up the server's context first, and then its window needs not shrink", function()
            assert.are.same({ "-15 c9",
                plain .. "; server_no_context_takeover; client_max_window_bits=9" },
                { accept(both, { memory_bytes = inflater(9) }) })
            assert.are.equal("-15 c15", (accept(plain, { memory_bytes = inflater(15) })))
        end)

        it("gives up the client's context where its window may not shrink", function()
            assert.are.equal("s12 -15",
                (accept(plain, { memory_level = 1, memory_bytes = deflater(12, 1) })))
            assert.are.equal("-15 -15", (accept(plain, { memory_bytes = 1 })))
            assert.are.equal("-15 -15", (accept(both, { memory_bytes = 1 })))
        end)

        it("is 52 KiB by default, 80 where the client's window may not shrink", function()
            for offer, most in pairs { [both] = 52 * 1024, [plain] = 80 * 1024 } do
                local o = ffi.new("struct deflate_options", C.deflate_options_default)
                local out = ffi.new "struct deflate_params"
                o.enabled = true
                assert.are.equal(0, C.extension_accept(core.copy(offer, "char *"), #offer, o, out))
                assert.is_false(out.server_no_context_takeover or out.client_no_context_takeover)
                assert.are.equal(most, deflater(out.server_max_window_bits, o.memory_level)
                    + inflater(out.client_max_window_bits))
            end
        end)

        it("never costs more than it says, whatever is offered", function()
            for _, offer in ipairs { plain, both, plain .. "; client_max_window_bits=11",
                plain .. "; server_max_window_bits=11", both .. "; server_no_context_takeover" } do
                for memory = 1000, 320000, 1777 do
                    local out = ffi.new "struct deflate_params"
                    local o = options { memory_bytes = memory }
                    assert.are.equal(0,
                        C.extension_accept(core.copy(offer, "char *"), #offer, o, out))
                    local cost = 0
                    if not out.server_no_context_takeover then
                        cost = cost + deflater(out.server_max_window_bits)
                    end
                    if not out.client_no_context_takeover then
                        cost = cost + inflater(out.client_max_window_bits)
                    end
                    assert.is_true(cost <= memory)
                end
            end
        end)
    end)

    describe("the client", function()
        local function offer(o)
            return text_of(C.extension_offer, options(o))
        end

        it("§7.1 offers what its options say, and that its window may shrink", function()
            assert.are.equal(plain .. "; client_max_window_bits", offer())
            assert.are.equal(plain .. "; server_no_context_takeover; client_no_context_takeover; "
                .. "server_max_window_bits=10; client_max_window_bits=9",
                offer { server_no_context_takeover = true, client_no_context_takeover = true,
                    server_max_window_bits = 10, client_max_window_bits = 9 })
            assert.are.equal("", offer { enabled = false })
        end)

        it("§7.1 takes an answer within its offer", function()
            assert.are.equal("s15 c15", check(plain))
            assert.are.equal("-15 -15",
                check(plain .. "; server_no_context_takeover; client_no_context_takeover"))
            assert.are.equal("s10 c12",
                check(plain .. "; server_max_window_bits=10; client_max_window_bits=12"))
            assert.are.equal("s8 c15", check(plain .. "; server_max_window_bits=8"))
            assert.are.equal("s15 c10", check(plain .. '; client_max_window_bits="10"'))
        end)

        it("keeps to what it offered where the answer is silent", function()
            assert.are.equal("s15 -10", check(plain,
                { client_no_context_takeover = true, client_max_window_bits = 10 }))
        end)

        it("§5.2 refuses an answer that it did not ask for", function()
            for _, value in ipairs { "", "foo", plain .. ", foo", "foo, " .. plain,
                plain .. ", " .. plain, plain .. "; foo", plain .. "; foo=1",
                plain .. "; client_max_window_bits", plain .. "; client_max_window_bits=16",
                plain .. "; client_max_window_bits=8", plain .. "; server_max_window_bits",
                plain .. "; server_max_window_bits=7", plain .. "; server_no_context_takeover=1",
                plain .. "; server_no_context_takeover; server_no_context_takeover", plain .. ";",
                plain .. "," .. ";" } do
                assert.are.equal("refused", check(value), value)
            end
            assert.are.equal("refused", check(plain, { enabled = false }))
        end)

        it("§7.1 refuses an answer that goes beyond its offer or leaves out a demand", function()
            assert.are.equal("refused",
                check(plain .. "; client_max_window_bits=12", { client_max_window_bits = 11 }))
            assert.are.equal("refused",
                check(plain .. "; server_max_window_bits=12", { server_max_window_bits = 11 }))
            assert.are.equal("refused", check(plain, { server_max_window_bits = 11 }))
            assert.are.equal("refused", check(plain, { server_no_context_takeover = true }))
        end)

        it("agrees with our own server, for all options of both", function()
            local function each(fn)
                for bits = 0, 3 do
                    for _, server in ipairs { 9, 12, 15 } do
                        for _, client in ipairs { 9, 12, 15 } do
                            fn { server_no_context_takeover = bits % 2 == 1,
                                client_no_context_takeover = bits >= 2,
                                server_max_window_bits = server,
                                client_max_window_bits = client }
                        end
                    end
                end
            end
            each(function(ours)
                each(function(theirs)
                    local agreed, answer = accept(offer(ours), theirs)
                    assert.are.equal(agreed, check(answer, ours))
                end)
            end)
        end)
    end)
end)
