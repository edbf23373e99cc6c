-- Many subscribers, several workers, slow consumers.

local resource = require "posix.sys.resource"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

local app = [[
local mw = require "moonwire"
mw.limits { connections = 5000 }
mw.ws("/", { on_open = function(ws) ws:subscribe "all" end })
mw.ws("/writer", {
    on_message = function(ws, data)
        for topic, text in data:gmatch "(%S+) (%S+)" do mw.publish(topic, text) end
        ws:send(tostring(mw.worker.index))
    end,
})
mw.ws("/reader/:topic", {
    on_open = function(ws)
        ws:subscribe(ws.params.topic)
        ws:send(tostring(mw.worker.index))
    end,
    on_message = function(ws, data) ws:publish(ws.params.topic, data) end,
})
local body = ("0123456789abcdef"):rep(4096)
mw.ws("/slow", {
    limits = { queued_bytes = "1M" },
    on_open = function(ws) ws:subscribe "flood" ws:send "ready" end,
    on_error = function(ws, text) print("error " .. text) end,
    on_close = function(ws, code) print("closed " .. code) end,
})
mw.ws("/flood", { on_message = function(ws, data)
    mw.publish("flood", data .. " " .. body)
    ws:send(data)
end })
mw.get("/counters", function() return mw.counters() end)
]]

-- A thousand sockets are more than some systems allow at first.
local function raise_open_files()
    local limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits.rlim_cur = limits.rlim_max
    assert(resource.setrlimit(resource.RLIMIT_NOFILE, limits))
end

describe("A topic of a thousand", function()
    local server

    setup(raise_open_files)

    after_each(function()
        server:stop()
    end)

    for _, workers in ipairs { "1", "2" } do
        it("sends each a thousand messages once and in order, --workers " .. workers, function()
            server = servers.start(app, { arguments = { "--workers", workers } })
            local peers = {}
            for i = 1, 1000 do
                peers[i] = assert(server:websocket "/")
            end
            local writer, wanted = server:websocket "/writer", {}
            for turn = 0, 9 do
                local script = {}
                for n = turn * 100 + 1, turn * 100 + 100 do
                    script[#script + 1] = "all message-" .. n
                    wanted[n] = frame.from_server(frame.TEXT, "message-" .. n)
                end
                writer:text(table.concat(script, " "))
            end
            wanted = table.concat(wanted)
            for i = 1, 1000 do
                assert.is_true(peers[i]:bytes(#wanted) == wanted, "subscriber " .. i)
                -- Nothing more: a pong is the next thing that comes.
                peers[i]:frame(frame.PING, "")
                assert.equal(frame.PONG, (peers[i]:read_frame()))
            end
        end)
    end
end)

describe("A topic of two workers", function()
    local server

    before_each(function()
        server = servers.start(app, { arguments = { "--workers", "2" } })
    end)

    after_each(function()
        server:stop()
    end)

    -- Subscribers of a topic in each worker.
    local function readers(topic, n)
        local by_worker = { ["1"] = {}, ["2"] = {} }
        for _ = 1, n do
            local p = assert(server:websocket("/reader/" .. topic))
            table.insert(by_worker[p:read_text()], p)
        end
        assert.is_true(#by_worker["1"] > 0 and #by_worker["2"] > 0, "one worker has none")
        return by_worker
    end

    local function each(by_worker, fn)
        for worker, peers in pairs(by_worker) do
            for _, p in ipairs(peers) do
                fn(p, worker)
            end
        end
    end

    it("reaches the subscribers of both, in the order of the calls", function()
        local by_worker = readers("t", 6)
        local writer = server:websocket "/writer"
        local script, wanted = {}, {}
        for i = 1, 300 do
            script[i] = "t number-" .. i
            wanted[i] = frame.from_server(frame.TEXT, "number-" .. i)
        end
        writer:text(table.concat(script, " "))
        local all = table.concat(wanted)
        each(by_worker, function(p)
            assert.equal(all, p:bytes(#all))
        end)
    end)

    it("does not reach who publishes, in whichever worker", function()
        local by_worker = readers("t", 4)
        for worker, peers in pairs(by_worker) do
            peers[1]:text("from " .. worker)
            each(by_worker, function(p)
                if p ~= peers[1] then
                    assert.equal("from " .. worker, p:read_text())
                end
            end)
        end
        each(by_worker, function(p)
            p:frame(frame.PING, "")
            assert.equal(frame.PONG, (p:read_frame()))
        end)
    end)

    it("keeps the order over several topics", function()
        local a, b = readers("a", 4), readers("b", 4)
        local writer = server:websocket "/writer"
        local script = {}
        for i = 1, 100 do
            script[i] = (i % 2 == 0 and "a " or "b ") .. i
        end
        writer:text(table.concat(script, " "))
        for first, by_worker in pairs { a, b } do
            each(by_worker, function(p)
                for i = first == 1 and 2 or 1, 100, 2 do
                    assert.equal(tostring(i), p:read_text())
                end
            end)
        end
    end)
end)

describe("A slow consumer", function()
    local server = servers.fresh(app)

    it("is closed with 1008 at queued_bytes while the others go on", function()
        local slow = server:websocket("/slow", { receive_buffer = 4096 })
        local fast = server:websocket "/slow"
        assert.equal("ready", slow:read_text())
        assert.equal("ready", fast:read_text())
        local writer = server:websocket "/flood"
        local published, closed = 0, nil
        while not closed and published < 1000 do
            published = published + 1
            writer:text(tostring(published))
            assert.equal(tostring(published), writer:read_text())
            local text = fast:read_text()
            assert.equal(tostring(published), text:match "^%d+")
            closed = server:counter "queue_overflows" == 1
        end
        assert.is_true(closed)
        assert.equal("error more output is queued than queued_bytes allows", (server:printed ".*"))
        server:printed "^closed 1008"
        server:logged("warn .*/slow: more output is queued than queued_bytes allows: "
            .. "closed with 1008")
        -- The others are still served.
        writer:text "afterwards"
        assert.equal("afterwards", fast:read_text():match "^%a+")
        -- What it reads in the end: whole messages without a gap, then why it ended.
        local n, code = 0, nil
        while not code do
            local opcode, payload = assert(slow:read_frame())
            if opcode == frame.TEXT then
                n = n + 1
                assert.equal(tostring(n), payload:match "^%d+")
            else
                code = frame.parse_close(payload)
            end
        end
        assert.is_true(n < published)
        assert.equal(1008, code)
        assert.is_true(slow:is_ended())
        assert.is_true(server:counter "dropped_bytes" > 0)
    end)
end)
