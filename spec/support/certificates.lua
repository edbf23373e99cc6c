-- Certificates that sign themselves.

local shell = require "spec.support.shell"

local M = {}

-- Makes folder/name.pem and folder/name.key, for the names of a subjectAltName, or without one:
-- make("/tmp/x", "a", { "a.test", "*.a.test" }). It is valid for days (2). Returns their paths.
function M.make(folder, name, names, days)
    local list = {}
    for i, one in ipairs(names or {}) do
        list[i] = "DNS:" .. one
    end
    local base = folder .. "/" .. name
    shell(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days %d"
        .. " -subj /CN=%s %s -out %s.pem -keyout %s.key 2>/dev/null"):format(days or 2,
        names and names[1] or name .. ".test",
        names and "-addext subjectAltName=" .. table.concat(list, ",") or "", base, base))
    return base .. ".pem", base .. ".key"
end

return M
