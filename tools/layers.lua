-- Checks who may know whom in src/: luajit tools/layers.lua FILE…
--
-- foo.c and foo.h are one file here. A file knows another one when it includes its header, or when
-- it names a function or variable that the other defines, be it to call it or to hand it over.
--
-- A room may know its own files and the rooms below it. No files know each other in a circle, not
-- even within a room. A header declares only what its own .c defines.

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "?.lua;" .. package.path
local c_text = require "c_text"

-- From the top down. Rooms on one line do not know each other.
local rooms = {
    { "main" },
    { "script" },
    { "engine/control" },
    { "engine/reload" },
    { "engine/server" },
    { "engine/run" },
    { "engine/http", "engine/client" },
    { "engine/ws" },
    { "engine/conn" },
    { "engine/worker" },
    { "engine/ground" },
    { "transport", "protocol" },
    { "base" },
}

-- Outside headers that one layer alone may know.
local owners = {
    { header = "%f[%w]ev%.h$", place = "^src/engine/", says = "only src/engine knows libev" },
    { header = "%f[%w]lua%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]lauxlib%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]lualib%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "%f[%w]luajit%.h$", place = "^src/script/", says = "only src/script knows Lua" },
    { header = "^openssl/", place = "^src/transport/", says = "only src/transport knows OpenSSL" },
}

local faults = 0
local function fault(where, text)
    faults = faults + 1
    io.stderr:write(where, ": ", text, "\n")
end

local function sorted_keys(t)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

-- ---- what the files say -----------------------------------------------------------------------

-- "engine/http/http_conn" is both src/engine/http/http_conn.c and its header.
local function file_of(path)
    return path:match "^src/(.+)%.[ch]$"
end

local sources = {} -- one for each argument: what read_source returns
local files = {}   -- by name: it exists
local definers = {} -- by name of a function or variable: the source that defines it

local function includes_of(source)
    local list = {}
    local include = '\n()[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]'
    for at, header in ("\n" .. source.text):gmatch(include) do
        if source.code:find("^[ \t]*#", at - 1) then -- not in a comment
            list[#list + 1] = { header = header, at = at - 1 }
        end
    end
    return list
end

local function read_source(path)
    local text = c_text.read(path)
    local source = { path = path, file = file_of(path), text = text, code = c_text.strip(text) }
    source.includes = includes_of(source)
    source.declarations = {}
    source.own = {} -- names that mean something of this file
    c_text.each_declaration(c_text.without_directives(source.code), function(d)
        source.declarations[#source.declarations + 1] = d
        if d.static then
            source.own[d.name] = true
        elseif d.defines then
            definers[d.name] = definers[d.name] or source
        end
    end)
    return source
end

-- ---- arrows -------------------------------------------------------------------------------------

-- arrows[from][to] = { source, at, ties = { what ties them } }
local arrows = {}

local function add_arrow(source, to, at, tie)
    local from = source.file
    if from == to then
        return
    end
    local of_file = arrows[from]
    local arrow = of_file[to]
    if not arrow then
        arrow = { source = source, at = at, ties = {} }
        of_file[to] = arrow
    end
    if not arrow.ties[tie] then
        arrow.ties[tie] = true
        table.insert(arrow.ties, tie)
    end
end

-- Words that stand before a value, as a type stands before a name that is declared.
local before_value = { ["return"] = true, ["else"] = true, ["do"] = true, ["case"] = true }

-- Fields, tags and variables of the same name are no use of a function.
local function is_another(code, at)
    local before = code:sub(math.max(at - 40, 1), at - 1)
    if before:find "%.%s*$" or before:find "%->%s*$" then
        return true
    end
    local type = before:match "([%a_][%w_]*)%s+%**$"
    return type and not before_value[type] and not before:find "#%s*define%s+[%w_]+%s+$"
end

local function add_uses(source)
    local code = source.code
    for at, name in code:gmatch "%f[%w_]()([%a_][%w_]*)" do
        local definer = definers[name]
        if definer and definer.file ~= source.file and not source.own[name]
            and not is_another(code, at) then
            add_arrow(source, definer.file, at, name)
        end
    end
end

local function add_includes(source)
    for _, include in ipairs(source.includes) do
        local to = file_of("src/" .. include.header)
        if files[to] then
            add_arrow(source, to, include.at, include.header)
        end
    end
end

local function where(source, at)
    return ("%s:%d"):format(source.path, c_text.line_at(source.text, at))
end

-- ---- rooms --------------------------------------------------------------------------------------

local function room_of(file)
    for rank, row in ipairs(rooms) do
        for _, room in ipairs(row) do
            if file:sub(1, #room + 1) == room .. "/" then
                return room, rank
            end
        end
    end
end

local function check_arrow(from, to, arrow)
    local from_room, from_rank = room_of(from)
    local to_room, to_rank = room_of(to)
    if not from_room or not to_room or from_room == to_room or from_rank < to_rank then
        return
    end
    local place = from_rank == to_rank and "beside it" or "above it"
    fault(where(arrow.source, arrow.at), ("%s may not know %s: %s is %s (%s)"):format(
        from, to, to_room, place, table.concat(arrow.ties, ", ")))
end

-- ---- circles ------------------------------------------------------------------------------------

-- Sets of files that all reach each other (Tarjan), those of one file left out.
local function knots()
    local found, stack, on_stack = {}, {}, {}
    local index, low, count = {}, {}, 0
    local function visit(file)
        count = count + 1
        index[file], low[file] = count, count
        stack[#stack + 1], on_stack[file] = file, true
        for _, to in ipairs(sorted_keys(arrows[file])) do
            if not index[to] then
                visit(to)
                low[file] = math.min(low[file], low[to])
            elseif on_stack[to] then
                low[file] = math.min(low[file], index[to])
            end
        end
        if low[file] == index[file] then
            local knot, member = {}
            repeat
                member = table.remove(stack)
                on_stack[member] = nil
                knot[member] = true
            until member == file
            if next(knot, (next(knot))) then
                found[#found + 1] = knot
            end
        end
    end
    for _, file in ipairs(sorted_keys(files)) do
        if not index[file] then
            visit(file)
        end
    end
    return found
end

-- The shortest circle through file, as a list of files that begins with it.
local function circle_through(file, knot)
    local from, queue = { [file] = false }, { file }
    for _, at in ipairs(queue) do
        for _, to in ipairs(sorted_keys(arrows[at])) do
            if to == file then
                local circle = {}
                while at do
                    table.insert(circle, 1, at)
                    at = from[at]
                end
                return circle
            elseif knot[to] and from[to] == nil then
                from[to] = at
                queue[#queue + 1] = to
            end
        end
    end
end

local function circle_as_text(circle)
    local ties = {}
    for i, file in ipairs(circle) do
        ties[i] = arrows[file][circle[i + 1] or circle[1]].ties[1]
    end
    local way = table.concat(circle, " -> ")
    return ("%s -> %s (%s)"):format(way, circle[1], table.concat(ties, "; "))
end

-- The smallest circles first, until each file of the knot was named.
local function tell_knot(knot)
    local members, circles, named = sorted_keys(knot), {}, {}
    for i, file in ipairs(members) do
        circles[i] = circle_through(file, knot)
    end
    table.sort(circles, function(a, b)
        return #a < #b or #a == #b and a[1] < b[1]
    end)
    if #circles[1] < #members then
        fault("circle", ("%d files are tied: %s"):format(#members, table.concat(members, " ")))
    end
    for _, circle in ipairs(circles) do
        local news = false
        for _, file in ipairs(circle) do
            news = news or not named[file]
            named[file] = true
        end
        if news then
            fault("circle", circle_as_text(circle))
        end
    end
end

-- ---- what a file may hold -----------------------------------------------------------------------

local function check_outside_headers(source)
    for _, include in ipairs(source.includes) do
        for _, owner in ipairs(owners) do
            if include.header:find(owner.header) and not source.path:find(owner.place) then
                fault(where(source, include.at), owner.says)
            end
        end
    end
end

-- A header without a .c (script/embedded.h) may declare what is made at build time.
local function check_declarations(source, has_c)
    for _, d in ipairs(source.declarations) do
        local definer = definers[d.name]
        if d.defines or d.static then
            definer = source
        end
        if definer and definer.file ~= source.file then
            fault(where(source, d.at), ("%s is declared here and defined in %s"):format(d.name,
                definer.path))
        elseif not definer and has_c then
            fault(where(source, d.at), d.name .. " is declared and defined nowhere")
        end
    end
end

-- Specs and the server give these headers to ffi.cdef, which knows no preprocessor and no function
-- bodies: all of base and protocol, and what script/api*.h includes.
local function read_by_lua(by_path)
    local read = {}
    local function add(source)
        if not source or read[source.path] then
            return
        end
        read[source.path] = source
        for _, include in ipairs(source.includes) do
            add(by_path["src/" .. include.header])
        end
    end
    for path, source in pairs(by_path) do
        if path:find "^src/base/.*%.h$" or path:find "^src/protocol/.*%.h$"
            or path:find "^src/script/api[%w_]*%.h$" then
            add(source)
        end
    end
    return read
end

local function check_for_lua(source)
    for at in ("\n" .. source.code):gmatch "\n()[ \t]*#[ \t]*define" do
        fault(where(source, at - 1), "a #define in a header that Lua reads: use an enum")
    end
    for at, line in ("\n" .. source.code):gmatch "\n()([^\n]*)" do
        if line:find "static%s+inline" or line:find "inline%s+static" then
            fault(where(source, at - 1), "an inline function in a header that Lua reads")
        end
    end
end

-- ---- all of it ----------------------------------------------------------------------------------

local by_path = {}
for _, path in ipairs(arg) do
    local source = read_source(path)
    sources[#sources + 1] = source
    by_path[path] = source
    if not files[source.file] then
        files[source.file] = true
        arrows[source.file] = {}
        if not room_of(source.file) then
            fault(path .. ":1", "in a folder that is no room")
        end
    end
end
for _, source in ipairs(sources) do
    add_uses(source)
end
for _, source in ipairs(sources) do
    add_includes(source)
end
for _, source in ipairs(sources) do
    check_outside_headers(source)
    check_declarations(source, by_path["src/" .. source.file .. ".c"])
end
local for_lua = read_by_lua(by_path)
for _, path in ipairs(sorted_keys(for_lua)) do
    check_for_lua(for_lua[path])
end
for _, from in ipairs(sorted_keys(files)) do
    for _, to in ipairs(sorted_keys(arrows[from])) do
        check_arrow(from, to, arrows[from][to])
    end
end
for _, knot in ipairs(knots()) do
    tell_knot(knot)
end
os.exit(faults == 0 and 0 or 1)
