-- Reads what callgrind wrote with --dump-instr=yes: instructions, and those of them that lock the
-- bus, which are found by their addresses in the disassembly.
local process = require "process"

local M = {}

local locked_by_object = {}

-- The addresses of an object's instructions with a lock prefix, or that exchange with memory, which
-- locks without one.
local function locked_in(object)
    if locked_by_object[object] then
        return locked_by_object[object]
    end
    local set = {}
    local text = process.output { "objdump", "-d", "--no-show-raw-insn", object }
    for address, instruction in text:gmatch "\n%s*(%x+):%s+([^\n]+)" do
        if instruction:find "^lock" or instruction:find "^xchg.*%(" then
            set[tonumber(address, 16)] = true
        end
    end
    locked_by_object[object] = set
    return set
end

-- "(12) name" names, "(12)" refers.
local function named(names, text)
    local id, name = text:match "^(%b()) (.+)$"
    if id then
        names[id] = name
        return name
    end
    return names[text] or text
end

--- The totals of a file: instructions, luajit (those in LuaJIT's library: its compiler, collector
--- and interpreter, not what it compiled), locked (a number each), and by_function: locked
--- instructions by the function's name.
function M.read(path)
    local out = { instructions = 0, luajit = 0, locked = 0, by_function = {} }
    local objects, functions = {}, {}
    local locked, luajit, fn, address, of_call = {}, 0, "?", 0, false
    for line in io.lines(path) do
        local key, value = line:match "^(%l+)=(.*)$"
        if key == "ob" then
            local object = named(objects, value)
            luajit = object:find "libluajit" and 1 or 0
            locked = object:sub(1, 1) == "/" and locked_in(object) or {}
        elseif key == "fn" then
            fn = named(functions, value)
        elseif key == "cob" then
            named(objects, value)
        elseif key == "cfn" then
            named(functions, value)
        elseif key == "calls" then
            of_call = true -- the next line is the cost of the callee, which has lines of its own
        else
            local at, cost = line:match "^([%+%-%*]?[%x]*x?%x*) %S+ (%d+)$"
            if at then
                if at:find "^0x" then
                    address = tonumber(at)
                elseif at ~= "*" then
                    address = address + tonumber(at)
                end
                if not of_call then
                    cost = tonumber(cost)
                    out.instructions = out.instructions + cost
                    out.luajit = out.luajit + cost * luajit
                    if locked[address] then
                        out.locked = out.locked + cost
                        out.by_function[fn] = (out.by_function[fn] or 0) + cost
                    end
                end
                of_call = false
            end
        end
    end
    return out
end

return M
