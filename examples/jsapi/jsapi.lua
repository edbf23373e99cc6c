-- A chat whose every connection is handled as in a browser: only on_open is moonwire's.
--   moonwire examples/jsapi/jsapi.lua
-- What JavaScript would say stands beside each line.
local mw = require "moonwire"

local chat = mw.ws("/", { protocols = "chat" })
local members = {}                               -- const members = new Set();

function chat.on_open(socket)                    -- server.onconnection = (socket) => {
    members[socket] = true                       --   members.add(socket);

    socket.onmessage = function(event)           --   socket.onmessage = (event) => {
        for member in pairs(members) do          --     for (const member of members)
            member:send(event.data)              --       member.send(event.data);
        end                                      --
    end                                          --   };

    local function on_close(event)               --   const onClose = (event) => {
        members[event.target] = nil              --     members.delete(event.target);
        print("left", event.code, event.wasClean) --    console.log("left", event.code, …);
    end                                          --   };
    socket:addEventListener("close", on_close, { once = true }) -- socket.addEventListener(…);
end                                              -- };

mw.listen { port = tonumber(arg[1] or 8080) }
