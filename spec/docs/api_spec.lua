-- docs/api.md, the annotations for editors and the modules themselves name the same things.

local fake = require "spec.lua.fake"
local read = require("spec.support.files").read

-- "mw.ws", "mw.log.info", "Connection:send" → true, of an annotation file.
local function annotated_functions()
    local out = {}
    for _, path in ipairs { "annotations/moonwire.lua", "annotations/moonwire/websocket.lua" } do
        for name in read(path):gmatch "\nfunction ([%w_.:]+)%(" do
            out[name] = true
        end
    end
    return out
end

local files = read "annotations/moonwire.lua" .. read "annotations/moonwire/websocket.lua"

-- Adds the fields of a class, and of those that it extends, to a set.
local function annotated_fields(class, out)
    out = out or {}
    local parents, body = files:match("\n%-%-%-@class " .. class:gsub("%.", "%%.")
        .. "%f[^%w_.]:?([^\n]*)(\n.-)\n[^%-]")
    assert(parents, "no class " .. class)
    for name in body:gmatch "\n%-%-%-@field ([%w_]+)" do
        out[name] = true
    end
    for parent in parents:gmatch "[%w_.]+" do
        annotated_fields(parent, out)
    end
    return out
end

local function sorted(set)
    local out = {}
    for name in pairs(set) do
        out[#out + 1] = name
    end
    table.sort(out)
    return out
end

-- How docs/api.md writes the receiver of a method.
local receivers = { Connection = "ws", Request = "req",
    UpgradeRequest = "req", Timer = "timer", Task = "task",
    View = "view", WebSocket = "WebSocket", mw = "mw", log = "mw.log", json = "mw.json" }

describe("the API page", function()
    local page = read "docs/api.md"

    it("names every function of the annotations", function()
        for name in pairs(annotated_functions()) do
            local receiver, separator, rest = name:match "^(%w+)([.:])(.+)$"
            local written = receivers[receiver] .. separator .. rest
            local last = name:match "[%w_]+$"
            assert.is_true(page:find(written, 1, true) ~= nil or page:find("`" .. last .. "`", 1,
                true) ~= nil, ("docs/api.md does not name %s"):format(written))
        end
    end)

    it("has an entry for each function, with an example that loads", function()
        local count = 0
        for heading, body in (page:gsub("\n### ", "\1\n### ") .. "\1"):gmatch
            "\n### ([^\n]+)\n([^\1]*)" do
            count = count + 1
            local code = body:match "```lua\n(.-)```"
            assert.is_truthy(code, heading .. " has no example")
            assert.is_truthy(loadstring(code), heading)
        end
        assert.is_true(count > 40)
        for name in pairs(annotated_functions()) do
            local receiver, separator, rest = name:match "^(%w+)([.:])(.+)$"
            local written = receivers[receiver] .. separator .. rest
            local entry = "\n###[^\n]*`" .. written:gsub("%p", "%%%0") .. "%f[^%w_]"
            local among = "\n###[^\n]*`" .. rest .. "`"
            assert.is_truthy(page:find(entry) or page:find(among) or receiver == "View",
                ("docs/api.md has no entry for %s"):format(written))
        end
    end)

    it("names no function that the annotations do not have", function()
        local known = {}
        for name in pairs(annotated_functions()) do
            local receiver, separator, rest = name:match "^(%w+)([.:])(.+)$"
            known[receivers[receiver] .. separator .. rest] = true
        end
        local count = 0
        for code in page:gmatch "`([^`\n]+)`" do
            for _, pattern in ipairs { "^(mw%.[%w_.]+)%f[^%w_.]", "^(ws:[%w_]+)", "^(req:[%w_]+)",
                "^(task:[%w_]+)", "^(timer:[%w_]+)", "^(view:[%w_]+)", "^(WebSocket%.[%w_]+)" } do
                local name = code:match(pattern)
                if name and code:match("^" .. name:gsub("%p", "%%%0") .. "%s*[%({]") then
                    count = count + 1
                    assert.is_true(known[name] or false, ("annotations lack %s"):format(name))
                end
            end
        end
        assert.is_true(count > 30)
    end)

    it("names every option and limit of the annotations", function()
        for _, class in ipairs { "moonwire.WebSocketOptions", "moonwire.Limits",
            "moonwire.Compress", "moonwire.RouteOptions", "moonwire.UpgradeRequest",
            "moonwire.ListenOptions", "moonwire.Certificate", "moonwire.ListenerOptions",
            "moonwire.MessageEvent", "moonwire.CloseEvent", "moonwire.ErrorEvent",
            "moonwire.Counters", "moonwire.ws" } do
            for name in pairs(annotated_fields(class)) do
                assert.is_truthy(page:find("%f[%w_]" .. name .. "%f[^%w_]"),
                    ("docs/api.md does not name %s of %s"):format(name, class))
            end
        end
    end)
end)

describe("the annotations", function()
    local functions = annotated_functions()
    local engine

    before_each(function()
        engine = fake.new()
        assert.is_nil(engine:load [[
            local seen = require "seen"
            seen.mw, seen.WebSocket = require "moonwire", require "moonwire.websocket"
        ]])
    end)

    local function names_of(receiver)
        local out = {}
        for name in pairs(functions) do
            local rest = name:match("^" .. receiver .. "[.:](.+)$")
            if rest then
                out[rest] = true
            end
        end
        return out
    end

    it("have exactly the functions of mw", function()
        local real = {}
        for _, name in ipairs(require("moonwire.app.api").names(engine.seen.mw)) do
            if type(engine.seen.mw[name]) == "function" then
                real[name] = true
            end
        end
        assert.same(sorted(real), sorted(names_of "mw"))
    end)

    it("have exactly the methods of connections, tasks, timers and requests", function()
        local real, _ = {}, require "moonwire.connection.methods"
        for name, value in pairs(require("moonwire.connection.class").methods) do
            if type(value) == "function" then
                real[name] = true
            end
        end
        assert.same(sorted(real), sorted(names_of "Connection"))
        local mw = engine.seen.mw
        for receiver, object in pairs { Task = mw.spawn(print), Timer = mw.after(1, print) } do
            real = sorted(getmetatable(object).__index)
            assert.same(real, sorted(names_of(receiver)))
        end
        local of_requests = names_of "Request"
        for name in pairs(names_of "UpgradeRequest") do
            of_requests[name] = true
        end
        for name in pairs(of_requests) do
            local req = require("moonwire.http.request").new(1, 1, { kind = "http" })
            assert.is_function(req[name], name)
        end
        assert.same({ "new" }, sorted(names_of "WebSocket"))
        assert.is_function(engine.seen.WebSocket.new)
    end)

    it("have exactly the options of WebSocket.new", function()
        local ok, problem = pcall(engine.seen.WebSocket.new, "ws://h/", nil, { xyzzy = 1 })
        assert.is_false(ok)
        local real = {}
        for name in problem:match("; there is (.*)$"):gmatch "[%w_]+" do
            real[name] = true
        end
        assert.same(sorted(real), sorted(annotated_fields "moonwire.WebSocketOptions"))
    end)

    it("have the hooks and options of routes, and the limits that routes may set", function()
        local section = read("docs/api.md"):match "\n### `mw%.ws.-\n###"
        local real = {}
        for names in section:gmatch "\n| (`[^|]+) |" do
            real[names:match "^`([%w_]+)"] = true
        end
        assert.same(sorted(real), sorted(annotated_fields "moonwire.RouteFields"))
        real = {}
        for name in read("docs/tuning.md"):gmatch "\n| `([%w_]+)` | [^|]+ | yes |" do
            real[name] = true
        end
        assert.same(sorted(real), sorted(annotated_fields "moonwire.RouteLimits"))
    end)

    it("refuse options that there are not", function()
        -- What lua-language-server needs for it; it reads NoSuchOption as "nothing fits".
        assert.is_truthy(files:find("\n---@enum moonwire.NoSuchOption\nlocal _ = ", 1, true))
        assert.is_truthy(files:find("\n---@class moonwire.NoOtherOptions\n"
            .. "---@field [string] moonwire.NoSuchOption\n", 1, true))
        for _, class in ipairs { "RouteOptions", "RouteLimits", "Compress", "ListenOptions",
            "Certificate", "ListenerOptions", "WebSocketOptions" } do
            assert.is_truthy(files:match("\n%-%-%-@class moonwire%." .. class
                .. ": [^\n]*moonwire%.NoOtherOptions\n"), class)
        end
    end)

    it("are Lua that compiles", function()
        assert.is_function(loadfile "annotations/moonwire.lua")
        assert.is_function(loadfile "annotations/moonwire/websocket.lua")
    end)
end)
