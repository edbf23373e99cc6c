-- What the peer sent in pieces lies in a block of its own, which the batch of events owns while the
-- script has it. Where there is no memory to note that, the block is freed, and no event may point
-- there.

local frame = require "spec.support.frame"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local servers = require "spec.support.server"

-- The list of owned blocks is the only one that begins with so many bytes.
local without_memory = [[
#include <dlfcn.h>
#include <stdlib.h>
static int armed;
void arm(int on) { armed = on; }
void *realloc(void *old, size_t size)
{
    static void *(*real)(void *, size_t);
    if (!real) real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    if (armed && !old && size == 64 * sizeof(void *)) return NULL;
    return real(old, size);
}
]]

local app = [[
local ffi = require "ffi"
local mw = require "moonwire"
ffi.cdef "void arm(int on);"
mw.ws("/", {
    on_open = function() ffi.C.arm(1) end,
    on_message = function(ws, data) ws:send(data) end,
    on_close = function(ws, code, reason)
        ffi.C.arm(0)
        print(("closed %d %q"):format(code, reason))
    end,
})
]]

describe("Bytes that nobody can own, since memory is short,", function()
    local server, folder
    local sanitized = (os.getenv "MOONWIRE_BUILD" or ""):find "san$" -- its realloc is its own

    before_each(function()
        if sanitized then
            return
        end
        folder = process.folder()
        server = servers.start(app, { env = preload.env(
            preload.build(folder, "memory", without_memory), { MALLOC_PERTURB_ = "85" }) })
    end)

    after_each(function()
        if not sanitized then
            server:stop()
            folder:remove()
        end
    end)

    for what, opcode in pairs { ["a Close"] = frame.CLOSE, ["a message"] = frame.TEXT } do
        it("of " .. what .. " are read by nobody: the connection ends", function()
            if sanitized then
                return
            end
            local p = server:websocket "/"
            local payload = opcode == frame.CLOSE and frame.close(3000, "the reason") or "hello"
            local bytes = frame.build(opcode, payload)
            p:send(frame.build(frame.PING, "") .. bytes:sub(1, 8))
            assert.equal(frame.PONG, (p:read_frame())) -- so that the rest comes alone
            p:send(bytes:sub(9))
            assert.equal('1006 ""', (server:printed "^closed (.*)"))
            assert.is_true(p:is_ended())
            p = server:websocket "/"
            p:frame(frame.CLOSE, frame.close(3000, "the reason"))
            assert.equal('3000 "the reason"', (server:printed "^closed (.*)"))
        end)
    end
end)
