-- examples/reload, edited as its first line says.

local example = require "spec.examples.example"
local process = require "spec.support.process"

describe("examples/reload", function()
    local folder, server

    after_each(function()
        server:stop()
        folder:remove()
    end)

    it("greets anew when its greeting is changed, and goes on counting", function()
        local file = assert(io.open(example.path "reload"))
        local source = file:read "*a"
        file:close()
        folder = process.folder()
        server = example.start("reload", { path = folder:write("reload.lua", source),
            arguments = { "0", "--watch" } })
        local ada, bob = server:websocket "/", server:websocket "/"
        ada:text "hi"
        assert.equal("hello: hi (your 1. message, 1 in all)", ada:read_text())
        folder:write("reload.lua", (source:gsub('greeting = "hello"', 'greeting = "good day"')))
        server.process:wait_for "generation (2) serves"
        bob:text "hi"
        assert.equal("this is generation 2, you were in 1", bob:read_text())
        assert.equal("good day: hi (your 1. message, 2 in all)", bob:read_text())
        ada:text "again"
        assert.equal("this is generation 2, you were in 1", ada:read_text())
        assert.equal("good day: again (your 2. message, 3 in all)", ada:read_text())
    end)
end)
