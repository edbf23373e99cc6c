-- A chat with rooms: run it with `make run` and open http://localhost:8080
--
-- The page opens a WebSocket to /chat/ROOM?name=NAME. What it sends is the text of a message; an
-- empty one means "is typing". What it gets are JSON objects: history, here, typing, message.
local mw = require "moonwire"

local HISTORY = 100 -- messages that somebody new gets to read
local FORGET = "1h" -- how long a room that everybody left keeps them
local COLOURS = 10  -- that the page has

-- Rooms are plain tables, because one worker serves everybody. With --workers 2 each would have
-- its own: messages would still reach everyone, but lists of people and histories would differ.
local rooms = mw.keep "rooms" -- the same table when this file was changed, and runs anew
local messages = mw.keep("messages", function() -- numbered, so that a page knows what it has shown
    return { last_id = os.time() * 1000 }
end)

local chat = mw.ws("/chat/:room", { limits = { message_bytes = "4k", messages_per_second = 20 } })

-- people: how many tabs each name has open; it comes with the first and goes with the last.
-- colours: theirs, as numbers from 0.
local function enter(name)
    rooms[name] = rooms[name]
        or { topic = "chat/" .. name, people = {}, colours = {}, history = {} }
    return rooms[name]
end

-- The colour of somebody who is here: nobody else has it, as long as there are enough. The search
-- for one begins at a number made of the name, so that who comes back finds the same most likely.
local function colour_of(room, name)
    if not room.colours[name] then
        local users, colour = {}, 0
        for _, taken in pairs(room.colours) do
            users[taken] = (users[taken] or 0) + 1
        end
        for i = 1, #name do
            colour = (colour * 31 + name:byte(i)) % 65521
        end
        local best
        for i = colour, colour + COLOURS - 1 do
            local other = i % COLOURS
            if not best or (users[other] or 0) < (users[best] or 0) then
                best = other
            end
        end
        room.colours[name] = best
    end
    return room.colours[name]
end

local function tell_who_is_here(room, event)
    event.type, event.at, event.people, event.colours = "here", os.time(), {}, {}
    for name in pairs(room.people) do
        table.insert(event.people, name)
        event.colours[name] = colour_of(room, name)
    end
    table.sort(event.people)
    mw.publish(room.topic, mw.json.encode(event))
end

-- 1 to 24 characters (bytes that begin one: it is UTF-8), not only blanks, no control characters.
local function is_name(text)
    local _, length = (text or ""):gsub("[^\128-\191]", "")
    return length >= 1 and length <= 24 and text:find "%S" and not text:find "%c"
end

function chat.on_upgrade(req)
    if not is_name(req.query.name) or not is_name(req.params.room) then
        return req:reject(400, "names of people and rooms have 1 to 24 characters\n")
    end
    return { name = req.query.name } -- becomes ws.state
end

function chat.on_open(ws)
    local room, name = enter(ws.params.room), ws.state.name
    ws:send('{"type":"history","messages":[' .. table.concat(room.history, ",") .. "]}")
    ws:subscribe(room.topic)
    room.people[name] = (room.people[name] or 0) + 1
    tell_who_is_here(room, { came = room.people[name] == 1 and name or nil })
end

function chat.on_message(ws, text, is_binary)
    local room, name = rooms[ws.params.room], ws.state.name
    if is_binary then
        return ws:close(1003, "text only")
    elseif not text:find "%S" then
        return ws:publish(room.topic, mw.json.encode { type = "typing", name = name })
    end
    messages.last_id = messages.last_id + 1
    local message = mw.json.encode {
        type = "message", id = messages.last_id, at = os.time(), name = name,
        colour = colour_of(room, name), text = text,
    }
    table.insert(room.history, message) -- encoded once, for now and for later
    if #room.history > HISTORY then
        table.remove(room.history, 1)
    end
    mw.publish(room.topic, message)
end

function chat.on_close(ws)
    local room, name = rooms[ws.params.room], ws.state.name
    room.people[name] = room.people[name] > 1 and room.people[name] - 1 or nil
    room.colours[name] = room.people[name] and room.colours[name]
    tell_who_is_here(room, { left = not room.people[name] and name or nil })
    mw.after(FORGET, function()
        if not next(room.people) and rooms[ws.params.room] == room then
            rooms[ws.params.room] = nil
        end
    end)
end

mw.static("/", "public")
mw.listen { port = tonumber(arg[1] or 8080) }
mw.listen { port = tonumber(arg[2] or 8443), tls = true } -- a certificate for development
