-- The limit lua_bytes: what holds too much fails at its line, and everybody else is served.

local build = require "spec.support.build"
local servers = require "spec.support.server"

-- Each holds what it makes until it fails; in one line, which the log must name.
local eaters = {
    tables = "local t = {} for i = 1, 1e9 do t[i] = { i, i } end",
    ["an array"] = "local t = {} for i = 1, 1e9 do t[i] = i end",
    strings = "local t = {} for i = 1, 1e9 do t[i] = 'text number ' .. i end",
    ["one string"] = "local s = 'x' while true do s = s .. s end",
    ["string.rep"] = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000000 + i) end",
    ["one long string"] = "return ('x'):rep(1e9)",
    cdata = "local t = {} for i = 1, 1e9 do t[i] = ffi.new('int[1000]') end",
    ["small cdata"] = "local t = {} for i = 1, 1e9 do t[i] = ffi.new('int64_t', i) end",
    closures = "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    coroutines = "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
    keys = "local t = {} for i = 1, 1e9 do t['key ' .. i] = true end",
    json = "local t = {} for i = 1, 1e9 do t[i] = mw.json.encode { 'x', i } end",
    topics = "local t = {} for i = 1, 1e9 do t[i] = 'topic ' .. i mw.publish(t[i], t[i]) end",
    ["what is caught"] = "local t = {} while true do pcall(function() t[#t + 1] = { {}, {} } end) "
        .. "end",
}

-- Where one block would be too large, and where the time is over at last.
local expected = {
    ["one string"] = "app.lua:%d+: .*memory",
    ["one long string"] = "app.lua:%d+: .*memory",
    ["what is caught"] = "app.lua:5: ",
}

local app = [[
    local mw = require "moonwire"
    local ffi = require "ffi"
    mw.limits { lua_bytes = "16M", hook_ms = 2000 }
    local function eat()
        %s
    end
    mw.get("/", function() return tostring(collectgarbage "count") end)
    mw.get("/eat", function() eat() end)
    mw.ws("/", { on_message = function(ws, data)
        if data == "eat" then eat() end
        ws:send(data)
    end })
]]

describe("A hook that holds more than lua_bytes", function()
    local server

    after_each(function()
        server:stop()
    end)

    for name, code in pairs(build.has_watchdog and eaters or {}) do
        it("in " .. name .. " fails at its line, and all others are served", function()
            server = servers.start(app:format(code))
            local bystander = server:websocket "/"
            local _, status = server:get "/eat"
            assert.equal(500, status)
            local place = expected[name] or "app.lua:5: memory limit"
            server:logged("GET /eat failed: [^\n]*" .. place)
            assert.equal("served", bystander:ask "served")
            local p = server:websocket "/"
            p:text "eat"
            assert.equal(1011, p:read_close())
            server:logged("on_message of / failed: [^\n]*" .. place)
            assert.equal("served", bystander:ask "served")
        end)
    end

    it("does not fail for what is garbage", function()
        server = servers.start(app:format [[
            collectgarbage "stop"
            local s
            for i = 1, 200000 do s = ("x"):rep(1000) .. i end
            collectgarbage "restart"]])
        server:get "/eat"
        assert.is_true(tonumber((server:get "/")) < 40000)
        assert.equal("served", server:websocket("/"):ask "served")
        assert.is_nil(server.process.err:find " error ")
    end)

    it("leaves what the app keeps, and the hooks that come after it", function()
        server = servers.start [[
            local mw = require "moonwire"
            mw.limits { lua_bytes = "32M", hook_ms = 20000 }
            local kept = {}
            for i = 1, 400000 do kept[i] = { i } end -- most of it
            mw.get("/", function() return tostring(#kept) end)
            mw.get("/eat", function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)
        ]]
        for _ = 1, 3 do
            local _, status = server:get "/eat"
            assert.equal(500, status)
            for _ = 1, 20 do
                assert.equal("400000", (server:get "/"))
            end
        end
    end)
end)
