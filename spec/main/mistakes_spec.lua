-- Mistakes in what an app declares: the start ends with one line that names file and line, and says
-- what to write.

local process = require "spec.support.process"

describe("An app", function()
    local folder = process.fresh_folder()

    -- The one line that a start with this second line ends with.
    local function problem_of(line)
        local path = folder:write("app.lua", ('local mw = require "moonwire"\n%s\n'
            .. "mw.listen { port = 0 }\n"):format(line))
        local run = process.run { "--check", path }
        assert.equal(1, run.status, line)
        assert.equal("", run.out)
        assert.matches("^moonwire: [^\n]*app%.lua:2: [^\n]+\n$", run.err)
        return run.err
    end

    it("is told that patterns of other routers mean nothing here", function()
        for pattern, wanted in pairs {
            ["/:id?"] = "declare two routes", ["/{id}"] = "a parameter is written :id",
            ["/:id.json"] = "a parameter is a whole part of a path",
            ["/g*"] = "write %2A for an asterisk", ["/(.*)"] = "/files/*path",
        } do
            for _, declare in ipairs { "mw.ws(%q, {})", "mw.get(%q, print)" } do
                local problem = problem_of(declare:format(pattern))
                assert.matches(('route "%s": '):format(pattern), problem, 1, true)
                assert.matches(wanted, problem, 1, true)
            end
        end
        assert.matches('static "/a+": ', problem_of 'mw.static("/a+", "/")', 1, true)
    end)

    it("is told that an origin's * stands for one label", function()
        assert.matches('origin "https://a.*.com" of "/": * stands for one whole label',
            problem_of 'mw.ws("/", { origins = { "https://a.*.com" } })', 1, true)
    end)

    it("is told how sizes and durations are written", function()
        assert.matches('"4m" is not a size: write .*; did you mean "4M"%?',
            problem_of 'mw.limits { message_bytes = "4m" }')
        assert.matches('"5min" is not a duration: write .*; did you mean "5m"%?',
            problem_of 'mw.limits { idle_seconds = "5min" }')
    end)

    it("is told of arguments that nothing takes", function()
        assert.matches("mw.get(path, handler) takes no more arguments than these",
            problem_of 'mw.get("/", print, print)', 1, true)
    end)
end)
