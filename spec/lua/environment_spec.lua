local fake = require "spec.lua.fake"

describe("an app's globals", function()
    local engine

    local function load(source)
        engine = fake.new()
        return engine:load("local mw, seen = require 'moonwire', require 'seen'\n" .. source)
    end

    it("are its own, and those of the code that it makes", function()
        assert.is_nil(load [[
            a = 1
            _G.b = 2
            rawset(_G, "c", 3)
            loadstring "d = 4"()
            load("e = 5")()
            setfenv(1, _G)
            seen.sum = a + b + c + d + e
            seen.same = _G._G == _G and getfenv(1) == _G
            seen.library = string.format == require("string").format
        ]])
        assert.equal(15, engine.seen.sum)
        assert.is_true(engine.seen.same)
        assert.is_true(engine.seen.library)
        for _, name in ipairs { "a", "b", "c", "d", "e" } do
            assert.is_nil(rawget(_G, name))
        end
    end)

    it("have a load that gives what its reader raises as it was raised", function()
        assert.is_nil(load [[
            local function reader(...)
                local pieces, n = { ... }, 0
                return function()
                    n = n + 1
                    return pieces[n]
                end
            end
            seen.sum = load(reader("return ", "1 + ", "2"))()
            load(reader("f = 6", "", "f = 7"))()
            seen.f = f
            seen.env = load(reader "return x", "name", "t", { x = 5 })()
            seen.table = { select(2, load(function() error(seen) end)) }
            seen.text = select(2, load(function() error "no" end))
            seen.number = select(2, load(reader(5)))
            seen.syntax = select(2, load(reader "x x"))
            seen.named = select(2, load(reader "x x", "=name"))
            seen.none = { pcall(function() local f = load() return f end) }
        ]])
        local seen = engine.seen
        assert.equal(3, seen.sum)
        assert.equal(6, seen.f)
        assert.equal(5, seen.env)
        assert.equal(seen, seen.table[1])
        assert.truthy(seen.text:find ":%d+: no$")
        assert.truthy(seen.number:find "reader function must return a string$")
        assert.equal("(load):1: '=' expected near 'x'", seen.syntax)
        assert.equal("name:1: '=' expected near 'x'", seen.named)
        assert.is_false(seen.none[1])
        assert.is_nil(seen.none[2]:find("environment", 1, true))
    end)

    it("are fresh when it is loaded again, as are its modules, but not moonwire's", function()
        local folder = os.tmpname()
        os.remove(folder)
        os.execute("mkdir " .. folder)
        local function write(name, text)
            local file = assert(io.open(folder .. "/" .. name, "w"))
            file:write(text)
            file:close()
        end
        write("part.lua", "#!a line for the system\nloads = (loads or 0) + 1 return { ... }")
        write("loop.lua", "return require 'loop'")
        write("broken.lua", "\nx y")
        write("app.lua", [[
            local mw, seen = require "moonwire", require "seen"
            local part = require "part"
            assert(part == require "part" and part[1] == "part" and loads == 1)
            assert(package.loaded.part == part)
            package.loaded.part = nil
            assert(part ~= require "part" and loads == 2)
            dofile(seen.folder .. "/part.lua")
            assert(loads == 3)
            seen.loop = select(2, pcall(require, "loop"))
            seen.broken = select(2, pcall(require, "broken"))
            seen.again = select(2, pcall(require, "broken"))
            seen.missing = select(2, pcall(require, "not.there"))
            seen.json = require "cjson"
            seen.parts = seen.parts or {}
            seen.parts[#seen.parts + 1] = part
        ]])
        engine = fake.new()
        engine.seen.folder = folder
        local app = require "moonwire.app.app"
        for i = 1, 2 do
            assert.is_nil(app.load(folder .. "/app.lua", {}, nil))
            assert.equal(i, #engine.seen.parts)
        end
        assert.not_equal(engine.seen.parts[1], engine.seen.parts[2])
        assert.equal(require "cjson", engine.seen.json)
        assert.matches("requires itself", engine.seen.loop, 1, true)
        assert.matches("broken.lua:2: ", engine.seen.broken, 1, true)
        assert.equal(engine.seen.broken, engine.seen.again)
        -- As plain Lua says it: each place, the app's folder first.
        for _, place in ipairs { "no field package%.preload%['not%.there'%]",
            folder .. "/not/there%.lua", folder .. "/not/there/init%.lua",
            "/usr/local/share/lua/5%.1/not/there%.lua", folder .. "/not/there%.so",
            "/usr/local/lib/lua/5%.1/not/there%.so", folder .. "/not%.so" } do
            assert.matches("module 'not%.there' not found:\n.*" .. place, engine.seen.missing)
        end
        local lua, c = engine.seen.missing:find("there.lua", 1, true),
            engine.seen.missing:find("there.so", 1, true)
        assert.is_true(lua < c)
        assert.is_nil(package.loaded.part)
        -- What is watched: what was read, and where what is missing may come.
        assert.equal(40, #engine.files[folder .. "/part.lua"])
        assert.equal("", engine.files[folder .. "/not/there.lua"])
        assert.equal("", engine.files[folder .. "/not/there/init.lua"])
        assert.equal("", engine.files[folder .. "/not/there.so"])
        os.execute("rm -r " .. folder)
    end)
end)
