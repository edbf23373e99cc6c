local fake = require "spec.lua.fake"
local notes = require "spec.lua.notes"

describe("code that waits", function()
    local engine, seen

    local function load(source)
        local problem
        engine, problem = notes.load(source)
        seen = engine.seen
        return problem
    end
    local function log()
        return notes.take(engine)
    end
    -- Fires all timers until there is none.
    local function play()
        local rounds = 0
        while next(engine.timers) do
            rounds = rounds + 1
            assert(rounds < 100, "timers without end")
            engine:fire()
        end
    end

    describe("in the app's file", function()
        it("goes on after the app serves", function()
            assert.is_nil(load [[
                mw.get("/x", function() end)
                note "before"
                mw.sleep "1s"
                note "after"
            ]])
            assert.equal("before", log())
            assert.same({ { "route", "/x", 1 } }, engine.site)
            engine:fire()
            assert.equal("after", log())
        end)

        it("ends what may be declared", function()
            load [[
                mw.sleep "1s"
                note(select(2, pcall(mw.get, "/x", print)))
            ]]
            engine:fire()
            assert.matches("declares this while it is loaded, at the top level of its file and "
                .. "before that waits", log(), 1, true)
        end)

        it("starts timers at once, when it has waited", function()
            load 'mw.sleep(1) mw.after(2, function() note "two" end)'
            engine:fire()
            assert.same({ [2] = { after = 2, every = 0 } }, engine.timers)
            engine:fire()
            assert.equal("two", log())
        end)

        it("is logged when it fails after waiting, where the app serves", function()
            load 'mw.get("/x", print) mw.sleep(1) nothing.x = 1'
            engine:fire()
            assert.equal(1, engine.failures)
            assert.matches("app.lua failed: .*app.lua:5: attempt to index global 'nothing'",
                engine.logged[1].text)
            assert.same({}, engine:called "exit")
        end)

        it("ends a script with status 1 and one line, when it fails after waiting", function()
            load 'mw.sleep(1) nothing.x = 1'
            engine:fire()
            assert.same({ "exit", 1 }, engine.calls[2])
            assert.matches("^[^\n]*app.lua:5: attempt to index global 'nothing' %(a nil value%)$",
                engine.calls[1][2])
        end)

        it("says so when it waits for what cannot come", function()
            load 'mw.await(function() end)'
            assert.equal(0, require("moonwire.app.app").pending())
            assert.same({ "exit", 1 }, engine.calls[2])
            assert.matches("app.lua:5: it waits for something that cannot come any more$",
                engine.calls[1][2])
        end)

        it("has nothing pending when it is done", function()
            load ""
            assert.equal(0, require("moonwire.app.app").pending())
            assert.same({}, engine.calls)
        end)
    end)

    describe("os.exit", function()
        it("ends the process with its status, and the code there never goes on", function()
            for code, status in pairs { ["7"] = 7, ["true"] = 0, ["false"] = 1, [""] = 0 } do
                assert.is_nil(load(([[
                    pcall(function() os.exit(%s) end)
                    note "never"
                ]]):format(code)))
                assert.same({ { "exit", status } }, engine.calls)
                assert.equal("", log())
                engine:run()
                assert.equal("", log())
                assert.equal(0, require("moonwire.app.app").pending())
                assert.equal(1, #engine.calls)
            end
        end)

        it("lets an app that ends itself serve nothing", function()
            load 'mw.get("/", print) mw.after(1, print) os.exit()'
            assert.same({}, engine.site)
            assert.same({}, engine.timers)
        end)

        it("works after a wait and in a task", function()
            load 'local exit = os.exit mw.spawn(function() mw.sleep(1) exit(3) note "never" end)'
            play()
            assert.same({ { "exit", 3 } }, engine.calls)
            assert.equal("", log())
        end)
    end)

    describe("in tasks", function()
        it("runs after what runs now, with its arguments, in the order spawned", function()
            load [[
                local function f(...) note("a", ...) mw.sleep(1) note "a again" end
                local a = mw.spawn(f, 1, 2)
                mw.spawn(function() note "b" end)
                note(tostring(a.done), tostring(a))
                seen.a = a
            ]]
            assert.matches("^false the task of .*app.lua:%d+ %(running%)$", log())
            engine:fire()
            assert.equal("a 1 2, b", log())
            engine:fire()
            assert.equal("a again", log())
            assert.is_true(seen.a.done)
        end)

        it("gives its results to those that join, before and after its end", function()
            load [[
                local task = mw.spawn(function() mw.sleep(1) return "x", nil, "z" end)
                mw.spawn(function() note("first", select("#", task:join())) end)
                note("main", (select(3, task:join())))
                note("again", (task:join()))
            ]]
            play()
            assert.equal("main z, again x, first 3", log())
        end)

        it("raises what the task raised in those that join, and logs it else", function()
            load [[
                local function fail() mw.sleep(1) error({ code = 7 }) end
                local ok, problem = pcall(function() return mw.spawn(fail):join() end)
                note(tostring(ok), problem.code)
                mw.spawn(function() mw.sleep(1) error "alone" end)
            ]]
            play()
            assert.equal("false 7", log())
            assert.equal(1, engine.failures)
            assert.matches("^the task of .*app.lua:%d+ failed: .*app.lua:%d+: alone\nstack trace",
                engine.logged[1].text)
        end)

        it("is cancelled: what it waits for raises there, and is released", function()
            load [[
                seen.task = mw.spawn(function()
                    note(select(2, pcall(mw.sleep, 10)))
                    note(select(2, pcall(function() mw.sleep(20) end)))
                end)
                seen.quiet = mw.spawn(function() mw.sleep(30) note "never" end)
            ]]
            engine:fire()
            assert.is_true(seen.task:cancel())
            assert.is_true(seen.quiet:cancel())
            engine:run()
            assert.equal("cancelled: the task was cancelled", log())
            assert.is_false(seen.task.done)
            assert.is_true(seen.quiet.done)
            assert.is_false(seen.quiet:cancel())
            play()
            assert.equal("", log())
            assert.is_true(seen.task.done)
            assert.same({}, engine.logged)
        end)

        it("is never begun when it is cancelled before", function()
            load [[
                local task = mw.spawn(function() note "never" end)
                note(tostring(task:cancel()), tostring(task.done))
                note(select(2, pcall(task.join, task)))
            ]]
            play()
            assert.equal("true true, cancelled: the task was cancelled", log())
            assert.same({}, engine.logged)
        end)

        it("that cancels itself ends at its next wait", function()
            load [[
                local task
                task = mw.spawn(function() task:cancel() note "on" mw.sleep(1) note "never" end)
            ]]
            play()
            assert.equal("on", log())
        end)

        it("leaves no cancellation behind for the next task in its coroutine", function()
            load [[
                local task
                task = mw.spawn(function() task:cancel() end)
                task:join()
                mw.spawn(function() mw.sleep(1) note "fine" end)
                mw.sleep(9)
            ]]
            play()
            assert.equal("fine", log())
        end)

        it("says what it wants", function()
            load [[
                seen.mw = mw
                local task
                task = mw.spawn(function() note(select(2, pcall(task.join, task))) end)
                note((select(2, pcall(task.join))))
            ]]
            play()
            local lines = log()
            assert.matches("join is a method: write task:join(), with a colon", lines, 1, true)
            assert.matches("a task cannot wait for itself", lines, 1, true)
            local mw = seen.mw
            for _, case in ipairs {
                { "mw.spawn: expected a function, got nil", mw.spawn },
                { "mw.await: expected a function(resume), got number", mw.await, 5 },
                { 'mw.timeout: "x" is not a duration', mw.timeout, "x", print },
                { "mw.timeout: expected a function or a task, got nil", mw.timeout, 1 },
                { "mw.all: expected a list of tasks and functions", mw.all, print },
                { "mw.all: item 2 of the list is neither a task nor a function", mw.all,
                    { print, 5 } },
                { "mw.race: the list is empty", mw.race, {} },
                { "os.exit: the status is a number", require("moonwire.waiting.task").exit, "x" },
            } do
                fake.raises(case[1], function()
                    local _ = case[2](case[3], case[4])
                end)
            end
        end)
    end)

    describe("with mw.all", function()
        it("gives the first result of each in order, whatever order they end in", function()
            load [[
                local function after(n, value) return function() mw.sleep(n) return value end end
                local started = mw.spawn(after(1, "task"))
                local function now() return "now" end
                local r = mw.all { after(3, "slow"), started, after(1), now }
                note(r.n, r[1], r[2], tostring(r[3]), r[4])
                note(mw.all({}).n)
            ]]
            play()
            assert.equal("4 slow task nil now, 0", log())
        end)

        it("raises the first error and cancels the others", function()
            load [[
                note(select(2, pcall(mw.all, {
                    function() note(select(2, pcall(mw.sleep, 99))) end,
                    function() mw.sleep(1) error("bad", 0) end,
                    function() mw.sleep(2) error("worse", 0) end,
                })))
            ]]
            engine:fire(0)
            engine:fire(1)
            assert.equal("bad, cancelled: the task was cancelled", log())
            assert.same({}, engine.timers)
            assert.same({}, engine.logged)
        end)

        it("that is cancelled cancels its tasks", function()
            load [[
                local outer = mw.spawn(function()
                    mw.all { function() mw.sleep(50) note "never" end }
                end)
                mw.sleep(1)
                outer:cancel()
            ]]
            engine:fire()
            play()
            assert.equal("", log())
            assert.same({}, engine.logged)
        end)
    end)

    it("with mw.race gives what the first gives, and cancels the others", function()
        load [[
            note(mw.race {
                function() note(select(2, pcall(mw.sleep, 9))) end,
                function() return "won", "twice" end,
            })
            note(select(2, pcall(mw.race, { function() error("lost", 0) end,
                function() mw.sleep(9) note "never" end })))
        ]]
        play()
        assert.equal("won twice, cancelled: the task was cancelled, lost", log())
        assert.same({}, engine.logged)
    end)

    describe("with mw.timeout", function()
        it("gives the results when there is time", function()
            load 'note(mw.timeout("5s", function(a, b) mw.sleep(1) return a, b end, "x", "y"))'
            engine:fire(0)
            engine:fire(1)
            assert.equal("x y", log())
            assert.same({}, engine.timers)
        end)

        it("gives nil and timeout, and cancels, when there is none", function()
            load [[
                local a, b = mw.timeout("5s", function() note(select(2, pcall(mw.sleep, 9))) end)
                note(tostring(a), b)
            ]]
            engine:fire(0)
            engine:fire(5)
            assert.equal("nil timeout, cancelled: the task was cancelled", log())
            assert.same({}, engine.timers)
            assert.same({}, engine.logged)
        end)

        it("raises what its function raises", function()
            load [[note(select(2, pcall(mw.timeout, 5, function() error("bad", 0) end)))]]
            engine:fire(0)
            assert.equal("bad", log())
            assert.same({}, engine.logged)
        end)
    end)

    describe("with mw.await", function()
        it("waits for a callback, and gives what it is given, nil too", function()
            load [[
                note(select("#", mw.await(function(resume) seen.resume = resume end)))
            ]]
            assert.equal("", log())
            assert.is_true(seen.resume(nil, 2, nil))
            assert.is_false(seen.resume "again")
            engine:run()
            assert.equal("3", log())
        end)

        it("does not wait when it is called at once", function()
            load 'note(mw.await(function(resume) resume("now") resume("late") end)) note "on"'
            assert.equal("now, on", log())
        end)

        it("calls what its function returned when it is cancelled, and only then", function()
            load [[
                local function start(resume)
                    seen.resume = resume
                    return function() note "undone" error "and fails" end
                end
                local task = mw.spawn(function() mw.await(start) end)
                mw.sleep(1)
                note(mw.await(function(resume) resume("fine") return error end))
                task:cancel()
            ]]
            engine:fire()
            engine:fire()
            play()
            assert.equal("fine, undone", log())
            assert.is_false(seen.resume())
            assert.equal(1, engine.failures)
        end)

        it("raises what its function raises", function()
            load [[note(select(2, pcall(mw.await, function() error("bad", 0) end)))]]
            assert.equal("bad", log())
        end)
    end)

    it("is resumed a bounded number of times in one turn", function()
        load [[
            seen.n = 0
            local function ping() seen.n = seen.n + 1 mw.spawn(ping) end
            ping()
        ]]
        engine:fire()
        assert.is_true(seen.n > 1000 and seen.n < 100000)
        local before = seen.n
        assert.is_truthy(next(engine.timers))
        engine:fire()
        assert.is_true(seen.n > before)
    end)

    it("may be 10,000 at once, which are all released", function()
        load [[
            local tasks = {}
            for i = 1, 10000 do
                tasks[i] = mw.spawn(function() mw.sleep(i / 1000) return i end)
            end
            seen.results = mw.all(tasks)
        ]]
        engine:fire()
        local count = 0
        for _ in pairs(engine.timers) do
            count = count + 1
        end
        assert.equal(10000, count)
        engine:fire()
        engine:fire()
        assert.equal(10000, seen.results.n)
        assert.equal(10000, seen.results[10000])
        assert.same({}, engine.timers)
    end)
end)
