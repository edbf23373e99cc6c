-- src/engine/ground/site*.c: what an app declares, two workers' sites, and one site after another.

local ffi = require "ffi"
local bit = require "bit"
local core = require "spec.support.cdef"
local C = core.C

core.declare("src/engine/ground/site_routes.h", "src/engine/ground/site_options.h",
    "src/engine/ground/site_succession.h")

local GET, POST = tonumber(C.HTTP_GET), tonumber(C.HTTP_POST)
local WEBSOCKET, HEAD = tonumber(C.HTTP_WEBSOCKET), tonumber(C.HTTP_HEAD)
local NOWHERE = tonumber(C.SITE_NOWHERE)

local function new()
    return ffi.gc(C.site_new(), C.site_free)
end

local function add(s, pattern, methods)
    return C.site_add_route(s, core.copy(pattern, "char *"), #pattern, methods or GET)
end

local function add_static(s, prefix, folder)
    return C.site_add_static(s, core.copy(prefix, "char *"), #prefix, core.copy(folder, "char *"),
        #folder)
end

-- A site of { pattern, methods } routes, committed.
local function site(routes)
    local s = new()
    for i, route in ipairs(routes) do
        assert.equal(i - 1, add(s, route[1], route[2]), ffi.string(s.error))
    end
    assert.equal(0, C.site_commit(s))
    return s
end

-- The route that a path leads to, or nil.
local function target(s, path, method)
    local out = ffi.new "struct router_match"
    if C.router_match(s.router, core.copy(path, "char *"), #path, method or GET, out) == 0 then
        return tonumber(out.target)
    end
end

local function refused(s, code, pattern, result)
    assert.equal(code, core.name(result))
    assert.matches(pattern, ffi.string(s.error), 1, true)
end

describe("A site's listener", function()
    it("takes the addresses of proxies, which workers must agree on", function()
        local s = new()
        assert.equal(0, C.site_add_listener(s, nil, 8080))
        for _, range in ipairs { "127.0.0.1", "10.0.0.0/8", "unix:" } do
            assert.equal(0, C.site_add_proxy(s, 0, range))
        end
        assert.equal(3, s.listeners[0].proxies.count)
        refused(s, "ERR_INVALID", '"10.0.0.1/8" is not an address', C.site_add_proxy(s, 0,
            "10.0.0.1/8"))
        refused(s, "ERR_INVALID", "there is no listener 1", C.site_add_proxy(s, 1, "::1"))
        for _ = 4, 32 do
            assert.equal(0, C.site_add_proxy(s, 0, "::1"))
        end
        refused(s, "ERR_LIMIT", "at most 32 addresses", C.site_add_proxy(s, 0, "::1"))
        local function one(range)
            local other = new()
            assert.equal(0, C.site_add_listener(other, nil, 8080))
            assert.equal(0, C.site_add_proxy(other, 0, range))
            return other
        end
        assert.is_true(C.site_agrees(one "::1", one "::1"))
        assert.is_false(C.site_agrees(one "::1", one "::2"))
    end)
end)

describe("A site's route", function()
    local s

    before_each(function()
        s = new()
    end)

    it("is for HTTP or for WebSocket, and for nothing else", function()
        for _, methods in ipairs { 0, bit.bor(GET, WEBSOCKET), 0x40000000 } do
            refused(s, "ERR_INVALID", "it needs HTTP methods or WebSocket", add(s, "/", methods))
        end
        assert.equal(0, add(s, "/", GET))
        assert.equal(1, add(s, "/", WEBSOCKET))
        assert.equal(tonumber(C.SITE_HTTP), tonumber(s.routes[0].kind))
        assert.equal(tonumber(C.SITE_WEBSOCKET), tonumber(s.routes[1].kind))
    end)

    it("that the router refuses leaves no trace", function()
        refused(s, "ERR_INVALID", 'route "chat": ', add(s, "chat"))
        refused(s, "ERR_INVALID", "a pattern holds no NUL", add(s, "/a\0b"))
        assert.equal(0, add(s, "/a/:b"))
        refused(s, "ERR_INVALID", 'route "/a/:c": ', add(s, "/a/:c"))
        assert.equal(1, tonumber(s.route_count))
        assert.equal(1, add(s, "/b"))
        assert.equal("/b", ffi.string(s.routes[1].pattern))
    end)

    it("speaks subprotocols that are tokens (RFC 6455 §4.1), each named once", function()
        local http, ws = add(s, "/"), add(s, "/ws", WEBSOCKET)
        local function protocol(route, name)
            return C.site_add_protocol(s, route, core.copy(name, "char *"), #name)
        end
        assert.equal(0, protocol(ws, "chat.v2"))
        assert.equal(0, protocol(ws, "chat"))
        refused(s, "ERR_INVALID", "is named twice", protocol(ws, "chat"))
        for _, name in ipairs { "", "a b", "a,b", "a\0" } do
            refused(s, "ERR_INVALID", "a name is letters", protocol(ws, name))
        end
        refused(s, "ERR_INVALID", 'route "/" is not a WebSocket route', protocol(http, "chat"))
        refused(s, "ERR_INVALID", "there is no route 7", protocol(7, "chat"))
        assert.equal(0, C.site_commit(s))
        local list = s.routes[ws].handshake.protocols
        assert.equal("chat.v2", ffi.string(list[0]))
        assert.equal("chat", ffi.string(list[1]))
        assert.is_true(list[2] == nil)
        assert.is_true(s.routes[http].handshake.protocols == nil)
    end)

    it("allows origins as a browser writes them (RFC 6454 §6.2)", function()
        local ws = add(s, "/ws", WEBSOCKET)
        local function origin(text)
            return C.site_add_origin(s, ws, core.copy(text, "char *"), #text)
        end
        for _, text in ipairs { "*", "null", "https://example.com", "http://localhost:8080",
            "http://[::1]:81", "capacitor+x.1-2://app" } do
            assert.equal(0, origin(text), text)
        end
        for _, text in ipairs { "", "example.com", "://x", "https://", "https://a/b", "1a://x",
            "ht tp://x", "https://a:99999" } do
            refused(s, "ERR_INVALID", 'write "https://example.com"', origin(text))
        end
        for _, text in ipairs { "*.example.com", "https://*", "https://*example.com",
            "https://a.*.com", "https://*.*.com", "https://example.*", "https://*.",
            "https://*..com", "https://**.com", "capacitor://*.app", "https://*:8443",
            "https://a.com:*", "https://*.a.com/*" } do
            local result = origin(text)
            assert.equal(C.ERR_INVALID, result, text)
            assert.matches('"https://*.example.com"', ffi.string(s.error), 1, true)
        end
        assert.equal("null", ffi.string(s.routes[ws].origins[1]))
        assert.is_true(s.routes[ws].origins[6] == nil)
    end)

    it("is compressed as soon as an option is given, unless that says no", function()
        local http, ws = add(s, "/"), add(s, "/ws", WEBSOCKET)
        assert.is_false(s.routes[ws].deflate.enabled)
        assert.equal(0, C.site_set_compress(s, ws, "memory_bytes", 123456))
        assert.is_true(s.routes[ws].deflate.enabled)
        assert.equal(123456, s.routes[ws].deflate.memory_bytes)
        assert.equal(0, C.site_set_compress(s, ws, "level", 9))
        assert.equal(9, s.routes[ws].deflate.level)
        assert.equal(0, C.site_set_compress(s, ws, "enabled", 0))
        assert.is_false(s.routes[ws].deflate.enabled)
        refused(s, "ERR_INVALID", '"server_max_window_bits" is 8; it must be a whole number from 9 '
            .. "to 15", C.site_set_compress(s, ws, "server_max_window_bits", 8))
        refused(s, "ERR_INVALID", 'did you mean "level"?', C.site_set_compress(s, ws, "levle", 1))
        refused(s, "ERR_INVALID", "is not a WebSocket route", C.site_set_compress(s, http, "level",
            1))
    end)
end)

describe("A site's folder", function()
    local s

    before_each(function()
        s = new()
    end)

    it("is served below its prefix, and the prefix itself leads there too", function()
        assert.equal(0, add_static(s, "/code/", "src"))
        assert.equal(1, add_static(s, "/", "spec"))
        assert.equal(0, C.site_commit(s))
        assert.same({ 0, 0, 0, 1, 1 }, { target(s, "/code/base/map.h"), target(s, "/code/"),
            target(s, "/code", HEAD), target(s, "/"), target(s, "/x") })
        assert.is_nil(target(s, "/code", POST))
        assert.is_true(s.routes[0].folder >= 0 and s.routes[0].folder ~= s.routes[1].folder)
        assert.is_true(C.site_has_static(s))
        assert.is_false(C.site_has_static(new()))
    end)

    it("leaves its prefix to a route of the app, whichever comes first", function()
        for _, first in ipairs { "route", "folder" } do
            s = new()
            local route = first == "route" and add(s, "/code")
            local folder = add_static(s, "/code", "src")
            route = route or add(s, "/code")
            assert.equal(0, C.site_commit(s))
            assert.equal(route, target(s, "/code"), first)
            assert.equal(folder, target(s, "/code/"), first)
        end
    end)

    it("has types of its own, which are endings and media types", function()
        local function add_type(ending, type, route)
            return C.site_add_type(s, route or 0, core.copy(ending, "char *"), #ending,
                core.copy(type, "char *"), #type)
        end
        assert.equal(0, add_static(s, "/", "src"))
        assert.equal(1, add(s, "/x"))
        assert.equal(0, add_type("ts", "text/plain; charset=utf-8"))
        assert.equal(0, add_type("C++", "text/x-c++"))
        for i, text in ipairs { "ts", "text/plain; charset=utf-8", "C++", "text/x-c++" } do
            assert.equal(text, ffi.string(s.routes[0].types[i - 1]))
        end
        assert.is_true(s.routes[0].types[4] == nil)
        for _, ending in ipairs { "", "tar.gz", ".", "a/b", "a b", "a\0", "a\n" } do
            refused(s, "ERR_INVALID", "is not the ending of a file's name", add_type(ending, "a/b"))
        end
        for _, type in ipairs { "", "text", "text/x\r\nA: b", "text/x; a" } do
            refused(s, "ERR_INVALID", "is not a media type for .x", add_type("x", type))
        end
        refused(s, "ERR_INVALID", ".TS has two types", add_type("TS", "a/b"))
        refused(s, "ERR_INVALID", "route 1 is not a folder", add_type("x", "a/b", 1))
        refused(s, "ERR_INVALID", "route 2 is not a folder", add_type("x", "a/b", 2))
    end)

    it("exists, and has a prefix without parameters", function()
        refused(s, "ERR_NOT_FOUND", "no such directory", add_static(s, "/", "no/such"))
        refused(s, "ERR_NOT_FOUND", "it is not a directory", add_static(s, "/", "Makefile"))
        refused(s, "ERR_INVALID", "the folder's name is empty", add_static(s, "/", ""))
        refused(s, "ERR_INVALID", "a path holds no NUL", add_static(s, "/", "src\0"))
        for _, prefix in ipairs { "/:a", "/*a", "/a\0b" } do
            refused(s, "ERR_INVALID", "holds no parameters", add_static(s, prefix, "src"))
        end
        assert.equal(0, tonumber(s.route_count))
    end)
end)

describe("A site's limits", function()
    local s, ws

    before_each(function()
        s = new()
        ws = add(s, "/ws", WEBSOCKET)
    end)

    it("are the app's, but for those that a route sets itself", function()
        assert.equal(0, C.site_set_limit(s, ws, "message_bytes", 100))
        assert.equal(0, C.site_set_limit(s, -1, "message_bytes", 200))
        assert.equal(0, C.site_set_limit(s, -1, "queued_bytes", 300))
        assert.equal(0, C.site_commit(s))
        assert.same({ 100, 300, 200 }, { s.routes[ws].limits.message_bytes,
            s.routes[ws].limits.queued_bytes, s.limits.message_bytes })
        assert.equal(C.limits_default.subscriptions, s.routes[ws].limits.subscriptions)
    end)

    it("stay the app's where no route is known yet", function()
        refused(s, "ERR_INVALID",
            'limit "head_bytes" is one of the whole app: set it with',
            C.site_set_limit(s, ws, "head_bytes", 1000))
        refused(s, "ERR_INVALID", "there is no route 1", C.site_set_limit(s, 1, "queued_bytes", 1))
    end)

    it("are whole numbers within their bounds", function()
        local function set(name, value)
            return C.site_set_limit(s, -1, name, value)
        end
        for name, most in pairs { header_count = 256, probation_seconds = 600,
            probation_failures = 1000, idle_seconds = 31536000, message_bytes = 4294967295 } do
            assert.equal(0, set(name, most), name)
            assert.equal(most, s.limits[name], name)
            refused(s, "ERR_INVALID", " to " .. most, set(name, most + 1))
        end
        assert.equal(0, set("idle_seconds", 0))
        for _, name in ipairs { "target_bytes", "head_bytes", "header_count", "message_bytes",
            "queued_bytes", "waiting_messages", "connections" } do
            refused(s, "ERR_INVALID", "from 1 to", set(name, 0))
        end
        for _, value in ipairs { -1, 1.5, 0 / 0, 1 / 0 } do
            refused(s, "ERR_INVALID", "a whole number", set("idle_seconds", value))
        end
    end)

    it("that are unknown have a neighbour, or all are listed", function()
        refused(s, "ERR_INVALID", 'limit "mesage_bytes" is unknown; did you mean "message_bytes"?',
            C.site_set_limit(s, -1, "mesage_bytes", 1))
        refused(s, "ERR_INVALID", 'did you mean "idle_seconds"?',
            C.site_set_limit(s, -1, "idle", 1))
        refused(s, "ERR_INVALID", "known are: target_bytes, head_bytes",
            C.site_set_limit(s, -1, "speed", 1))
    end)
end)

describe("A site's listener", function()
    local s

    before_each(function()
        s = new()
    end)

    it("has a port of TCP and a host that can be", function()
        assert.equal(0, C.site_add_listener(s, nil, 0))
        assert.equal(1, C.site_add_listener(s, "*", 65535))
        assert.equal(2, C.site_add_listener(s, "unix:" .. ("x"):rep(107), 0))
        assert.is_true(s.listeners[0].host == nil)
        assert.equal("*", ffi.string(s.listeners[1].host))
        for _, port in ipairs { -1, 65536 } do
            refused(s, "ERR_INVALID", "is not from 0 to 65535", C.site_add_listener(s, "*", port))
        end
        refused(s, "ERR_INVALID", "the host is empty", C.site_add_listener(s, "", 80))
        for _, path in ipairs { "", ("x"):rep(108) } do
            refused(s, "ERR_INVALID", "a socket's path has 1 to 107 bytes",
                C.site_add_listener(s, "unix:" .. path, 0))
        end
        assert.equal(3, tonumber(s.listener_count))
    end)

    it("has certificates, whose keys may be in the same file", function()
        refused(s, "ERR_INVALID", "there is no listener 0", C.site_add_certificate(s, 0, "a", "b"))
        C.site_add_listener(s, "*", 443)
        refused(s, "ERR_INVALID", "needs the path of a certificate",
            C.site_add_certificate(s, 0, "", "b"))
        assert.equal(0, C.site_add_certificate(s, 0, "a.pem", "a.key"))
        assert.equal(0, C.site_add_certificate(s, 0, "b.pem", nil))
        local l = s.listeners[0]
        assert.equal(2, tonumber(l.certificate_count))
        assert.equal("a.key", ffi.string(l.certificates[0].key_path))
        assert.is_true(l.certificates[1].key_path == nil)
    end)
end)

describe("A site's file", function()
    it("is what was said of it first", function()
        local s = new()
        local digest = ("0"):rep(40)
        assert.equal(0, C.site_add_file(s, "app.lua", digest))
        assert.equal(0, C.site_add_file(s, "gone.lua", ""))
        assert.equal(0, C.site_add_file(s, "app.lua", ""))
        assert.equal(2, tonumber(s.file_count))
        assert.equal(digest, ffi.string(s.files[0].digest))
        assert.equal("", ffi.string(s.files[1].digest))
    end)
end)

describe("The sites of two workers", function()
    local function with_listener(host, port)
        local s = new()
        C.site_add_listener(s, host, port)
        return s
    end

    it("agree when they declare the same routes and listeners", function()
        local a = site { { "/", GET }, { "/ws", WEBSOCKET } }
        assert.is_true(C.site_agrees(a, site { { "/", GET }, { "/ws", WEBSOCKET } }))
        for what, b in pairs {
            ["one less"] = site { { "/", GET } },
            ["other methods"] = site { { "/", POST }, { "/ws", WEBSOCKET } },
            ["another pattern"] = site { { "/x", GET }, { "/ws", WEBSOCKET } },
            ["another order"] = site { { "/ws", WEBSOCKET }, { "/", GET } },
        } do
            assert.is_false(C.site_agrees(a, b), what)
        end
        local b = with_listener("*", 80)
        assert.is_true(C.site_agrees(b, with_listener("*", 80)))
        assert.is_false(C.site_agrees(b, with_listener("*", 81)))
        assert.is_false(C.site_agrees(b, with_listener(nil, 80)))
        assert.is_false(C.site_agrees(b, new()))
    end)

    it("that do not are told of in a line", function()
        local function said(a, b)
            local out = ffi.new "char[256]"
            C.site_disagreement(out, 256, "chat.lua", a, b, 3)
            return (ffi.string(out):gsub("^chat.lua: its top level runs once in each worker and "
                .. "must declare the same routes and listeners each time, but ", ""))
        end
        local a = site { { "/", GET }, { "/ws", WEBSOCKET } }
        assert.equal("route number 2 is /ws in worker 1 and /x in worker 3",
            said(a, site { { "/", GET }, { "/x", GET } }))
        assert.equal("route number 2 is /ws in worker 1 and none in worker 3",
            said(a, site { { "/", GET } }))
        assert.equal("listener number 1 is none in worker 1 and one in worker 3",
            said(new(), with_listener("*", 80)))
    end)
end)

describe("A site that follows another", function()
    local function follow(before, routes)
        local s = new()
        for _, route in ipairs(routes) do
            add(s, route[1], route[2])
        end
        assert.equal(0, C.site_commit(s))
        assert.equal(0, C.site_succeed(s, before))
        return s
    end

    local before
    before_each(function()
        before = site { { "/a/:x", GET }, { "/ws/:room", WEBSOCKET }, { "/gone", WEBSOCKET } }
    end)

    it("has the same routes, wherever they are and whatever their parameters are called", function()
        local s = follow(before, { { "/new", GET }, { "/ws/:name", WEBSOCKET }, { "/a/:y", GET } })
        assert.same({ 2, 1, NOWHERE }, { C.site_successor(s, 0), C.site_successor(s, 1),
            C.site_successor(s, 2) })
    end)

    it("has no successor of other methods or another kind", function()
        local s = follow(before, { { "/a/:x", POST }, { "/ws/:room", GET } })
        assert.same({ NOWHERE, NOWHERE }, { C.site_successor(s, 0), C.site_successor(s, 1) })
    end)

    it("takes a route that is gone, once, and no path leads to it", function()
        local s = follow(before, { { "/ws/:room", WEBSOCKET } })
        assert.equal(1, C.site_retire(s, before, 2))
        assert.equal(1, C.site_retire(s, before, 2))
        assert.equal("/gone", ffi.string(s.routes[1].pattern))
        assert.equal(2, s.routes[1].was)
        assert.is_true(before.routes[2].pattern == nil)
        assert.same({ 2, 1 }, { tonumber(s.route_count), tonumber(s.declared_count) })
        assert.is_nil(target(s, "/gone", WEBSOCKET))
        assert.equal(NOWHERE, C.site_living(s, 1))
        assert.equal(0, C.site_living(s, 0))
    end)

    it("gives a retired route back to the next site that declares it", function()
        local s = follow(before, {})
        local retired = C.site_retire(s, before, 2)
        local after = follow(s, { { "/gone", WEBSOCKET } })
        assert.equal(0, C.site_successor(after, retired))
    end)
end)
