-- What an app's mistakes are told: what is wrong, and what to write instead.

local certificates = require "spec.support.certificates"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local cases = {
    ["mw.limits { message_byte = '4k' }"] = "limits%.message_byte does not exist; "
        .. "did you mean message_bytes%?",
    ["mw.limits { connections = '4k' }"] = 'expected a number, got "4k"',
    ["mw.limits { idle = 5 }"] = "did you mean idle_seconds%?",
    ["mw.ws('/', { compress = { levl = 3 } })"] = "compress%.levl does not exist; "
        .. "did you mean level%?",
    ["mw.listen { port = '80a' }"] = 'to 65535, got "80a"',
    ["mw.listen { port = {} }"] = "to 65535, got table",
    ["mw:get('/', print)"] = "mw:get: write mw%.get%(…%), with a dot",
    ["mw:ws '/'"] = "mw:ws: write mw%.ws",
    ["mw:listen { port = 1 }"] = "mw:listen: write mw%.listen",
    ["mw:publish('a', 'b')"] = "mw:publish: write mw%.publish",
    ["mw:sleep(1)"] = "mw:sleep: write mw%.sleep",
    ["mw:spawn(print)"] = "mw:spawn: write mw%.spawn",
    ["mw.log 'x'"] = "write mw%.log%.info%(text%)",
    ["mw.log.warning 'x'"] = "mw%.log%.warning does not exist; did you mean warn%?",
    ["mw.log.inof 'x'"] = "did you mean info%?",
    ["mw.log:info 'x'"] = "mw%.log:info: write mw%.log%.info%(…%), with a dot",
    ["mw.get('/', print) mw.get('/', print)"] = 'app%.lua:2: route "/": this path and method',
    ["mw.limits { header_count = 1e6 }"] = 'app%.lua:2: limit "header_count" is 1000000',
    ["mw.sleep(0.001) mw.get('/', print)"] = "this one has waited already",
    ["mw.listen { port = 1, host = '127.0.0.1' } local t = mw.after(0, print) t:stpo()"] =
        "attempt to call method 'stpo' %(a nil value%); did you mean timer:stop%?",
}

describe("An app's mistake", function()
    for code, text in pairs(cases) do
        it("is explained: " .. code, function()
            local folder = process.folder()
            local one = process.start {
                folder:write("app.lua", 'local mw = require "moonwire"\n' .. code) }
            one:wait()
            assert.equal(1, one.status)
            assert.matches("^moonwire: %S-app%.lua:2: ", one.err)
            assert.matches(text, one.err)
            assert.is_nil(one.err:find "route \"/\": route")
            one:finish()
            folder:remove()
        end)
    end

    it("is explained when a method does not exist", function()
        local server = servers.start [[
            local mw = require "moonwire"
            mw.ws("/", { on_message = function(ws, data) ws[data](ws, "x") end })
            mw.ws("/emit", { on_message = function(ws) ws:emit "x" end })
            mw.ws("/snd", { on_message = function(ws) ws:snd "x" end })
            mw.ws("/own", { on_message = function(ws) ws:quite_another "x" end })
            mw.get("/", function(req) req:set_heder() end)
        ]]
        for path, text in pairs { emit = "ws:send%?$", snd = "ws:send%?$",
            own = "'quite_another' %(a nil value%)$" } do
            server:websocket("/" .. path):text "x"
            server:logged("on_message of /" .. path .. " failed: .*" .. text)
        end
        server:get "/"
        server:logged "handler of GET / failed: .*did you mean req:set_header%?$"
        server:stop()
    end)
end)

describe("A listener", function()
    it("takes the digits of a string as its port, as the environment has them", function()
        local server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function() return "here" end)
            mw.listen { port = "0", host = "[::1]" }
        ]], { listen = {} })
        assert.matches("http://%[::1%]:%d+\n", server.process.err)
        server:stop()
    end)

    it("that the app lists twice is not another program's", function()
        local folder = process.folder()
        local one = process.start { folder:write("app.lua", [[
            local mw = require "moonwire"
            mw.get("/", print)
            local socket = "unix:" .. arg[0]:match "^(.*)/" .. "/socket"
            mw.listen { host = socket }
            mw.listen { host = socket }
        ]]) }
        assert.equal(1, one:wait().status)
        assert.matches("app%.lua:5: unix:%S+: the app listens there already %(%S+app%.lua:4%)",
            one.err)
        one:finish()
        folder:remove()
    end)

    it("with TLS answers plain HTTP with 400, and says why", function()
        local server = servers.start([[
            local mw = require "moonwire"
            mw.get("/", function() return "here" end)
            mw.listen { port = 0, host = "127.0.0.1", tls = { cert = "a.pem", key = "a.key" } }
        ]], {
            listen = {},
            setup = function(folder)
                certificates.make(folder.path, "a", { "a.test" })
            end,
        })
        for _, method in ipairs { "GET", "POST", "HEAD" } do
            local p = server:connect()
            p:send(method .. " / HTTP/1.1\r\nHost: a.test\r\n\r\n" .. ("x"):rep(100000))
            local answer = p:rest()
            assert.matches("^HTTP/1%.1 400 Bad Request\r\n", answer)
            local length = tonumber(answer:match "Content%-Length: (%d+)")
            local body = answer:match "\r\n\r\n(.*)$"
            assert.equal(length, #body)
            assert.matches("^this port speaks TLS: write https://", body)
        end
        local p = peer.connect(server.port)
        p:send "no request at all\r\n\r\n"
        assert.equal("", p:rest():match "HTTP" or "")
        p:close()
        server:stop()
    end)
end)
