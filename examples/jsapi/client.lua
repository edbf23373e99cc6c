-- A client for jsapi.lua: says its arguments, prints what it hears, leaves at its own last word.
--   moonwire examples/jsapi/client.lua ws://localhost:8080/ hello world
-- What a browser would say stands beside each line.
local WebSocket = require "moonwire.websocket"
local url = arg[1] or "ws://localhost:8080/"
local words = { unpack(arg, 2) }
local heard = 0

local ws = WebSocket.new(url, { "chat" })        -- const ws = new WebSocket(url, ["chat"]);

ws.onopen = function(event)                      -- ws.onopen = (event) => {
    print(event.type, ws.readyState == WebSocket.OPEN, ws.protocol) -- console.log(event.type, …);
    for _, word in ipairs(words) do              --   for (const word of words)
        ws:send(word)                            --     ws.send(word);
    end                                          --
end                                              -- };

ws.onmessage = function(event)                   -- ws.onmessage = (event) => {
    print("message", event.data)                 --   console.log("message", event.data);
    heard = heard + 1                            --   heard++;
    if heard == #words then                      --   if (heard === words.length)
        ws:close(1000, "said it all")            --     ws.close(1000, "said it all");
    end                                          --
end                                              -- };

ws.onerror = function(event)                     -- ws.onerror = (event) => {
    print(event.type)                            --   console.log(event.type);
end                                              -- };

ws:addEventListener("close", function(event)     -- ws.addEventListener("close", (event) => {
    print("close", event.code, event.reason, event.wasClean) -- console.log("close", event.code, …);
end)                                             -- });
