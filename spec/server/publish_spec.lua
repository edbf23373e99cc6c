-- publish across workers: a message is posted to the workers that have subscribers of its topic,
-- and to no other, however subscriptions come and go meanwhile.

local start = require("spec.support.server").start

-- A connection does what it is told, one message a script, and says "done".
local app = [==[
local mw = require "moonwire"
mw.limits { topic_bytes = "80k" }
local commands = {}
function commands.sub(ws, topic) assert(ws:subscribe(topic)) end
function commands.unsub(ws, topic) ws:unsubscribe(topic) end
function commands.pub(ws, topic, text) assert(ws:publish(topic, text)) end
function commands.all(_, topic, text) assert(mw.publish(topic, text)) end
-- "range pub t/%d text 1 300": the command once for each number.
function commands.range(ws, command, topic, text, from, to)
    for i = from, to do commands[command](ws, topic:format(i), text) end
end
mw.ws("/", {
    on_open = function(ws) ws:send(tostring(mw.worker.index)) end,
    on_message = function(ws, data)
        for command in data:gmatch "[^;]+" do
            local words = {}
            for word in command:gmatch "%S+" do words[#words + 1] = word end
            commands[words[1]](ws, unpack(words, 2))
        end
        ws:send "done"
    end,
})
mw.get("/counters", function() return mw.counters() end)
]==]

describe("publish, with several workers,", function()
    local server
    local here, there -- connections of worker 1 and of worker 2

    -- One connection in each worker, by index.
    local function open_everywhere(workers)
        local all, count = {}, 0
        while count < workers do
            local p = assert(server:websocket "/")
            local index = tonumber(p:read_text())
            if not all[index] then
                all[index] = p
                count = count + 1
            end
        end
        return all
    end

    local function begin(workers)
        server = start(app, { arguments = { "--workers", tostring(workers) } })
        return open_everywhere(workers)
    end

    before_each(function()
        here, there = unpack(begin(2))
    end)

    after_each(function()
        server:stop()
    end)

    -- All that it was told is done when this returns.
    local function tell(p, text)
        p:text(text)
        assert.equal("done", p:read_text())
    end

    -- Letters that this causes.
    local function forwarded(fn)
        local before = server:counter "forwarded"
        fn()
        return server:counter "forwarded" - before
    end

    it("posts nothing to a worker without subscribers", function()
        tell(here, "sub a")
        assert.equal(0, forwarded(function()
            here:text "range all a x 1 100"
            for _ = 1, 100 do
                assert.equal("x", here:read_text())
            end
            assert.equal("done", here:read_text())
        end))
    end)

    it("posts nothing when nobody subscribes to the topic anywhere", function()
        tell(there, "sub b")
        assert.equal(0, forwarded(function()
            tell(here, "range all a x 1 100")
        end))
    end)

    it("posts once to a worker that has subscribers", function()
        for _, p in ipairs { there, there, here } do
            tell(p, "sub a")
        end
        assert.equal(100, forwarded(function()
            tell(here, "range pub a x 1 100")
        end))
        for _ = 1, 100 do
            assert.equal("x", there:read_text())
        end
    end)

    it("stops posting after the last unsubscription, not before", function()
        local second
        repeat
            second = assert(server:websocket "/")
        until second:read_text() == "2"
        tell(there, "sub a")
        tell(second, "sub a")
        tell(there, "unsub a")
        assert.equal(1, forwarded(function()
            tell(here, "all a one")
        end))
        assert.equal("one", second:read_text())
        tell(second, "unsub a")
        assert.equal(0, forwarded(function()
            tell(here, "all a two")
        end))
        tell(there, "sub a")
        assert.equal(1, forwarded(function()
            tell(here, "all a three")
        end))
        assert.equal("three", there:read_text())
    end)

    it("stops posting when the last subscriber is gone", function()
        tell(there, "sub a")
        tell(here, "all a x") -- so that it knows the topic
        assert.equal("x", there:read_text())
        local closed = server:counter "closed"
        there:close()
        repeat until server:counter "closed" > closed
        assert.equal(0, forwarded(function()
            tell(here, "all a x")
        end))
    end)

    it("reaches a subscription that somebody heard of, whoever published before", function()
        for round = 1, 100 do
            tell(here, "all a early")
            tell(there, "sub a")
            tell(here, "all a " .. round)
            assert.equal(tostring(round), there:read_text())
            tell(there, "unsub a")
            -- And the other way round, with a subscriber of its own.
            tell(here, "sub a")
            tell(there, "all a back")
            assert.equal("back", here:read_text())
            tell(here, "unsub a")
        end
    end)

    it("reaches subscriptions to more topics than a worker remembers", function()
        tell(here, "range all t/%d early 1 600")
        tell(there, "range sub t/%d - 1 600")
        assert.equal(600, forwarded(function()
            tell(here, "range all t/%d late 1 600")
        end))
        for _ = 1, 600 do
            assert.equal("late", there:read_text())
        end
    end)

    it("reaches topics with long names, and the empty one", function()
        local long = ("n"):rep(70000)
        tell(there, ("sub %s; sub %sm"):format(long, long))
        for round = 1, 3 do
            tell(here, ("all %s %d; all %sm %d"):format(long, round, long, -round))
            assert.equal(tostring(round), there:read_text())
            assert.equal(tostring(-round), there:read_text())
        end
    end)

    it("loses nothing to subscriptions of others that come and go", function()
        local flickering, storm = {}, {}
        for i = 1, 8 do
            flickering[i] = assert(server:websocket "/")
            flickering[i]:read_text()
            storm[i] = ("range sub t/%%d - %d 20; range unsub t/%%d - %d 20;"):format(i, i)
                :rep(20)
        end
        for round = 1, 20 do
            for i, p in ipairs(flickering) do
                p:text(storm[i])
            end
            local topic = "t/" .. round
            tell(there, "sub " .. topic)
            tell(here, ("all %s %d"):format(topic, round))
            assert.equal(tostring(round), there:read_text())
            tell(there, "unsub " .. topic)
            for _, p in ipairs(flickering) do
                repeat until p:read_text() == "done"
            end
        end
    end)

    it("reaches every worker, of many", function()
        server:stop()
        local workers = 66 -- more than one word has bits
        local all = begin(workers)
        for i, p in ipairs(all) do
            tell(p, "sub a; sub only/" .. i)
        end
        assert.equal(workers - 1, forwarded(function()
            tell(all[3], "pub a x")
        end))
        for i, p in ipairs(all) do
            if i ~= 3 then
                assert.equal("x", p:read_text())
            end
        end
        for _, i in ipairs { 1, 2, 63, 64, 65, 66 } do
            assert.equal(i == 2 and 0 or 1, forwarded(function()
                tell(all[2], "pub only/" .. i .. " y")
            end))
            if i ~= 2 then
                assert.equal("y", all[i]:read_text())
            end
        end
    end)
end)
