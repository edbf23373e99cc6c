local ffi = require "ffi"
local sys_stat = require "posix.sys.stat"
local transport = require "spec.support.transport"
local unistd = require "posix.unistd"
local C = transport.C
local listen, connect, accept = transport.listen, transport.connect, transport.accept

local F_GETFD, F_GETFL, FD_CLOEXEC, O_NONBLOCK = 1, 3, 1, 2048
local IPPROTO_TCP, TCP_NODELAY = 6, 1

local function option(fd, level, name)
    local value, len = ffi.new "int[1]", ffi.new("socklen_t[1]", 4)
    assert(ffi.C.getsockopt(fd, level, name, value, len) == 0)
    return value[0]
end

local function has_flag(fd, command, flag)
    return bit.band(ffi.C.fcntl(fd, command, ffi.cast("int", 0)), flag) ~= 0
end

describe("tcp", function()
    local open = {}
    local function keep(fds)
        for _, fd in ipairs(fds) do
            open[#open + 1] = fd
        end
        return fds
    end
    after_each(function()
        for _, fd in ipairs(open) do
            ffi.C.close(fd)
        end
        open = {}
    end)

    it("listens on one free port of both loopbacks without a host", function()
        local fds, port = listen(nil)
        keep(fds)
        assert.is_true(port > 0)
        for _, fd in ipairs(fds) do
            local client, status = connect(fd)
            local server, peer = accept(fd)
            assert.equal(0, status)
            assert.is_true(({ ["127.0.0.1"] = true, ["::1"] = true })[transport.address(peer)])
            ffi.C.close(client)
            ffi.C.close(server)
        end
    end)

    it("accepts sockets that neither block, nor survive an exec, nor delay", function()
        local fd = keep(listen "127.0.0.1")[1]
        local client = connect(fd)
        local server = accept(fd)
        assert.is_true(has_flag(server, F_GETFL, O_NONBLOCK))
        assert.is_true(has_flag(server, F_GETFD, FD_CLOEXEC))
        assert.equal(1, option(server, IPPROTO_TCP, TCP_NODELAY))
        assert.equal(C.ERR_AGAIN, C.tcp_accept(fd, ffi.new "struct address"))
        ffi.C.close(client)
        ffi.C.close(server)
    end)

    it("says which port of which address is in use", function()
        local fds, port = listen "127.0.0.1"
        keep(fds)
        local none, code, why = listen("127.0.0.1", port)
        assert.is_nil(none)
        assert.equal(C.ERR_IN_USE, code)
        assert.equal(("port %d on 127.0.0.1 is in use: stop the other program or "
            .. "choose another port"):format(port), why)
        assert.matches("is in use", select(3, listen("*", port)))
    end)

    it("accepts, where the peer speaks first, when it has, or after a second", function()
        local fd = keep(listen("127.0.0.1", 0, true))[1]
        local silent = connect(fd)
        assert.equal(C.ERR_AGAIN, C.tcp_accept(fd, ffi.new "struct address"))
        local speaker = connect(fd)
        assert.equal(1, ffi.C.send(speaker, "x", 1, 0))
        local of_speaker = accept(fd)
        assert.equal(1, tonumber(ffi.C.recv(of_speaker, ffi.new "char[1]", 1, 0)))
        local of_silent = accept(fd)
        assert.is_true(of_silent >= 0)
        for _, socket in ipairs { speaker, of_speaker, silent, of_silent } do
            ffi.C.close(socket)
        end
    end)

    it("explains hosts that cannot be listened on", function()
        local cases = {
            ["300.1.1.1"] = "no such host \"300.1.1.1\"",
            [""] = "no such host",
            ["192.0.2.1"] = "192.0.2.1 is not an address of this machine",
            ["unix:"] = "unix: needs a path",
            ["unix:/nonexistent/socket"] = "No such file or directory",
            ["unix:/etc/passwd"] = "/etc/passwd exists and is not a socket",
            ["unix:/" .. ("a"):rep(107)] = "is too long: 108 bytes, at most 107 fit",
        }
        for host, text in pairs(cases) do
            local none, code, why = listen(host)
            assert.is_nil(none, host)
            assert.is_true(code < 0)
            assert.is_truthy(why:find(text, 1, true), why)
            assert.is_nil(why:find "\n")
        end
    end)

    it("replaces a unix socket that nobody listens on, not one that somebody does", function()
        local folder, remove = transport.folder()
        finally(remove)
        local host = "unix:" .. folder .. "/socket"
        local first = listen(host)[1]
        assert.matches("socket is in use", select(3, listen(host)))
        ffi.C.close(first) -- as a process that was killed: the file stays
        local fd = keep(listen(host))[1]
        local client, status = connect(fd)
        assert.equal(0, status)
        local server, peer = accept(fd)
        assert.equal("unix", transport.address(peer))
        ffi.C.close(client)
        ffi.C.close(server)
    end)

    it("removes the unix socket's file when it stops listening", function()
        local folder, remove = transport.folder()
        finally(remove)
        local _, _, listening = listen("unix:" .. folder .. "/socket")
        assert.is_truthy(sys_stat.lstat(folder .. "/socket"))
        C.tcp_listen_close(listening[1])
        assert.is_nil(sys_stat.lstat(folder .. "/socket"))
        assert.is_true(os.rename(folder, folder)) -- the folder is still there
    end)

    describe("leaves at the unix socket's path", function()
        local folder, remove, path
        before_each(function()
            folder, remove = transport.folder()
            path = folder .. "/socket"
        end)
        after_each(function()
            remove()
        end)

        for title, replace in pairs {
            ["the socket of another listener"] = function()
                assert(os.remove(path))
                keep(assert(listen("unix:" .. path)))
            end,
            ["the socket of another one that was moved there"] = function()
                keep(assert(listen("unix:" .. path .. "2")))
                assert(os.rename(path .. "2", path))
            end,
            ["a file of another kind"] = function()
                assert(os.remove(path))
                assert(io.open(path, "w")):close()
            end,
            ["a link, even one to its own socket"] = function()
                assert(os.rename(path, path .. "2"))
                assert(unistd.link(path .. "2", path, true))
            end,
        } do
            it(title, function()
                local _, _, listening = listen("unix:" .. path)
                replace()
                local before = sys_stat.lstat(path).st_ino
                C.tcp_listen_close(listening[1])
                assert.equal(before, sys_stat.lstat(path).st_ino)
            end)
        end
    end)

    it("takes a unix socket's path over from whoever leaves it, and from nobody else", function()
        local folder, remove = transport.folder()
        finally(remove)
        local path = folder .. "/socket"
        local asked = 0
        local function start(answer)
            local leaves = ffi.cast("bool (*)(const char *)", function(of)
                asked = asked + 1
                assert.equal(path, ffi.string(of))
                return answer
            end)
            local fds, code, why_or_listening = listen("unix:" .. path, 0, false, leaves)
            leaves:free()
            return fds, code, why_or_listening
        end
        local first, _, first_listening = start(false)
        assert.equal(0, asked) -- nobody was there
        assert.matches("is in use", select(3, start(false)))
        assert.equal(1, asked)
        local second = keep(assert(start(true)))
        C.tcp_listen_close(first_listening[1])
        assert.is_true(first[1] ~= second[1])
        local client, status = connect(second[1])
        assert.equal(0, status)
        ffi.C.close(client)
        ffi.C.close((accept(second[1])))
    end)

    it("reports a refused connection", function()
        local fds, _, listening = listen "127.0.0.1"
        local fd = fds[1]
        local at, len = ffi.new "struct mw_any_address", ffi.new "socklen_t[1]"
        len[0] = ffi.sizeof(at)
        ffi.C.getsockname(fd, at, len)
        C.tcp_listen_close(listening[1])
        local client = C.tcp_connect(ffi.cast("const struct sockaddr *", at), len[0])
        if client >= 0 then -- else it was refused at once
            transport.wait(client, true)
            client = C.tcp_connected(client)
        end
        assert.equal(C.ERR_IO, client)
        assert.equal(111, ffi.errno()) -- ECONNREFUSED
    end)

    it("keeps an IPv4-mapped address as IPv4", function()
        local mapped = ffi.new("uint8_t[28]", { 10, 0, 0x1f, 0x90 })
        mapped[18], mapped[19] = 255, 255
        mapped[20], mapped[21], mapped[22], mapped[23] = 10, 1, 2, 3
        local a = ffi.new "struct address"
        C.address_from(a, ffi.cast("const struct sockaddr *", mapped), 28)
        assert.equal("10.1.2.3", transport.address(a))
        assert.equal(8080, a.port)
        assert.equal(("\10\1\2\3" .. ("\0"):rep(12)), ffi.string(a.bytes, 16))
    end)
end)
