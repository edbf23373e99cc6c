-- The direction of the Lua modules: what a module requires, at once or lazily, never leads back to
-- it. ARCHITECTURE.md names their folders.

local files = require "spec.support.files"

-- Which modules a text asks for: by require and by lazy.use, wherever in the file they stand.
local function needs_of(text)
    local out = {}
    text = text:gsub("%-%-[^\n]*", "")
    for _, call in ipairs { "%f[%w_]require%s*%(?%s*", "%f[%w_]lazy%.use%s*%(?%s*" } do
        for name in text:gmatch(call .. "[\"'](moonwire[%w_.]*)[\"']") do
            out[#out + 1] = name
        end
    end
    table.sort(out)
    return out
end

-- The first circle that there is, as "a -> b -> a"; nil when there is none. needs: by module.
local function circle_in(needs)
    local done, path, place = {}, {}, {}
    local function visit(name)
        if place[name] then
            path[#path + 1] = name
            return table.concat(path, " -> ", place[name])
        elseif done[name] then
            return nil
        end
        path[#path + 1], place[name] = name, #path + 1
        for _, other in ipairs(needs[name] or {}) do
            local circle = visit(other)
            if circle then
                return circle
            end
        end
        path[#path], place[name], done[name] = nil, nil, true
    end
    local names = {}
    for name in pairs(needs) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local circle = visit(name)
        if circle then
            return circle
        end
    end
end

describe("Lua modules", function()
    it("never lead back to themselves by what they require", function()
        local needs, count = {}, 0
        local found = assert(io.popen "find lua -name '*.lua'")
        for path in found:lines() do
            local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
            needs[name] = needs_of(files.read(path))
            count = count + #needs[name]
        end
        found:close()
        assert.is_true(count > 150, "the modules were not understood")
        for name, list in pairs(needs) do
            for _, other in ipairs(list) do
                assert.truthy(needs[other] or other:find "%.js$",
                    ("%s requires %s, which is no module"):format(name, other))
            end
        end
        assert.is_nil(circle_in(needs))
    end)
end)

describe("The search for circles", function()
    it("finds one behind modules that are on none, and names it", function()
        assert.equal("b -> c -> b", circle_in { a = { "b" }, b = { "c" }, c = { "b" } })
        assert.equal("a -> a", circle_in { a = { "a" } })
    end)

    it("lets two modules require the same one", function()
        assert.is_nil(circle_in { a = { "b", "c" }, b = { "d" }, c = { "d" }, d = {} })
    end)

    it("sees every way to ask for a module, and no comment", function()
        assert.same({ "moonwire.a", "moonwire.b", "moonwire.c", "moonwire.d" }, needs_of [[
            -- require "moonwire.comment"
            local a = require "moonwire.a"
            local b = require("moonwire.b").field
            local c = lazy.use "moonwire.c"
            local function late() return lazy.use('moonwire.d') end
        ]])
    end)
end)
