-- make install: the program, its manual, examples, and annotations for editors.

local cjson = require "cjson"
local process = require "spec.support.process"
local read = require("spec.support.files").read

describe("make install", function()
    local folder = process.fresh_folder()

    -- Of what is built already; not with the flags of a make that runs these specs.
    local function make(goal)
        local done = process.run { [0] = "env", "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "VARIANT",
            "make", "-s", "-o", "all", goal, "DESTDIR=" .. folder.path, "PREFIX=/usr" }
        assert.equal(0, done.status, done.err)
    end

    it("brings what the documents promise, and make uninstall takes it away", function()
        if not process.exists "build/moonwire" then
            pending "build/moonwire is not built"
            return
        end
        make "install"
        local root = folder.path .. "/usr/"
        for from, to in pairs {
            ["build/moonwire"] = "bin/moonwire",
            ["docs/moonwire.1"] = "share/man/man1/moonwire.1",
            ["annotations/moonwire.lua"] = "share/moonwire/annotations/moonwire.lua",
            ["annotations/moonwire/websocket.lua"] =
                "share/moonwire/annotations/moonwire/websocket.lua",
            ["examples/jsapi/client.lua"] = "share/moonwire/examples/jsapi/client.lua",
            ["examples/.luarc.json"] = "share/moonwire/examples/.luarc.json",
        } do
            assert.is_true(read(from) == read(root .. to), to)
        end
        -- What an editor reads that opens the folder of the examples.
        local settings = cjson.decode(read(root .. "share/moonwire/examples/.luarc.json"))
        for _, library in ipairs(settings["workspace.library"]) do
            local path = root .. "share/moonwire/examples/" .. library .. "/moonwire.lua"
            assert.is_true(process.exists(path), path)
        end
        assert.equal(0, process.run({ [0] = root .. "bin/moonwire", "--version" }).status)
        make "uninstall"
        local left = process.run { [0] = "find", folder.path, "-type", "f" }
        assert.equal("", left.out)
    end)
end)
