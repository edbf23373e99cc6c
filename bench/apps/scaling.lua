-- For bench/scaling: three ways to send a message back, none of which concerns another worker.
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

mw.get("/counters", function()
    return mw.counters()
end)
