-- moonwire repl: Lua at a prompt, with the loop running.

local failure = require "moonwire.base.failure"
local inspect = require "moonwire.commands.inspect"
local library = require "moonwire.base.library"
local prompt = require "moonwire.commands.prompt"
local task = require "moonwire.waiting.task"
local websocket = require "moonwire.websocket"

local M = {}

local history = os.getenv "HOME" and os.getenv "HOME" .. "/.moonwire_history"

local welcome = [[
moonwire: Lua with its loop running. mw and WebSocket are there:
  ws = WebSocket.new "wss://example.com/"     events are printed as they come
  ws:send "hello"   ws:close()   mw.sleep "1s"   mw.every("1s", f)
An expression's value is printed, _ is the last one. Ctrl-D ends.]]

local terminal

-- print(), above the prompt.
local function print_above(...)
    local texts = {}
    for i = 1, select("#", ...) do
        texts[i] = tostring((select(i, ...)))
    end
    terminal:print(table.concat(texts, "\t"))
end

-- ---- WebSockets that tell what happens ------------------------------------------------------

local function name_of(ws)
    return string.format("ws %s", ws.url)
end

local telling = {
    open = function()
        return "open"
    end,
    message = function(event)
        if event.is_binary then
            return string.format("binary, %d bytes\n%s", #event.data, inspect.hex(event.data, 512))
        end
        return "message " .. inspect.value(event.data)
    end,
    error = function(event)
        return "error " .. inspect.harmless(event.message)
    end,
    close = function(event)
        return string.format("close %d%s%s", event.code,
            event.reason ~= "" and " " .. inspect.value(event.reason) or "",
            event.wasClean and "" or " (not clean)")
    end,
}

local function new_websocket(...)
    local ws = websocket.new(...)
    for kind, tell in pairs(telling) do
        ws:addEventListener(kind, function(event)
            terminal:print(string.format("%s: %s", name_of(ws), tell(event)))
        end)
    end
    return ws
end

-- The class, whose objects print their events.
local function telling_class()
    return setmetatable({ new = new_websocket }, {
        __index = websocket,
        __call = function(_, ...)
            return new_websocket(...)
        end,
    })
end

-- ---- reading and evaluating -----------------------------------------------------------------

-- A function, or nil and a text; "more": the text goes on in the next line.
local function compile(text)
    local chunk = loadstring("return " .. text, "=repl")
    if chunk then
        return chunk
    end
    local problem
    chunk, problem = loadstring(text, "=repl")
    if not chunk and string.find(problem, "'<eof>'$") then
        return nil, "more"
    end
    return chunk, problem
end

-- Lines until they make a program, or "" for one that is given up; nil at the end.
local function read()
    local text = terminal:read "> "
    while text do
        local chunk, problem = compile(text)
        if chunk then
            return chunk
        elseif problem ~= "more" then
            terminal:print(problem)
            return false
        end
        local more = terminal:read ">> "
        if not more or more == "" then
            terminal:print "given up"
            return false
        end
        text = text .. "\n" .. more
    end
end

local function show(ok, ...)
    local count = select("#", ...)
    if not ok then
        local problem = failure.opened(...)
        terminal:print(inspect.harmless(problem.text .. problem.trace))
    elseif count > 0 then
        rawset(library.globals, "_", (...))
        local texts = {}
        for i = 1, count do
            texts[i] = inspect.value((select(i, ...)))
        end
        terminal:print(table.concat(texts, "\t"))
    end
end

function M.run(mw)
    terminal = prompt.new(history)
    rawset(library.globals, "print", print_above)
    rawset(library.globals, "mw", mw)
    rawset(library.globals, "WebSocket", telling_class())
    if inspect.is_terminal(0) then
        terminal:print(welcome)
    end
    while true do
        local chunk = read()
        if chunk == nil then
            break
        elseif chunk then
            show(xpcall(chunk, failure.catch))
        end
    end
    terminal:close()
    task.exit(0)
end

return M
