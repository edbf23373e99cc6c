-- What a script can do to its own process through Lua's library (lua/moonwire/app/guards.lua), and
-- what is left when it has used up the memory.

local process = require "spec.support.process"
local servers = require "spec.support.server"

local start = servers.start

-- Each as the body of a function that never ends by itself but by an error.
local recursions = {
    gsub = [[local function f() return (("a"):gsub("a", f)) end f()]],
    ["gsub with a table"] = [[
        local t = setmetatable({}, { __index = function(t) return (("a"):gsub("a", t)) end })
        return t.a]],
    ["coroutine.wrap"] = [[local function f() coroutine.wrap(f)() end f()]],
    ["coroutine.resume"] = [[
        local function f() assert(coroutine.resume(coroutine.create(f))) end f()]],
    ["a chain of coroutines"] = [[
        local all, n = {}, 100000
        for i = 1, n do
            all[i] = coroutine.create(function()
                if i < n then assert(coroutine.resume(all[i + 1])) end
            end)
        end
        assert(coroutine.resume(all[1]))]],
    ["gsub inside coroutines"] = [[
        local function f() coroutine.wrap(function() ("a"):gsub("a", f) end)() end f()]],
    ["coroutines inside gsub"] = [[
        local n = 0
        local function f()
            n = n + 1
            if n % 300 == 0 then coroutine.wrap(f)() else ("a"):gsub("a", f) end
        end
        f()]],
    ["sort inside coroutines"] = [[
        local function f()
            coroutine.wrap(function() table.sort({ 1, 2, 3 }, f) end)()
        end
        f()]],
    sort = [[local function f() table.sort({ 1, 2, 3 }, function() f() end) end f()]],
    ["sort by a metamethod"] = [[
        local meta = {}
        local function f() table.sort { setmetatable({}, meta), setmetatable({}, meta) } end
        meta.__lt = f
        f()]],
    ["string.format"] = [[
        local t = setmetatable({}, { __tostring = function(t) return ("%s"):format(t) end })
        return tostring(t)]],
    require = [[
        local n, go = 0, nil
        function go()
            n = n + 1
            package.preload["m" .. n] = go
            return require("m" .. n)
        end
        go()]],
    ["mw.keep"] = [[
        local n = 0
        local function go() n = n + 1 return mw.keep("k" .. n, go) end
        go()]],
    load = [[local function go() return assert(load(function() go() end)) end go()]],
    print = [[
        local t = setmetatable({}, { __tostring = function(t) print(t) return "" end })
        print(t)]],
    foreach = [[local function f() table.foreach({ 1 }, f) end f()]],
    ["a callback of the FFI"] = [[
        local call
        call = require("ffi").cast("int (*)(int)", function(i) return call(i) end)
        return call(1)]],
    metamethods = [[
        local t = setmetatable({}, { __index = function(t, k) return t[k .. "x"] end })
        return t.a]],
    ["functions of Lua"] = [[local function f() return 1 + f() end return f()]],
}

describe("A script", function()
    local server

    after_each(function()
        if server then
            server:stop()
        end
    end)

    for name, body in pairs(recursions) do
        it("that recurses without end by " .. name .. " fails, and the rest is served", function()
            server = start(([[
                local mw = require "moonwire"
                mw.get("/deep", function() %s end)
                mw.ws("/", { on_message = function(ws, data)
                    if data == "deep" then %s end
                    ws:send(data)
                end })
            ]]):format(body, body))
            local bystander = server:websocket "/"
            local _, status = server:get "/deep"
            assert.equal(500, status)
            server:logged "GET /deep failed: .*stack overflow"
            local p = server:websocket "/"
            p:text "deep"
            assert.equal(1011, p:read_close())
            assert.equal("still here", bystander:ask "still here")
        end)
    end

    it("may recurse as it likes at the top level: the first load fails with one line", function()
        for _, name in ipairs { "gsub", "coroutine.wrap", "sort" } do
            local ended = process.run { "-e", recursions[name] }
            assert.equal(1, ended.status)
            assert.truthy(ended.err:find "stack overflow")
        end
    end)

    it("that raises one error through a thousand modules gets one short traceback", function()
        server = start [[
            require "moonwire".get("/", function() return "ok" end)
            local function go(i)
                package.preload["m" .. i] = function()
                    if i == 1000 then error "deep down" end
                    go(i + 1)
                end
                require("m" .. i)
            end
            require "moonwire".get("/deep", function() go(1) end)
        ]]
        local _, status = server:get "/deep"
        assert.equal(500, status)
        local log = server:stop()
        local _, count = log:gsub("raised again", "")
        assert.truthy(log:find("app.lua:4: deep down", 1, true))
        assert.is_true(count > 0 and count < 100, count)
    end)

    it("that recurses at the top level of a reload changes nothing", function()
        server = start "require 'moonwire'.get('/', function() return 'before' end)"
        for _, name in ipairs { "gsub", "coroutine.wrap", "coroutine.resume" } do
            server:edit(recursions[name])
            server.process:signal "HUP"
            assert.truthy(server:reload_failed():find "stack overflow")
            assert.equal("before", (server:get "/"))
        end
    end)

    local finalisers = {
        ["ffi.gc"] = [[ffi.gc(ffi.new "int[4]", function() error "in a finaliser" end)]],
        ["ffi.gc with what is no text"] =
            [[ffi.gc(ffi.new "int[4]", function() error { "in a finaliser" } end)]],
        ["a metatype"] = [[thing()]],
        newproxy = [[getmetatable(newproxy(true)).__gc = function() error "in a finaliser" end]],
        ["debug.setmetatable"] = [[debug.setmetatable(newproxy(), {
            __gc = function() error "in a finaliser" end })]],
        ["debug.setmetatable before"] = [[local meta = {}
            debug.setmetatable(newproxy(), meta)
            meta.__gc = function() error "in a finaliser" end]],
        ["a second assignment"] = [[local meta = getmetatable(newproxy(true))
            meta.__gc = function() end
            meta.__gc = function() error "in a finaliser" end]],
        ["rawset"] = [[rawset(getmetatable(newproxy(true)), "__gc",
            function() error "in a finaliser" end)]],
        ["debug.getmetatable"] = [[local meta = debug.getmetatable(newproxy(true))
            meta.__gc = function() end
            meta.__gc = function() error "in a finaliser" end]],
        ["newproxy with a proxy"] = [[local proxy = newproxy(true)
            getmetatable(proxy).__gc = function() error "in a finaliser" end
            newproxy(proxy)]],
        ["the metatable of files"] = [[local meta = getmetatable(io.stdout)
            local before = files or meta.__gc
            files = before
            meta.__gc = function(f) before(f) error "in a finaliser" end
            io.tmpfile()]],
        ["what can be called"] = [[ffi.gc(ffi.new "int[4]", setmetatable({}, {
            __call = function() error "in a finaliser" end }))]],
    }

    for name, code in pairs(finalisers) do
        it("whose finaliser raises, made by " .. name .. ", is told so in the log only", function()
            server = start(([[
                local mw = require "moonwire"
                local ffi = require "ffi"
                ffi.cdef "struct guarded_thing { int a; };"
                local thing = ffi.metatype("struct guarded_thing",
                    { __gc = function() error "in a finaliser" end })
                mw.ws("/", { on_message = function(ws, data)
                    %s
                    ws:send(data)
                end })
                mw.get("/", function() %s collectgarbage() return "ok" end)
            ]]):format(code, code))
            local all = {}
            for i = 1, 4 do
                all[i] = server:websocket "/"
            end
            for i = 1, 150 do
                for _, p in ipairs(all) do
                    p:text("message " .. i)
                end
                for _, p in ipairs(all) do
                    assert.equal("message " .. i, p:read_text())
                end
            end
            assert.equal("ok", (server:get "/"))
            server:logged "finaliser.* failed: .*app%.lua:%d+: "
        end)
    end

    it("that gives no function for a finaliser is told so, where it gives it", function()
        server = start [[
            local ffi = require "ffi"
            require "moonwire".get("/", function() return "ok" end)
            local function told(...)
                local ok, problem = pcall(...)
                print(ok, problem)
            end
            told(function() ffi.gc(ffi.new "int", 5) end)
            told(function() getmetatable(newproxy(true)).__gc = "x" end)
            told(function() ffi.metatype("struct { int a; }", { __gc = {} }) end)
            told(function() debug.setmetatable(newproxy(), { __gc = 5 }) end)
            told(function() getmetatable(newproxy(true)).__gc = false end)
        ]]
        for line, what in ipairs { "ffi%.gc: .* number", "__gc: .* string",
            "ffi%.metatype: .* table", "__gc: .* number" } do
            server:printed(("^false\t.*app%%.lua:%d: %s"):format(line + 6,
                what:gsub(": %.%*", ": a finaliser is a function, got a")))
        end
        server:printed "^true"
    end)

    it("reads and writes the metatables of userdata as ever", function()
        server = start [[
            require "moonwire".get("/", function() return "ok" end)
            local proxy = newproxy(true)
            local meta = getmetatable(proxy)
            meta.__index, meta.__len = { a = 1 }, function() return 2 end
            rawset(meta, "__call", function(_, x) return x end)
            assert(proxy.a == 1 and #proxy == 2 and proxy(3) == 3 and meta.__index.a == 1)
            assert(newproxy(proxy).a == 1 and getmetatable(newproxy(proxy)) == meta)
            assert(getmetatable(io.stdout) == getmetatable(io.stderr))
            getmetatable(io.stdout).__index.greet = function() return "hello" end
            assert(io.stdout:greet() == "hello")
            meta.__metatable = "locked"
            assert(getmetatable(proxy) == "locked")
            local plain = setmetatable({}, { __gc = 5 })
            assert(getmetatable(plain).__gc == 5 and getmetatable("").__index == string)
            assert(not pcall(rawset, nil, 1, 2))
            local other = newproxy()
            assert(debug.setmetatable(other, { __index = { b = 4 } }))
            assert(other.b == 4 and getmetatable(other).__index.b == 4)
            print "all right"
        ]]
        server:printed "all right"
    end)

    it("that yields in a hook is told what to use", function()
        server = start [[
            local mw = require "moonwire"
            mw.get("/", function() coroutine.yield() return "no" end)
            mw.get("/own", function()
                local co = coroutine.wrap(function() coroutine.yield "own" end)
                return co()
            end)
        ]]
        local _, status = server:get "/"
        assert.equal(500, status)
        server:logged "app%.lua:2: coroutine%.yield: .*mw%.await"
        assert.equal("own", (server:get "/own"))
    end)

    it("that takes Lua's modules away takes them from itself only", function()
        server = start [[
            local mw = require "moonwire"
            local package, ffi = getmetatable(package).__index, require "ffi"
            mw.ws("/", { on_message = function(ws, data) mw.sleep(0.001) ws:send(data) end })
            mw.get("/:name", function(req) return { name = req.params.name } end)
            mw.get("/error/:name", function(req) error(req.params.name) end)
            for _, name in ipairs { "loaders", "preload", "loaded" } do
                for key in pairs(package[name]) do package[name][key] = nil end
            end
            package.path, package.cpath = nil, nil
        ]]
        assert.equal("x", server:websocket("/"):ask "x")
        assert.equal('{"name":"you"}', (server:get "/you"))
        assert.equal(500, select(2, server:get "/error/mine"))
        server:logged "GET /error/:name failed: .*app%.lua:5: mine"
        server:reload [[
            local ffi = require "ffi"
            require "moonwire".get("/", function() return "new" end)
        ]]
        assert.equal("new", (server:get "/"))
    end)

    -- The functions that the engine itself uses for a message, a request, a timer, a reload.
    it("that takes Lua's library away takes it from itself only", function()
        server = start [[
            local mw = require "moonwire"
            local _G, pairs, type, tostring = _G, pairs, type, tostring
            local ffi, shared = require "ffi", getmetatable(_G).__index
            mw.ws("/", {
                on_open = function(ws) ws:subscribe "all" end,
                on_message = function(ws, data)
                    mw.sleep(0.001)
                    ws:publish("all", data)
                    ws:send(data)
                end,
            })
            mw.get("/:name", function(req) return { name = req.params.name } end)
            mw.every("1ms", function() end)
            for _, globals in pairs { shared, _G } do
                for name, value in pairs(globals) do
                    if type(value) == "table" and value ~= globals and name ~= "package" then
                        for key in pairs(value) do value[key] = nil end
                    end
                    if name ~= "package" then globals[name] = nil end
                end
            end
            for key in pairs(ffi) do ffi[key] = nil end
        ]]
        for _ = 1, 3 do
            local p = server:websocket "/"
            assert.equal("x", p:ask "x")
            assert.equal('{"name":"you"}', (server:get "/you"))
        end
        server:reload "require 'moonwire'.get('/:name', function() return 'new' end)"
        assert.equal("new", (server:get "/you"))
    end)
end)
