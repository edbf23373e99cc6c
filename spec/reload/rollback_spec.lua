-- Going back to the code before, while clients are connected.

local cjson = require "cjson"
local free_port = require "spec.support.free_port"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local api = [[
    local mw = require "moonwire"
    mw.get("/rollback", function() mw.rollback() return "soon" end)
    mw.get("/versions", function() return mw.versions() end)
    mw.get("/counters", function() return mw.counters() end)
    mw.get("/worker", function() return tostring(mw.worker.index) end)
]]

local function app(name, more)
    return api .. ([[
        local name = %q
        local talk = mw.ws "/talk"
        function talk.on_open(ws) ws.state = { n = 0 } end
        function talk.on_message(ws, data)
            ws.state.n = ws.state.n + 1
            ws:send(("%%s %%s %%d"):format(name, data, ws.state.n))
        end
        %s
    ]]):format(name, more or "")
end

describe("a rollback", function()
    local server

    local function start(source, options)
        options = options or {}
        options.arguments = options.arguments or { "--workers", "2" }
        server = servers.start(source, options)
    end

    local function talk(path)
        return assert(server:websocket(path or "/talk"))
    end

    -- Asks for one, and waits; number and code.
    local function go_back()
        assert.equal("soon", (server:get "/rollback"))
        return server:rolled_back()
    end

    -- A connection for requests that this worker answers.
    local function asking(worker)
        return process.eventually(function()
            local p = assert(server:connect())
            p:send "GET /worker HTTP/1.1\r\nHost: a\r\n\r\n"
            return assert(p:response()).body == tostring(worker) and p
        end)
    end

    after_each(function()
        server:stop()
    end)

    it("brings back hooks, with their variables as they were, on the same connections", function()
        start(app("one", [[
            local calls = 0
            mw.get("/calls", function() calls = calls + 1 return tostring(calls) end)
        ]]), { arguments = {} })
        local client = talk()
        assert.equal("one a 1", client:ask "a")
        assert.equal("1", (server:get "/calls"))
        server:reload(app "two")
        assert.equal("two b 2", client:ask "b")
        local number, code, cause = go_back()
        assert.same({ 3, 1, "mw.rollback" }, { number, code, cause })
        assert.equal("one c 3", client:ask "c")
        assert.equal("2", (server:get "/calls"))
        assert.equal(1, server:counter "rollbacks")
        assert.equal(1, server:counter "reloads")
    end)

    it("brings back routes, their options and the limits", function()
        local before = app("one", [[
            mw.limits { body_bytes = 10 }
            mw.post("/body", function(req) return req.body end)
            mw.ws("/small", { limits = { message_bytes = 5 }, protocols = "old" })
            local gone = mw.ws "/gone"
            function gone.on_message(ws, data) ws:send("gone " .. data) end
            mw.get("/close", function()
                gone.on_upgrade = function(req) req:reject(403, "closed") end
                return "closed"
            end)
        ]])
        local after = app("two", [[
            mw.post("/body", function(req) return req.body end)
            mw.ws("/small", { protocols = "new" })
            mw.ws "/new"
        ]])
        local function post()
            local p = assert(server:connect())
            p:send "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
            return assert(p:response()).status
        end
        start(before, { arguments = {} })
        local gone = talk "/gone"
        assert.equal(413, post())
        server:reload(after)
        assert.equal(1012, (gone:read_close()))
        assert.equal(200, post())
        talk "/new"
        local new = talk "/small"
        go_back()
        assert.equal(413, post())
        assert.is_nil(server:websocket "/new")
        assert.equal("gone x", talk("/gone"):ask "x")
        new:text "123456" -- the limit is its route's, whenever it was opened
        assert.equal(1009, (new:read_close()))
        local old = assert(server:websocket("/small", { fields = {
            ["Sec-WebSocket-Protocol"] = "old" } }))
        assert.equal("old", old.response_101.headers["sec-websocket-protocol"])
        -- Its routes are those that it holds: what it changes in them is seen.
        assert.equal("closed", (server:get "/close"))
        assert.is_nil(server:websocket "/gone")
    end)

    it("brings back listeners", function()
        local function source(port)
            return app("any", ("mw.listen { host = '127.0.0.1', port = %d }"):format(port))
        end
        local first, other = free_port(), free_port()
        start(source(first), { listen = {} })
        local client = talk()
        server:reload(source(other))
        process.eventually(function()
            return peer.connect(first) == nil
        end)
        assert.equal("soon", (peer.get(other, "/rollback")))
        assert.equal(tostring(first), server:logged "info  listening on .*:(%d+)")
        assert.equal(tostring(other), server:logged "no longer listening on .*:(%d+)")
        assert.equal(3, (server:rolled_back()))
        assert.equal("any x 1", client:ask "x")
        assert.matches("^[12]$", (peer.get(first, "/worker")))
        process.eventually(function()
            return peer.connect(other) == nil
        end)
    end)

    it("starts its timers again, but not what was done once", function()
        start(app("one", [[
            local ticks = 0
            function named() mw.publish("ticks", "one named") end
            mw.every("10ms", "named")
            mw.every("10ms", function() ticks = ticks + 1 mw.publish("ticks", "one every") end)
            mw.after("1ms", function() mw.log.info "one after" end)
            mw.after("300ms", function() mw.publish("ticks", "one later") end)
            local never = mw.every("10ms", function() mw.publish("ticks", "one stopped") end)
            never:stop()
            mw.spawn(function() mw.log.info "one spawned" end)
            mw.publish("ticks", "one once")
            mw.ws("/ticks", { on_open = function(ws) ws:subscribe "ticks" end })
        ]]), { arguments = {} })
        server:logged "(one after)"
        server:reload(app("two", [[
            function named() mw.publish("ticks", "two named") end
            mw.every("10ms", "named")
            mw.every("10ms", function() mw.publish("ticks", "two every") end)
            mw.ws("/ticks", { on_open = function(ws) ws:subscribe "ticks" end })
        ]]))
        local client = talk "/ticks"
        local seen = {}
        repeat
            seen[client:read_text()] = true
        until seen["two named"] and seen["two every"]
        assert.is_nil(seen["one every"])
        go_back()
        local text
        repeat -- what was on its way
            text = client:read_text()
        until not text:find "^two"
        seen = {}
        repeat
            seen[text] = true
            text = client:read_text()
        until seen["one later"] and seen["one named"]
        assert.same({ ["one every"] = true, ["one later"] = true, ["one named"] = true }, seen)
        local log = server:stop()
        for _, once in ipairs { "one spawned", "one after" } do
            assert.equal(1, select(2, log:gsub(once, "")))
        end
    end)

    it("tells on_reload, and mw.versions says whose code it is", function()
        local moved = [[
            function talk.on_reload(ws, from, to)
                ws:send(("%s from %d to %d"):format(name, from, to))
            end
        ]]
        start(app("one", moved), { arguments = {} })
        local client, idle = talk(), talk()
        assert.equal("one a 1", client:ask "a")
        server:reload(app("two", moved))
        assert.equal("two from 1 to 2", client:ask "b")
        assert.equal("two b 2", client:read_text())
        local list = server:versions()
        assert.same({ 2, true, false, 1, 1 }, { list[1].number, list[1].serving, list[1].earlier,
            list[1].connections, list[1].unmoved })
        assert.same({ 1, false, true, 1 }, { list[2].number, list[2].serving, list[2].earlier,
            list[2].connections })
        go_back()
        assert.equal("one from 2 to 3", client:ask "c")
        assert.equal("one c 3", client:read_text())
        list = server:versions()
        assert.same({ 3, 1, 2, 0 }, { list[1].number, list[1].code_of, list[1].connections,
            list[1].unmoved })
        assert.same({ 2, "mw.rollback", 40 }, { list[2].number, list[2].rolled_back,
            #list[2].files[1].sha1 })
        assert.is_nil(list[3])
        assert.equal("one from 1 to 3", idle:ask "d")
        assert.equal("one d 1", idle:read_text())
        server:reload(app "three")
        go_back()
        list = server:versions()
        assert.same({ 5, 1 }, { list[1].number, list[1].code_of })
    end)

    it("lets what waits finish where it began", function()
        local function waits(name)
            return app(name, [[
                mw.get("/wait", function() mw.sleep "150ms" return name end)
            ]])
        end
        start(waits "one", { arguments = {} })
        server:reload(waits "two")
        local p = assert(server:connect())
        p:send "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
        process.eventually(function()
            return server:versions()[1].waiting == 1
        end)
        go_back()
        local list = server:versions()
        assert.same({ 2, 1 }, { list[2].number, list[2].waiting })
        assert.equal("two", assert(p:response()).body)
        assert.equal("one", (server:get "/wait"))
    end)

    it("is one step: there is nothing earlier at first, nor after another", function()
        start(app "one")
        local client = talk()
        server:get "/rollback"
        assert.matches("^there is no earlier generation to go back to", server:rollback_failed())
        server:reload(app "two")
        go_back()
        server:get "/rollback"
        assert.matches("^there is no earlier generation to go back to", server:rollback_failed())
        assert.equal("one a 1", client:ask "a")
        assert.equal(2, server:counter "reload_failures")
        server:reload(app "three")
        go_back()
        assert.equal("one b 2", client:ask "b")
    end)

    it("changes nothing when it fails, and can be tried again", function()
        start(app("one", 'mw.static("/files", "files")'), { setup = function(folder)
            os.execute(("mkdir '%s/files'"):format(folder.path))
        end })
        local client = talk()
        server:reload(app "two")
        local folder = server.folder.path .. "/files"
        os.rename(folder, folder .. ".away")
        server:get "/rollback"
        assert.matches('app.lua:%d+: static "/files": .*no such directory',
            server:rollback_failed())
        assert.equal("two a 1", client:ask "a")
        os.rename(folder .. ".away", folder)
        assert.equal(3, (go_back()))
        assert.equal("one b 2", client:ask "b")
    end)

    it("loads no file again until one is saved", function()
        start(app "one", { arguments = { "--workers", "2", "--watch" },
            files = { ["other.lua"] = "return 1" } })
        local client = talk()
        server:edit(app("two", 'require "other"'))
        server:reloaded()
        assert.equal(3, (go_back()))
        for i = 1, 20 do -- longer than a watch waits
            assert.equal(("one x %d"):format(i), client:ask "x")
            require("posix.time").nanosleep { tv_sec = 0, tv_nsec = 5000000 }
        end
        server:edit("return 2", "other.lua") -- of what was taken back, and still on the disk
        assert.equal(4, server:reloaded())
        assert.equal("two a 21", client:ask "a")
        assert.equal(5, (go_back()))
        server:edit(app "three")
        assert.equal(6, server:reloaded())
        assert.equal("three b 22", client:ask "b")
        local _, count = server:stop():gsub("serves[^\n]*, after", "")
        assert.equal(5, count)
    end)

    it("goes before a reload that waits, and after it comes one asked for later", function()
        start(app("one", 'mw.get("/both", function() mw.rollback() mw.reload() return "soon" end)'))
        server:reload(app("two", [[
            mw.get("/both", function() mw.reload() mw.rollback() mw.rollback() return "soon" end)
        ]]))
        server:edit(app("three", 'mw.get("/both", function() mw.rollback() mw.reload() end)'))
        server:get "/both"
        assert.equal("mw.reload", server:logged "the reload %((.*)%) is dropped")
        assert.equal(3, (server:rolled_back()))
        assert.equal(4, server:reload())
        server:get "/both"
        assert.same({ 5, 1, "mw.rollback" }, { server:rolled_back() })
        assert.equal(6, server:reloaded())
        assert.equal("three a 1", talk():ask "a")
    end)

    it("does not wait for a reload that is prepared, which never serves", function()
        start(app "one")
        server:reload(app "two")
        local p = asking(2)
        server:edit(app("three", [[
            mw.log.info "three begins"
            local go_on = arg[0]:gsub("app.lua$", "go_on")
            while mw.worker.index == 1 and not io.open(go_on) do end
        ]]))
        server.process:signal "HUP"
        server:logged "(three begins)"
        p:send "GET /rollback HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.equal("soon", assert(p:response()).body)
        assert.equal("SIGHUP", server:logged "the reload %((.*)%) is dropped")
        server.folder:write("go_on", "")
        assert.equal(3, (server:rolled_back()))
        for i = 1, 4 do
            assert.equal(("one %d 1"):format(i), talk():ask(tostring(i)))
        end
        assert.equal(4, server:reload())
        assert.equal("three x 1", talk():ask "x")
    end)
end)

describe("through reloads and rollbacks", function()
    local ROUNDS = tonumber(os.getenv "MOONWIRE_SPEC_EDITS" or 60)
    local CLIENTS = 20
    local server

    local function source(edit)
        return api .. ([[
            local filler = %q
            local talk = mw.ws "/"
            function talk.on_open(ws) ws.state = { n = 0, generation = 0 } end
            function talk.on_message(ws, data)
                ws.state.n = ws.state.n + 1
                ws:send(("%%d %%s %%d %%d"):format(%d, data, ws.state.n, ws.state.generation))
            end
            function talk.on_reload(ws, from, to)
                if ws.state.generation ~= 0 and ws.state.generation ~= from or to <= from then
                    ws:close(1011, "from " .. from .. " to " .. to)
                end
                ws.state.generation = to
            end
            mw.every("1s", function() end)
            mw.get("/stats", function()
                jit.flush() -- what was compiled is counted too, and differs
                collectgarbage() collectgarbage()
                return { bytes = collectgarbage "count" * 1024, generations = #mw.versions(),
                    worker = mw.worker.index }
            end)
        ]]):format(("x"):rep(5000), edit)
    end

    -- Of each worker.
    local function stats()
        local found, count = {}, 0
        return process.eventually(function()
            local one = cjson.decode((server:get "/stats"))
            count = count + (found[one.worker] and 0 or 1)
            found[one.worker] = one
            return count == 2 and found
        end)
    end

    after_each(function()
        server:stop()
    end)

    it("no message is lost, doubled or out of order, and the memory stays flat", function()
        server = servers.start(source(0), { arguments = { "--workers", "2" } })
        local clients = {}
        for i = 1, CLIENTS do
            clients[i] = { peer = assert(server:websocket "/"), sent = 0, got = 0, generation = 0 }
        end
        local function say()
            for _, c in ipairs(clients) do
                c.sent = c.sent + 1
                c.peer:text(tostring(c.sent))
            end
        end
        local function listen()
            local last = {}
            for i, c in ipairs(clients) do
                while c.got < c.sent do
                    local edit, n, counted, generation =
                        c.peer:read_text():match "^(%d+) (%d+) (%d+) (%d+)$"
                    c.got = c.got + 1
                    assert.same({ tostring(c.got), tostring(c.got) }, { n, counted })
                    assert.is_true(tonumber(generation) >= c.generation, "older after newer")
                    c.generation = tonumber(generation)
                    last[i] = tonumber(edit)
                end
            end
            return last
        end
        local function round(edit)
            server:edit(source(edit))
            server.process:signal "HUP"
            say()
            server:reloaded()
            say()
            for _, last in ipairs(listen()) do
                assert.equal(edit, last)
            end
            -- Every other edit is taken back; the code then is the last that stayed.
            if edit % 2 == 0 then
                server:get "/rollback"
                say()
                server:rolled_back()
                say()
                for _, last in ipairs(listen()) do
                    assert.equal(edit - 1, last)
                end
            end
        end
        for edit = 1, 10 do
            round(edit)
        end
        local early = stats()
        for edit = 11, ROUNDS do
            round(edit)
        end
        for worker, late in pairs(stats()) do
            assert.is_true(late.generations <= 8, late.generations .. " generations are listed")
            -- Half of what 50 edits would leave if one in three kept its 5,000 bytes.
            assert.is_true(late.bytes < early[worker].bytes + 40000,
                ("%d bytes became %d"):format(early[worker].bytes, late.bytes))
        end
    end)
end)
