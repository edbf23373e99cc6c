-- What an error in the app's code says: its text, with the nearest line of the app, and its
-- traceback. Loaded with the first error (failure.lua).

local caller = require "moonwire.base.caller"
local lazy = require "moonwire.base.lazy"
local owner = require "moonwire.base.owner"

local log_fields = lazy.use "moonwire.base.log_fields"
local suggest = lazy.use "moonwire.base.suggest"

local M = lazy.module(...)

-- Of an error's own text: the rest of a line in the log is for the traceback.
local TEXT_BYTES = 4096

-- Of the tracebacks of one that is raised again and again (modules that require each other, a
-- thousand deep): there they would grow, and be copied, with each.
local TRACE_BYTES = 4096

-- So deep in the stack lies the call by which the app came to an error of ours. After tail calls
-- there may be none of the app's at all, in a stack that is full.
local CALL_LEVELS = 20

-- An error that has come up through many coroutines or asserts has a place for each: those that
-- repeat are left out.
local function places_once(text)
    local at, last, kept = 1, nil, {}
    local place = string.match(text, "^[^\n]-:%d+: ")
    while place do
        if place ~= last then
            kept[#kept + 1] = place
        end
        at, last = at + #place, place
        place = string.match(text, "^[^\n:]+:%d+: ", at)
    end
    return table.concat(kept) .. string.sub(text, at)
end

local function text_of(value)
    if type(value) == "string" then
        return log_fields.cut(places_once(value), TEXT_BYTES)
    end
    local meta = type(value) == "table" and debug.getmetatable(value)
    if meta and rawget(meta, "__tostring") then
        return log_fields.cut(log_fields.text_of(value), TEXT_BYTES)
    elseif type(value) == "table" then
        return "an error that is a table: " .. log_fields.value(value, TEXT_BYTES)
    end
    return string.format("an error that is not a text: %s", log_fields.text_of(value))
end

-- ---- where it happened ----------------------------------------------------------------------

local OURS_SHORT = string.gsub(string.sub(caller.OURS, 2), "%p", "%%%0")
local is_ours = caller.is_ours

-- Has this function of C called code of the app for us?
local function is_border(at, level)
    local above = at.func == xpcall and debug.getinfo(level + 1, "S")
    return above and is_ours(above.source)
end

-- The line of the innermost function that runs and is the app's: "chat.lua:12"; nil when what we
-- have called last has none on the stack. level: 1 is the caller.
function M.place(level)
    level = level + 1
    local at = debug.getinfo(level, "Slf")
    while at and not is_border(at, level + 1) do
        if at.currentline > 0 and not is_ours(at.source) then
            return string.format("%s:%d", at.short_src, at.currentline)
        end
        level = level + 1
        at = debug.getinfo(level, "Slf")
    end
end

-- The line of the app at which a coroutine waits, or nil.
function M.place_in(co)
    local level = 0
    local at = debug.getinfo(co, level, "Sl")
    while at do
        if at.currentline > 0 and not is_ours(at.source) then
            return string.format("%s:%d", at.short_src, at.currentline)
        end
        level = level + 1
        at = debug.getinfo(co, level, "Sl")
    end
end

-- Where a function of the app is defined. That of a file's own code is the last line that does
-- something: nothing else can have handed its place on the stack over (return f()).
function M.definition(fn)
    local at = debug.getinfo(fn, "SL")
    if is_ours(at.source) or at.source == "=[C]" then
        return nil
    end
    local line = at.linedefined
    for active in pairs(line == 0 and at.activelines or {}) do
        line = math.max(line, active)
    end
    return string.format("%s:%d", at.short_src, line)
end

-- Does the text begin with a file and a line?
local function has_place(text, place)
    local file = string.match(text, "^([^\n]-):%d+: ")
    return file and (string.find(file, "%.lua$") or string.find(file,
        '^%[string ".*"%]$') or file == "stdin"
        or file == "(command line)" or place and string.sub(place, 1,
            #file + 1) == file .. ":") and true
end

-- Our own place in front of a text is taken off: error(text, level) wrote it where the app had
-- called us by a tail call.
local function without_ours(text)
    return string.match(text, "^" .. OURS_SHORT .. "[%w_/]+%.lua:%d+: (.*)$") or text
end

-- Of an overflow in machine code LuaJIT does not know the line.
local function without_line_0(text)
    return string.match(text, "^[^\n]-:0: (stack overflow)$") or text
end

-- The text with the nearest line of the app in front. known: where that is, "chat.lua:12"; or the
-- app's function that was called, for a function that has made a tail call has left the stack.
-- where: the line that named this function, which may be none of the app's own (error, mw.sleep).
local function placed(text, place, known, where)
    text = without_line_0(without_ours(text))
    place = place or type(known) == "function" and M.definition(known)
        or type(known) == "string" and known or where
    if not place or has_place(text, place) then
        return text
    end
    return place .. ": " .. text
end

-- ---- what was meant -------------------------------------------------------------------------

-- What other libraries call a method, or another of our kinds of objects does.
local synonyms = { cancel = "stop", stop = "cancel", abort = "cancel", wait = "join", emit = "send",
    write = "send", on = "addEventListener", join = "subscribe", leave = "unsubscribe",
    broadcast = "publish", to = "publish", disconnect = "close",
    destroy = "terminate", off = "removeEventListener", setHeader = "set_header" }

-- And what is no method here.
local properties = { header = 'req.headers["name"]', get_header = 'req.headers["name"]',
    getHeader = 'req.headers["name"]', get = 'req.headers["name"]', param = "req.params.name",
    query = "req.query.name", cookie = "req.cookies.name" }

-- An app that calls a method which does not exist gets Lua's own error, since a field that is nil
-- is no mistake: "; did you mean ws:send?", or "".
local function meant(text, method_lists)
    local name = string.match(text, "attempt to call method '([%w_]+)' %(a nil value%)")
    if not name then
        return ""
    end
    if properties[name] then
        return string.format("; did you mean %s?", properties[name])
    end
    local best
    for _, entry in ipairs(method_lists) do
        local methods, names = entry.list(), {}
        for known, value in pairs(methods) do
            if type(value) == "function" then
                names[#names + 1] = known
            end
        end
        local near = methods[synonyms[name]] and synonyms[name] or suggest.nearest(name, names)
        -- An object that had it would not have raised.
        if near and near ~= name and (not best or synonyms[name] == near) then
            best = string.format("; did you mean %s:%s?", entry.kind, near)
        end
    end
    return best or ""
end

-- Which function of the API does this frame of ours belong to? After a tail call it has no name,
-- but one that checks arguments is told it. level: 1 is the caller.
local function api_name(api, at, level)
    for name, value in next, api do
        if value == at.func then
            return name
        end
    end
    for i = 2, 3 do
        local _, text = debug.getlocal(level + 1, i)
        if type(text) == "string" and type(rawget(api, text)) == "function" then
            return text
        end
    end
end

-- Was a function of ours called with a colon, mw:get("/")? Then the table that has it is its first
-- argument, and whatever it says of that misleads. level: 1 is the caller.
local function colon_call(level, apis)
    local name, title
    level = level + 1
    local last = level + CALL_LEVELS
    local at = debug.getinfo(level, "Sf")
    while at and level < last and (is_ours(at.source) or at.what == "C") do
        local _, first = debug.getlocal(level, 1)
        local found = first ~= nil and apis[first] and api_name(first, at, level)
        if found then
            name, title = found, apis[first]
        end
        level = level + 1
        at = debug.getinfo(level, "Sf")
    end
    return name and string.format("%s:%s: write %s.%s(…), with a dot, not a colon", title, name,
        title, name)
end

-- ---- catching -------------------------------------------------------------------------------

-- The traceback without what is below the hook: those frames are ours and tell the user nothing.
local function users_part(trace)
    local ours = string.find(trace, "\n%s*%[C%]: in function 'xpcall'")
    if ours then
        trace = string.sub(trace, 1, ours - 1)
    end
    local without, count = trace, 1
    while count > 0 do
        without, count = string.gsub(without, "\n%s*moonwire/[^\n]*$", "")
    end
    return string.find(without, ":%d+: in ") and without or ""
end

-- What a coroutine has raised again last, after another had raised it first.
local again = setmetatable({}, { __mode = "k" })

-- The handler for xpcall. Keeps the error as it was raised, its text, its traceback and the number
-- of the generation whose code raised it; of one that was raised again, both tracebacks, where it
-- came from first. known: what failure.lua knows of methods and of mw.
function M.catch(value, known)
    local co = coroutine.running() or "main"
    local first = again[co]
    again[co] = nil
    if first and value ~= nil and rawequal(first.value, value) then
        local trace = first.trace
        if #trace < TRACE_BYTES then
            trace = string.format("%s\nraised again by the code that %s%s", trace, first.how,
                users_part(debug.traceback("", 2)))
        end
        return { value = value, text = first.text, place = first.place, trace = trace,
            number = owner.running(2) }
    end
    local trace = users_part(debug.traceback("", 2))
    local place, text = M.place(2), colon_call(2, known.apis) or text_of(value)
    return {
        value = value,
        text = placed(text .. meant(text, known.methods), place),
        place = place,
        trace = trace,
        number = owner.running(2),
    }
end

-- Raises in the running coroutine what another one raised, or a module: what catch or opened
-- returned. how: what the code that is told did, "waited for it".
function M.raise(problem, how)
    problem.how = how
    again[coroutine.running() or "main"] = problem
    error(problem.value, 0)
end

-- What xpcall returned for an error, with a text that begins with a line of the app. Where the
-- handler itself could not run (no memory, no stack), LuaJIT gives a plain text.
-- @param known optional: the function that was called, or a place, if the error has none
-- @param where optional: the place, if the function is not the app's either
function M.opened(problem, known, where)
    if type(problem) ~= "table" or not problem.trace then
        problem = { value = problem, text = text_of(problem), trace = "" }
    end
    problem.text = placed(problem.text, problem.place, known, where)
    return problem
end

return M
