-- The log: what an app writes to it, and what it says of failed hooks.

local cjson = require "cjson"
local frame = require "spec.support.frame"
local process = require "spec.support.process"
local start = require("spec.support.server").start

describe("mw.log", function()
    local server

    after_each(function()
        server:stop()
    end)

    local app = [[
        local mw = require "moonwire"
        mw.get("/", function()
            mw.log.debug "hidden"
            mw.log.info("joined", { room = "the \"hall\"", users = 3, ok = true, what = { 1, 2 },
                why = "timeout" })
            mw.log.warn "two\nlines"
            mw.log.error("forged\r\27[31m 2026-11-22 info  nothing\0")
            mw.log.info(42)
            return "logged"
        end)
    ]]

    it("writes a line of text, with what belongs to it", function()
        server = start(app)
        server:get "/"
        assert.truthy(server:logged "^%d+%-%d+%-%d+T%d+:%d+:%d+%.%d+Z info  joined .*"
            :find([[ ok=true room="the \"hall\"" users=3 what=[1,2] ]], 1, true))
        server:logged "Z warn  two$"
        server:logged "^%s+lines$"
        local forged = server:logged "Z error forged.*"
        assert.is_nil(forged:find "[%c]")
        server:logged "Z info  42$"
        assert.is_nil((server:stop()):find "hidden")
    end)

    it("writes a line of JSON", function()
        server = start(app, { arguments = { "--log-format", "json", "--log-level", "debug" } })
        server:get "/"
        local lines = {}
        for line in (server:stop()):gmatch "[^\n]+" do
            local entry = cjson.decode(line)
            lines[entry.message] = entry
        end
        assert.equal("debug", lines.hidden.level)
        local joined = lines.joined
        assert.same({ "info", 'the "hall"', 3, true },
            { joined.level, joined.room, joined.users, joined.ok })
        assert.equal("warn", lines["two\nlines"].level)
        assert.equal("error", lines["forged\r\27[31m 2026-11-22 info  nothing\0"].level)
    end)

    it("writes JSON whatever the fields are, and no name twice", function()
        server = start([[
            local mw = require "moonwire"
            mw.log.info("bytes", { agent = "\255", ["\255"] = 1, ["\254"] = 2, c1 = "\194\155" })
            mw.log.info("own", { level = "error", message = "forged", time = 0, field_level = 1 })
            mw.log.info("keys", { [1] = "a", ["1"] = "b", [true] = "c" })
            mw.log.info("numbers", { nan = 0/0, inf = 1/0, third = 1/3, big = 2^53 })
            local inside = { name = "self" }
            inside.again = inside
            mw.log.info("tables", { list = { 1, { x = "y" } }, inside = inside, none = {} })
            local deep = {}
            for _ = 1, 100 do deep = { deep } end
            mw.log.info("deep", { deep = deep })
            mw.log.info("odd", { f = print, u = newproxy(), t = setmetatable({}, {
                __tostring = function() error "no text" end }) })
            local long = {}
            for i = 1, 1000 do long[i] = i end
            mw.log.info("long", { list = long, text = ("z"):rep(2^20), [("n"):rep(2^20)] = 1 })
            local many = {}
            for i = 1, 1000 do many[i .. "x"] = i end
            mw.log.info("many", many)
        ]], { arguments = { "--log-format", "json" } })
        local entries, names = {}, {}
        for line in (server:stop()):gmatch "[^\n]+" do
            assert.truthy(#line < 16384)
            assert.is_nil(line:find "[%c\127]")
            local entry, seen = cjson.decode(line), {}
            for name in line:gsub("{[^{}]*}$", "%0", 1):gmatch '[{,]"([^"]+)":' do
                seen[name] = (seen[name] or 0) + 1
            end
            entries[entry.message], names[entry.message] = entry, seen
        end
        assert.equal("\239\191\189", entries.bytes.agent)
        assert.same({ 1, 2 }, { entries.bytes["\\xff"], entries.bytes["\\xfe"] })
        assert.same({ "info", "error", "forged", 0, 1 }, { entries.own.level,
            entries.own.field_level_, entries.own.field_message, entries.own.field_time,
            entries.own.field_level })
        assert.same({ 1, 1 }, { names.own.level, names.own.message })
        assert.same({ "c", 1 }, { entries.keys["true"], names.keys["1"] })
        assert.same({ "a", "b" }, { entries.keys["1"] == "a" and "a" or entries.keys["1_"],
            entries.keys["1"] == "b" and "b" or entries.keys["1_"] })
        assert.same({ "nan", "inf", 1 / 3, 2 ^ 53 }, { entries.numbers.nan, entries.numbers.inf,
            entries.numbers.third, entries.numbers.big })
        assert.same({ 1, { x = "y" } }, entries.tables.list)
        assert.same({ name = "self", again = "a table inside itself" }, entries.tables.inside)
        local deep, depth = entries.deep.deep, 0
        while type(deep) == "table" do
            deep, depth = deep[1], depth + 1
        end
        assert.same({ 8, "a table deeper than 8" }, { depth, deep })
        assert.equal("a value whose __tostring fails", entries.odd.t)
        assert.matches("^function: ", entries.odd.f)
        assert.equal("900 more", entries.long.list[101])
        assert.matches("z… %(%d+ more bytes%)$", entries.long.text)
        assert.equal("900 more", entries.many["…"])
    end)

    it("writes JSON about a start that fails, too", function()
        server = start "require('moonwire').get('/', print)" -- for after_each
        local one = process.run { "-e", "error 'no \\255 luck'", "--log-format", "json" }
        assert.equal(1, one.status)
        local entry = cjson.decode(one.err)
        assert.same({ "error", "(command line):1: no \239\191\189 luck" },
            { entry.level, entry.message })
    end)

    it("cuts a line at the limit log_line_bytes, and says how much is missing", function()
        server = start([[
            local mw = require "moonwire"
            mw.limits { log_line_bytes = "2k" }
            mw.get("/text", function() mw.log.warn(("x"):rep(5e6)) return "" end)
            mw.get("/bytes", function() mw.log.warn(("\255\0"):rep(1e6)) return "" end)
            mw.get("/fields", function()
                mw.log.warn("fields", { text = ("\0"):rep(1e6), other = ("é"):rep(1e6) })
                return ""
            end)
            mw.ws("/", { on_message = function() error("bad: " .. ("y"):rep(5e6)) end })
        ]], { arguments = { "--log-format", "json" } })
        for _, path in ipairs { "/text", "/bytes", "/fields" } do
            server:get(path)
        end
        local p = server:websocket "/"
        p:text "x"
        assert.equal(1011, (p:read_close()))
        local count = 0
        for line in (server:stop()):gmatch "[^\n]+" do
            assert.truthy(#line < 2048, #line)
            local entry = cjson.decode(line)
            if entry.level == "warn" and entry.message ~= "fields" then
                assert.matches("… %(%d+ more bytes%)$", entry.message)
                count = count + 1
            elseif entry.message == "fields" then
                assert.matches("^%d+ bytes, left out$", entry.fields)
                count = count + 1
            elseif entry.level == "error" then
                assert.matches("^on_message of / failed: .*app%.lua:9: bad: yyy", entry.message)
                count = count + 1
            end
        end
        assert.equal(4, count)
    end)

    it("keeps the traceback of an error with a text of megabytes", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function() error("bad: " .. ("y"):rep(5e6)) end })
        ]]
        local p = server:websocket "/"
        p:text "x"
        assert.equal(1011, (p:read_close()))
        server:logged "app%.lua:2: bad: y+… %(%d+ more bytes%)"
        server:logged "stack traceback:"
        server:logged "app%.lua:2: in function"
    end)

    it("writes the first of many equal failures, and how many followed", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(_, data)
                for _ = 1, 100 do
                    mw.spawn(function() error("no luck with " .. data) end)
                end
                mw.spawn(function() error "another place" end)
                for i = 1, 50 do
                    mw.spawn(loadstring("error 'made of text " .. i .. "'"))
                end
            end })
            mw.get("/later", function()
                for _ = 1, 7 do mw.spawn(function() error "later" end) end
                return ""
            end)
        ]]
        server:websocket "/":text "x"
        server:logged "app%.lua:4: no luck with x"
        server:logged "app%.lua:6: another place"
        server:logged "error 99 more like it within a second: the task of .*app%.lua:4: no luck"
        server:get "/later" -- the server ends before the second does
        local log = server:stop()
        assert.matches("error 6 more like it within a second: the task of .*app%.lua:12: later",
            log)
        assert.matches("error 49 more like it within a second: the task of .*made of text 1", log)
        assert.is_nil(log:find "more like it[^\n]*another place")
        assert.equal(1, select(2, log:gsub("app%.lua:4: in function", "")))
    end)

    it("writes a failed hook's traceback into one entry of JSON", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function() error "no luck" end })
        ]], { arguments = { "--log-format", "json" } })
        local p = server:websocket "/"
        p:text "x"
        assert.equal(1011, (p:read_close()))
        local entry = cjson.decode(server:logged "^{.*no luck.*}$")
        assert.equal("error", entry.level)
        assert.truthy(entry.message:find "app%.lua:2: no luck")
        assert.truthy(entry.message:find "stack traceback:\n%s+.*app%.lua:2: in function")
    end)
end)

describe("The log of what peers do", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("has a warning although many lines of the same second are below its level", function()
        server = start [[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            mw.ws("/", { on_message = function(ws)
                local left = 40
                for _ = 1, left do
                    WebSocket("ws://127.0.0.1:1/").onerror = function()
                        left = left - 1
                        if left == 0 then ws:send "all have failed" end
                    end
                end
            end })
        ]]
        local p = server:websocket "/"
        p:text "connect"
        assert.equal("all have failed", p:read_text())
        p:send(frame.build(3, "")) -- a reserved opcode
        assert.equal(1002, (p:read_close()))
        assert.truthy((server:stop()):find "Z warn  127%.0%.0%.1: .*closed with 1002")
    end)

    -- As many failures as three connections can cause, each with a text of its own.
    local function fail(path, body, n)
        local peers, before = {}, server:counter "hook_failures"
        for i = 1, 3 do
            peers[i] = server:connect()
        end
        for i = 1, n do
            for j, p in ipairs(peers) do
                local text = body:format(i * 3 + j)
                p:send(("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s")
                    :format(path, #text, text))
            end
            for _, p in ipairs(peers) do
                assert.equal(500, p:response().status)
            end
        end
        assert.equal(before + 3 * n, server:counter "hook_failures")
    end

    it("is not filled by peers that make a hook fail, whatever they make its errors say", function()
        server = start [[
            local mw = require "moonwire"
            mw.post("/text", function(req) error("bad: " .. req.body) end)
            mw.post("/bare", function(req) error(req.body, 0) end)
            mw.post("/again", function(req)
                local co = coroutine.create(function() error(req.body, 0) end)
                local _, problem = coroutine.resume(co)
                error(problem, 0)
            end)
            mw.post("/awaits", function(req)
                mw.all { function() error(req.body, 0) end }
            end)
            mw.get("/counters", function() return mw.counters() end)
        ]]
        for _, path in ipairs { "/text", "/bare", "/again", "/awaits" } do
            fail(path, "x%d.lua:1: you are wrong", 200)
        end
        local log = server:stop()
        assert.is_true(#log < 20000, #log)
        local written, counted = 0, 0
        for line in log:gmatch "[^\n]+" do
            local more = line:match "(%d+) more like it within a second"
            counted = counted + tonumber(more or 0)
            written = written + (not more and line:find "failed: .*you are wrong" and 1 or 0)
        end
        assert.equal(2400, written + counted)
    end)

    it("has few lines of failures at more places than it counts", function()
        server = start [[
            local mw = require "moonwire"
            local places = {}
            for i = 1, 100 do
                places[i] = load("local data = ... error(data, 0)", "=place" .. i)
            end
            mw.post("/", function(req)
                places[tonumber(req.body:match "%d+") % 100 + 1](req.body)
            end)
            mw.get("/counters", function() return mw.counters() end)
            mw.get("/later", function() mw.sleep "1100ms" return "later" end)
        ]]
        fail("/", "wrong %d", 300)
        assert.equal("later", (server:get "/later"))
        server:logged "%d+ more failures at other places were left out"
        local _, lines = server:stop():gsub("wrong", "")
        -- 32 places, once and once more with a number, and 20, in each second that this takes.
        assert.is_true(lines < 700, lines)
    end)

    it("tells how many lines were left out at the highest level of theirs", function()
        server = start([[
            local mw = require "moonwire"
            mw.ws("/", {})
            mw.get("/later", function() mw.sleep "1100ms" return "later" end)
        ]], { arguments = { "--log-level", "debug" } })
        local peers = {}
        for i = 1, 60 do -- over 20 in a second, also when they fall into two
            peers[i] = server:websocket "/"
        end
        for _, p in ipairs(peers) do
            p:send(frame.build(3, ""))
        end
        assert.equal("later", (server:get "/later"))
        server:get "/nothing" -- a line of the level debug
        assert.equal("warn", (server:logged "Z (%l+) +%d+ more lines about peers were left out"))
        server:logged "Z debug 127%.0%.0%.1: request refused with 404"
    end)
end)
