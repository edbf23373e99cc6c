-- src/base/log_budget.c: how many lines may peers write in a second?

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

describe("The budget of log lines", function()
    local budget, left_out

    before_each(function()
        budget = ffi.new "struct log_budget"
        left_out = ffi.new "struct log_left_out"
    end)

    -- Asks for lines; how many are written, and what was left out before the first of them.
    local function ask(second, count, level)
        local written, told = 0, nil
        for i = 1, count do
            written = written + (C.log_budget_take(budget, second, level, left_out) and 1 or 0)
            if i == 1 and left_out.lines > 0 then
                told = { left_out.lines, tonumber(left_out.level) }
            elseif i > 1 then
                assert.equal(0, left_out.lines)
            end
        end
        return written, told
    end

    it("is so many lines a second, from the first", function()
        for second = 0, 3 do
            assert.equal(C.LOG_BUDGET_LINES, (ask(second, C.LOG_BUDGET_LINES + second, C.LOG_INFO)))
        end
    end)

    it("tells nothing when no line was left out", function()
        ask(1, C.LOG_BUDGET_LINES, C.LOG_WARN)
        assert.is_nil(select(2, ask(2, 1, C.LOG_WARN)))
    end)

    it("tells once how many were left out, with the next line, however late", function()
        ask(1, C.LOG_BUDGET_LINES + 7, C.LOG_WARN)
        local written, told = ask(1000, 2, C.LOG_INFO)
        assert.same({ 2, { 7, C.LOG_WARN } }, { written, told })
        assert.is_nil(select(2, ask(1001, 1, C.LOG_INFO)))
    end)

    it("tells it at the highest level of those that were left out", function()
        ask(1, C.LOG_BUDGET_LINES, C.LOG_ERROR) -- written, so they do not count
        ask(1, 2, C.LOG_INFO)
        ask(1, 1, C.LOG_WARN)
        ask(1, 3, C.LOG_INFO)
        assert.same({ 6, C.LOG_WARN }, select(2, ask(2, C.LOG_BUDGET_LINES + 1, C.LOG_DEBUG)))
        assert.same({ 1, C.LOG_DEBUG }, select(2, ask(3, 1, C.LOG_ERROR)))
    end)
end)
