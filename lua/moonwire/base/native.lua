-- The C side, declared once: src/script/api.h is what C includes and what ffi.cdef reads here, the
-- numbers of errors (C.ERR_CLOSED) included. The modules that use api_client.h, api_control.h or
-- api_options.h declare them.
-- start.lua sets the worker before any other module is loaded, so that they may keep it as a local.

local ffi = require "ffi"

local M = {
    C = ffi.C,
    worker = nil, -- struct worker *
    load_ahead = nil, -- function, src/script/state.c: digest, function or nil, problem; or nothing
    open_json = nil, -- function, src/script/json.c
}

function M.attach(worker, load_ahead, open_json)
    M.worker = ffi.cast("struct worker *", worker)
    M.load_ahead = load_ahead
    M.open_json = open_json
end

-- Declares what a header has, src/script/NAME.h.
function M.declare(name)
    local module = "moonwire.cdef." .. name
    ffi.cdef(require(module))
    package.loaded[module] = nil -- a text that nobody reads again
end

-- Is this file descriptor a terminal?
function M.is_terminal(fd)
    ffi.cdef 'int moonwire_isatty(int fd) __asm__("isatty");'
    return ffi.C.moonwire_isatty(fd) == 1
end

M.declare "api"

return M
