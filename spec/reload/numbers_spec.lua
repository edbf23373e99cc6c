-- Clients that talk through the whole of it: every message is answered once and in order, each
-- connection's by ever newer code, whatever is saved meanwhile.

local cjson = require "cjson"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

-- More of both, for a long run.
local CLIENTS = tonumber(os.getenv "MOONWIRE_SPEC_CLIENTS" or 50)
local EDITS = tonumber(os.getenv "MOONWIRE_SPEC_EDITS" or 200)

local function app(edit)
    return ([[
        local mw = require "moonwire"
        local filler = %q
        %s -- so that the indices of routes change
        mw.ws("/", {
            on_open = function(ws) ws.state = { n = 0 } end,
            on_message = function(ws, data)
                ws.state.n = ws.state.n + 1
                ws:send(("%d %%s %%d"):format(data, ws.state.n))
            end,
        })
        mw.get("/stats", function()
            collectgarbage() collectgarbage()
            return { bytes = collectgarbage "count" * 1024, generations = #mw.versions() }
        end)
    ]]):format(("x"):rep(1000), edit % 3 == 0 and "mw.ws '/other'" or "", edit)
end

describe("through many edits", function()
    local server

    after_each(function()
        server:stop()
    end)

    it("no message is lost, doubled or out of order, a tenth of the edits broken", function()
        server = servers.start(app(0), { arguments = { "--workers", "2", "--watch" } })
        local clients = {}
        for i = 1, CLIENTS do
            clients[i] = { peer = assert(server:websocket "/"), sent = 0, got = 0, edit = 0 }
        end
        local function say(count)
            for _, c in ipairs(clients) do
                for _ = 1, count do
                    c.sent = c.sent + 1
                    c.peer:text(tostring(c.sent))
                end
            end
        end
        local function listen()
            local newest = 0
            for _, c in ipairs(clients) do
                while c.got < c.sent do
                    local edit, n, counted = c.peer:read_text():match "^(%d+) (%d+) (%d+)$"
                    c.got = c.got + 1
                    assert.equal(c.got, tonumber(n))
                    assert.equal(c.got, tonumber(counted))
                    assert.is_true(tonumber(edit) >= c.edit, "older code after newer")
                    c.edit = tonumber(edit)
                end
                newest = math.max(newest, c.edit)
            end
            return newest
        end
        for edit = 1, EDITS do
            local broken = edit % 10 == 0
            say(1)
            server:edit(app(edit) .. (broken and "\nthis is broken" or ""))
            if edit % 2 == 1 then
                server.process:signal "HUP" -- and not only when the watch has waited
            end
            say(3)
            if broken then
                server:reload_failed()
            else
                server:reloaded()
            end
            say(1)
            local last = broken and edit - 1 or edit
            assert.equal(last, listen())
            for _, c in ipairs(clients) do
                assert.equal(last, c.edit)
            end
        end
    end)

    it("the memory stays flat", function()
        server = servers.start(app(0), { arguments = {} })
        local client = assert(server:websocket "/")
        local function load(from, to)
            for i = from, to do
                server:reload(app(i))
            end
            client:text "x"
            assert.matches(to .. " x", client:read_text(), 1, true)
            return cjson.decode((server:get "/stats"))
        end
        local early = load(1, 20)
        local late = load(21, 200)
        assert.is_true(late.generations <= 2, late.generations .. " generations are alive")
        assert.is_true(late.bytes < early.bytes + 40000,
            ("%d bytes became %d"):format(early.bytes, late.bytes))
    end)

    it("compiled hooks keep no old generation, and stay compiled", function()
        server = servers.start(app(0), { arguments = {} })
        local client = assert(server:websocket "/")
        local hundred = frame.build(frame.TEXT, "x"):rep(100)
        for i = 1, 15 do
            -- Enough for hooks to be compiled, and for what is compiled to be left again.
            client:send(hundred)
            for _ = 1, 100 do
                assert.matches("^" .. i - 1 .. " x", client:read_text())
            end
            server:reload(app(i))
        end
        local alive = cjson.decode((server:get "/stats")).generations
        assert.is_true(alive <= 2, alive .. " generations are alive")
    end)

    it("a storm of signals is a few reloads", function()
        server = servers.start(app(0))
        local client = assert(server:websocket "/")
        for i = 1, 2000 do
            server.process:signal "HUP"
            if i % 100 == 0 then
                client:text "x"
                assert.matches("^0 x", client:read_text())
            end
        end
        server:edit(app(1))
        server.process:signal "HUP"
        repeat
            server:reloaded()
            client:text "x"
        until client:read_text():find "^1 x"
        local _, count = server:stop():gsub("serves, after", "")
        assert.is_true(count < 100, count .. " reloads")
    end)
end)
