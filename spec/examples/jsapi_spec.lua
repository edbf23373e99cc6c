-- examples/jsapi: a chat handler and a client that use the browser's interface only.

local example = require "spec.examples.example"
local process = require "spec.support.process"

describe("the jsapi example", function()
    local chat

    before_each(function()
        chat = example.start "jsapi"
    end)

    after_each(function()
        chat:stop()
    end)

    local function client(...)
        return process.run { "examples/jsapi/client.lua", ("ws://localhost:%d/"):format(chat.port),
            ... }
    end

    it("carries words to all members, and the client ends by itself", function()
        local peer = chat:websocket("/", { protocol = "chat" })
        local done = client("hello", "wörld")
        assert.equal("open\ttrue\tchat\nmessage\thello\nmessage\twörld\n"
            .. "close\t1000\tsaid it all\ttrue\n", done.out)
        assert.equal(0, done.status, done.err)
        assert.equal("hello", peer:read_text())
        assert.equal("wörld", peer:read_text())
        assert.equal("1000\ttrue", chat.process:wait_for("^left\t(.*)$", "out"))
    end)

    it("tells of a server that is not there as a browser does", function()
        local done = process.run { "examples/jsapi/client.lua", "ws://localhost:1/" }
        assert.equal("error\nclose\t1006\t\tfalse\n", done.out)
        assert.equal(0, done.status)
    end)

    it("uses nothing of a socket that a browser does not have", function()
        local standard = { onopen = true, onmessage = true, onclose = true, onerror = true,
            send = true, close = true, addEventListener = true, removeEventListener = true,
            readyState = true, protocol = true, extensions = true, url = true }
        for _, path in ipairs { example.path "jsapi", "examples/jsapi/client.lua" } do
            local count = 0
            for line in io.lines(path) do
                line = line:gsub("%-%-.*$", "")
                for name in line:gmatch "%f[%w]ws[.:](%w+)" do
                    if not line:find "mw%.ws" then
                        count = count + 1
                        assert.is_true(standard[name], path .. ": " .. name)
                    end
                end
                for name in line:gmatch "%f[%w]socket[.:](%w+)" do
                    count = count + 1
                    assert.is_true(standard[name], path .. ": " .. name)
                end
            end
            assert.is_true(count >= 2)
        end
    end)
end)
