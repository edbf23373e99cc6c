-- An app that does not load at first, in watch mode.

local peer = require "spec.support.peer"
local process = require "spec.support.process"

describe("in watch mode, an app that does not load at first", function()
    local folder = process.fresh_folder()
    local server

    local good = [[
        local mw = require "moonwire"
        local text = require "text"
        mw.get("/", function() return text end)
        mw.listen { port = 0 }
    ]]

    local function start(...)
        server = process.start({ folder.path .. "/app.lua", ... })
    end

    after_each(function()
        server:finish()
    end)

    local function serves(text)
        assert.equal(text, (peer.get(server:port(), "/")))
        server:signal "TERM"
        assert.equal(0, server:wait().status)
    end

    local ways = {
        ["has an error in its syntax"] = "local mw = = 3",
        ["raises at its top level"] = "error 'not yet'",
        ["declares something wrong"] = "require 'moonwire'.get('nowhere', 3)",
        ["says nowhere where to listen"] =
            "require 'moonwire'.get('/', function() end)",
        ["listens on an address that is not there"] =
            "require 'moonwire'.listen { host = '192.0.2.1', port = 0 }",
        ["is empty"] = "require 'moonwire'.get('/', nil)",
    }
    for title, text in pairs(ways) do
        it("and " .. title .. " is loaded again with its next save", function()
            folder:write("app.lua", text)
            folder:write("text.lua", "return 'here'")
            start "--watch"
            server:wait_for "^moonwire: "
            server:wait_for "app.lua does not load yet: it is loaded again with its next save"
            folder:write("app.lua", "local mw = = 4")
            server:wait_for "^moonwire: .*app.lua:1:"
            server:wait_for "app.lua does not load yet"
            folder:write("app.lua", good)
            serves "here"
        end)
    end

    it("for want of a module is loaded again when that comes", function()
        folder:write("app.lua", good)
        start "--watch"
        server:wait_for "^moonwire: .*module 'text' not found"
        server:wait_for "does not load yet"
        folder:write("text.lua", "retrn 'wrong'")
        server:wait_for "^moonwire: .*text.lua:1:"
        server:wait_for "does not load yet"
        folder:write("text.lua", "return 'late'")
        serves "late"
    end)

    it("for want of a certificate is loaded again when that comes", function()
        folder:write("text.lua", "return 'here'")
        folder:write("app.lua", (good:gsub("port = 0",
            "port = 0, tls = { cert = 'cert.pem', key = 'key.pem' }")))
        start "--watch"
        server:wait_for "^moonwire: .*cert.pem"
        server:wait_for "does not load yet"
        folder:write("cert.pem", "nonsense")
        server:wait_for "^moonwire: .*cert.pem"
        server:wait_for "does not load yet"
        folder:write("app.lua", good)
        serves "here"
    end)

    it("is watched by several workers, and reloads as ever afterwards", function()
        folder:write("app.lua", "nonsense")
        folder:write("text.lua", "return 'here'")
        start("--watch", "--workers", "2")
        server:wait_for "does not load yet"
        folder:write("app.lua", good)
        local port = server:port()
        assert.equal("here", (peer.get(port, "/")))
        folder:write("text.lua", "return 'there'")
        server:wait_for "generation 2 serves"
        assert.equal("there", (peer.get(port, "/")))
        server:signal "TERM"
        assert.equal(0, server:wait().status)
    end)

    it("ends by a signal, with a status that says that it never served", function()
        folder:write("app.lua", "nonsense")
        start "--watch"
        server:wait_for "does not load yet"
        server:signal "TERM"
        assert.equal(1, server:wait().status)
    end)

    it("ends at once when there is no such file", function()
        start "--watch"
        assert.equal(1, server:wait().status)
    end)

    it("ends at once without watch mode", function()
        folder:write("app.lua", "nonsense")
        start "--no-watch"
        assert.equal(1, server:wait().status)
        assert.is_nil(server.err:find("does not load yet", 1, true))
    end)
end)
