-- From a name to a connection: look-ups, addresses in turn (RFC 8305), time limits.

local acceptors = require "spec.support.acceptor"
local frame = require "spec.support.frame"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
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

    -- Names are looked up by getaddrinfo, on threads. Here one stands before it that says whom it
    -- was asked for, and waits until the spec answers: by a byte in the pipe of that name.
    describe("by a name that takes as long as the spec wants", function()
        local folder, library, pipes, clients

        setup(function()
            folder = process.folder()
            library = preload.build(folder, "slow", [[
                #include <dlfcn.h>
                #include <fcntl.h>
                #include <netdb.h>
                #include <stdio.h>
                #include <stdlib.h>
                #include <unistd.h>

                typedef int resolve(const char *, const char *, const struct addrinfo *,
                                    struct addrinfo **);

                int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                                struct addrinfo **found)
                {
                    char path[256], line[256], answer = 0;
                    snprintf(path, sizeof path, "%s/%s", getenv("PIPES"), name);
                    int pipe = open(path, O_RDWR | O_CLOEXEC);
                    int len = snprintf(line, sizeof line, "asked for %s\n", name);
                    if (write(2, line, len) != len || read(pipe, &answer, 1) != 1)
                        abort();
                    close(pipe);
                    resolve *real;
                    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
                    return answer == '+' ? real("127.0.0.1", service, hints, found) : EAI_NONAME;
                }
            ]])
        end)

        before_each(function()
            pipes, clients = {}, {}
        end)

        after_each(function()
            for name, pipe in pairs(pipes) do
                pipe:close()
                os.remove(folder.path .. "/" .. name)
            end
            for _, client in ipairs(clients) do
                client:discard()
            end
        end)

        teardown(function()
            folder:remove()
        end)

        local function names(...)
            for _, name in ipairs { ... } do
                local path = folder.path .. "/" .. name
                shell(("mkfifo '%s'"):format(path))
                pipes[name] = assert(io.open(path, "r+"))
            end
        end

        -- "+": it is 127.0.0.1; "-": there is no such name.
        local function answer(name, how)
            pipes[name]:write(how)
            pipes[name]:flush()
        end

        local function run(script, ...)
            local client = acceptors.run([[
                local mw = require "moonwire"
                local WebSocket = require "moonwire.websocket"
                local function connect(name, options)
                    local url = ("ws://%s:%s/"):format(name, arg[1])
                    local ws = WebSocket.new(url, nil, options)
                    ws.onopen = function() print("open " .. name) end
                    ws.onerror = function(e) print("error " .. e.message) end
                    ws.onclose = function(e) print("close " .. name .. " " .. e.code) end
                    return ws
                end
                local _ = mw
            ]] .. script, { ... }, preload.env(library, { PIPES = folder.path }))
            clients[#clients + 1] = client
            return client
        end

        local function asked(client, name)
            assert.equal(name, (client.process:wait_for "^asked for (.*)$"))
        end

        it("does not block the loop while it looks names up", function()
            local acceptor = keep(acceptors.new())
            names "slow.test"
            local client = run([[
                connect "slow.test"
                local ticks = 0
                local ws = connect "127.0.0.1"
                local timer = mw.every("1ms", function() ticks = ticks + 1 end)
                ws.onmessage = function(e)
                    local before = ticks
                    repeat mw.sleep "1ms" until ticks > before + 2
                    ws:send("ticking " .. e.data)
                    if e.data == "3" then timer:stop() end
                end
            ]], tostring(acceptor.port))
            asked(client, "slow.test")
            local peer = acceptor:open()
            client:prints "open 127.0.0.1"
            for i = 1, 2 do
                peer:say(frame.TEXT, tostring(i))
                assert.equal("ticking " .. i, select(2, peer:hear()))
            end
            answer("slow.test", "+") -- not before
            local other = acceptor:open()
            client:prints "open slow.test"
            peer:say(frame.TEXT, "3")
            assert.equal("ticking 3", select(2, peer:hear()))
            peer:close()
            other:close()
            client:ended()
        end)

        it("closes before its address is known, and ends without it", function()
            names("slow.test", "next.test")
            local acceptor = keep(acceptors.new())
            local client = run([[
                local ws = connect "slow.test"
                ws:addEventListener("close", function() connect "next.test" end)
                mw.after("10ms", function()
                    ws:close()
                    print("state", ws.readyState)
                end)
            ]], tostring(acceptor.port))
            asked(client, "slow.test")
            client:prints "state\t2"
            client:printed "^error "
            client:prints "close slow.test 1006"
            asked(client, "next.test")
            answer("slow.test", "+") -- too late: nobody waits for it
            answer("next.test", "+")
            local peer = acceptor:open()
            client:prints "open next.test"
            peer:close()
            client:printed "^close next.test 1006"
            client:ended()
            acceptor.listener:settimeout(0)
            assert.is_nil((acceptor.listener:accept()))
        end)

        it("gives the look-up no longer than connect_timeout, and ends without it", function()
            names "slow.test"
            local client = run([[connect("slow.test", { connect_timeout = "0.2s" })]], "1")
            client:prints "error the address of slow.test was not found within 0.2 seconds"
            client:prints "close slow.test 1006"
            client:ended()
        end)

        it("stops waiting for it when the process is told to end", function()
            names "slow.test"
            local client = run([[
                connect "slow.test"
                mw.after("1ms", function() print "loaded" end) -- TERM ends a script that is not
            ]], "1")
            asked(client, "slow.test")
            client:prints "loaded"
            client.process:signal "TERM"
            client:prints "error the process is ending"
            client:prints "close slow.test 1006"
            client:ended()
        end)

        it("asks for 16 names at once, and for the others in turn", function()
            local all = {}
            for i = 1, 18 do
                all[i] = ("n%d.test"):format(i)
            end
            names(unpack(all))
            local client = run([[for i = 1, 18 do connect(("n%d.test"):format(i)) end]], "1")
            local seen = {}
            for _ = 1, 16 do
                seen[client.process:wait_for "^asked for (.*)$"] = true
            end
            for i = 1, 16 do
                assert.is_true(seen[all[i]])
            end
            for i = 1, 18 do
                answer(all[i], "-")
                client:prints(("error the address of %s was not found: there is no such host")
                    :format(all[i]))
                client:prints(("close %s 1006"):format(all[i]))
                if i <= 2 then
                    asked(client, all[16 + i])
                end
            end
            client:ended()
        end)
    end)
end)
