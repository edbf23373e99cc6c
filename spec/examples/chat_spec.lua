-- examples/chat, as its page uses it: JSON objects come, plain texts go.

local cjson = require "cjson"
local example = require "spec.examples.example"
local frame = require "spec.support.frame"
local peer = require "spec.support.peer"

describe("the chat example", function()
    local chat

    before_each(function()
        chat = example.start("chat", { arguments = { "0", "0" } })
    end)

    after_each(function()
        chat:stop()
    end)

    local function next_of(one, kind)
        local event = cjson.decode(one:read_text())
        assert.equal(kind, event.type)
        return event
    end

    -- Somebody who has come, with the history that they got.
    local function join(name, room)
        local one = assert(chat:websocket(("/chat/%s?name=%s"):format(room or "lobby", name)))
        local history = next_of(one, "history").messages
        next_of(one, "here")
        return one, history
    end

    it("tells everybody who came, who left and who is here", function()
        local ada = assert(chat:websocket "/chat/lobby?name=Ada")
        next_of(ada, "history")
        local here = next_of(ada, "here")
        assert.same({ "Ada" }, here.people)
        assert.equal("Ada", here.came)
        local bo = join "Bo"
        here = next_of(ada, "here")
        assert.same({ "Ada", "Bo" }, here.people)
        assert.equal("Bo", here.came)
        bo:close_cleanly(1000)
        here = next_of(ada, "here")
        assert.same({ "Ada" }, here.people)
        assert.equal("Bo", here.left)
    end)

    it("counts somebody with two tabs once, and says that they left with the last", function()
        local ada = join "Ada"
        local one = join "Bo"
        assert.equal("Bo", next_of(ada, "here").came)
        local two = join "Bo"
        local here = next_of(ada, "here")
        assert.same({ "Ada", "Bo" }, here.people)
        assert.is_nil(here.came)
        one:close_cleanly(1000)
        assert.is_nil(next_of(ada, "here").left)
        two:close_cleanly(1000)
        assert.equal("Bo", next_of(ada, "here").left)
    end)

    it("gives the people of a room different colours, as long as there are some", function()
        local names, here = {}, nil
        for i = 1, 10 do
            names[i] = "Person" .. i
            local one = assert(chat:websocket("/chat/lobby?name=" .. names[i]))
            next_of(one, "history")
            here = next_of(one, "here")
            local seen = {}
            for name, colour in pairs(here.colours) do
                assert.is_nil(seen[colour], name)
                assert.is_true(colour >= 0 and colour < 10)
                seen[colour] = true
            end
            assert.equal(i, #here.people)
        end
        -- Another one shares a colour, and nobody's changes.
        local before = here.colours
        local late = assert(chat:websocket "/chat/lobby?name=Late")
        next_of(late, "history")
        here = next_of(late, "here")
        for name, colour in pairs(before) do
            assert.equal(colour, here.colours[name])
        end
        late:text "in my colour"
        assert.equal(here.colours.Late, next_of(late, "message").colour)
        -- Who comes back has the same one, when nobody took it.
        late:close_cleanly(1000)
        late = assert(chat:websocket "/chat/lobby?name=Late")
        assert.equal(here.colours.Late, next_of(late, "history").messages[1].colour)
        assert.equal(here.colours.Late, next_of(late, "here").colours.Late)
    end)

    it("sends a message to all in the room, its writer too, and to no other room", function()
        local ada, bo, eve = join "Ada", join "Bo", join("Eve", "attic")
        next_of(ada, "here")
        ada:text "hello <b>you</b> ☾"
        local message = next_of(bo, "message")
        assert.equal("hello <b>you</b> ☾", message.text)
        assert.equal("Ada", message.name)
        assert.is_true(math.abs(os.time() - message.at) < 60)
        assert.same(message, next_of(ada, "message"))
        eve:text "anybody?"
        assert.equal("anybody?", next_of(eve, "message").text)
    end)

    it("gives newcomers the last hundred messages, oldest first", function()
        local ada = join "Ada"
        -- In portions: the example bounds how many messages a second may bring.
        local others = {}
        for i = 1, 8 do
            others[i] = join("writer" .. i)
        end
        for n = 1, 104 do
            local writer = others[n % 8 + 1]
            writer:text("message " .. n)
            local event
            repeat
                event = cjson.decode(ada:read_text())
            until event.type == "message"
            assert.equal("message " .. n, event.text)
        end
        local _, history = join "Late"
        assert.equal(100, #history)
        assert.equal("message 5", history[1].text)
        assert.equal("message 104", history[100].text)
        assert.is_true(history[1].id < history[100].id)
    end)

    it("keeps a room's messages when everybody has left", function()
        local ada = join "Ada"
        ada:text "remember me"
        next_of(ada, "message")
        ada:close_cleanly(1000)
        local _, history = join "Bo"
        assert.equal("remember me", history[1].text)
    end)

    it("tells the others that somebody is typing, and keeps nothing of it", function()
        local ada, bo = join "Ada", join "Bo"
        next_of(ada, "here")
        ada:text ""
        ada:text "   "
        ada:text "done"
        assert.equal("Ada", next_of(bo, "typing").name)
        assert.equal("Ada", next_of(bo, "typing").name)
        assert.equal("done", next_of(bo, "message").text)
        assert.equal("done", next_of(ada, "message").text)
        local _, history = join "Late"
        assert.equal(1, #history)
    end)

    it("takes names of every script", function()
        local one = assert(chat:websocket "/chat/%E6%9C%88?name=%D0%90%D0%B4%D0%B0+%F0%9F%8C%99")
        next_of(one, "history")
        assert.same({ "Ада 🌙" }, next_of(one, "here").people)
    end)

    for what, path in pairs {
        ["no name"] = "/chat/lobby",
        ["an empty name"] = "/chat/lobby?name=",
        ["a blank name"] = "/chat/lobby?name=+%20",
        ["a name of 25 characters"] = "/chat/lobby?name=" .. ("%C3%A9"):rep(25),
        ["a line break in the name"] = "/chat/lobby?name=a%0Ab",
        ["a zero in the name"] = "/chat/lobby?name=a%00",
        ["a control character in the room"] = "/chat/a%07b?name=Ada",
        ["a long room"] = "/chat/" .. ("r"):rep(25) .. "?name=Ada",
    } do
        it("refuses " .. what, function()
            local one, status = chat:websocket(path)
            assert.is_nil(one)
            assert.equal(400, status)
        end)
    end

    it("takes a name of 24 characters, however many bytes", function()
        join(("%C3%A9"):rep(24))
    end)

    it("cannot be brought to send what is no text", function()
        local ada = join "Ada"
        local bo = join "%FF%FE" -- taken as it is written
        assert.same({ "%FF%FE", "Ada" }, next_of(ada, "here").people)
        bo:frame(frame.BINARY, "\255")
        assert.same({ 1003, "text only" }, { bo:read_close() })
        bo:frame(frame.CLOSE, frame.close(1008))
        assert.equal("%FF%FE", next_of(ada, "here").left)
    end)

    it("is not opened by a page of another site", function()
        local one, status = chat:websocket("/chat/lobby?name=Ada",
            { fields = { Origin = "https://example.com" } })
        assert.is_nil(one)
        assert.equal(403, status)
    end)

    it("ends a message of over 4 KiB, and a flood, with a reason, and serves on", function()
        local big = join "Big"
        big:text(("x"):rep(4097))
        assert.equal(1009, (big:read_close()))
        local flood = join "Flood"
        for _ = 1, 100 do
            if not flood:try_send(frame.build(frame.TEXT, "x")) then
                break
            end
        end
        local opcode, payload
        repeat
            opcode, payload = flood:read_frame()
        until opcode ~= frame.TEXT
        assert.equal(frame.CLOSE, opcode)
        assert.equal(1008, (frame.parse_close(payload)))
        join "Ada"
    end)

    it("serves its page over http, and over https with a certificate for development", function()
        local body, status, response = chat:get "/"
        assert.equal(200, status)
        assert.truthy(body:find("<!doctype html>", 1, true))
        assert.equal("text/html; charset=utf-8", response.headers["content-type"]:lower())
        local pipe = io.popen(("curl -sk https://localhost:%d/"):format(chat.tls_port))
        local over_tls = pipe:read "*a"
        pipe:close()
        assert.equal(body, over_tls)
    end)

    it("has a page that asks nobody else for anything", function()
        local body = chat:get "/"
        for address in body:gmatch "[\"'(]%s*(https?://[^\"')]*)" do
            assert.equal("http://www.w3.org/2000/svg", address)
        end
        assert.is_nil(body:find("innerHTML", 1, true))
    end)

    it("ends everybody with 1001 when it is stopped", function()
        local ada = join "Ada"
        chat:terminate()
        assert.equal(1001, (ada:read_close()))
        ada:frame(frame.CLOSE, frame.close(1001))
        assert.is_true(ada:is_ended())
    end)

    it("does not start twice on one port", function()
        local busy = require("spec.support.process").run {
            example.path "chat", tostring(chat.port), "0" }
        assert.equal(1, busy.status)
        assert.truthy(busy.err:find(tostring(chat.port), 1, true), busy.err)
        assert(peer.connect(chat.port)):close()
    end)
end)
