-- moonwire connect URL: sends the lines of standard input, prints the messages.

local concurrent = require "moonwire.waiting.concurrent"
local inspect = require "moonwire.commands.inspect"
local prompt = require "moonwire.commands.prompt"
local task = require "moonwire.waiting.task"
local timer = require "moonwire.waiting.timer"
local units = require "moonwire.base.units"
local websocket = require "moonwire.websocket"

local M = {}

local HEX_BYTES = 512 -- of a binary message are shown

local help = [[
moonwire connect - a WebSocket at the command line

  moonwire connect URL [options]

Sends each line of standard input as a message and prints the messages that come.
Binary ones are shown as a hex dump. Ctrl-D closes. URL: ws, wss, http or https; ws if
it has none of them, as in localhost:8080/chat.

  --protocol NAME      offer this subprotocol; may be repeated
  --header NAME:VALUE  send this header; may be repeated
  --origin ORIGIN      the same for Origin
  --compress           offer permessage-deflate
  --ca FILE            PEM file of the authorities to trust, not the system's
  --cert FILE          PEM file of a client certificate
  --key FILE           PEM file of its key, if that is not in it
  --insecure           do not verify the server's certificate
  --timeout DURATION   for connecting and for the handshake (default 10s)
  --wait DURATION      when the input ends that is not a terminal: close when no message
                       has come for so long (default 1s)
  --help               this text
]]

local function usage(text)
    io.stderr:write("moonwire: connect: ", text, "; see moonwire connect --help\n")
    task.exit(2)
end

local takes = { protocol = true, header = true, origin = true, ca = true, cert = true, key = true,
    timeout = true, wait = true }
local flags = { compress = true, insecure = true, help = true }

-- { url =, protocols = {}, headers = {}, name = value }
local function parse(arguments)
    local out = { protocols = {}, headers = {} }
    local at = 1
    while arguments[at] do
        local text = arguments[at]
        local name, value = string.match(text, "^%-%-([%w-]+)=?(.*)$")
        if name and takes[name] then
            if not string.find(text, "=") then
                at = at + 1
                value = arguments[at] or usage(string.format("--%s wants a value", name))
            end
            if name == "protocol" then
                table.insert(out.protocols, value)
            elseif name == "header" then
                local field, content = string.match(value, "^([^:]+):%s*(.-)%s*$")
                if not field then
                    usage(string.format("--header %s: write NAME:VALUE", value))
                end
                out.headers[field] = out.headers[field] or {}
                table.insert(out.headers[field], content)
            else
                out[name] = value
            end
        elseif name and flags[name] then
            out[name] = true
        elseif string.find(text, "^%-.") then
            usage(string.format("unknown option %s", text))
        elseif out.url then
            usage(string.format("%s: one URL only", text))
        else
            out.url = text
        end
        at = at + 1
    end
    return out
end

local function open(options)
    if options.origin then
        options.headers.Origin = options.origin
    end
    if not string.find(options.url, "^%a[%w+.-]*://") and string.find(options.url, "[.:/%[]") then
        options.url = "ws://" .. (string.find(options.url, "^:?%d+%f[/%z]") and "localhost:" or "")
            .. string.gsub(options.url, "^:", "")
    end
    -- Without the place in our code that raises it.
    local ok, ws = pcall(websocket.new, options.url, options.protocols, {
        headers = options.headers,
        compress = options.compress,
        ca_file = options.ca, cert = options.cert, key = options.key,
        insecure = options.insecure,
        connect_timeout = options.timeout, handshake_timeout = options.timeout,
    })
    if not ok then
        usage((string.gsub(ws, "^[^:]*:%d+: ", "")))
    end
    if options.insecure and string.find(ws.url, "^wss:") then
        io.stderr:write("moonwire: the server's certificate is not verified\n")
    end
    return ws
end

local function describe(ws)
    local text = "connected"
    if ws.protocol ~= "" then
        text = text .. ", subprotocol " .. ws.protocol
    end
    if ws.extensions ~= "" then
        text = text .. ", " .. ws.extensions
    end
    return text
end

-- A slow server: waits until the system has taken what was sent.
local function drained(ws)
    concurrent.await(function(resume)
        ws:addEventListener("drain", resume, { once = true })
        ws:addEventListener("close", resume, { once = true })
    end)
end

-- Sends lines until the input ends or the connection does.
local function send_lines(ws, terminal)
    while true do
        local line = terminal:read "> "
        if not line then
            return
        end
        local ok, sent, queued = pcall(ws.send, ws, line)
        if not ok then
            io.stderr:write("not sent: this line is not UTF-8\n")
        elseif not sent then
            return
        elseif queued == "queued" then
            drained(ws)
        end
    end
end

local function show_message(terminal, data, is_binary, interactive)
    if is_binary then
        terminal:print(string.format("%sbinary, %d bytes%s%s", interactive and "< " or "", #data,
            #data > 0 and "\n" or "", inspect.hex(data, HEX_BYTES)))
    elseif interactive then
        terminal:print("< " .. inspect.harmless(data))
    else
        terminal:print(data)
    end
end

-- The input has ended. What answers it may still be on its way.
local function close_after_silence(ws, silence)
    local last
    ws:addEventListener("message", function()
        last = true
    end)
    repeat
        last = false
        timer.sleep(silence)
    until not last
    ws:close(1000)
end

-- Waits for the close event.
local function talk(ws, terminal, interactive, silence, ending)
    local sender = concurrent.spawn(function()
        send_lines(ws, terminal)
        ending.asked = true
        if interactive then
            ws:close(1000)
        else
            close_after_silence(ws, silence)
        end
    end)
    concurrent.await(function(resume)
        ws:addEventListener("close", resume)
    end)
    sender:cancel()
end

-- Ends the process: 0 for a close as it should be. The user knows of one that the end of the input
-- has asked for.
local function tell_end(ending, interactive)
    local code, reason = ending.event.code, inspect.harmless(ending.event.reason)
    local fine = code == 1000 or code == 1005
    if reason == "" and code == 1006 then
        reason = inspect.harmless(ending.problem or "")
    end
    if interactive or not fine or not ending.asked then
        io.stderr:write(string.format("closed %d%s\n", code, reason ~= "" and " " .. reason or ""))
    end
    task.exit(fine and 0 or 1)
end

-- What is known of the connection's end: event and problem come before ws:opened() is back if the
-- server closes at once. asked: the input has ended, and the close is ours.
local function watch_end(ws)
    local ending = { event = nil, problem = nil, asked = false }
    ws.onclose = function(event)
        ending.event = event
    end
    ws.onerror = function(event)
        ending.problem = event.message
    end
    return ending
end

function M.run(...)
    local options = parse { ... }
    if options.help then
        io.write(help)
        return
    elseif not options.url then
        usage "which URL?"
    end
    local silence, problem = units.duration(options.wait or "1s")
    if not silence then
        usage("--wait: " .. problem)
    end
    local interactive = inspect.is_terminal(0) and inspect.is_terminal(1)
    local terminal = prompt.new()
    local ws = open(options)
    ws.onmessage = function(event)
        show_message(terminal, event.data, event.is_binary, interactive)
    end
    local ending = watch_end(ws)
    local ok, why = ws:opened()
    if not ok and not (ending.event and ending.event.wasClean) then
        if type(why) == "number" then
            why = string.format("closed with %d", why)
        end
        io.stderr:write("moonwire: ", options.url, ": ", why, "\n")
        task.exit(1)
    end
    if interactive then
        terminal:print(describe(ws))
    end
    if not ending.event then
        talk(ws, terminal, interactive, silence, ending)
    end
    terminal:close()
    tell_end(ending, interactive)
end

return M
