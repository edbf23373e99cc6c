-- src/engine/ground/mask_keys.c: masking keys come from the kernel's generator, many at a time
-- (RFC 6455 §5.3: from a strong source, not to be foreseen).

local acceptors = require "spec.support.acceptor"
local frame = require "spec.support.frame"
local preload = require "spec.support.preload"
local process = require "spec.support.process"

local bit = require "bit"

-- Stands before getrandom(), and says at the end how often it was called. What is asked for at once
-- tells keys from the 16 bytes of the handshake. It is as it may be by its manual: interrupted and
-- giving less than was asked for (SHORT); or it works no more (FAIL: after how many calls).
local source = [[
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

static unsigned large, calls;

ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    static ssize_t (*real)(void *, size_t, unsigned);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getrandom");
    calls++;
    if (len <= 64 && !getenv("SHORT"))
        return real(out, len, flags);
    if (getenv("FAIL") && large >= (unsigned)atoi(getenv("FAIL"))) {
        errno = ENOSYS;
        return -1;
    }
    large++;
    if (getenv("SHORT") && calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return real(out, getenv("SHORT") && len > 7 ? 7 : len, flags);
}

__attribute__((destructor)) static void say(void)
{
    fprintf(stderr, "getrandom was called %u times\n", calls);
}
]]

describe("Masking keys", function()
    local acceptor = acceptors.fresh()
    local folder, library

    setup(function()
        folder = process.folder()
        library = preload.build(folder, "random", source)
    end)

    teardown(function()
        folder:remove()
    end)

    local script = [[
        local WebSocket = require "moonwire.websocket"
        local ws = WebSocket.new(arg[1])
        ws.onopen = function()
            local n = 0
            for i = 1, tonumber(arg[2]) do n = n + (ws:send(tostring(i)) and 1 or 0) end
            print("sent", n)
        end
        ws.onerror = function(e) print("error " .. tostring(e.message)) end
        ws.onclose = function(e) print("close", e.code, e.wasClean) end
    ]]

    local function client(frames, how)
        local one = acceptors.run(script, { acceptor:url "/", tostring(frames) },
            preload.env(library, how))
        table.insert(acceptor.clients, one)
        return one
    end

    -- Keys as four bytes; each payload must be right under its key.
    local function keys_of(peer, frames)
        local keys = {}
        for i = 1, frames do
            local head = assert(peer:bytes(2))
            local len = head:byte(2) - 128
            local key = assert(peer:bytes(4))
            assert(frame.mask(assert(peer:bytes(len)), key) == tostring(i))
            keys[i] = key
        end
        return keys
    end

    -- The keys of so many frames, and how often the kernel was asked.
    local function send(frames, how)
        local one = client(frames, how)
        local peer = acceptor:open()
        local keys = keys_of(peer, frames)
        peer:close()
        one:printed "^close"
        local _, err = one:ended()
        return keys, tonumber(err:match "getrandom was called (%d+) times")
    end

    local function look_random(keys)
        local seen, repeated, ones = {}, 0, {}
        for _, key in ipairs(keys) do
            repeated = repeated + (seen[key] and 1 or 0)
            seen[key] = true
            for byte = 1, 4 do
                for b = 0, 7 do
                    local at = byte * 8 + b
                    ones[at] = (ones[at] or 0) + bit.band(bit.rshift(key:byte(byte), b), 1)
                end
            end
        end
        assert.is_true(repeated <= 1, repeated) -- of 5,000 two are the same once in 340 runs
        for at = 8, 39 do -- each bit is 1 half the time: 14 standard deviations
            assert.is_true(ones[at] > 0.4 * #keys and ones[at] < 0.6 * #keys, at)
        end
    end

    it("of thousands of frames cost some system calls, and each bit of them varies", function()
        local _, few = send(1)
        local keys, many = send(5000)
        look_random(keys)
        assert.is_true(many > few and many - few <= 10, ("%d, %d"):format(few, many))
    end)

    it("are whole when the kernel gives less than it was asked for, or is interrupted", function()
        look_random((send(5000, { SHORT = "1" })))
    end)

    it("end the connection when the kernel gives none, and say so", function()
        local one = client(5000, { FAIL = "1" })
        local peer = acceptor:open()
        one:prints "sent\t1024"
        one:prints "error the system has no random bytes for masking keys (RFC 6455 §5.3)"
        one:prints "close\t1006\tfalse"
        -- Of the frames that had a key nothing goes out under another.
        local rest = peer:rest()
        assert.is_true(#rest < 1024 * 10, #rest)
        one:ended()
    end)

    it("fail the opening handshake when there are none for it", function()
        local one = client(1, { SHORT = "1", FAIL = "0" })
        one:prints "error the system has no random bytes"
        one:prints "close\t1006\tfalse"
        one:ended()
    end)
end)
