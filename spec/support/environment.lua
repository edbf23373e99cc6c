-- Runs before the specs. The sanitizers' runtime is preloaded into this process so that it can load
-- an instrumented library (tools/sanitized); what the specs start must not inherit that.
local ffi = require "ffi"

ffi.cdef "int unsetenv(const char *name);"
ffi.C.unsetenv "LD_PRELOAD"
