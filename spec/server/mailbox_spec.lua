-- The limit mailbox_bytes: what is published to a worker that does not read it.

local cjson = require "cjson"
local servers = require "spec.support.server"

-- A message of 100,000 bytes is a letter of somewhat more: ten of them fit.
local app = [[
local mw = require "moonwire"
mw.limits { mailbox_bytes = "1M", hook_ms = 0 }
mw.ws("/", { on_open = function(ws) ws:send(tostring(mw.worker.index)) end,
    on_message = function(ws, data)
        local what, argument = data:match "^(%a+) ?(.*)$"
        if what == "block" then
            ws:subscribe "all"
            print "blocks"
            assert(io.open(argument)):read "*a"
        elseif what == "publish" then
            for i = 1, tonumber(argument) do
                mw.publish("all", ("%d"):format(i) .. (" "):rep(100000))
            end
        elseif what == "huge" then
            mw.publish("all", ("x"):rep(2 ^ 21))
        end
        ws:send(mw.json.encode(mw.counters()))
    end,
})
]]

describe("The limit mailbox_bytes", function()
    local server = servers.fresh(app, { arguments = { "--workers", "2" } })
    local fifo, stuck, publisher

    before_each(function()
        fifo = server.folder.path .. "/fifo"
        assert.equal(0, os.execute(("mkfifo '%s'"):format(fifo)))
        stuck, publisher = server:websocket "/", server:websocket "/"
        assert.not_equal(stuck:read_text(), publisher:read_text())
        stuck:text("block " .. fifo)
        server:printed "^blocks"
    end)

    local function release()
        assert(io.open(fifo, "w")):close()
        assert.truthy(stuck:read_text():find "forwarded")
    end

    it("bounds what waits for a worker: the rest is dropped, counted and told", function()
        local counters = cjson.decode(publisher:ask "publish 30")
        assert.equal(20, counters.mailbox_overflows)
        assert.equal(10, counters.forwarded)
        server:logged("error published messages were dropped %(1%): worker %d does not read "
            .. "them, and more than mailbox_bytes %(1048576%) wait for it")
        release()
        for i = 1, 10 do -- the first ones, in order
            assert.equal(tostring(i), (stuck:read_text():match "^%d+"))
        end
        counters = cjson.decode(publisher:ask "publish 1")
        assert.equal(20, counters.mailbox_overflows)
        assert.equal("1", (stuck:read_text():match "^%d+"))
    end)

    it("takes one message, however long", function()
        local counters = cjson.decode(publisher:ask "huge")
        assert.equal(0, counters.mailbox_overflows)
        counters = cjson.decode(publisher:ask "publish 1")
        assert.equal(1, counters.mailbox_overflows)
        release()
        assert.equal(2 ^ 21, #stuck:read_text())
    end)

    it("is for messages only: connections and reloads wait for the worker", function()
        publisher:ask "publish 30"
        local upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        local later = {}
        for i = 1, 4 do -- two for each worker
            later[i] = server:connect()
            later[i]:send(upgrade)
        end
        release()
        local workers = {}
        for _, p in ipairs(later) do
            assert.truthy(p:head():find "^HTTP/1.1 101")
            workers[p:read_text()] = true
        end
        assert.same({ ["1"] = true, ["2"] = true }, workers)
        server:reload()
    end)
end)
