-- Every example loads, says what it serves, and is named in the list of examples.

local dirent = require "posix.dirent"
local example = require "spec.examples.example"
local process = require "spec.support.process"

local names = {}
for name in dirent.files "examples" do
    if process.exists(example.path(name)) then
        names[#names + 1] = name
    end
end
table.sort(names)

describe("examples", function()
    it("are these", function()
        assert.same({ "board", "chat", "dashboard", "echo", "jsapi", "reload", "tls" }, names)
    end)

    for _, name in ipairs(names) do
        it(name .. " is found right by --check, or says which certificate is missing", function()
            local checked = process.run { "--check", example.path(name) }
            if name == "tls" and checked.status ~= 0 then
                assert.truthy(checked.err:find "localhost%.pem", checked.err)
                assert.equal(1, checked.status)
            else
                assert.equal(0, checked.status, checked.err)
                assert.truthy(checked.out:find("websocket /", 1, true), checked.out)
            end
        end)

        it(name .. " is in examples/README.md", function()
            local file = assert(io.open "examples/README.md")
            local text = file:read "*a"
            file:close()
            assert.truthy(text:find("moonwire " .. example.path(name), 1, true))
        end)
    end
end)
