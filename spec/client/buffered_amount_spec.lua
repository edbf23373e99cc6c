-- ws.bufferedAmount, on both ends: bytes of messages that are not with the network (WHATWG
-- WebSockets §3.1). The peer does not read; the connection is cut, and what then still arrives is
-- all that the system had taken: the rest is what bufferedAmount must have said.

local acceptors = require "spec.support.acceptor"
local certificates = require "spec.support.certificates"
local frame = require "spec.support.frame"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local start = require("spec.support.server").start

-- fill(ws, size) sends numbered messages until the system has refused some; all that was sent.
-- Half of each cannot be compressed, so that two that lie in one piece have the same share.
local driver = [[
local mw = require "moonwire"
local noise = {}
for i = 1, 65536 do noise[i] = string.char(math.random(0, 255)) end
noise = table.concat(noise)
local function message(n, size)
    local half = math.floor(size / 2)
    local from = n * 7919 % (65536 - math.min(half, 60000))
    local random = half < 60000 and noise:sub(from + 1, from + half)
        or noise:rep(math.ceil(half / 65536)):sub(1, half)
    return random .. ("\0"):rep(size - half)
end
local tiny = { "1", "22", "333" }
local function fill(ws, size)
    local n, total, left = 0, 0, size > 3 and 20 or 800000
    while left > 0 do
        n, total = n + 1, total + size
        local before = left < 20 and size > 3 and ws.bufferedAmount
        local ok, how = ws:send(size > 3 and message(n, size) or tiny[size], true)
        assert(ok, how)
        -- Nothing leaves any more in this turn.
        assert(not before or ws.bufferedAmount == before + size)
        if how == "queued" then
            left = left - 1
        end
    end
    return total
end
local total = 0
local function report(ws)
    print(("sent %d, buffered %d"):format(total, ws.bufferedAmount))
    ws:terminate()
end
local function closed(ws)
    local buffered = ws.bufferedAmount
    assert(ws:send("äö") == nil)
    print(("closed %d, then %d"):format(buffered, ws.bufferedAmount))
end
]]

local app = driver .. [[
local hooks = {
    on_message = function(ws, data)
        if data == "report" then return report(ws) end
        if data == "more" then
            ws:send(message(1, 100), true)
            total = total + 100
            return
        end
        if data == "publish" then
            local size = 1000
            local timer
            timer = mw.every(0.001, function()
                for n = 1, 100 do
                    mw.publish("all", message(n, size), true)
                    total = total + size
                end
                if ws.bufferedAmount > 1000000 then timer:stop() print "filled" end
            end)
            return
        end
        total = total + fill(ws, tonumber(data))
        print "filled"
    end,
    on_open = function(ws) ws:subscribe "all" end,
    on_close = closed,
    limits = { queued_bytes = "64M" },
}
mw.ws("/plain", hooks)
mw.get("/", function() return "" end)
hooks.compress = { min_bytes = 0, server_no_context_takeover = true }
mw.ws("/deflate", hooks)
]]

-- Reads to the end: bytes of whole messages (as they are on the way), and of the one that is cut.
local function received(p)
    local stream, why, some = p.socket:receive "*a"
    stream = stream or some
    assert.not_equal("timeout", why)
    local at, count, whole = 1, 0, 0
    local function bytes(n)
        if at + n > #stream + 1 then
            error("cut", 0)
        end
        at = at + n
        return stream:sub(at - n, at - 1)
    end
    while true do
        local begin = at
        local ok, f = pcall(frame.read, bytes)
        if not ok then
            local head = stream:sub(begin, begin + 13)
            local control = #head > 0 and head:byte() % 16 >= 8
            local masked = #head > 1 and head:byte(2) >= 128
            local length = #head > 1 and head:byte(2) % 128 or 0
            local header = 2 + (length == 126 and 2 or length == 127 and 8 or 0)
                + (masked and 4 or 0)
            local part = control and 0 or math.max(#stream + 1 - begin - header, 0)
            return whole, part, count
        end
        if f.opcode < 8 then
            whole, count = whole + #f.payload, count + 1
        end
    end
end

describe("bufferedAmount", function()
    local server, folder

    after_each(function()
        if server then
            server:stop()
        end
        if folder then
            folder:remove()
        end
        server, folder = nil, nil
    end)

    local function serve(options)
        server = start(app, options)
    end

    local function reported()
        local sent, buffered = server:printed "^sent (%d+), buffered (%d+)$"
        local at_close, later = server:printed "^closed (%d+), then (%d+)$"
        assert.equal(buffered, at_close)
        assert.equal(tonumber(buffered) + 4, tonumber(later))
        return tonumber(sent), tonumber(buffered)
    end

    it("counts what was just sent, and nothing that is framing", function()
        serve()
        server:stop()
        server = start [[
            local mw = require "moonwire"
            local r = mw.ws("/", { compress = { min_bytes = 0 } })
            function r.on_message(ws, data)
                local seen = { ws.bufferedAmount }
                local function note() seen[#seen + 1] = ws.bufferedAmount end
                ws:send "äö" note()
                ws:send("\0\255", true) note()
                ws:ping "ping" note()
                ws:send "" note()
                ws:send(("x"):rep(5000)) note()
                ws:send(ws.extensions) note()
                print(table.concat(seen, " "))
            end
            function r.on_drain() end
        ]]
        local p = server:websocket "/"
        p:text "go"
        assert.equal("0 4 6 6 6 5006 5006", (server:printed "^([%d ]+)$"))
        p:text "go"
        assert.equal("0 4 6 6 6 5006 5006", (server:printed "^([%d ]+)$"))
        local q = server:websocket("/", {
            fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } })
        q:text "go"
        local with = (server:printed "^([%d ]+)$")
        assert.matches("^0 4 6 6 6 5006 50%d%d$", with)
        assert.is_true(tonumber(with:match "%d+$") > 5006)
    end)

    for _, case in ipairs { { "small", 100 }, { "of 16 KiB", 16384 }, { "large", 1000000 } } do
        local name, size = case[1], case[2]

        it("is exact for messages that are " .. name, function()
            serve()
            local p = server:websocket("/plain", { receive_buffer = 4096 })
            p:text(tostring(size))
            server:printed "^filled"
            for _ = 1, 50 do
                p:text "more"
                p:frame(frame.PING, "a pong goes ahead, and does not count")
                server:get "/" -- so that it had a turn of its own
            end
            p:text "report"
            local sent, buffered = reported()
            local whole, part = received(p)
            assert.equal(sent - whole - part, buffered)
            assert.is_true(buffered > 19 * size)
        end)

        it("counts compressed messages as they were given: " .. name, function()
            serve()
            local p = server:websocket("/deflate", { receive_buffer = 4096,
                fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } })
            p:text(tostring(size))
            server:printed "^filled"
            p:text "report"
            local sent, buffered = reported()
            local _, part, count = received(p)
            assert.is_true(part >= 0)
            local left = sent - count * size
            assert.is_true(buffered <= left and buffered >= left - size,
                ("%d of %d left, said %d"):format(left, sent, buffered))
        end)
    end

    for size = 1, 3, 2 do
        it("is exact where a header of two bytes is cut: messages of " .. size, function()
            serve()
            local p = server:websocket("/plain", { receive_buffer = 4096 })
            p:text(tostring(size))
            server:printed "^filled"
            local count = 0
            for i = 1, 14 do -- what the system takes then is cut somewhere else
                count = count + #p:bytes(99999 + i)
            end
            p:text "report"
            local sent, buffered = reported()
            count = count + #p:rest()
            local cut = math.max(count % (size + 2) - 2, 0)
            assert.equal(sent - math.floor(count / (size + 2)) * size - cut, buffered)
        end)
    end

    -- The system takes so many bytes, as the spec says, and then none: a send() in front of the C
    -- library's. Frames are cut at each byte of their headers, and around them; those of 16 KiB and
    -- more are offered to the system while the script sends them.
    it("is exact wherever a frame is cut", function()
        folder = process.folder()
        local library = preload.build(folder, "cut", [[
            #include <dlfcn.h>
            #include <errno.h>
            #include <sys/socket.h>

            static long left = -1;

            void cut_after(long n)
            {
                left = n;
            }

            ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
            {
                static ssize_t (*real)(int, const struct msghdr *, int);
                if (!real)
                    *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
                if (left < 0)
                    return real(fd, m, flags);
                struct iovec iov[128];
                struct msghdr part = {.msg_iov = iov};
                for (long room = left; room > 0 && part.msg_iovlen < m->msg_iovlen;) {
                    struct iovec *to = &iov[part.msg_iovlen];
                    *to = m->msg_iov[part.msg_iovlen++];
                    if (to->iov_len > (size_t)room)
                        to->iov_len = room;
                    room -= to->iov_len;
                }
                errno = EAGAIN;
                ssize_t n = part.msg_iovlen > 0 ? real(fd, &part, flags) : -1;
                left -= n > 0 ? n : 0;
                return n;
            }

            ssize_t send(int fd, const void *data, size_t len, int flags)
            {
                struct iovec iov = {(void *)data, len};
                struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
                return sendmsg(fd, &m, flags);
            }
        ]])
        server = start([[
            local mw = require "moonwire"
            local ffi = require "ffi"
            ffi.cdef "void cut_after(long n);"
            mw.ws("/", {
                on_message = function(ws, data)
                    local verb, argument = data:match "^(%a+) ?(.*)$"
                    if verb == "cut" then
                        ffi.C.cut_after(tonumber(argument))
                        print "cut"
                    elseif verb == "send" then
                        for size in argument:gmatch "%d+" do
                            ws:send(("x"):rep(tonumber(size)))
                        end
                        print "sent" -- what comes now is of the next turn
                    elseif verb == "report" then
                        print("buffered", ws.bufferedAmount)
                    end
                end,
                limits = { queued_bytes = "64M" },
            })
        ]], { env = preload.env(library) })

        local function cut(p, after)
            p:text("cut " .. after)
            server:printed "^cut"
        end

        local function send(p, sizes)
            p:text("send " .. sizes)
            server:printed "^sent"
        end

        local function buffered(p)
            p:text "report"
            return tonumber((server:printed "^buffered\t(%d+)$"))
        end

        -- The payload of messages of these sizes: all of it, and what lies before a place; and
        -- where the frame ends that this place is in.
        local function payload(sizes, at)
            local total, before, from, edge = 0, 0, 0, nil
            for size in sizes:gmatch "%d+" do
                size = tonumber(size)
                edge = edge or from >= at and from
                from = from + (size < 126 and 2 or size < 65536 and 4 or 10)
                before = before + math.min(math.max(at - from, 0), size)
                from, total = from + size, total + size
            end
            return total, before, edge or from
        end

        -- Sends messages of these sizes, in two turns; at bytes of them leave, and twice more.
        local function check(p, first, second, at, more)
            local where = ("%s | %s cut after %d and %d"):format(first, second, at, more)
            cut(p, at)
            send(p, first)
            local total, gone = payload(first, at)
            assert.equal(total - gone, buffered(p), where)
            send(p, second)
            total, gone = payload(first .. " " .. second, at)
            assert.equal(total - gone, buffered(p), where)
            p:frame(frame.PING, "ahead")
            assert.equal(total - gone, buffered(p), where .. ", then a pong")
            local all = first .. " " .. second
            local _, _, edge = payload(all, at) -- there the pong of seven bytes is now
            for i = 1, more > 0 and 2 or 0 do
                local place = at + i * more
                cut(p, more)
                _, gone = payload(all, place <= edge and place or math.max(edge, place - 7))
                assert.equal(total - gone, buffered(p), where)
            end
            cut(p, -1)
            local pongs = 0
            for size in all:gmatch "%d+" do
                local opcode, data = p:read_frame()
                if opcode == frame.PONG then
                    pongs, opcode, data = pongs + 1, p:read_frame()
                end
                assert.equal(frame.TEXT, opcode)
                assert.is_true(data == ("x"):rep(tonumber(size)), where)
            end
            if pongs == 0 then
                assert.equal(frame.PONG, (p:read_frame()))
            end
            assert.equal(0, buffered(p))
        end

        local p = server:websocket "/"
        for _, more in ipairs { 0, 1, 2, 5, 9, 11 } do
            for at = 0, 14 do -- in several headers of two bytes
                check(p, "1 0 3 0 2", "4 0 1 20", at, more)
            end
        end
        for _, size in ipairs { 126, 16384, 65536 } do
            for _, more in ipairs { 0, 1, 4, 12 } do
                for at = 1, 11, 2 do
                    check(p, ("%d 1 %d"):format(size, size), "5 200", at, more)
                    check(p, ("3 %d 1"):format(size), "5 200", at + 1, more)
                    check(p, ("%d 1 0"):format(size), ("2 %d"):format(size), size + at, more)
                end
            end
        end
    end)

    it("counts what was published", function()
        serve()
        local p = server:websocket("/plain", { receive_buffer = 4096 })
        p:text "publish"
        server:printed "^filled"
        p:frame(frame.PING, "x")
        p:text "report"
        local sent, buffered = reported()
        local whole, part = received(p)
        assert.equal(sent - whole - part, buffered)
    end)

    it("counts what was published as it was before compression", function()
        serve()
        local p = server:websocket("/deflate", { receive_buffer = 4096,
            fields = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } })
        p:text "publish"
        server:printed "^filled"
        p:text "report"
        local sent, buffered = reported()
        local _, _, count = received(p)
        local left = sent - count * 1000
        -- One that is cut, and the share of a log of about 32 messages.
        assert.is_true(math.abs(left - buffered) <= 2000,
            ("%d of %d left, said %d"):format(left, sent, buffered))
    end)

    it("is right over TLS, with what is encrypted already", function()
        server = start(app .. [[
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "s.pem", key = "s.key" } }
        ]], { listen = {}, setup = function(new)
            certificates.make(new.path, "s", { "localhost" })
        end })
        local p = server:websocket("/plain", { receive_buffer = 4096, tls = {} })
        p:text "1000000"
        server:printed "^filled"
        p:text "report"
        local sent, buffered = reported()
        local whole, part = received(p)
        local left = sent - whole - part
        -- What was cut inside a record cannot be read.
        assert.is_true(math.abs(left - buffered) <= 16384 + 64,
            ("%d of %d left, said %d"):format(left, sent, buffered))
    end)

    it("keeps what a full queue threw away", function()
        server = start(driver .. [[
            local r = mw.ws("/", { limits = { queued_bytes = "1M" } })
            function r.on_message(ws)
                local size, ok, how = 300, true, nil
                while ok do
                    ok, how = ws:send(message(1, size), true)
                    total = total + size
                end
                print(how)
            end
            function r.on_close(ws)
                print(("sent %d, buffered %d"):format(total, ws.bufferedAmount))
            end
        ]])
        local p = server:websocket("/", { receive_buffer = 4096 })
        p:text "go"
        server:printed "^over the limit queued_bytes"
        local sent, buffered = server:printed "^sent (%d+), buffered (%d+)$"
        local _, _, count = received(p)
        local left = sent - count * 300
        assert.is_true(tonumber(buffered) >= left and tonumber(buffered) <= left + 300,
            ("%d left, said %s"):format(left, buffered))
    end)

    it("is 0 at the close when everything was answered in the same turn", function()
        server = start [[
            local mw = require "moonwire"
            mw.ws("/", {
                on_message = function(ws, data) ws:send(data) end,
                on_close = function(ws) print("closed", ws.bufferedAmount) end,
            })
        ]]
        local p = server:websocket "/"
        p:send(frame.build(frame.TEXT, "hello") .. frame.build(frame.CLOSE, frame.close(1000)))
        assert.equal("hello", p:read_text())
        assert.equal("0", (server:printed "^closed\t(%d+)$"))
    end)

    describe("of a client", function()
        local acceptor

        after_each(function()
            acceptor:close()
        end)

        local script = driver .. [[
            ws.onopen = function()
                total = fill(ws, tonumber(ws.url:match "%d+$"))
                print "filled"
            end
            ws.onmessage = function() report(ws) end
            ws.onclose = function() closed(ws) end
        ]]

        local function filled(size, options, fields)
            local client = acceptor:client("/" .. size, options, nil, script)
            local p = acceptor:open(fields)
            client:printed "^filled"
            p:say(frame.PING, "x")
            p:say(frame.TEXT, "report")
            local sent, buffered = client:printed "^sent (%d+), buffered (%d+)$"
            local at_close = client:printed "^closed (%d+)"
            assert.equal(buffered, at_close)
            local whole, part, count = received(p)
            client:ended()
            return tonumber(sent), tonumber(buffered), whole + part, count
        end

        for _, size in ipairs { 100, 16384, 1000000 } do
            it("is exact for messages of " .. size, function()
                acceptor = acceptors.new()
                local sent, buffered, got = filled(size, '{ queued_bytes = "64M" }')
                assert.equal(sent - got, buffered)
            end)
        end

        it("counts compressed messages as they were given", function()
            acceptor = acceptors.new()
            local sent, buffered, _, count = filled(16384, "{ compress = true }", {
                ["Sec-WebSocket-Extensions"] = "permessage-deflate; client_no_context_takeover" })
            local left = sent - count * 16384
            assert.is_true(buffered <= left and buffered >= left - 16384,
                ("%d left, said %d"):format(left, buffered))
        end)

        it("is right over TLS, with what is encrypted already", function()
            folder = process.folder()
            local certificate, key = certificates.make(folder.path, "s", { "localhost" })
            acceptor = acceptors.new { tls = { certificate = certificate, key = key } }
            local sent, buffered, got = filled(1000000,
                '{ insecure = true, queued_bytes = "64M" }')
            -- What was cut inside a record cannot be read.
            assert.is_true(math.abs(sent - got - buffered) <= 16384 + 64,
                ("%d of %d left, said %d"):format(sent - got, sent, buffered))
        end)
    end)
end)
