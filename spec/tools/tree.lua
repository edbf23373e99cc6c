-- Runs a tool on a small tree of sources:
--
--   local check = require("spec.tools.tree").describe "layers" -- tools/layers.lua; within describe
--   assert.same({}, check { ["src/base/map.c"] = "…" }) -- the faults, a line each

local process = require "spec.support.process"
local sh = require "spec.support.shell"
local unistd = require "posix.unistd"
local write = require("spec.support.files").write

local M = {}

function M.describe(tool)
    local folder = process.fresh_folder()
    local command = ('cd "$0" && exec luajit %s/tools/%s.lua $(find . -type f | cut -c3- | sort)')
        :format(unistd.getcwd(), tool)

    return function(files)
        for path, text in pairs(files) do
            sh(("mkdir -p '%s/%s'"):format(folder.path, path:match "^(.*)/"))
            write(folder.path .. "/" .. path, text)
        end
        local run = process.run { [0] = "sh", "-c", command, folder.path }
        local faults = {}
        for line in run.err:gmatch "[^\n]+" do
            faults[#faults + 1] = line
        end
        assert(run.status == (#faults == 0 and 0 or 1), run.err)
        return faults
    end
end

return M
