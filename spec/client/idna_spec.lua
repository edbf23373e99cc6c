-- libidn2 is loaded for the first host name beyond ASCII, and not before.

local process = require "spec.support.process"

-- Prints the error or the URL, then which of the libraries are in the process.
local script = [[
    local WebSocket = require "moonwire.websocket"
    local function loaded()
        local text = assert(io.open "/proc/self/maps"):read "*a"
        return (text:find("libidn2", 1, true) and "libidn2 " or "")
            .. (text:find("libunistring", 1, true) and "libunistring" or "")
    end
    WebSocket.new("ws://xn.example:1/"):close()
    print("before: " .. loaded())
    local ok, ws = pcall(WebSocket.new, "ws://b\195\188cher.example:1/")
    print("url: " .. tostring(ok and ws.url or ws.message or ws))
    print("after: " .. loaded())
    os.exit(0)
]]

describe("A host name beyond ASCII", function()
    it("is what libidn2 is loaded for", function()
        local done = process.run { "-e", script }
        assert.equal("before: \nurl: ws://xn--bcher-kva.example:1/\nafter: libidn2 libunistring\n",
            done.out, done.err)
    end)

    it("is refused where libidn2 is missing, and all others are not", function()
        local libraries = process.folder()
        libraries:write("libidn2.so.0", "no library")
        local done = process.run({ "-e", script }, { env = { LD_LIBRARY_PATH = libraries.path } })
        libraries:remove()
        local why = done.out:match "^before: \nurl: .*(the URL's host .*)\nafter: \n$"
        assert.equal("the URL's host is a name beyond ASCII, which needs libidn2 (Debian: apt-get "
            .. "install libidn2-0), and that cannot be loaded", why, done.out .. done.err)
    end)
end)
