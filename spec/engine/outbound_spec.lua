-- src/engine/ground/outbound.c, outbound_flush.c and piece.c: a connection's output queue, on a
-- socket whose room for bytes is known.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local frame = require "spec.support.frame"
require "spec.support.transport"
local C = core.C

core.declare("src/engine/ground/piece.h", "src/engine/ground/outbound.h",
    "src/engine/ground/outbound_flush.h")
ffi.cdef "int socketpair(int family, int type, int protocol, int fds[2]);"

local AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_SNDBUF = 1, 1, 1, 7
local F_SETFL, O_NONBLOCK = 4, 2048
local MSG_DONTWAIT = 0x40

-- ---- the socket --------------------------------------------------------------------------------

local function socket()
    local fds = ffi.new "int[2]"
    assert(ffi.C.socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
    assert(ffi.C.setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, ffi.new("int[1]", 1), 4) == 0)
    ffi.C.fcntl(fds[0], F_SETFL, ffi.cast("int", O_NONBLOCK))
    return { transport = ffi.new("struct transport", { fd = fds[0] }), peer = fds[1] }
end

-- All that has come, as text.
local function received(s)
    local into, parts = ffi.new "uint8_t[65536]", {}
    while true do
        local n = tonumber(ffi.C.recv(s.peer, into, 65536, MSG_DONTWAIT))
        if n <= 0 then
            return table.concat(parts)
        end
        parts[#parts + 1] = ffi.string(into, n)
    end
end

-- How many bytes an empty one takes at once. It is the same for every write that offers more.
local function room_of(s)
    local n = tonumber(C.transport_write(s.transport, ("x"):rep(100000), 100000))
    assert(n > 1000 and n < 50000, n)
    received(s)
    return n
end

local function close(s)
    C.transport_close(s.transport)
    ffi.C.close(s.peer)
end

-- ---- the queue ---------------------------------------------------------------------------------

local Queue = {}
Queue.__index = Queue

local function queue(arena_bytes)
    local self = setmetatable({ out = ffi.new "struct outbound", arena = ffi.new "struct arena" },
        Queue)
    arena_bytes = arena_bytes or 262144
    self.memory = ffi.new("uint64_t[?]", arena_bytes / 8 + 2)
    self.arena.data = ffi.cast("uint8_t *", ffi.cast("uintptr_t", self.memory) + 15
        - (ffi.cast("uintptr_t", self.memory) + 15) % 16)
    self.arena.cap = arena_bytes
    return self
end

-- A piece in the arena, as conn_reserve makes it.
function Queue:put(bytes, http)
    local room = C.outbound_reserve(self.out, self.arena, #bytes, not http)
    assert(room ~= nil)
    ffi.copy(room, bytes, #bytes)
end

local function note(self, payload, deflated)
    self.out.tail.payload = self.out.tail.payload + payload
    self.out.tail.deflated = self.out.tail.deflated or deflated or false
end

-- Unmasked messages with these payloads, and between them Pings: { "payload" }. Their bytes, and
-- the number of bytes of the messages' payloads.
local function frames(...)
    local bytes, payload = {}, 0
    for i, text in ipairs { ... } do
        local ping = type(text) == "table" and text[1]
        bytes[i] = frame.build(ping and frame.PING or frame.TEXT, ping or text, { key = false })
        payload = payload + (ping and 0 or #text)
    end
    return table.concat(bytes), payload
end

function Queue:messages(...)
    local bytes, payload = frames(...)
    self:put(bytes)
    note(self, payload)
    return bytes
end

function Queue:shared(...)
    local bytes, payload = frames(...)
    local block = C.shared_new(#bytes)
    ffi.copy(block.data, bytes, #bytes)
    assert(C.outbound_shared(self.out, self.arena, block, 0, #bytes) == 0)
    note(self, payload)
    self.block = ffi.gc(block, C.shared_unref)
    return bytes
end

function Queue:control(opcode, payload)
    local bytes = frame.build(opcode, payload, { key = false })
    return C.outbound_control(self.out, core.copy(bytes), #bytes), bytes
end

function Queue:settle()
    assert.equal(0, C.outbound_settle(self.out))
    ffi.fill(self.memory, ffi.sizeof(self.memory), 0x55) -- nobody may look there any more
    self.arena.used = 0
end

function Queue:payload()
    return tonumber(C.outbound_queued_payload(self.out))
end

-- What is queued, as bytes: flushed to a socket whose peer reads. Checks the count of bytes.
function Queue:flushed()
    local s, parts, queued = socket(), {}, tonumber(self.out.queued)
    local err
    repeat
        err = C.outbound_flush(self.out, s.transport)
        parts[#parts + 1] = received(s)
    until err ~= C.ERR_AGAIN
    close(s)
    assert.equal(0, err)
    local bytes = table.concat(parts)
    assert.equal(queued, #bytes)
    assert.same({ 0, true, true },
        { tonumber(self.out.queued), self.out.head == nil, self.out.tail == nil })
    return bytes
end

local texts = { "", "a", { "ping" }, ("b"):rep(125), ("c"):rep(126), { "" }, "dd" }

-- Of these frames, how many bytes of the messages' payloads lie before a place; and where the frame
-- ends that the byte before the place belongs to.
local function before(texts_in, at)
    local n, i = 0, 0
    for _, text in ipairs(texts_in) do
        if i >= at then
            break
        end
        local ping = type(text) == "table" and text[1]
        local body = i + (#(ping or text) < 126 and 2 or 4)
        i = body + #(ping or text)
        n = n + (ping and 0 or math.max(0, math.min(at, i) - body))
    end
    return n, i
end

local function payload_before(texts_in, at)
    return (before(texts_in, at))
end

local function boundary(texts_in, at)
    return select(2, before(texts_in, at))
end

local ALL = payload_before(texts, 1 / 0)

describe("The output queue", function()
    local q

    before_each(function()
        q = queue()
    end)

    after_each(function()
        C.outbound_deinit(q.out)
        assert.equal(0, tonumber(q.out.queued))
    end)

    -- For every number of bytes that the system may have taken of `texts`, in the arena, in a
    -- shared block and on the heap.
    local function at_every_byte(check)
        local bytes
        local kinds = {
            arena = function() bytes = q:messages(unpack(texts)) end,
            shared = function() bytes = q:shared(unpack(texts)) end,
            heap = function()
                bytes = q:messages(unpack(texts))
                q:settle()
            end,
        }
        for kind, fill in pairs(kinds) do
            local at = 0
            repeat
                q.arena.used = 0
                fill()
                C.outbound_advance(q.out, at)
                check(bytes, at, ("%s, %d bytes sent"):format(kind, at))
                C.outbound_deinit(q.out)
                assert.equal(1, q.block and q.block.references or 1)
                at = at + 1
            until at == #bytes
        end
    end

    it("gives what it was given, in order, whatever kind of memory it lies in", function()
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        file:write "<0123456789>"
        file:close()
        local bytes = { "HTTP/1.1 200 OK\r\n\r\n" }
        q:put(bytes[1], true)
        file = assert(io.open(path))
        local fd = ffi.C.fcntl(ffi.C.fileno(file), 0) -- F_DUPFD: the queue closes its own
        file:close()
        os.remove(path)
        assert.equal(0, C.outbound_file(q.out, fd, 1, 10))
        bytes[2] = "0123456789"
        bytes[3] = q:messages("one", "two")
        bytes[4] = q:shared("three", ("4"):rep(70000))
        local five = frame.build(frame.BINARY, "five", { key = false })
        ffi.copy(C.outbound_heap(q.out, #five, 0, true), five, #five)
        bytes[5] = five
        bytes[6] = q:messages "six"
        assert.is_true(q:flushed() == table.concat(bytes))
        assert.equal(1, q.block.references)
        assert.equal(-1, ffi.C.fcntl(fd, 1)) -- F_GETFD: it is closed
    end)

    it("is full when its arena is", function()
        q = queue(1024)
        assert.is_true(C.outbound_reserve(q.out, q.arena, 1024, true) == nil)
        q:put(("x"):rep(700), true)
        assert.is_true(C.outbound_reserve(q.out, q.arena, 300, true) == nil)
        q:settle()
        q:put(("y"):rep(700), true)
        assert.equal(("x"):rep(700) .. ("y"):rep(700), q:flushed())
    end)

    it("counts the payload that is not sent, whichever byte was the last that was", function()
        at_every_byte(function(_, at, where)
            assert.equal(ALL - payload_before(texts, at), q:payload(), where)
            assert.equal(ALL - payload_before(texts, at), q:payload(), where .. ", again")
        end)
    end)

    it("counts it byte by byte, from a piece that it has looked at before", function()
        local bytes = q:messages(unpack(texts))
        for at = 1, #bytes do
            C.outbound_advance(q.out, 1)
            assert.equal(ALL - payload_before(texts, at), q:payload(), at)
        end
    end)

    it("counts compressed messages by the share of their bytes", function()
        q:messages(("z"):rep(50), ("z"):rep(50))
        q.out.tail.payload = 0
        note(q, 1000, true)
        assert.equal(1000, q:payload())
        for sent = 1, 104 do
            C.outbound_advance(q.out, 1)
            local left = 1000 - 10 * payload_before({ ("z"):rep(50), ("z"):rep(50) }, sent)
            assert.is_true(math.abs(left - q:payload()) <= sent, sent)
        end
        assert.equal(0, q:payload())
    end)

    it("loses nothing when it leaves the arena, whichever byte was sent last", function()
        at_every_byte(function(bytes, at, where)
            local more = q:messages "more"
            q:settle()
            local again = q:messages "again"
            q:settle()
            assert.equal(ALL - payload_before(texts, at) + 9, q:payload(), where)
            assert.is_true(q:flushed() == bytes:sub(at + 1) .. more .. again, where)
        end)
    end)

    it("gathers small output of several turns in one piece on the heap", function()
        local all = {}
        for i = 1, 20 do
            all[i] = q:messages(("m"):rep(i))
            q:settle()
        end
        assert.is_true(q.out.head == q.out.tail)
        assert.equal(210, q:payload())
        assert.equal(table.concat(all), q:flushed())
    end)

    it("does not copy what lies in a shared block", function()
        local text = q:messages "text"
        q:settle()
        local shared = q:shared "shared"
        q:settle()
        assert.equal(2, q.block.references)
        assert.equal(text .. shared, q:flushed())
        assert.equal(1, q.block.references)
    end)

    it("moves no byte of HTTP's that is sent", function()
        for sent = 0, 5 do
            q:put("answer", true)
            C.outbound_advance(q.out, sent)
            q:settle()
            assert.equal(("answer"):sub(sent + 1), q:flushed())
        end
    end)

    it("keeps HTTP's bytes and frames in pieces of their own", function()
        q:put("head", true)
        local one = q:messages "one"
        q:settle()
        assert.is_true(q.out.head ~= q.out.tail)
        assert.equal("head" .. one, q:flushed())
    end)

    it("puts a control frame ahead at the next boundary, whichever byte was sent last (§5.4, §5.5)",
        function()
            at_every_byte(function(bytes, at, where)
                local status, ping = q:control(frame.PING, "p")
                assert.equal(0, status)
                local edge = boundary(texts, at)
                assert.equal(ALL - payload_before(texts, at), q:payload(), where)
                local wanted = bytes:sub(at + 1, edge) .. ping .. bytes:sub(edge + 1)
                assert.is_true(wanted .. q:messages "more" == q:flushed(), where)
            end)
        end)

    it("puts control frames behind those that wait, and behind HTTP's bytes", function()
        q:put("answer", true)
        local text = q:messages "text"
        local _, one = q:control(frame.PING, "1")
        local _, two = q:control(frame.PING, "2")
        local _, pong = q:control(frame.PONG, "3")
        assert.equal("answer" .. one .. two .. pong .. text, q:flushed())
    end)

    it("has one Pong, the last, unless a part of it is sent (§5.5.3)", function()
        local pong = frame.build(frame.PONG, ("p"):rep(125), { key = false })
        for sent = 0, #pong - 1 do
            assert.equal(0, (q:control(frame.PONG, ("p"):rep(125))))
            local text = q:messages "text"
            C.outbound_advance(q.out, sent)
            local status, newer = q:control(frame.PONG, "newer")
            assert.equal(sent == 0 and 1 or 0, status)
            assert.equal(4, q:payload())
            local wanted = (sent == 0 and "" or pong:sub(sent + 1)) .. newer .. text
            assert.is_true(q:flushed() == wanted, sent)
        end
    end)

    it("replaces a Pong by a longer one, and nothing behind it", function()
        q:control(frame.PONG, "")
        q:settle()
        local text = q:messages "text"
        q:settle()
        local status, longest = q:control(frame.PONG, ("p"):rep(125))
        assert.equal(1, status)
        assert.equal(longest .. text, q:flushed())
    end)

    it("drops all frames but the rest of the one that is partly sent, and counts them as lost",
        function()
            at_every_byte(function(bytes, at, where)
                local more = q:messages "more"
                local edge = boundary(texts, at)
                assert.equal(#bytes - edge + #more, tonumber(C.outbound_drop(q.out)), where)
                assert.equal(ALL - payload_before(texts, edge) + 4, tonumber(q.out.lost), where)
                assert.equal(payload_before(texts, edge) - payload_before(texts, at), q:payload(),
                    where)
                local close_frame = q:messages "bye"
                assert.is_true(q:flushed() == bytes:sub(at + 1, edge) .. close_frame, where)
            end)
        end)

    it("drops none of HTTP's bytes", function()
        q:put("answer", true)
        assert.equal(0, tonumber(C.outbound_drop(q.out)))
        q:messages "text"
        assert.equal(6, tonumber(C.outbound_drop(q.out)))
        assert.equal("answer", q:flushed())
    end)
end)

describe("The memory of the output queue", function()
    local q

    local function keep(text)
        local bytes = frame.build(frame.TEXT, text, { key = false })
        local room = C.outbound_keep(q.out, #bytes, true)
        assert(room ~= nil)
        ffi.copy(room, bytes, #bytes)
        note(q, #text)
        return bytes
    end

    before_each(function()
        q = queue()
    end)

    it("is what lies on the heap, and is counted until it is gone", function()
        q:messages("a", "b")
        q:shared "shared"
        assert.equal(0, q.out.units)
        q:settle()
        local settled = q.out.units * C.PIECE_UNIT
        assert.is_true(settled >= 2048 and settled < 3072, settled)
        q:control(frame.PING, "x") -- cuts nothing, or what it cuts is counted
        assert.is_true(q.out.units * C.PIECE_UNIT > settled)
        q:flushed()
        assert.equal(0, q.out.units)
        q:messages "a"
        q:settle()
        C.outbound_drop(q.out)
        assert.equal(0, q.out.units)
    end)

    it("is one piece for small output that is kept while the system takes none", function()
        local bytes = keep "a" .. keep "b" .. keep(("c"):rep(500))
        local units = q.out.units
        assert.is_true(units * C.PIECE_UNIT < 3072)
        assert.is_true(q.out.head == q.out.tail)
        bytes = bytes .. keep(("d"):rep(5000))
        assert.is_true((q.out.units - units) * C.PIECE_UNIT >= 5000)
        assert.equal(5502, q:payload())
        assert.is_true(q:flushed() == bytes)
        assert.equal(0, q.out.units)
    end)
end)

describe("Flushing the output queue", function()
    local q, s, room

    before_each(function()
        q, s = queue(), socket()
        room = room_of(s)
    end)

    after_each(function()
        C.outbound_deinit(q.out)
        close(s)
    end)

    -- Lets the peer read until all is taken: the bytes.
    local function drain(already)
        local parts = { already or "" }
        for _ = 1, 1000 do
            parts[#parts + 1] = received(s)
            local err = C.outbound_flush(q.out, s.transport)
            if err == 0 then
                parts[#parts + 1] = received(s)
                return table.concat(parts)
            end
            assert.equal(C.ERR_AGAIN, err)
        end
        error "it does not end"
    end

    it("goes on where the system took no more", function()
        local all = {}
        for i = 1, 200 do -- more pieces than one call gathers
            all[i] = q:messages((("%d,"):format(i)):rep(100))
        end
        assert.equal(C.ERR_AGAIN, C.outbound_flush(q.out, s.transport))
        all = table.concat(all)
        assert.equal(#all - room, tonumber(q.out.queued))
        assert.is_true(all == drain())
        assert.equal(0, q:payload())
    end)

    it("fails when the peer is gone", function()
        q:messages "text"
        ffi.C.close(s.peer)
        assert.equal(C.ERR_CLOSED, C.outbound_flush(q.out, s.transport))
        s.peer = -1
    end)

    it("fails when a file is shorter than was promised", function()
        local file = io.tmpfile()
        local fd = ffi.C.fcntl(ffi.C.fileno(file), 0)
        assert.equal(0, C.outbound_file(q.out, fd, 0, 10))
        assert.equal(C.ERR_IO, C.outbound_flush(q.out, s.transport))
        file:close()
    end)

    local function direct(header, payload, message_len)
        local f = ffi.new("struct outbound_frame", core.copy(header), #header, core.copy(payload),
            #payload, message_len or #payload)
        return C.outbound_flush_with(q.out, s.transport, f)
    end

    local text = ("large"):rep(26) -- 130 bytes: a header of four
    local whole = frame.build(frame.TEXT, text, { key = false })
    local header = whole:sub(1, 4)

    it("sends a large frame behind the queue without queueing it", function()
        local first = q:messages "first"
        assert.equal(0, direct(header, text))
        assert.is_true(q.out.head == nil)
        assert.equal(first .. whole, received(s))
    end)

    it("queues what the system does not take of a large frame, cut at any byte", function()
        for taken = 0, #whole - 1 do
            local first = q:messages(("x"):rep(room - 4 - taken)) -- room for so much of it is left
            assert.equal(C.ERR_AGAIN, direct(header, text))
            assert.equal(#whole - taken, tonumber(q.out.queued), taken)
            assert.equal(#text - math.max(0, taken - 4), q:payload(), taken)
            local came = received(s)
            assert.is_true(came == first .. whole:sub(1, taken), taken)
            -- A Ping goes ahead of it only when none of it is sent.
            local _, ping = q:control(frame.PING, "p")
            local wanted = taken == 0 and ping .. whole or whole:sub(taken + 1) .. ping
            assert.is_true(drain() == wanted, taken)
            q.arena.used = 0
        end
    end)

    it("counts down what it has queued of a large frame", function()
        for taken = 1, 5 do
            q:messages(("x"):rep(room - 4 - taken))
            assert.equal(C.ERR_AGAIN, direct(header, text))
            for sent = taken + 1, #whole do
                C.outbound_advance(q.out, 1)
                assert.equal(#text - math.max(0, sent - 4), q:payload(), sent)
            end
            received(s)
            q.arena.used = 0
        end
    end)

    it("counts what it queues of a compressed one by the share of its bytes", function()
        q:messages(("x"):rep(room - 4 - 4 - 65))
        assert.equal(C.ERR_AGAIN, direct(header, text, 10000))
        assert.equal(5000, q:payload())
        drain()
        assert.equal(0, q:payload())
    end)

    it("sends a large frame behind more pieces than one call gathers", function()
        local all = {}
        for i = 1, 70 do
            all[i] = q:messages "piece"
        end
        assert.equal(0, direct(header, text))
        assert.is_true(received(s) == table.concat(all) .. whole)
    end)

    it("counts what was dropped as never sent", function()
        q:messages("text", "more")
        assert.equal(8, tonumber(C.outbound_payload(q.out, s.transport)))
        C.outbound_drop(q.out)
        assert.equal(8, tonumber(C.outbound_payload(q.out, s.transport)))
    end)
end)
