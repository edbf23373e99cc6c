-- Topics: who is sent what is published, and in which order.

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local servers = require "spec.support.server"

-- A connection does what it is told, one message a script: "sub a; pub a hello; send x; all a x".
local app = [==[
local mw = require "moonwire"
local by_name = {}
local commands = {}
function commands.sub(ws, topic) assert(ws:subscribe(topic)) end
function commands.unsub(ws, topic) ws:unsubscribe(topic) end
function commands.pub(ws, topic, text) assert(ws:publish(topic, text)) end
function commands.bin(ws, topic, text) assert(ws:publish(topic, text, true)) end
function commands.all(_, topic, text) assert(mw.publish(topic, text)) end
function commands.send(ws, text) ws:send(text) end
function commands.to(_, name, text) by_name[name]:send(text) end
function commands.close(_, name) by_name[name]:close(1000) end
function commands.kill(_, name) by_name[name]:terminate() end
function commands.say(ws, what)
    local result, why = ws[what](ws, "t")
    ws:send(tostring(result) .. " " .. tostring(why))
end

local function on_message(ws, data)
    for command in data:gmatch "[^;]+" do
        local words = {}
        for word in command:gmatch "%S+" do words[#words + 1] = word end
        commands[words[1]](ws, unpack(words, 2))
    end
end
local hooks = {
    on_open = function(ws) by_name[ws.query.name or ""] = ws end,
    on_message = on_message,
    on_close = function(ws) ws:publish("closing", ws.query.name or "somebody") end,
}
mw.ws("/", hooks)
mw.ws("/z", {
    on_open = hooks.on_open, on_message = on_message, compress = { min_bytes = 16 },
})
mw.get("/publish/:topic/:text", function(req)
    assert(mw.publish(req.params.topic, req.params.text))
    return "published"
end)
mw.get("/counters", function() return mw.counters() end)
]==]

describe("A topic", function()
    local server = servers.fresh(app)

    local function open(name)
        return assert(server:websocket("/?name=" .. name))
    end

    -- All that it was told is done when this returns.
    local function tell(p, text)
        p:text(text .. "; send done")
        assert.equal("done", p:read_text())
    end

    -- Exactly these texts come, and nothing before what it asks for itself.
    local function gets(p, texts)
        p:text "send -end-"
        for _, wanted in ipairs(texts) do
            assert.equal(wanted, p:read_text())
        end
        assert.equal("-end-", p:read_text())
    end

    it("reaches its subscribers but not who publishes", function()
        local a, b, c = open "a", open "b", open "c"
        tell(a, "sub t")
        tell(b, "sub t")
        tell(a, "pub t hello; pub other nobody")
        gets(a, {})
        gets(b, { "hello" })
        gets(c, {})
        tell(c, "pub t from-outside")
        gets(a, { "from-outside" })
        gets(b, { "from-outside" })
    end)

    it("reaches all from mw.publish, also in an HTTP handler", function()
        local a, b = open "a", open "b"
        tell(a, "sub t")
        tell(b, "sub t")
        a:text "all t everybody; send done"
        assert.equal("everybody", a:read_text())
        assert.equal("done", a:read_text())
        assert.equal("published", (server:get "/publish/t/by%20HTTP"))
        gets(a, { "by HTTP" })
        gets(b, { "everybody", "by HTTP" })
    end)

    it("carries text as text and binary as binary", function()
        local a, b = open "a", open "b"
        tell(b, "sub t")
        tell(a, "pub t text; bin t \1binary")
        assert.equal("text", b:read_text())
        local opcode, payload = b:read_frame()
        assert.same({ frame.BINARY, "\1binary" }, { opcode, payload })
    end)

    it("carries empty and large messages", function()
        local a, b = open "a", open "b"
        tell(b, "sub t")
        local large = ("x"):rep(200000)
        tell(a, "pub t " .. large .. "; pub t small; pub t " .. large)
        assert.is_true(b:read_text() == large)
        assert.equal("small", b:read_text())
        assert.is_true(b:read_text() == large)
    end)

    it("is left by unsubscribe, and by a close", function()
        local a, b, c = open "a", open "b", open "c"
        tell(a, "sub t; sub closing")
        tell(b, "sub t")
        tell(c, "sub t")
        tell(b, "pub t one; unsub t")
        gets(c, { "one" })
        tell(c, "pub t two")
        gets(b, {})
        c:close_cleanly(1000)
        gets(a, { "one", "two", "c" }) -- on_close can still publish
        tell(b, "pub t three")
        gets(a, { "three" })
    end)

    it("is subscribed to once however often, and tells what is done", function()
        local a, b = open "a", open "b"
        for _, wanted in ipairs {
            { "subscribe", "true nil" }, { "subscribe", "true nil" }, { "unsubscribe", "true nil" },
            { "unsubscribe", "false nil" },
        } do
            a:text("say " .. wanted[1])
            assert.equal(wanted[2], a:read_text())
        end
        tell(a, "sub t; sub t")
        tell(b, "pub t once")
        gets(a, { "once" })
        tell(a, "unsub t")
        tell(b, "pub t never")
        gets(a, {})
    end)

    it("has any bytes for a name", function()
        local a = open "a"
        local names = { "room/1", "é", "*", ("n"):rep(1000) }
        for _, name in ipairs(names) do
            tell(a, "sub " .. name)
        end
        local b = open "b"
        for _, name in ipairs(names) do
            tell(b, "pub " .. name .. " " .. name)
        end
        gets(a, names)
    end)

    it("keeps the order of everything that one hook sends and publishes", function()
        local a, b = open "a", open "b"
        tell(a, "sub t; sub u")
        tell(b, "sub t; sub u")
        -- Every sequence of four of these.
        local steps = {
            { "to a %d", a = true },
            { "to b %d", b = true },
            { "pub t %d", b = true },
            { "pub u %d", b = true },
            { "all t %d", a = true, b = true },
            { "all u %d", a = true, b = true },
        }
        local script, wanted, n = {}, { a = {}, b = {} }, 0
        local function sequences(prefix, depth)
            if depth > 0 then
                for _, step in ipairs(steps) do
                    prefix[#prefix + 1] = step
                    sequences(prefix, depth - 1)
                    prefix[#prefix] = nil
                end
                return
            end
            for _, step in ipairs(prefix) do
                n = n + 1
                script[#script + 1] = step[1]:format(n)
                for _, who in ipairs { "a", "b" } do
                    if step[who] then
                        wanted[who][#wanted[who] + 1] = tostring(n)
                    end
                end
            end
        end
        sequences({}, 4)
        assert.equal(6 ^ 4 * 4, n)
        a:text(table.concat(script, ";"))
        gets(a, wanted.a)
        gets(b, wanted.b)
    end)

    it("does not reach who subscribes after, and still reaches who leaves after", function()
        local a, b, c = open "a", open "b", open "c"
        tell(c, "sub t") -- somebody for whom each message is kept
        tell(a, "pub t early; sub t; pub t own; unsub t; pub t late")
        b:text "all t 1; sub t; all t 2; unsub t; all t 3; sub t; all t 4; send 5"
        for _, text in ipairs { "2", "4", "5" } do
            assert.equal(text, b:read_text())
        end
        tell(a, "sub t")
        gets(a, {})
        gets(c, { "early", "own", "late", "1", "2", "3", "4" })
    end)

    it("goes on when a subscriber leaves in the middle", function()
        local a, b, c, d = open "a", open "b", open "c", open "d"
        for _, p in ipairs { a, b, c, d } do
            tell(p, "sub t; sub u")
        end
        a:text "all t 1; close b; all t 2; kill c; all u 3; unsub t; all t 4; all u 5"
        gets(a, { "1", "2", "3", "5" })
        gets(d, { "1", "2", "3", "4", "5" })
        assert.equal("1", b:read_text()) -- what was published before its Close (§7.1.2)
        assert.equal(1000, (b:read_close()))
        tell(a, "pub u 6") -- its own are not sent to it
        gets(d, { "6" })
    end)

    it("is one of several with common subscribers, each with its own", function()
        local peers, wanted = {}, {}
        for i = 1, 8 do
            peers[i], wanted[i] = open("p" .. i), {}
            for topic = 0, 2 do
                if math.floor((i - 1) / 2 ^ topic) % 2 == 1 then
                    tell(peers[i], "sub t" .. topic)
                end
            end
        end
        local script = {}
        for n = 1, 60 do
            local topic = n * 7 % 3
            script[n] = ("all t%d %d"):format(topic, n)
            for i = 1, 8 do
                if math.floor((i - 1) / 2 ^ topic) % 2 == 1 then
                    wanted[i][#wanted[i] + 1] = tostring(n)
                end
            end
        end
        peers[1]:text(table.concat(script, ";"))
        gets(peers[1], {})
        for i = 2, 8 do
            gets(peers[i], wanted[i])
        end
    end)

    it("counts a message out for each receiver", function()
        local a, b = open "a", open "b"
        tell(a, "sub t")
        tell(b, "sub t")
        local before = server:counter "messages_out"
        b:text "all t x; pub t y; send done" -- 2 + 1 + 1
        assert.equal("x", b:read_text())
        assert.equal("done", b:read_text())
        assert.equal("x", a:read_text())
        assert.equal("y", a:read_text())
        assert.equal(before + 4, server:counter "messages_out")
    end)
end)

describe("A topic with compressed subscribers", function()
    local server = servers.shared(app)

    -- A subscriber with one zlib window for its whole connection, as a real client has it.
    local function subscriber(name, path, offer, bits)
        local p = assert(server:websocket(path .. "?name=" .. name, {
            fields = { ["Sec-WebSocket-Extensions"] = offer },
        }))
        local inflater = offer and deflate.inflater(bits)
        local forgets = offer and offer:find "server_no_context"
        function p.next_text()
            local opcode, payload, f = p:read_frame()
            assert.equal(frame.TEXT, opcode, payload)
            if f.rsv1 then
                p.compressed = (p.compressed or 0) + 1
                return (forgets and deflate.inflater() or inflater):inflate(payload)
            end
            return payload
        end
        p:text "sub t;send ready"
        assert.equal("ready", p.next_text())
        return p
    end

    it("mixes with direct sends; each client's one window fits all of them", function()
        local kinds = {
            kept = { "/z", "permessage-deflate" },
            small = { "/z", "permessage-deflate; server_max_window_bits=9", 9 },
            middle = { "/z", "permessage-deflate; server_max_window_bits=12", 12 },
            forgets = { "/z", "permessage-deflate; server_no_context_takeover" },
            plain = { "/z", nil },
            never = { "/", nil },
        }
        local names, peers, wanted = {}, {}, {}
        for name, kind in pairs(kinds) do
            names[#names + 1] = name
            peers[name] = subscriber(name, kind[1], kind[2], kind[3])
            wanted[name] = {}
        end
        table.sort(names)
        local script, x = {}, 7
        local function text(n)
            -- The same words again and again, short and long, beyond the small windows too.
            x = (x * 16807) % 2147483647
            return ("%d:"):format(n) .. ("the-same-words-again,"):rep(x % 80)
        end
        for n = 1, 400 do
            local body = text(n)
            if x % 3 == 0 then
                script[n] = "all t " .. body
                for _, name in ipairs(names) do
                    table.insert(wanted[name], body)
                end
            else
                local name = names[x % #names + 1]
                script[n] = ("to %s %s"):format(name, body)
                table.insert(wanted[name], body)
            end
        end
        local writer = assert(server:websocket "/")
        writer:text(table.concat(script, ";"))
        for _, name in ipairs(names) do
            for _, body in ipairs(wanted[name]) do
                assert.equal(body, peers[name].next_text(), name)
            end
        end
        for _, name in ipairs { "kept", "small", "middle", "forgets" } do
            assert.is_true(peers[name].compressed > 50, name)
        end
        assert.is_nil(peers.plain.compressed)
    end)
end)

-- A sanitizer's allocator stands before the one that the next specs need.
local sanitized = (os.getenv "MOONWIRE_BUILD" or ""):find "san$"

-- Stands in front of the C library's calls; the next of a name fails when the app says fail(name).
local without_memory = [[
    #include <stddef.h>
    #include <string.h>

    void *__libc_malloc(size_t size);
    void *__libc_calloc(size_t n, size_t size);
    void *__libc_realloc(void *p, size_t size);

    static __thread const char *failing = "";

    void fail(const char *call)
    {
        failing = call;
    }

    static int fails(const char *call)
    {
        int yes = strcmp(failing, call) == 0;
        if (yes)
            failing = "";
        return yes;
    }

    void *malloc(size_t size)
    {
        return fails("malloc") ? NULL : __libc_malloc(size);
    }

    void *calloc(size_t n, size_t size)
    {
        return fails("calloc") ? NULL : __libc_calloc(n, size);
    }

    void *realloc(void *p, size_t size)
    {
        return fails("realloc") ? NULL : __libc_realloc(p, size);
    }
]]

describe("A message that is not published for want of memory", function()
    local folder, server

    after_each(function()
        if server then
            server:stop()
            folder:remove()
        end
    end)

    local function start(app_text, options)
        folder = process.folder()
        options.env = preload.env(preload.build(folder, "memory", without_memory))
        server = servers.start(app_text, options)
    end

    local function texts_until_done(p)
        local got = {}
        repeat
            got[#got + 1] = p:read_text()
        until got[#got] == "done"
        return table.concat(got, ", ")
    end

    it("does not go out with the next one", function()
        if sanitized then
            return
        end
        start([[
            local ffi = require "ffi"
            local mw = require "moonwire"
            ffi.cdef "void fail(const char *call);"
            mw.ws("/", {
                on_open = function(ws) ws:subscribe "t" end,
                on_message = function(ws)
                    for i = 1, 40 do -- where the list of messages grows
                        local text, fails = tostring(i), i == 1 or i == 18 or i == 35
                        if fails then ffi.C.fail "realloc" end
                        local ok, why = mw.publish("t", text)
                        if fails then ws:send(i .. ": " .. tostring(why)) end
                        assert(ok or fails)
                    end
                    ws:send "done"
                end,
            })
        ]], {})
        local p = server:websocket "/"
        p:text "publish"
        local wanted = {}
        for i = 1, 40 do
            local fails = i == 1 or i == 18 or i == 35
            wanted[i] = fails and i .. ": out of memory" or tostring(i)
        end
        assert.equal(table.concat(wanted, ", ") .. ", done", texts_until_done(p))
    end)

    it("reaches no worker", function()
        if sanitized then
            return
        end
        start([[
            local ffi = require "ffi"
            local mw = require "moonwire"
            ffi.cdef "void fail(const char *call);"
            mw.ws("/", {
                on_open = function(ws)
                    ws:subscribe "t"
                    ws:send(tostring(mw.worker.index))
                end,
                on_message = function(_, call)
                    ffi.C.fail(call)
                    local ok, why = mw.publish("t", call)
                    ffi.C.fail ""
                    mw.publish("t", ok and "published" or why)
                    mw.publish("t", "done")
                end,
            })
        ]], { arguments = { "--workers", "2" } })
        local peers, count = {}, 0
        while count < 2 do -- one of each worker
            local p = server:websocket "/"
            local worker = p:read_text()
            if not peers[worker] then
                peers[worker], count = p, count + 1
            end
        end
        local teller = select(2, next(peers))
        for call, wanted in pairs { malloc = "out of memory, done", calloc = "out of memory, done",
            [""] = ", published, done" } do
            teller:text(call)
            for _, p in pairs(peers) do
                assert.equal(wanted, texts_until_done(p), call)
            end
        end
    end)
end)

describe("A topic's messages with an exception", function()
    local server

    after_each(function()
        server:stop()
    end)

    -- The others are sent all of them in one piece. The time is the processor's; a look at each
    -- message for each subscriber makes it at least four times as long.
    it("cost no more for those who once published", function()
        server = servers.start [[
            local mw = require "moonwire"
            local publisher
            local function hand_out()
                local best = math.huge
                for _ = 1, 10 do
                    for _ = 1, 8000 do publisher:publish("t", "") end
                    local before = os.clock()
                    publisher:unsubscribe "nothing" -- what was published before goes out first
                    best = math.min(best, os.clock() - before)
                end
                return best
            end
            mw.ws("/", {
                on_open = function(ws)
                    ws:subscribe "t"
                    publisher = publisher or ws
                end,
                on_message = function(ws, data)
                    if data == "measure" then
                        print(("%d ns"):format(hand_out() * 1e9))
                    else
                        ws:publish("t", "")
                    end
                end,
                limits = { queued_bytes = "16M" },
            })
        ]]
        local peers = {}
        for i = 1, 100 do
            peers[i] = server:websocket "/"
        end
        local function measure()
            peers[1]:text "measure"
            return tonumber((server:printed "^(%d+) ns"))
        end
        local before = measure()
        for _, p in ipairs(peers) do
            p:text "publish"
        end
        local after = measure()
        assert.is_true(after < 2 * before, ("%d ns, then %d ns"):format(before, after))
    end)
end)
