local ffi = require "ffi"
local bit = require "bit"
local core = require "spec.support.cdef"
local C = core.C

local GET, HEAD, POST = tonumber(C.HTTP_GET), tonumber(C.HTTP_HEAD), tonumber(C.HTTP_POST)
local WEBSOCKET, ANY = tonumber(C.HTTP_WEBSOCKET), tonumber(C.HTTP_ANY)

local function add(router, pattern, methods, target)
    local why = ffi.new "const char *[1]"
    local result = C.router_add(router, core.copy(pattern, "char *"), #pattern, methods, target,
        why)
    return result, why[0] ~= nil and ffi.string(why[0]) or nil
end

-- A router of { pattern, methods } routes (methods GET when left out), numbered from 1.
local function router(routes)
    local r = ffi.gc(C.router_new(), C.router_free)
    for i, route in ipairs(routes) do
        if type(route) == "string" then
            route = { route, GET }
        end
        local result, why = add(r, route[1], route[2], i)
        assert.are.equal(0, result, why)
    end
    return r
end

-- The route's number and its parameters, or nil and the allowed methods.
local function match(r, path, method)
    local out = ffi.new "struct router_match"
    ffi.fill(out, ffi.sizeof(out), 0xa5)
    local result = C.router_match(r, core.copy(path, "char *"), #path, method or GET, out)
    if result ~= 0 then
        assert.are.equal(C.ERR_NOT_FOUND, result)
        return nil, out.allowed
    end
    local params = {}
    for i = 0, out.param_count - 1 do
        params[i + 1] = path:sub(out.params[i].at + 1, out.params[i].at + out.params[i].len)
    end
    return out.target, params, out.allowed
end

describe("the router", function()
    it("finds literal paths, whole", function()
        local r = router { "/", "/a", "/a/b", "/a/" }
        assert.are.equal(1, (match(r, "/")))
        assert.are.equal(2, (match(r, "/a")))
        assert.are.equal(3, (match(r, "/a/b")))
        assert.are.equal(4, (match(r, "/a/")))
        for _, path in ipairs { "/b", "/A", "/ab", "//a", "/a/b/", "/a//b", "/a/b/c", "", "a",
            "*" } do
            assert.are.same({ nil, 0 }, { match(r, path) }, path)
        end
    end)

    it("finds each of many literals", function()
        local routes = {}
        for i = 1, 500 do
            routes[i] = ("/%s%d"):format(("x"):rep(i * 7 % 11), i * 131 % 500)
        end
        local r = router(routes)
        for i, path in ipairs(routes) do
            assert.are.equal(i, (match(r, path)))
        end
    end)

    it("gives a segment to a parameter, as it was sent", function()
        local r = router { "/chat/:room", "/chat/:room/:user" }
        assert.are.same({ 1, { "lobby" }, GET + HEAD }, { match(r, "/chat/lobby") })
        assert.are.same({ 2, { "a%20b", "%2F" }, GET + HEAD }, { match(r, "/chat/a%20b/%2F") })
    end)

    it("does not give an empty segment to a parameter", function()
        local r = router { "/chat/:room", "/:a/b" }
        assert.is_nil(match(r, "/chat/"))
        assert.is_nil(match(r, "/chat"))
        assert.is_nil(match(r, "//b"))
    end)

    it("gives the rest to *rest, also when it is empty", function()
        local r = router { "/files/*path", "/:user/raw/*path" }
        assert.are.same({ 1, { "a/b//c/" }, GET + HEAD }, { match(r, "/files/a/b//c/") })
        assert.are.same({ 1, { "" }, GET + HEAD }, { match(r, "/files/") })
        assert.are.same({ 2, { "me", "x" }, GET + HEAD }, { match(r, "/me/raw/x") })
        assert.is_nil(match(r, "/files"))
        assert.are.equal(1, (match(router { "/*all" }, "/")))
    end)

    it("prefers a literal to a parameter, and that to the rest, segment by segment", function()
        local r = router { "/*rest", "/:a", "/x", "/:a/y", "/x/:b", "/x/y", "/x/*rest" }
        assert.are.equal(3, (match(r, "/x")))
        assert.are.equal(2, (match(r, "/z")))
        assert.are.equal(6, (match(r, "/x/y")))
        assert.are.equal(5, (match(r, "/x/z")))
        assert.are.equal(4, (match(r, "/z/y")))
        assert.are.equal(7, (match(r, "/x/z/z")))
        assert.are.equal(1, (match(r, "/z/z")))
    end)

    it("goes back to a worse segment when a better one leads nowhere", function()
        local r = router { "/a/b/c", "/:x/b/d", "/a/:y/e", "/*rest" }
        assert.are.same({ 2, { "a" }, GET + HEAD }, { match(r, "/a/b/d") })
        assert.are.same({ 3, { "b" }, GET + HEAD }, { match(r, "/a/b/e") })
        assert.are.same({ 4, { "a/b/f" }, GET + HEAD }, { match(r, "/a/b/f") })
    end)

    it("goes back when a better path does not take the method", function()
        local r = router { { "/users/me", GET }, { "/users/:id", POST }, { "/*rest", WEBSOCKET } }
        local target, params = match(r, "/users/me", POST)
        assert.are.equal(2, target)
        assert.are.same({ "me" }, params)
        assert.are.equal(3, (match(r, "/users/me", WEBSOCKET)))
    end)

    it("says which methods a path takes, over all patterns that fit", function()
        local r = router { { "/a", GET }, { "/:x", POST }, { "/*rest", WEBSOCKET } }
        assert.are.same({ nil, GET + HEAD + POST + WEBSOCKET },
            { match(r, "/a", tonumber(C.HTTP_PUT)) })
        assert.are.same({ nil, POST + WEBSOCKET }, { match(r, "/b", GET) })
        assert.are.equal(GET + HEAD + POST + WEBSOCKET, select(3, match(r, "/a")))
        assert.are.same({ nil, 0 }, { match(router { "/a" }, "/b") })
    end)

    it("answers HEAD with GET's route, unless it has one of its own", function()
        local r = router { { "/a", GET }, { "/b", GET }, { "/b", HEAD }, { "/c", POST } }
        assert.are.equal(1, (match(r, "/a", HEAD)))
        assert.are.equal(3, (match(r, "/b", HEAD)))
        assert.are.equal(2, (match(r, "/b", GET)))
        assert.are.same({ nil, POST }, { match(r, "/c", HEAD) })
        assert.are.equal(2, (match(router { { "/x", HEAD }, { "/y", GET } }, "/y", HEAD)))
    end)

    it("keeps upgrades apart from requests", function()
        local r = router { { "/a", ANY }, { "/a", WEBSOCKET }, { "/b", ANY }, { "/c", WEBSOCKET } }
        assert.are.equal(1, (match(r, "/a", GET)))
        assert.are.equal(2, (match(r, "/a", WEBSOCKET)))
        assert.are.same({ nil, ANY }, { match(r, "/b", WEBSOCKET) })
        assert.are.same({ nil, WEBSOCKET }, { match(r, "/c", GET) })
    end)

    it("(RFC 3986 §6.2.2.2) compares literals after percent-decoding", function()
        local r = router { "/a b", "/caf\195\169/x", "/%41%2f", "/*rest" }
        assert.are.equal(1, (match(r, "/a%20b")))
        assert.are.equal(2, (match(r, "/c%61f%C3%a9/%78")))
        assert.are.equal(3, (match(r, "/A%2F")))
        assert.are.equal(4, (match(r, "/A/")))
        assert.are.equal(4, (match(r, "/a%20")))
        assert.are.equal(4, (match(r, "/a+b")))
    end)

    it("gives broken escapes and endless segments to no literal", function()
        local long = ("x"):rep(255)
        local r = router { "/" .. long, "/:any", "/%25" }
        assert.are.equal(1, (match(r, "/" .. long)))
        assert.are.equal(1, (match(r, "/" .. ("%78"):rep(255))))
        for _, path in ipairs { "/%", "/%2", "/%zz", "/" .. long .. "x", "/" .. ("%78"):rep(256),
            "/" .. ("%78"):rep(5000), "/" .. ("x"):rep(100000) } do
            assert.are.equal(2, (match(r, path)))
        end
        assert.are.equal(3, (match(r, "/%25")))
    end)

    it("visits a tree full of choices in little time", function()
        -- Every way through literals and parameters fits, until the last segment does not.
        local routes = {}
        for i = 0, 4095 do
            local pattern = {}
            for place = 0, 11 do
                local param = bit.band(bit.rshift(i, place), 1) == 1
                pattern[place + 1] = param and "/:p" .. place or "/a"
            end
            routes[i + 1] = table.concat(pattern) .. "/end"
        end
        local r = router(routes)
        local start = os.clock()
        assert.is_nil(match(r, ("/a"):rep(12) .. "/not"))
        assert.is_true(os.clock() - start < 0.05)
        assert.are.equal(4096, (match(r, ("/b"):rep(12) .. "/end")))
        assert.are.equal(1, (match(r, ("/a"):rep(12) .. "/end")))
    end)

    it("refuses patterns that cannot work, and says why", function()
        local r = router { "/a/:id", { "/b", ANY } }
        for _, pattern in ipairs { "", "a", ":id", "*", "/:", "/*", "/a/:/b", "/:x/:x", "/:x/*x",
            "/*a/b", "/*a/", "/*a/*b", "/%", "/%zz", "/" .. ("x"):rep(256) } do
            local result, why = add(r, pattern, GET, 9)
            assert.are.equal(C.ERR_INVALID, result, pattern)
            assert.is_true(#why > 10)
        end
    end)

    it("takes nothing literally that other routers give a meaning, and says why", function()
        local whole, rest = "a parameter is a whole part of a path", "the rest, as in /files/*path"
        local sign, regular = "a parameter is written :id", "a path is no regular expression"
        for pattern, wanted in pairs {
            ["/:id?"] = whole, ["/:id.json"] = whole, ["/:from-:to"] = whole,
            ["/:id(\\d+)"] = whole,
            ["/:id*"] = whole, ["/:id+"] = whole, ["/:"] = "needs a name", ["/user-:id"] = whole,
            ["/v:version/x"] = whole, ["/@:user"] = whole, ["/:a:b"] = whole, ["/: id"] = whole,
            ["/g*"] = rest, ["/*.js"] = "the name of the rest", ["/**"] = "the name of the rest",
            ["/a/**/b"] = "the name of the rest", ["/x*y"] = rest, ["/*"] = "needs a name",
            ["/*path?"] = "the name of the rest", ["/{id}"] = sign, ["/{id:int}"] = whole,
            ["/users{/:id}"] = sign, ["/<id>"] = sign, ["/<int>"] = sign, ["/[id]"] = sign,
            ["/[[...slug]]"] = sign, ["/$id"] = sign, ["/a?"] = "a path ends before ?",
            ["/a?x=1"] = "a path ends before ?", ["/a#top"] = "a path ends before ?",
            ["/(a|b)"] = regular, ["/(.+)"] = regular, ["/a+"] = regular, ["/^a"] = regular,
            ["/a|b"] = regular, ["/\\w"] = regular, ["/.*"] = rest, ["/%d+"] = "not an escape",
            ["/a/../b"] = "cannot be . or ..", ["/."] = "cannot be . or ..",
            ["/%2e%2E"] = "cannot be . or ..", ["/a "] = "ends with a blank",
            ["/ a"] = "begins or ends with a blank", ["/a /b"] = "ends with a blank",
            ["/a\t"] = "control character", ["/a\nb"] = "control character",
            ["/\127"] = "control character", ["/:id\n"] = whole,
        } do
            local result, why = add(router {}, pattern, GET, 1)
            assert.are.equal(C.ERR_INVALID, result, pattern)
            assert.matches(wanted, why, 1, true)
        end
    end)

    it("takes the same signs literally when they are escaped, and others as they are", function()
        local r = router { "/a%3Ab", "/%7Bid%7D", "/c%2B%2B", "/%2A", "/%24x",
            "/a.b-c~d_e@f,g;h=i&j!k'", "/...", "/:größe/x", "/%20a b%09" }
        for i, path in ipairs { "/a:b", "/{id}", "/c++", "/*", "/$x", "/a.b-c~d_e@f,g;h=i&j!k'",
            "/...", "/1/x", "/%20a%20b%09" } do
            assert.are.equal(i, (match(r, path)), path)
        end
    end)

    it("takes as many parameters as a match has room for", function()
        local function pattern(count)
            local parts = {}
            for i = 1, count do
                parts[i] = "/:p" .. i
            end
            return table.concat(parts)
        end
        local max = tonumber(C.ROUTER_PARAMS_MAX)
        local r = router { pattern(max) }
        assert.are.equal(max, #select(2, match(r, ("/x"):rep(max))))
        assert.are.equal(C.ERR_INVALID, (add(r, pattern(max + 1), GET, 2)))
        assert.are.equal(C.ERR_INVALID, (add(r, pattern(max) .. "/*rest", GET, 2)))
    end)

    it("refuses the same pattern and method twice, whatever the parameters are called", function()
        local r = router { "/a/:id", { "/b", ANY }, { "/c/*x", GET } }
        assert.are.equal(C.ERR_INVALID, (add(r, "/a/:name", GET, 9)))
        assert.are.equal(C.ERR_INVALID, (add(r, "/b", POST, 9)))
        assert.are.equal(C.ERR_INVALID, (add(r, "/%62", POST, 9)))
        assert.are.equal(C.ERR_INVALID, (add(r, "/c/*y", GET + POST, 9)))
        assert.are.equal(0, (add(r, "/a/:name", POST, 9)))
        assert.are.equal(0, (add(r, "/b", WEBSOCKET, 9)))
        assert.are.equal(1, (match(r, "/a/x")))
    end)

    it("refuses a route without methods, or with unknown ones", function()
        local r = router {}
        assert.are.equal(C.ERR_INVALID, (add(r, "/", 0, 1)))
        assert.are.equal(C.ERR_INVALID, (add(r, "/", 256, 1)))
        assert.is_nil(match(r, "/"))
    end)

    it("names a pattern's parameters", function()
        local function names(pattern)
            local out, len = {}, ffi.new "size_t[1]"
            local block = core.copy(pattern, "char *")
            for i = 0, 20 do
                local name = C.router_param_name(block, #pattern, i, len)
                if name == nil then
                    return out
                end
                out[i + 1] = ffi.string(name, len[0])
            end
        end
        assert.are.same({ "room", "user", "rest" }, names "/chat/:room/x/:user/*rest")
        assert.are.same({}, names "/a/b")
        assert.are.same({}, names "/")
    end)

    -- As match finds them, without a router.
    local function params_of(pattern, path)
        local out = ffi.new "struct router_match"
        C.router_params(core.copy(pattern, "char *"), #pattern, core.copy(path, "char *"), #path,
            out)
        local params = {}
        for i = 0, out.param_count - 1 do
            params[i + 1] = path:sub(out.params[i].at + 1, out.params[i].at + out.params[i].len)
        end
        return params
    end

    it("gives the parameters of a path that fits one pattern as it does for all of them", function()
        for pattern, paths in pairs {
            ["/"] = { "/" },
            ["/a/:b"] = { "/a/x", "/a/%2f%20" },
            ["/:a/b/:c"] = { "/x/b/y" },
            ["/a/*rest"] = { "/a/", "/a/b", "/a/b/c/", "/a//" },
            ["/:a/*rest"] = { "/x/", "/x/y/z" },
            ["/*rest"] = { "/", "/x", "/x/y" },
        } do
            for _, path in ipairs(paths) do
                local _, params = match(router { pattern }, path)
                assert.are.same(params, params_of(pattern, path), pattern .. " " .. path)
            end
        end
    end)

    it("knows patterns for the same whatever their parameters are called", function()
        local function same(a, b)
            return C.router_same_pattern(core.copy(a, "char *"), #a, core.copy(b, "char *"), #b)
        end
        for a, b in pairs {
            ["/"] = "/", ["/a"] = "/a", ["/a/:b"] = "/a/:other", ["/:a/x/*r"] = "/:b/x/*rest",
        } do
            assert.is_true(same(a, b), a .. " " .. b)
        end
        for a, b in pairs {
            ["/"] = "/a", ["/a"] = "/a/", ["/a/:b"] = "/a/*b", ["/a/b"] = "/a/:b",
            ["/a/:c"] = "/b/:c",
            ["/:a"] = "/:a/:b", ["/a/*b"] = "/a", ["/a/x"] = "/a/xy",
        } do
            assert.is_false(same(a, b), a .. " " .. b)
            assert.is_false(same(b, a), b .. " " .. a)
        end
    end)
end)
