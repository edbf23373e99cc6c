-- What a service manager does for one service (sd_notify(3)): a datagram socket, and what comes.

local ffi = require "ffi"
local poll = require "posix.poll"
local posix_socket = require "posix.sys.socket"
local unistd = require "posix.unistd"

-- luaposix binds the abstract name with NULs up to the size of the struct: another name.
ffi.cdef [[
struct mw_spec_unix { unsigned short family; char path[108]; };
int mw_spec_bind(int fd, const struct mw_spec_unix *at, unsigned len) __asm__("bind");
]]

local M = {}

local Manager = {}
Manager.__index = Manager

local deadline_ms = tonumber(os.getenv "MOONWIRE_SPEC_SECONDS" or 60) * 1000

-- name: the path of the socket; "@name": in the abstract namespace.
function M.new(name)
    local fd = assert(posix_socket.socket(posix_socket.AF_UNIX, posix_socket.SOCK_DGRAM, 0))
    local at = ffi.new("struct mw_spec_unix", posix_socket.AF_UNIX, (name:gsub("^@", "\0")))
    local len = ffi.offsetof(at, "path") + #name + (name:find "^@" and 0 or 1)
    assert(ffi.C.mw_spec_bind(fd, at, len) == 0)
    return setmetatable({ fd = fd }, Manager)
end

-- The next datagram; nil: none has come by now (or, without now, for long).
function Manager:next(now)
    if poll.rpoll(self.fd, now and 0 or deadline_ms) ~= 1 then
        return nil
    end
    return assert(posix_socket.recv(self.fd, 4096))
end

-- The next that has this line; those before it are dropped, and returned as a list.
function Manager:told(line)
    local before = {}
    while true do
        local text = assert(self:next(), "not told: " .. line)
        if ("\n" .. text .. "\n"):find("\n" .. line .. "\n", 1, true) then
            return text, before
        end
        before[#before + 1] = text
    end
end

function Manager:close()
    unistd.close(self.fd)
end

return M
