-- The fake against the headers that it stands for: script/api.h and those it includes.

local core = require "spec.support.cdef"
local fake = require "spec.lua.fake"
local posix_dirent = require "posix.dirent"

-- What api_control.h declares is for commands, which no spec runs on the fake.
local function declared()
    local names = {}
    for file in posix_dirent.files "src/script" do
        if file:find "^api[%w_]*%.h$" and file ~= "api_control.h" then
            for _, name in ipairs(fake.functions("src/script/" .. file)) do
                assert.is_nil(names[name], name .. " is declared twice")
                names[name] = file
            end
        end
    end
    return names
end

describe("The fake", function()
    local C

    before_each(function()
        fake.new()
        C = package.loaded["moonwire.base.native"].C
    end)

    it("has each function that Lua may call, or a reason why not", function()
        local count = 0
        for name, file in pairs(declared()) do
            local has, reason = rawget(C, name) ~= nil, fake.not_faked[name]
            assert.is_true(has or reason ~= nil, ("%s: %s has neither a fake nor an entry in "
                .. "not_faked"):format(file, name))
            assert.is_false(has and reason ~= nil, name .. " has a fake and an entry in not_faked")
            count = count + 1
        end
        assert.is_true(count > 60, "the headers were not understood")
    end)

    it("has no function that Lua may not call", function()
        local names = declared()
        for name in pairs(C) do
            assert.truthy(names[name], name .. " is declared in no header")
        end
        for name in pairs(fake.not_faked) do
            assert.truthy(names[name], name .. " is declared in no header, but not_faked has it")
        end
    end)

    it("calls the real functions for texts", function()
        for _, name in ipairs(fake.functions "src/script/api_text.h") do
            assert.equal(core.C[name], C[name])
        end
    end)

    it("names a function that it does not have", function()
        fake.raises("the fake has no mw_input", function()
            C.mw_input()
        end)
    end)

    -- As mw_close of src/script/api.c.
    it("looks at a Close's reason before it looks at the connection", function()
        assert.equal(C.ERR_UTF8, C.mw_close(nil, 5, 1000, "\255", 1))
        assert.equal(C.ERR_CLOSED, C.mw_close(nil, 5, 1000, "bye", 3))
    end)
end)
