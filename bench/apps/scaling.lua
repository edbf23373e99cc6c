-- For bench/scaling: ways to send a message back, none of which concerns another worker.
local mw = require "moonwire"

mw.ws("/echo", {
    on_message = function(ws, data, is_binary)
        ws:send(data, is_binary)
    end,
})

-- Through a topic of the connection's own.
mw.ws("/own", {
    on_open = function(ws)
        ws.state = { topic = "own/" .. mw.worker.index .. "/" .. ws.id }
        ws:subscribe(ws.state.topic)
    end,
    on_message = function(ws, data, is_binary)
        mw.publish(ws.state.topic, data, is_binary)
    end,
})

-- And to a topic that nobody subscribes to.
mw.ws("/nobody", {
    on_message = function(ws, data, is_binary)
        ws:send(data, is_binary)
        mw.publish("nobody", data, is_binary)
    end,
})

-- As echo, while 10,000 tasks of the worker wait.
local waiting = false
mw.ws("/among", {
    on_open = function()
        for _ = 1, waiting and 0 or 10000 do
            mw.spawn(mw.sleep, "1h")
        end
        waiting = true
    end,
    on_message = function(ws, data, is_binary)
        ws:send(data, is_binary)
    end,
})

-- One hook for each connection, which waits for every message.
mw.ws("/receive", {
    on_open = function(ws)
        while true do
            local data, is_binary = ws:receive()
            if not data then
                return
            end
            ws:send(data, is_binary)
        end
    end,
})

mw.get("/counters", function()
    return mw.counters()
end)
