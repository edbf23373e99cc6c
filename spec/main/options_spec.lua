-- The command line of the real binary: what it takes, and what it says when it cannot start.

local certificates = require "spec.support.certificates"
local process = require "spec.support.process"
local socket = require "socket"

local app = [[
local mw = require "moonwire"
mw.get("/arg", function() return table.concat(arg, " ") end)
mw.post("/b/:c", function() return "" end)
mw.ws("/chat/:room", { on_message = function(ws, data) ws:send(data) end })
]]

describe("moonwire", function()
    local folder = process.fresh_folder()
    local path

    before_each(function()
        path = folder:write("app.lua", app)
    end)

    -- One line on standard error, nothing on standard output, and the status.
    local function fails(status, pattern, arguments)
        local run = process.run(arguments)
        assert.equal("", run.out)
        assert.truthy(run.err:match "^moonwire: [^\n]+\n$", "not one line: " .. run.err)
        assert.truthy(run.err:find(pattern), run.err)
        assert.equal(status, run.status)
    end

    it("prints its version and those that it runs with", function()
        for _, option in ipairs { "--version", "-V" } do
            local run = process.run { option }
            assert.equal(0, run.status)
            assert.equal("", run.err)
            for _, pattern in ipairs {
                "^moonwire %d+%.%d+%.%d+\n", "\nLuaJIT 2%.%d", "\nlibev %d+%.%d+\n",
                "\nOpenSSL 3%.", "\nzlib 1%.",
            } do
                assert.truthy(run.out:find(pattern), pattern .. " is not in " .. run.out)
            end
        end
    end)

    it("prints on one screen how it is used", function()
        for _, option in ipairs { "--help", "-h" } do
            local run = process.run { option }
            assert.equal(0, run.status)
            assert.equal("", run.err)
            local _, lines = run.out:gsub("[^\n]*\n", function(line)
                assert.is_true(#line <= 81, line)
            end)
            assert.is_true(lines <= 40, lines .. " lines")
        end
    end)

    it("names in its help and its manual the same options as it knows", function()
        local help = process.run({ "--help" }).out
        local file = assert(io.open "docs/moonwire.1")
        local manual = file:read("*a"):gsub("\\%-", "-")
        file:close()
        for name in help:gmatch "\n  (%-%-%a[%a-]*)" do
            assert.truthy(manual:find(name, 1, true), name .. " is not in the manual")
            local run = process.run { name .. "=" }
            assert.is_nil(run.err:find "unknown option", name)
        end
    end)

    describe("with a wrong command line", function()
        it("asks for the app", function()
            fails(2, "which app%? write moonwire APP%.lua", {})
            fails(2, "which app%?", { "run" })
        end)

        it("suggests the nearest option", function()
            fails(2, "option %-%-lisen; did you mean %-%-listen%?", { path, "--lisen", "1" })
            fails(2, "did you mean %-%-log%-level%?", { "--loglevel=info", path })
            fails(2, "did you mean %-%-version%?", { "--verison" })
            fails(2, "did you mean %-%-version%?", { "--ver" })
            fails(2, "unknown option %-%-port; write %-%-listen 8080", { path, "--port=80" })
            fails(2, "unknown option %-%-host; write %-%-listen HOST:PORT", { "--host", "x", path })
            fails(2, "unknown option %-v; write %-%-version, or %-%-log%-level debug", { "-v" })
        end)

        it("suggests nothing when nothing is near", function()
            fails(2, "option %-%-frobnicate; see moonwire %-%-help", { path, "--frobnicate" })
            fails(2, "unknown option %-x;", { "-x", path })
        end)

        it("says what a value may be", function()
            fails(2, "%-%-workers 0: write a number from 1 to 256, or auto", { "--workers", "0" })
            fails(2, "%-%-workers 257:", { path, "--workers=257" })
            fails(2, "%-%-workers 2x:", { path, "--workers", "2x" })
            fails(2, "%-%-workers needs a number, or auto", { path, "--workers" })
            fails(2, "%-%-log%-level loud: write debug, info", { "--log-level", "loud" })
            fails(2, "%-%-log%-format xml: write text or json", { path, "--log-format", "xml" })
            fails(2, "%-%-check takes no value", { path, "--check=yes" })
        end)

        it("refuses what is not an address", function()
            for _, address in ipairs {
                "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:80", "[]:80",
                "[::1]80", "unix:", "", "localhost:-1", "1:2:3",
            } do
                fails(2, "not an address; write HOST:PORT", { path, "--listen", address })
            end
        end)
    end)

    describe("that cannot start", function()
        local function fails_to_start(pattern, ...)
            fails(1, pattern, { ... })
        end

        it("names a file that is not there", function()
            fails_to_start("/no/such/app%.lua", "/no/such/app.lua")
        end)

        it("names a folder that is no file", function()
            fails(2, folder.path:gsub("%p", "%%%0") .. " is a folder", { folder.path })
        end)

        it("tells file and line of a syntax error", function()
            local bad = folder:write("bad.lua", "local a = 1\nlocal = 2\n")
            fails_to_start("bad%.lua:2: ", bad, "--listen", "127.0.0.1:0")
        end)

        it("tells file and line of an error at the top level", function()
            local bad = folder:write("bad.lua", "\n\nerror 'out of cheese'\n")
            fails_to_start("bad%.lua:3: out of cheese", bad, "--listen", "127.0.0.1:0")
        end)

        it("asks for a listener", function()
            fails_to_start("call mw%.listen{port=8080}.*or give %-%-listen", path)
        end)

        it("tells which port is in use", function()
            local taken = assert(socket.bind("127.0.0.1", 0))
            local _, port = taken:getsockname()
            fails_to_start("port " .. port .. " on 127%.0%.0%.1 is in use", path, "--listen",
                "127.0.0.1:" .. port)
            taken:close()
        end)

        it("tells which file is no socket, and leaves it alone", function()
            local file = folder:write("taken.sock", "mine")
            fails_to_start("taken%.sock exists and is not a socket", path,
                "--listen=unix:" .. file)
            assert.is_true(process.exists(file))
        end)

        it("tells which certificate cannot be read", function()
            local bad = folder:write("tls.lua", [[
                local mw = require "moonwire"
                mw.listen { port = 0, tls = { cert = "/no/such/cert.pem", key = "/key.pem" } }
            ]])
            fails_to_start("/no/such/cert%.pem", bad)
            fails_to_start("/no/such/cert%.pem", "--check", bad)
        end)

        it("tells that a key does not belong to its certificate", function()
            for _, name in ipairs { "a", "b" } do
                certificates.make(folder.path, name, { "localhost" })
            end
            local bad = folder:write("tls.lua", ([[
                local mw = require "moonwire"
                mw.listen { port = 0, tls = { cert = "%s/a.pem", key = "%s/b.key" } }
            ]]):format(folder.path, folder.path))
            fails_to_start("b%.key.*a%.pem", bad)
        end)

        it("leaves nothing open when the second of two listeners fails", function()
            local taken = assert(socket.bind("127.0.0.1", 0))
            local _, port = taken:getsockname()
            local unix = folder.path .. "/first.sock"
            fails_to_start("in use", path, "--listen", "unix:" .. unix,
                "--listen", "127.0.0.1:" .. port)
            assert.is_false(process.exists(unix))
            taken:close()
        end)

        it("says it in one line whatever the error's text holds", function()
            local bad = folder:write("bad.lua", "error('one\\27[31m\\ntwo')")
            fails_to_start("bad%.lua:1: one %[31m", bad)
        end)

        it("wants the same routes in every worker", function()
            local bad = folder:write("bad.lua", [[
                local mw = require "moonwire"
                mw.get("/" .. tostring({}):gsub("%W", ""), function() end)
                mw.listen { port = 0 }
            ]])
            fails_to_start("must declare the same routes .*, but route number %d+ is %S+ in worker "
                .. "1 and %S+ in worker 2", bad, "--workers", "2")
        end)
    end)

    describe("--check", function()
        it("prints routes and listeners and serves nothing", function()
            assert(require("posix.sys.stat").mkdir(folder.path .. "/public"))
            local file = folder:write("listens.lua", app .. [[
                mw.static("/files", "public")
                mw.listen { port = 8080 }
                mw.listen { port = 8443, host = "::1", tls = true }
            ]])
            local run = process.run { "--check", file }
            assert.equal(0, run.status)
            for _, line in ipairs {
                "  GET /arg\n", "  POST /b/:c\n", "  websocket /chat/:room\n", "  static /files",
                "  http://localhost:8080\n", "  https://[::1]:8443\n",
            } do
                assert.truthy(run.out:find(line, 1, true), line .. " is not in " .. run.out)
            end
        end)

        it("fails as a start would when the app is broken", function()
            fails(1, "bad%.lua:1: ", { "--check", folder:write("bad.lua", "nonsense") })
        end)

        it("wants no listener of an app that will be given one", function()
            local run = process.run { "--check", path }
            assert.equal(0, run.status)
            assert.truthy(run.out:find "none: call mw%.listen{port=8080}, or give %-%-listen")
        end)
    end)
end)
