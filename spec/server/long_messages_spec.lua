-- Messages that come in pieces and become strings where they lie (src/script/long_string.h), and
-- how much of them is garbage at once (src/script/collector.h).

local deflate = require "spec.support.deflate"
local frame = require "spec.support.frame"
local servers = require "spec.support.server"

-- One byte more than a multiple of LuaJIT's padding, and so on; around the least that is taken
-- where it lies, and larger than a single read.
local lengths = {}
for _, about in ipairs { 16384, 40000, 70000, 300000 } do
    for more = -1, 3 do
        lengths[#lengths + 1] = about + more
    end
end

local function pattern(len)
    return (("%d, äöü; "):format(len)):rep(len / 8):sub(1, len - 1) .. "."
end

describe("Long messages", function()
    local server

    after_each(function()
        server:stop()
    end)

    -- Lua has each text once, so one that it makes itself is found equal only if the message's
    -- bytes, length and hash are right.
    local app = [[
        local mw = require "moonwire"
        local function pattern(len)
            return (("%d, äöü; "):format(len)):rep(len / 8):sub(1, len - 1) .. "."
        end
        local kept = {}
        local function take(ws, data, is_binary)
            if data == "check" then
                collectgarbage()
                for i, text in ipairs(kept) do
                    assert(text == pattern(#text), "message " .. i .. " is another")
                end
                ws:send("all " .. #kept)
                kept = {}
            else
                kept[#kept + 1] = data
                ws:send(data, is_binary)
            end
        end
        mw.ws("/", { on_message = take })
        mw.ws("/waits", { on_message = function(ws, data, is_binary)
            mw.sleep "1ms" -- what comes meanwhile is held back
            take(ws, data, is_binary)
        end })
        mw.ws("/reads", { on_open = function(ws)
            mw.spawn(function()
                while true do
                    local data, is_binary = ws:receive()
                    if not data then return end
                    take(ws, data, is_binary)
                end
            end)
        end })
        mw.ws("/packed", {
            on_message = take,
            compress = { min_bytes = 0, client_no_context_takeover = true },
        })
    ]]

    -- Each length as opcode; answers of any kind must say the same.
    local function echo_all(p, opcode, send)
        for _, len in ipairs(lengths) do
            send(p, opcode, pattern(len))
        end
        for _, len in ipairs(lengths) do
            local got, payload = p:read_frame()
            assert.are.equal(opcode, got)
            assert.is_true(payload == pattern(len))
        end
        assert.are.equal("all " .. #lengths, p:ask "check")
    end

    local function whole(p, opcode, payload)
        p:frame(opcode, payload)
    end

    local function in_three(p, opcode, payload)
        local third = math.floor(#payload / 3)
        p:frame(opcode, payload:sub(1, third), { fin = false })
        p:frame(frame.CONTINUATION, payload:sub(third + 1, 2 * third), { fin = false })
        p:frame(frame.CONTINUATION, payload:sub(2 * third + 1))
    end

    it("are the strings that were sent", function()
        server = servers.start(app)
        local p = server:websocket "/"
        for _, send in ipairs { whole, in_three } do
            echo_all(p, frame.BINARY, send)
        end
        -- UTF-8 must not be cut in the middle by length.
        for _, len in ipairs { 16385, 70002, 300003 } do
            local text = ("x"):rep(len)
            p:text(text)
            assert.is_true(p:read_text() == text)
        end
    end)

    it("are the strings that were sent, also compressed", function()
        server = servers.start(app)
        local offer = "permessage-deflate; client_no_context_takeover"
        local p = server:websocket("/packed", {
            fields = { ["Sec-WebSocket-Extensions"] = offer },
        })
        local back = deflate.inflater()
        for _, len in ipairs(lengths) do
            p:frame(frame.BINARY, deflate.deflater():deflate(pattern(len)), { rsv1 = true })
            local _, payload = p:read_frame()
            assert.is_true(back:inflate(payload) == pattern(len))
        end
        p:text "check"
        local _, answer = p:read_frame()
        assert.are.equal("all " .. #lengths, back:inflate(answer))
    end)

    it("are the same again, when Lua has that string already", function()
        server = servers.start(app)
        local p = server:websocket "/"
        for _ = 1, 3 do
            p:frame(frame.BINARY, pattern(200001))
        end
        for _ = 1, 3 do
            local _, payload = p:read_frame()
            assert.is_true(payload == pattern(200001))
        end
        assert.are.equal("all 3", p:ask "check")
    end)

    it("are the same for hooks that wait, and for ws:receive", function()
        server = servers.start(app)
        for _, path in ipairs { "/waits", "/reads" } do
            echo_all(server:websocket(path), frame.BINARY, whole)
        end
    end)

    it("are the same when finalisers make strings of that length meanwhile", function()
        server = servers.start(app .. [[
            local len = 100001
            local function trouble()
                local u = newproxy(true)
                getmetatable(u).__gc = function()
                    local text = ("z"):rep(len)
                    assert(#text == len)
                    trouble()
                end
            end
            for _ = 1, 200 do trouble() end
        ]])
        local p = server:websocket "/"
        for _ = 1, 20 do
            p:frame(frame.BINARY, pattern(100001))
            local _, payload = p:read_frame()
            assert.is_true(payload == pattern(100001))
        end
        assert.are.equal("all 20", p:ask "check")
    end)

    it("have one block of memory, not a second one for the string", function()
        server = servers.start [==[
            local ffi = require "ffi"
            ffi.cdef [=[
                struct mallinfo2 { size_t v[10]; };
                struct mallinfo2 mallinfo2(void);
            ]=]
            local mw = require "moonwire"
            local before
            mw.ws("/", { limits = { message_bytes = "8M" }, on_message = function(ws, data)
                collectgarbage() collectgarbage()
                local used = tonumber(ffi.C.mallinfo2().v[7]) -- uordblks
                ws:send(tostring(before and used - before))
                before = used
            end })
        ]==]
        local p = server:websocket "/"
        p:ask "once" p:ask "again"
        local len = 4 * 1024 * 1024
        local more = tonumber(p:ask(("x"):rep(len)))
        if more > 0 then -- a sanitizer's blocks are not the C library's
            assert.is_true(more >= len and more < 1.25 * len)
        end
    end)

    -- The most that Lua holds, in MiB, while so many texts of nearly 1 MiB come, no two the same.
    local function most_held(p, count)
        local rest = ("x"):rep(1000000)
        for i = 1, count do
            p:frame(frame.TEXT, ("%3d"):format(i) .. rest, { key = "\0\0\0\0" })
        end
        return tonumber(p:ask "most")
    end

    local counting = [[
        local mw = require "moonwire"
        local most = 0
        mw.ws("/", { on_message = function(ws, data)
            most = math.max(most, collectgarbage "count" / 1024)
            if data == "most" then ws:send(tostring(most)) end
        end })
    ]]

    it("are collected as they come: 60 of 1 MB never hold more than 20 MiB", function()
        server = servers.start(counting)
        assert.is_true(most_held(server:websocket "/", 60) < 20)
    end)

    it("are collected as they come where the app holds much", function()
        server = servers.start(counting .. [[
            held = {}
            for i = 1, 300000 do held[i] = { i } end
            collectgarbage()
            most = 0
        ]])
        local p = server:websocket "/"
        local holds = tonumber(p:ask "most")
        assert.is_true(holds > 16)
        assert.is_true(most_held(p, 80) < 2.5 * holds)
    end)

    it("are left alone where the app has stopped the collector", function()
        server = servers.start(counting .. 'collectgarbage "stop"')
        assert.is_true(most_held(server:websocket "/", 60) > 50)
    end)

    it("say so when a finaliser raises as they are collected, and go on", function()
        server = servers.start(counting .. [[
            local u = newproxy(true)
            getmetatable(u).__gc = function() error "a finaliser of the app" end
            u = nil
        ]])
        assert.is_true(most_held(server:websocket "/", 60) < 20)
        server:logged "a finaliser of the app"
    end)
end)
