-- From a name to a connection: look-ups, addresses in turn (RFC 8305), time limits.

local acceptors = require "spec.support.acceptor"
local frame = require "spec.support.frame"
local socket = require "socket"

describe("A client finds its server", function()
    local opened

    before_each(function()
        opened = {}
    end)

    after_each(function()
        for _, one in ipairs(opened) do
            one:close()
        end
    end)

    local function keep(one)
        opened[#opened + 1] = one
        return one
    end

    local function exchange(acceptor, client)
        local peer, head = acceptor:open()
        client:prints "open [] []"
        peer:say(frame.CLOSE, frame.close(1000))
        assert.equal(frame.CLOSE, (peer:hear()))
        peer:close()
        client:prints "close 1000 [] true"
        client:ended()
        return head
    end

    it("by an IPv4 address, however it is written", function()
        local acceptor = keep(acceptors.new())
        local head = exchange(acceptor, acceptors.client("http://0x7f.1:" .. acceptor.port))
        assert.truthy(head:find("\nHost: 127.0.0.1:" .. acceptor.port .. "\n", 1, true))
    end)

    it("by an IPv6 address", function()
        local acceptor = keep(acceptors.new { address = "::1" })
        local head = exchange(acceptor, acceptors.client("ws://[0::1]:" .. acceptor.port))
        assert.truthy(head:find("\nHost: [::1]:" .. acceptor.port .. "\n", 1, true))
    end)

    it("by localhost and names under it, on either family", function()
        for _, address in ipairs { "127.0.0.1", "::1" } do
            local acceptor = keep(acceptors.new { address = address })
            exchange(acceptor, acceptors.client("ws://localhost:" .. acceptor.port))
            exchange(acceptor, acceptors.client("ws://a.LocalHost.:" .. acceptor.port))
        end
    end)

    it("by a name that the system knows", function()
        local hosts = assert(io.open("/etc/hosts")):read "*a"
        local name = hosts:match "127%.0%.0%.1%s+(%S+)"
        local acceptor = keep(acceptors.new())
        -- The look-up runs on a thread: a name with an upper-case letter is not "localhost" to it.
        exchange(acceptor, acceptors.client(("ws://%s:%d"):format(name, acceptor.port)))
        local host = socket.dns.gethostname()
        local addresses = socket.dns.toip(host)
        if addresses then
            local all = keep(acceptors.new { address = addresses })
            exchange(all, acceptors.client(("ws://%s:%d"):format(host, all.port)))
        end
    end)

    it("through the next address when the first is silent, after a quarter of a second", function()
        local good = keep(acceptors.new())
        local silent = keep(acceptors.new { address = "::1", port = good.port, backlog = 0 })
        -- A listener whose queue is full drops what asks for a connection.
        local fill = {}
        for i = 1, 3 do
            fill[i] = keep(socket.tcp6())
            fill[i]:settimeout(0)
            fill[i]:connect("::1", silent.port)
        end
        local began = socket.gettime()
        exchange(good, acceptors.client("ws://localhost:" .. good.port))
        local took = socket.gettime() - began
        assert.is_true(took > 0.24 and took < 5, tostring(took))
    end)

    it("or says that nobody listens there", function()
        local acceptor = acceptors.new()
        acceptor:close()
        acceptors.client(acceptor:url "/"):fails(
            ("cannot connect to 127.0.0.1 port %d: Connection refused"):format(acceptor.port))
        acceptors.client("ws://localhost:" .. acceptor.port):fails(
            ("cannot connect to localhost port %d: Connection refused"):format(acceptor.port))
    end)

    it("or says that there is no such name", function()
        local client = acceptors.client "ws://no.such.name.invalid/"
        client:printed "^error the address of no.such.name.invalid was not found: "
        client:prints "close 1006 [] false"
        client:ended()
    end)

    it("or says that the connection takes too long", function()
        local silent = keep(acceptors.new { backlog = 0 })
        local fill = {}
        for i = 1, 3 do
            fill[i] = keep(socket.tcp4())
            fill[i]:settimeout(0)
            fill[i]:connect("127.0.0.1", silent.port)
        end
        acceptors.client(silent:url "/", '{ connect_timeout = "0.4s" }'):fails(
            ("no connection to 127.0.0.1:%d within 0.4 seconds"):format(silent.port))
    end)

    it("does not block the loop while it looks names up", function()
        local client = acceptors.run [[
            local mw = require "moonwire"
            local WebSocket = require "moonwire.websocket"
            local ffi = require "ffi"
            ffi.cdef "int gettimeofday(long *now, void *zone);"
            local function seconds()
                local now = ffi.new "long[2]"
                ffi.C.gettimeofday(now, nil)
                return tonumber(now[0]) + tonumber(now[1]) / 1e6
            end
            local n, began = 0, seconds()
            for i = 1, 50 do
                local ws = WebSocket.new(("ws://no%d.such.invalid/"):format(i), nil,
                    { connect_timeout = "1s" }) -- a slow name server is none of ours
                ws.onclose = function() n = n + 1 end
            end
            local ticks = 0
            local timer
            timer = mw.every("1ms", function()
                ticks = ticks + 1
                if n < 50 then return end
                timer:stop() -- without a network the answers come before a second tick is due
                print("all", ticks > 1 or seconds() - began < 0.01)
            end)
        ]]
        keep({ close = function() client:discard() end })
        client:printed "^all\ttrue"
        client:ended()
    end)
end)
