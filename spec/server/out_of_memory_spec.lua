-- Hooks that use up the memory of the process: they fail, and everybody else is served.

local process = require "spec.support.process"
local servers = require "spec.support.server"

-- A sanitizer's own memory does not fit under the limit.
local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san" ~= nil

-- Each holds what it makes until it fails.
local eaters = {
    tables = [[local t = {} for i = 1, 1e9 do t[i] = { i, i } end]],
    ["an array"] = [[local t = {} for i = 1, 1e9 do t[i] = i end]],
    strings = [[local t = {} for i = 1, 1e9 do t[i] = "text number " .. i end]],
    ["one string"] = [[local s = ("x"):rep(1000000) while true do s = s .. s end]],
    ["string.rep"] = [[local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000000 + i) end]],
    cdata = [[local t = {} for i = 1, 1e9 do t[i] = ffi.new("int[1000]") end]],
    ["small cdata"] = [[local t = {} for i = 1, 1e9 do t[i] = ffi.new("int64_t", i) end]],
    closures = [[local t = {} for i = 1, 1e9 do t[i] = function() return i end end]],
    coroutines = [[local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end]],
    keys = [[local t = {} for i = 1, 1e9 do t["key " .. i] = true end]],
    json = [[local t = {} for i = 1, 1e7 do t[i] = i end
        local all = {} for i = 1, 1e9 do all[i] = mw.json.encode(t) end]],
    topics = [[local t = {} for i = 1, 1e9 do t[i] = "topic " .. i mw.publish(t[i], t[i]) end]],
    timers = [[local t = {} for i = 1, 1e9 do
        t[i] = pcall(mw.after, "1h", function() return i end) end]],
}

local app = [[
    local mw = require "moonwire"
    local ffi = require "ffi"
    ffi.cdef "struct oom_limit { unsigned long now, most; };"
    ffi.cdef "int setrlimit(int, struct oom_limit *);"
    local pages = tonumber(io.open "/proc/self/statm":read "*n")
    local most = pages * 4096 + 150e6
    mw.get("/limit", function()
        assert(ffi.C.setrlimit(9, ffi.new("struct oom_limit", most, most)) == 0) -- RLIMIT_AS
        return "ok"
    end)
    mw.get("/eat", function() %s end)
    local function eat() local t = {} for i = 1, 1e9 do t[i] = { i, i } end end
    local all = {}
    mw.get("/hold", function() for i = 1, 1e9 do all[i] = { i } end end)
    mw.get("/caught", function() pcall(eat) return "ok" end)
    mw.ws("/", { on_message = function(ws, data)
        if data == "eat" then %s end
        ws:send(data)
    end })
]]

describe("A hook that uses up all memory", function()
    if is_sanitized then
        return
    end

    local server

    after_each(function()
        server:stop()
    end)

    for name, code in pairs(eaters) do
        it("in " .. name .. " fails, and all others are served", function()
            server = servers.start(app:format(code, code))
            assert.equal("ok", (server:get "/limit"))
            local bystander, eater = server:websocket "/", server:websocket "/"
            for _ = 1, 2 do
                local _, status = server:get "/eat"
                assert.equal(500, status)
                server:logged "GET /eat failed: "
                assert.equal("served", bystander:ask "served")
            end
            eater:text "eat"
            assert.equal(1011, eater:read_close())
            assert.equal("served", bystander:ask "served")
        end)
    end

    it("for good leaves nobody without an answer, and the server ends when told", function()
        server = servers.start(app:format("", ""), { dispatcher_fails = true })
        assert.equal("ok", (server:get "/limit"))
        local _, status = server:get "/hold"
        assert.equal(500, status)
        for _ = 1, 5 do
            _, status = server:get "/limit" -- what little there is may do for some
            assert.is_true(status == 200 or status == 500)
        end
    end)

    -- Whoever asks for memory next is our own code, between the hooks.
    it("and catches that leaves memory to all others", function()
        server = servers.start(app:format("", ""), { dispatcher_fails = true })
        assert.equal("ok", (server:get "/limit"))
        for _ = 1, 3 do
            pcall(server.get, server, "/caught") -- it may have no memory for its answer
            for _ = 1, 3 do
                assert.equal("served", server:websocket("/"):ask "served")
            end
        end
    end)
end)

-- LuaJIT's own fault, which script/luajit_layout.h works around.
describe("Machine code that gets no memory", function()
    if is_sanitized then
        return
    end

    it("raises an error, and does not end the process", function()
        local ended = process.run { "-e", [[
            local ffi = require "ffi"
            ffi.cdef "struct oom_limit { unsigned long now, most; };"
            ffi.cdef "int setrlimit(int, struct oom_limit *);"
            local most = io.open "/proc/self/statm":read "*n" * 4096 + 60e6
            assert(ffi.C.setrlimit(9, ffi.new("struct oom_limit", most, most)) == 0)
            local function eat() local s = "x" while true do s = s .. s end end
            for _ = 1, 200 do -- often enough for machine code
                assert(not pcall(eat))
            end
            print "all failed"
            os.exit(0)
        ]] }
        assert.is_nil(ended.signal_number, ended.err)
        assert.equal("all failed\n", ended.out)
    end)
end)
