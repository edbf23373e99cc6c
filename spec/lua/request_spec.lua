local fake = require "spec.lua.fake"

describe("an HTTP handler", function()
    local engine, seen

    local function load(source)
        engine = fake.new()
        seen = engine.seen
        assert.is_nil(engine:load('local mw, seen = require "moonwire", require "seen"\n'
            .. source))
    end
    -- Status, headers and body of the answer to one request.
    local function ask(request)
        request = request or {}
        request.conn = 9
        engine.calls = {}
        engine:request(request)
        engine:run()
        local answers = engine:called "respond"
        assert.equal(1, #answers)
        return answers[1][3], answers[1][4], answers[1][5]
    end
    local function answer_of(expression, request)
        load(("mw.any('/', function(req) return %s end)"):format(expression))
        return ask(request)
    end

    local TEXT = "Content-Type: text/plain; charset=utf-8\r\n"
    local JSON = "Content-Type: application/json\r\n"

    it("answers with what it returns", function()
        assert.same({ 200, TEXT, "hi" }, { answer_of '"hi"' })
        assert.same({ 404, TEXT, "no" }, { answer_of '404, "no"' })
        assert.same({ 204, "", "" }, { answer_of "nil" })
        assert.same({ 302, "Location: /x\r\n", "" }, { answer_of '302, nil, { Location = "/x" }' })
        assert.same({ 200, "Content-Type: text/html\r\n", "<p>" },
            { answer_of '200, "<p>", { ["Content-Type"] = "text/html" }' })
        assert.same({ 200, JSON, '{"a":[1,2]}' }, { answer_of "{ a = { 1, 2 } }" })
        assert.same({ 201, JSON .. "X-A: 2\r\nX-A: 1\r\n", "[]" },
            { answer_of [[201, "[]", {
                ["X-A"] = { 2, "1" }, ["Content-Type"] = "application/json" }]] })
    end)

    it("sees the request, decoded", function()
        load [[
            mw.post("/a/:x/*rest", function(req)
                seen.req = req
                for _, name in ipairs { "method", "target", "path", "query", "headers", "params",
                    "body", "cookies", "remote_address", "secure" } do
                    seen[name] = req[name]
                end
                seen.nothing = req.nothing
                seen.json, seen.problem = req:json()
            end)
        ]]
        ask {
            method = "POST",
            target = "/a/b%20c/d/e?q=1+2",
            params = { "b%20c", "d/e" },
            headers = { Host = "h", Cookie = "a=1", ["X-Many"] = { "1", "2" } },
            body = '{"n":5}',
        }
        assert.equal("POST", seen.method)
        assert.equal("/a/b%20c/d/e?q=1+2", seen.target)
        assert.equal("/a/b c/d/e", seen.path)
        assert.same({ q = "1 2" }, seen.query)
        assert.same({ host = "h", cookie = "a=1", ["x-many"] = "1, 2" }, seen.headers)
        assert.same({ x = "b c", rest = "d/e" }, seen.params)
        assert.equal('{"n":5}', seen.body)
        assert.same({ a = "1" }, seen.cookies)
        assert.equal("127.0.0.1", seen.remote_address)
        assert.is_false(seen.secure)
        assert.is_nil(seen.nothing)
        assert.same({ n = 5 }, seen.json)
        ask { method = "POST", body = "{" }
        assert.is_nil(seen.json)
        assert.is_string(seen.problem)
    end)

    it("may wait, is cancelled when its peer goes, and still sees the request", function()
        load [[
            mw.get("/", function(req)
                seen.problem = select(2, pcall(mw.sleep, 1))
                seen.query, seen.headers, seen.address = req.query, req.headers, req.remote_address
                return "late"
            end)
        ]]
        engine:request { conn = 9, target = "/?a=1", headers = { Host = "h" } }
        engine:run()
        assert.same({}, engine.calls)
        engine.requests[9], engine.conns[9] = nil, nil
        engine:queue_event { kind = "abort", conn = 9, serial = 2 }
        engine:run()
        assert.is_nil(seen.problem)
        engine:queue_event { kind = "abort", conn = 9, serial = 1 }
        engine:run()
        assert.equal("cancelled: the connection is closed", seen.problem)
        assert.same({}, engine.timers)
        assert.same({ a = "1" }, seen.query)
        assert.same({ host = "h" }, seen.headers)
        assert.equal("127.0.0.1", seen.address)
        assert.same({}, engine.calls)
    end)

    it("that is cancelled and catches nothing is done, and nothing is logged", function()
        load [[
            mw.get("/", function() mw.sleep(1) seen.late = true end)
            mw.get("/x", function() return "x" end)
        ]]
        engine:request { conn = 9 }
        engine:run()
        engine:queue_event { kind = "abort", conn = 9, serial = 1 }
        engine:queue_event { kind = "abort", conn = 9, serial = 1 }
        engine:run()
        assert.is_nil(seen.late)
        assert.same({}, engine.logged)
        assert.equal(0, engine.failures)
        engine:request { conn = 9, serial = 2, route = 1 }
        engine:run()
        assert.equal(200, engine:called("respond")[2][3])
    end)

    it("is not cancelled by the end of another's client", function()
        load [[
            mw.get("/", function(req) mw.sleep(tonumber(req.query.s)) seen.done = req.query.s end)
        ]]
        engine:request { conn = 9, target = "/?s=1" }
        engine:run()
        engine:fire()
        assert.equal("1", seen.done)
        engine:request { conn = 10, target = "/?s=2" }
        engine:run()
        engine:queue_event { kind = "abort", conn = 9, serial = 1 }
        engine:run()
        engine:fire()
        assert.equal("2", seen.done)
        assert.same({}, engine.logged)
    end)

    it("that raises is logged with its line, and its peer learns nothing but 500", function()
        local status, _, body = answer_of "nothing.x"
        assert.same({ 500, "internal error\n" }, { status, body })
        assert.matches("^the handler of ANY / failed: .*app.lua:2: attempt to index global "
            .. "'nothing'", engine.logged[1].text)
        assert.equal(1, engine.failures)
    end)

    it("that returns something else is an error that says what", function()
        local cases = {
            ["true"] = "the body is a string, or a table for JSON, got boolean",
            ["99"] = "the status is a whole number from 200 to 599, got 99",
            ["200.5"] = "got 200.5",
            ['"a", 200'] = "a handler returns body, or status, body, headers",
            ['200, "a", "b"'] = "the headers are a table, { name = value }, got string",
            ['200, "a", { ["a b"] = "c" }'] = 'the header "a b": "c" cannot be set',
            ['200, "a", { a = "b\\r\\nc: d" }'] = "the value holds control characters",
            ['200, "a", { a = {{}} }'] = "the value of header a is a string, got table",
            ['200, "a", {}, 5'] = "app.lua:2: a handler returns body, or status, body, headers: "
                .. "nothing stands behind the headers, got a number there",
            ['200, "a", {}, nil, 5'] = "behind the headers, got a number there",
            ['nil, nil, nil, nil, "why"'] = "behind the headers, got a string there",
            ['"a", nil, { a = "b" }'] = "the status is missing",
            ["{ print }"] = "the body cannot be written as JSON",
        }
        for expression, problem in pairs(cases) do
            assert.equal(500, (answer_of(expression)), expression)
            assert.matches(problem, engine.logged[1].text, 1, true)
        end
    end)

    it("may add headers of any length with req:set_header", function()
        load [[
            mw.get("/", function(req)
                req:set_header("X-Long", ("v"):rep(5000))
                req:set_header("Content-Type", "text/css")
                return "a {}"
            end)
        ]]
        local _, headers = ask()
        assert.equal("X-Long: " .. ("v"):rep(5000) .. "\r\nContent-Type: text/css\r\n", headers)
    end)

    it("is told of arguments that nothing takes", function()
        answer_of 'req:set_header("X-A", "b", { secure = true })'
        assert.matches("req:set_header(name, value) takes no more arguments than these, got a",
            engine.logged[1].text, 1, true)
    end)

    it("is told that reject is for upgrades", function()
        answer_of 'req:reject(403, "no")'
        assert.matches('reject refuses an upgrade; in an HTTP handler write: return 403, "no"',
            engine.logged[1].text, 1, true)
    end)
end)
