-- A drawing board for everybody: moonwire examples/board/board.lua, then http://localhost:8080
--
-- A stroke is 12 bytes: red, green, blue, width, then x and y of its two ends as 16-bit numbers
-- (big-endian), 0 to 65535 over the board's width and height. A message is one or more strokes.
local mw = require "moonwire"

local STROKE = 12
local REMEMBERED = 600 * 1024 -- bytes of strokes that somebody new gets to see

-- The last messages, oldest first: pieces[first] to pieces[last]. One worker serves everybody, so
-- that this is the one board.
local pieces, first, last, size

local function wipe()
    pieces, first, last, size = {}, 1, 0, 0
end

local function remember(strokes)
    last = last + 1
    pieces[last] = strokes
    size = size + #strokes
    while size > REMEMBERED do
        size = size - #pieces[first]
        pieces[first] = nil
        first = first + 1
    end
end

local board = mw.ws("/board", { limits = { message_bytes = "12k", messages_per_second = 200 } })

function board.on_open(ws)
    ws:send(table.concat(pieces, "", first, last), true) -- all of it as one message
    ws:subscribe "board"
end

function board.on_message(ws, data, is_binary)
    if not is_binary and data == "wipe" then
        wipe()
        return mw.publish("board", "wipe")
    elseif not is_binary or #data == 0 or #data % STROKE ~= 0 then
        return ws:close(1008, "that is no stroke")
    end
    remember(data)
    ws:publish("board", data, true) -- to all but the one who drew it
end

wipe()
mw.static("/", "public")
mw.listen { port = tonumber(arg[1] or 8080) }
