-- A thousand edits, a tenth of them broken, saved as editors do, while clients of all kinds talk
-- (talk.js) and look at every message.

local cjson = require "cjson"
local figures = require "spec.torture.figures"
local certificates = require "spec.support.certificates"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local shell = require "spec.support.shell"
local socket = require "socket"

local EDITS = figures.pick(1000, 40)
local CLIENTS = figures.pick(500, 60)
local RATE = figures.pick(4000, 1000)
local MODULES = 5

local app = [[
local mw = require "moonwire"
local version = @VERSION@
mw.limits { reload_seconds = 30 }
for i = 1, @MODULES@ do
    -- A checkout is seen whole.
    assert(require("parts.part" .. i) == version or version == 0, "half of an edit")
end
if version % 3 == 1 then mw.ws "/other" end -- so that the indices of routes change
local talk = mw.ws("/", {
    compress = { min_bytes = 0, level = version % 9 + 1 },
    limits = { queued_bytes = "64M" },
})
function talk.on_open(ws)
    ws.state = { counted = 0 }
    ws:subscribe "all"
end
function talk.on_message(ws, data)
    local state = ws.state
    state.counted = state.counted + 1
    local index, number, filler = data:match "^(%d+) (%d+) (%d+)"
    if state.waits then mw.sleep(0.002) end
    ws:send(("echo %d %s %s %d %s"):format(version, index, number, state.counted,
        ("x"):rep(tonumber(filler))))
    -- Not the first of all: not everybody is there yet.
    if tonumber(index) >= 4 and tonumber(index) < 8 and tonumber(number) > 1 then
        ws:publish("all", ("cast %d %s %s"):format(version, index, number))
    end
    state.waits = state.counted % 100 == tonumber(index) % 100
end
function talk.on_reload(ws, from, to)
    assert(to > from)
    if (to + ws.id) % 4 == 0 then mw.sleep(0.001) end
end
mw.every("10ms", function() mw.keep("ticks")[1] = version end)
mw.listen { port = 0, host = "127.0.0.1" }
mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
]]

-- What is appended to make it a broken one; nothing of it may be seen.
local broken = {
    "\nthis is broken",
    "\nerror 'the top level raises'",
    "\ntalk.on_message = 5",
    "\nmw.listen { port = %d, host = '127.0.0.1' }",
    "\nrequire 'parts.missing'",
}

local function part(version)
    return ("-- %s\nreturn %d\n"):format(("x"):rep(200), version)
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

-- Each saves app.lua and the parts.
local savers = {}

local function save_parts(folder, version, save)
    for i = 1, MODULES do
        save(("%s/parts/part%d.lua"):format(folder, i), part(version))
    end
end

function savers.in_place(folder, version, text)
    save_parts(folder, version, write)
    write(folder .. "/app.lua", text)
end

function savers.renamed(folder, version, text)
    local function save(path, bytes)
        write(path .. "~", bytes)
        assert(os.rename(path .. "~", path))
    end
    save_parts(folder, version, save)
    save(folder .. "/app.lua", text)
end

function savers.in_two_writes(folder, version, text)
    save_parts(folder, version, write)
    local file = assert(io.open(folder .. "/app.lua", "wb"))
    file:write(text:sub(1, 300))
    file:flush()
    socket.sleep(0.003) -- the editor's pause, not ours
    file:write(text:sub(301))
    file:close()
end

function savers.checked_out(folder, version, text)
    local git = ("git -c user.name=x -c user.email=x -c gc.auto=0 --git-dir='%s/.git'"):format(
        folder)
    local other = folder .. "/.other"
    savers.in_place(other, version, text)
    shell(("cd '%s' && %s --work-tree=. add -A . && %s --work-tree=. commit -qm %d"):format(other,
        git, git, version))
    shell(("cd '%s' && %s --work-tree=. checkout -qf HEAD -- ."):format(folder, git))
end

local order = { "in_place", "renamed", "in_two_writes", "checked_out" }

describe("edits while clients talk", function()
    local server, talk, taken

    before_each(function()
        local files = {}
        taken = assert(socket.bind("127.0.0.1", 0))
        server = servers.start((app:gsub("@VERSION@", "0"):gsub("@MODULES@", MODULES)), {
            listen = {}, arguments = { "--watch", "--workers", "2" }, files = files,
            setup = function(folder)
                shell(("mkdir '%s/parts' '%s/.other' '%s/.other/parts'"):format(folder.path,
                    folder.path, folder.path))
                shell(("git init -q '%s'"):format(folder.path))
                save_parts(folder.path, 0, write)
                certificates.make(folder.path, "a", { "localhost" })
            end,
        })
        local secure = server.process:port()
        talk = process.start({
            [0] = "node", "spec/torture/talk.js", ("ws://127.0.0.1:%d/"):format(server.port),
            ("wss://127.0.0.1:%d/"):format(secure), tostring(CLIENTS), tostring(RATE),
        }, { input = true })
        talk:wait_for("(open)", "out")
    end)

    after_each(function()
        taken:close()
        talk:finish()
        server:stop()
    end)

    local function text_of(edit)
        local text = app:gsub("@VERSION@", edit):gsub("@MODULES@", MODULES)
        if edit % 10 ~= 0 then
            return text
        end
        local _, port = taken:getsockname()
        return text .. broken[edit / 10 % #broken + 1]:format(port)
    end

    local function check_talk()
        if talk.out:find "failed" or talk.err ~= "" then
            error(talk.out .. talk.err .. server.process.err:sub(-3000), 0)
        end
    end

    it("lose, double and reorder nothing, and the last one serves", function()
        local began = socket.gettime()
        local times, failures = {}, 0
        for edit = 1, EDITS do
            savers[order[edit % #order + 1]](server.folder.path, edit, text_of(edit))
            -- Parts of an edit that were seen before its end are attempts of their own.
            local last
            repeat
                last = server:logged "reload.* serve.*"
                check_talk()
            until edit % 10 == 0 and last:find "failed" or last:find "serves, after"
            if last:find "failed" then
                failures = failures + 1
            else
                times[#times + 1] = tonumber(last:match "after ([%d.]+) ms")
            end
        end
        -- Its pipe is closed when it has stopped by itself: it has said why.
        pcall(talk.write, talk, ("stop %d\n"):format(EDITS % 10 == 0 and EDITS - 1 or EDITS))
        local ok, text = pcall(talk.wait_for, talk, "^({.*})$", "out")
        check_talk()
        assert(ok, text)
        local said = cjson.decode(text)
        local median, _, most = figures.spread(times)
        figures.say("edits: %d (%d refused) in %.0f s, %d connections on 2 workers: %d answers and "
            .. "%d broadcasts, all there once and in order; %d first answers of newer code; %d "
            .. "messages in fragments, %.0f MB to slow readers; save to switch %.1f ms (median), "
            .. "%.1f ms (longest)", EDITS, failures, socket.gettime() - began, said.connections,
            said.answers, said.casts, said.edited, said.fragmented, said.bigBytes / 1e6, median,
            most)
        assert.is_true(failures >= EDITS / 10)
    end)
end)
