-- What somebody meant who gave the name of no Lua file (src/main/meant.c).

local process = require "spec.support.process"

describe("A name that is no Lua file", function()
    local folder, one

    before_each(function()
        folder = process.folder()
    end)

    after_each(function()
        one:finish()
        folder:remove()
    end)

    local function said(...)
        one = process.start { ... }
        one:wait()
        return one.status, one.err, one.out
    end

    it("is help, which is what --help is", function()
        local status, _, out = said "help"
        assert.equal(0, status)
        assert.matches("moonwire %[run%] APP%.lua", out)
    end)

    local commands = { new = "an app is one Lua file", test = "moonwire %-%-check APP%.lua",
        statsu = "did you mean status%?", relaod = "did you mean reload%?",
        restart = "write moonwire reload", unknown = "write moonwire APP%.lua" }
    for name, text in pairs(commands) do
        it("is a command that there is not: " .. name, function()
            local status, err = said(name)
            assert.equal(2, status)
            assert.matches("^moonwire: there is no command or file " .. name .. "; .*" .. text, err)
        end)
    end

    it("is a folder, with an app in it or without", function()
        local status, err = said(folder.path)
        assert.equal(2, status)
        assert.matches("is a folder; give the Lua file in it that is your app: .*/APP%.lua", err)
        one:finish()
        folder:write("main.lua", "")
        status, err = said(folder.path)
        assert.equal(2, status)
        assert.matches("is a folder; did you mean moonwire %S+/main%.lua%?", err)
    end)

    it("is a file that nobody may read, or that is not there", function()
        local _, err = said(folder.path .. "/none.lua")
        assert.matches("No such file or directory: give the name of your app's Lua file", err)
    end)

    it("is the name of one without its end", function()
        folder:write("app.lua", "")
        one = process.run({ [0] = "sh", "-c", ("cd '%s' && %s app"):format(folder.path,
            process.binary_path()) })
        assert.same({ 2, "moonwire: there is no command or file app; did you mean moonwire "
            .. "app.lua?\n" }, { one.status, one.err })
    end)

    it("may be a file after all", function()
        local path = folder:write("new", "print 'new'")
        local status, _, out = said(path)
        assert.same({ 0, "new\n" }, { status, out })
    end)
end)
