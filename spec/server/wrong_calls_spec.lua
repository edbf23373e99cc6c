-- Functions of the API that are called wrongly: what is said, and at which line of the app.

local process = require "spec.support.process"
local servers = require "spec.support.server"

describe("A call that is wrong", function()
    local server = servers.fresh [[
local mw, WebSocket = require "moonwire", require "moonwire.websocket"
mw.get("/all", function() return mw:all { print } end)
mw.get("/sleep", function() return mw:sleep "1s" end)
mw.get("/publish", function() return mw:publish("topic", "text") end)
mw.get("/decode", function() return mw.json:decode "1" end)
mw.get("/encode", function() return mw.json:encode { 1 } end)
mw.get("/array", function() local list = mw.json:array {} return list end)
mw.get("/json", function() return mw.json "1" end)
mw.get("/names", function() return mw.all { a = print } end)
mw.get("/gap", function() return mw.race { print, [3] = print } end)
mw.get("/timer", function() local t = mw.after(1, print) t:cancel() end)
mw.get("/task", function() local t = mw.spawn(print) t:stop() end)
mw.get("/header", function(req) return req:header "host" end)
mw.get("/other", function() return mw.broadcast "x" end)
mw.get("/path", function() return mw.post "x" end)
mw.get("/newline", function(req) return req:set_header("a", "b\nc") end)
mw.get("/client", function() return WebSocket:new "ws://localhost:1" end)
mw.get("/third", function() return WebSocket.new("ws://localhost:1", { compress = true }) end)
mw.get("/protocols", function() return WebSocket.new("ws://localhost:1", { chat = 1 }) end)
mw.get("/once", function()
    WebSocket.new("ws://localhost:1"):addEventListener("close", print, { onse = true })
end)
mw.get("/worker", function() return mw.worker.indx end)
mw.get("/tostring", function()
    error(setmetatable({}, { __tostring = function() return 5 end }))
end)
]]

    local cases = {
        ["/all"] = "2: mw:all: write mw.all(…), with a dot, not a colon",
        ["/sleep"] = "3: mw:sleep: write mw.sleep(…), with a dot, not a colon",
        ["/publish"] = "4: mw:publish: write mw.publish(…), with a dot, not a colon",
        ["/decode"] = "5: mw.json:decode: write mw.json.decode(…), with a dot, not a colon",
        ["/encode"] = "6: mw.json:encode: write mw.json.encode(…), with a dot, not a colon",
        ["/array"] = "7: mw.json:array: write mw.json.array(…), with a dot, not a colon",
        ["/json"] = "8: mw.json is a table of functions: write mw.json.encode(value)",
        ["/names"] = "9: mw.all: expected a list without gaps and names, mw.all { a, b }, got the "
            .. "key a",
        ["/gap"] = "10: mw.race: expected a list without gaps and names, mw.race { a, b }, got "
            .. "the key 3",
        ["/timer"] = "did you mean timer:stop?",
        ["/task"] = "did you mean task:cancel?",
        ["/header"] = 'did you mean req.headers["name"]?',
        ["/other"] = "14: mw.broadcast does not exist; did you mean publish?",
        ["/path"] = '15: mw.post: a route\'s path is a string that begins with /, got "x"',
        ["/newline"] = [[16: set_header: the header "a": "b\nc" cannot be set]],
        ["/client"] = "17: WebSocket:new: write WebSocket.new(…), with a dot, not a colon",
        ["/third"] = "18: SyntaxError: WebSocket: compress is an option, and the options come "
            .. "third: write WebSocket.new(url, nil, { compress = … })",
        ["/protocols"] = "got the key chat",
        ["/once"] = "21: addEventListener: there is no option onse; did you mean once?",
        ["/worker"] = "23: mw.worker.indx does not exist; did you mean index?",
        ["/tostring"] = "25: a value whose __tostring fails",
    }
    for path, text in pairs(cases) do
        it("says what to write: " .. path, function()
            server:get(path)
            assert.matches(text, server:logged "failed: .*", 1, true)
        end)
    end
end)

describe("A function that is not the app's", function()
    local server = servers.fresh [[
local mw = require "moonwire"
mw.get("/handler", mw.sleep)
mw.get("/error", error)
mw.ws("/upgrade", { on_upgrade = error })
mw.ws("/message", { on_message = error })
mw.get("/task", function()
    mw.spawn(error, "from a task")
end)
mw.get("/timer", function()
    mw.after(0, string.rep)
end)
mw.get("/all", function()
    return mw.all { string.rep }
end)
mw.get("/tail", function() return mw.after(0, function() error "x" end) and nil end)
mw.get("/through", function()
    local function later() return mw.after(0, error) end
    later()
end)
]]

    it("fails at the line that names it", function()
        for path, line in pairs { handler = 2, error = 3, task = 7, timer = 10, through = 18 } do
            server:get("/" .. path)
            server:logged(("failed: %%S-/app%%.lua:%d: "):format(line))
        end
        server:get "/all"
        server:logged "GET /all failed: %S-/app%.lua:1[23]: bad argument"
        server:websocket("/message"):text "x"
        server:logged "on_message of /message failed: %S-/app%.lua:5: "
    end)

    it("has no line of ours for its timer's", function()
        server:get "/through"
        server:logged "mw%.after%(0%) of %S-/app%.lua:18 failed: "
    end)
end)

describe("A stack overflow", function()
    it("is told at the line that recurs where LuaJIT knows it, else at the hook's", function()
        local server = servers.start [[
local mw = require "moonwire"
local function deep()
    return 1 + deep()
end

mw.get("/", function() local depth = deep() return depth end)
]]
        server:get "/"
        server:logged "GET / failed: %S-/app%.lua:[236]: stack overflow"
        server:stop()
    end)
end)

describe("An error of the top level", function()
    local function err_of(code)
        local one = process.run { "-e", code }
        assert.equal(1, one.status)
        return one.err
    end

    it("is told whole, in one line", function()
        assert.equal("moonwire: (command line):1: a, b, c\n", err_of 'error("a\\nb\\n\\tc")')
    end)

    it("says where a module was looked for", function()
        local text = err_of 'require "no.such"'
        assert.matches("^moonwire: %(command line%):1: module 'no.such' not found: "
            .. "looked for %./no/such%.lua, %./no/such/init%.lua, /[^\n]*, %./no/such%.so, /", text)
    end)

    it("has the line of mw.keep's function, and of a tail call of the file itself", function()
        assert.matches("line%):2: mw.after: expected", err_of [[local mw = require "moonwire"
            mw.keep("x", function() return mw.after() end)

            print(1)]])
        assert.matches("line%):3: route", err_of [[local mw = require "moonwire"

            return mw.get("/:", print)]])
    end)

    it("says in a reload too that nobody would resume it", function()
        local server = servers.start 'require("moonwire").get("/", print)'
        server:edit 'require("moonwire").get("/", print) coroutine.yield()'
        server.process:signal "HUP"
        assert.matches("coroutine.yield: nobody would resume the top level", server:reload_failed(),
            1, true)
        server:stop()
    end)
end)

-- Whatever ends the process is a line of the log, where that is JSON.
describe("With --log-format json a complaint is JSON:", function()
    local cjson = require "cjson"

    local function entry_of(...)
        local one = process.run({ ... })
        assert.not_equal(0, one.status)
        local line = one.err:match "^([^\n]*)\n$"
        local entry = cjson.decode(line)
        assert.equal("error", entry.level)
        return entry.message
    end

    it("of the command line", function()
        assert.matches("unknown option --nosuch", entry_of("--nosuch", "--log-format", "json"), 1,
            true)
        assert.matches("unknown option --nosuch", entry_of("--log-format=json", "--nosuch"), 1,
            true)
        assert.matches("which app", entry_of("--log-format", "json"))
        assert.matches("--workers 0", entry_of("x.lua", "--workers", "0", "--log-format", "json"),
            1, true)
    end)

    it("of a script's file after it has waited", function()
        local wait = 'require("moonwire").sleep(0.001) '
        assert.matches("line%):1: late", entry_of("-e", wait .. "error 'late'", "--log-format",
            "json"))
        assert.matches("waits for something that cannot come", entry_of("-e",
            'require("moonwire").await(function() end)', "--log-format", "json"))
    end)
end)

describe("A text of the log", function()
    it("that is a table is written as JSON", function()
        local server = servers.start [[
local mw = require "moonwire"
mw.get("/", function()
    mw.log.info { user = "Ada", roles = { "a" }, left = mw.json.null }
    return ""
end)
]]
        server:get "/"
        assert.matches('{"left":null,"roles":["a"],"user":"Ada"}', server:logged "info  {.*", 1,
            true)
        server:stop()
    end)
end)
