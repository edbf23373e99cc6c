-- Each way in which the file at a path becomes another, in watch mode.

local peer = require "spec.support.peer"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

describe("watch mode sees that the app is another one", function()
    local folder = process.fresh_folder()
    local server, port

    local function app(name)
        return ([[
            local mw = require "moonwire"
            mw.get("/", function() return %q end)
            mw.listen { port = 0 }
        ]]):format(name)
    end

    -- Runs a command of the shell in the folder.
    local function sh(command)
        shell(("cd '%s' && %s"):format(folder.path, command))
    end

    local function is(name)
        assert.equal(name, (peer.get(port, "/")))
    end

    -- In the folder at, a path from folder, as a shell is there that went there by this name.
    -- by: a program that runs it.
    local function start(path, at, options, by)
        server = process.start({ [0] = "sh", "-c", ("cd '%s/%s' && exec %s \"$0\" \"$@\""):format(
            folder.path, at or ".", by or ""), process.binary_path(), path, "--watch" }, options)
        port = server:port()
        is "one"
    end

    local function becomes(name, generation)
        assert.equal(generation or "2", (server:wait_for "generation (%d+) serves, after"))
        is(name)
    end

    after_each(function()
        server:signal "TERM"
        server:wait()
        assert.is_nil(server.err:find("Sanitizer", 1, true), server.err)
        server:finish()
    end)

    it("when it is written through a hard link in another folder", function()
        folder:write("app.lua", app "one")
        sh "mkdir other && ln app.lua other/name.lua"
        start "app.lua"
        folder:write("other/name.lua", app "two")
        becomes "two"
        -- One that was put in its place has no other name.
        folder:write("new.lua", app "three")
        sh "mv new.lua app.lua"
        becomes("three", "3")
        sh "ln -f app.lua other/name.lua"
        folder:write("other/name.lua", app "four")
        becomes("four", "4")
    end)

    it("when a module is written through a hard link", function()
        folder:write("app.lua", [[
            local mw = require "moonwire"
            local name = require "name"
            mw.get("/", function() return name end)
            mw.listen { port = 0 }
        ]])
        folder:write("name.lua", "return 'one'")
        sh "mkdir other && ln name.lua other/x"
        start "app.lua"
        folder:write("other/x", "return 'two'")
        becomes "two"
    end)

    it("when a program writes and does not close it", function()
        folder:write("app.lua", app "one")
        start "app.lua"
        local file = assert(io.open(folder.path .. "/app.lua", "r+"))
        file:write((app "two"))
        file:flush()
        becomes "two"
        file:close()
    end)

    -- Two releases, and what leads to the first one: a command, the path of the app, and a command
    -- that makes it lead to the other.
    local ways = {
        ["a link to it moves"] = { "ln -s a/app.lua app.lua", "app.lua",
            "ln -s b/app.lua new && mv -T new app.lua" },
        ["a link to its folder moves"] = { "ln -s a current", "current/app.lua",
            "ln -sfn b current" },
        ["a link to its folder is replaced"] = { "ln -s a current", "current/app.lua",
            "ln -s b new && mv -T new current" },
        ["a link far above it moves"] = {
            "mkdir -p a/x/y b/x/y && mv a/app.lua a/x/y && mv b/app.lua b/x/y && ln -s a current",
            "current/x/y/app.lua", "ln -s b new && mv -T new current" },
        ["a link behind a link moves"] = {
            "mkdir deep && ln -s ../a deep/link && ln -s deep/link current", "current/app.lua",
            "ln -s ../b new && mv -T new deep/link" },
        ["a link that leads up moves"] = {
            "mkdir -p deep/er && ln -s ../../a deep/er/link && ln -s deep/er/../er/link current",
            "current/app.lua", "ln -s ../../b new && mv -T new deep/er/link" },
        ["its folder is replaced"] = { "mv a current", "current/app.lua",
            "mv current old && mv b current" },
        ["a folder far above it is replaced"] = {
            "mkdir -p a/x/y b/x/y && mv a/app.lua a/x/y && mv b/app.lua b/x/y && mv a current",
            "current/x/y/app.lua", "mv current old && mv b current" },
    }
    for title, way in pairs(ways) do
        it("when " .. title, function()
            sh "mkdir a b"
            folder:write("a/app.lua", app "one")
            folder:write("b/app.lua", app "two")
            sh(way[1])
            start(way[2])
            sh(way[3])
            becomes "two"
            folder:write(way[2], app "three") -- and goes on to watch
            becomes("three", "3")
        end)
    end

    it("when the process was started within a link that moves", function()
        sh "mkdir a b && ln -s a current"
        folder:write("a/app.lua", app "one")
        folder:write("b/app.lua", app "two")
        start("app.lua", "current")
        sh "ln -s b new && mv -T new current"
        becomes "two"
        folder:write("b/app.lua", app "three")
        becomes("three", "3")
        sh "ln -s a new && mv -T new current" -- resolved anew, whoever asks for the reload
        becomes("one", "4")
    end)

    it("when the folder that it was started in is another, and PWD is not set", function()
        sh "mkdir -p a/in b/in"
        folder:write("a/in/app.lua", app "one")
        folder:write("b/in/app.lua", app "two")
        start("app.lua", "a/in", nil, "env -u PWD")
        sh "mv a c && mv b a"
        becomes "two"
    end)

    it("when a module is written where it is looked for before", function()
        folder:write("app.lua", [[
            local mw = require "moonwire"
            local name = require "name"
            mw.get("/", function() return name end)
            mw.listen { port = 0 }
        ]])
        sh "mkdir name"
        folder:write("name/init.lua", "return 'one'")
        start "app.lua"
        folder:write("name.lua", "return 'two'")
        becomes "two"
    end)

    -- A machine may forbid it.
    if pcall(shell, "unshare -m true 2>/dev/null") then
        it("when another is mounted over it, or taken away", function()
            folder:write("app.lua", app "one")
            sh "mkdir b"
            folder:write("b/app.lua", app "two")
            start("app.lua", ".", nil, "unshare -m")
            local inside = ("nsenter -t %d -m --wd=. "):format(server.pid)
            sh(inside .. "mount --bind b/app.lua app.lua")
            becomes "two"
            sh(inside .. "umount app.lua")
            becomes("one", "3")
        end)
    end

    it("within two seconds where the system cannot tell", function()
        folder:write("app.lua", app "one")
        local library = preload.build(folder, "network", [[
            #include <sys/inotify.h>
            #include <sys/vfs.h>
            int statfs(const char *path, struct statfs *out)
            {
                (void)path;
                *out = (struct statfs){.f_type = 0x6969};
                return 0;
            }
            int inotify_add_watch(int fd, const char *path, uint32_t mask)
            {
                (void)fd;
                (void)path;
                (void)mask;
                return 1;
            }
        ]])
        start("app.lua", ".", { env = preload.env(library) })
        folder:write("app.lua", app "two")
        becomes "two"
        folder:write("app.lua", app "three")
        becomes("three", "3")
    end)

    it("within two seconds where the system does not let a folder be watched", function()
        folder:write("app.lua", app "one")
        local library = preload.build(folder, "refused", [[
            #include <errno.h>
            #include <stdint.h>
            int inotify_add_watch(int fd, const char *path, uint32_t mask)
            {
                (void)fd;
                (void)path;
                (void)mask;
                errno = ENOSPC;
                return -1;
            }
        ]])
        start("app.lua", ".", { env = preload.env(library) })
        server:wait_for "is not watched for changes, but looked at every 2 seconds: No space"
        folder:write("app.lua", app "two")
        becomes "two"
    end)
end)
