-- Checks what a compiler and clang-format do not: luajit tools/style.lua FILE…
-- CONTRIBUTING.md has the rules. FILE is of src/ or lua/.

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "?.lua;" .. package.path
local c_text = require "c_text"

local COLUMNS = 100
local FILE_LINES = 500
local FUNCTION_LINES = 40

local faults = 0
local function fault(path, number, text)
    faults = faults + 1
    io.stderr:write(("%s:%d: %s\n"):format(path, number, text))
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch "([^\n]*)\n?" do
        lines[#lines + 1] = line
    end
    while lines[#lines] == "" do
        lines[#lines] = nil
    end
    return lines
end

local function columns_of(line)
    return #line:gsub("[\128-\191]", "") -- a character of UTF-8 has one byte that is none of these
end

local function check_columns(path, lines)
    for number, line in ipairs(lines) do
        local columns = columns_of(line)
        if columns > COLUMNS then
            fault(path, number, ("%d columns"):format(columns))
        end
    end
end

-- ---- declarations -------------------------------------------------------------------------------

local begins_statement = { ["return"] = true, ["else"] = true, ["do"] = true, ["goto"] = true }

-- A type alone on its line, and the name on the next one.
local function check_torn(path, code_lines)
    for number, line in ipairs(code_lines) do
        local word = line:match "^%s*([%a_][%w_]*)[%w_%s*]*$"
        local following = code_lines[number + 1] or ""
        local name_follows = following:find "^%s+%**[%a_][%w_%[%]]*%s*[;=,]"
        if word and not begins_statement[word] and name_follows then
            fault(path, number, "a declaration is torn: put its comment above it")
        end
    end
end

-- ---- functions ----------------------------------------------------------------------------------

-- How many lines tables and switches without a block inside have, the first line of each aside:
-- they may be long, since they are flat.
local function flat_lines(lines, first, last)
    local flat, from, indentation = 0, nil, nil
    for number = first, last do
        local line = lines[number]
        if not from then
            if line:find "^%s+switch %(.*{%s*$" or line:find "^%s+[^=]*=%s*{%s*$" then
                from, indentation = number, line:match "^%s+"
            end
        elseif line:find("^" .. indentation .. "}") then
            flat = flat + number - from
            from = nil
        elseif line:find "{%s*$" then
            from = nil
        end
    end
    return flat
end

local function check_function(path, lines, name, first, last)
    local count = last - first + 1
    if count > FUNCTION_LINES then
        count = count - flat_lines(lines, first, last)
    end
    if count > FUNCTION_LINES then
        fault(path, first, ("%s has %d lines"):format(name, count))
    end
end

local function check_c_functions(path, code, lines)
    c_text.each_declaration(code, function(d)
        if d.kind == "function" and d.defines then
            local first = c_text.line_at(code, d.at)
            local last = first
            while last < #lines and not lines[last]:find "^}" do
                last = last + 1
            end
            check_function(path, lines, d.name, first, last)
        end
    end)
end

local function lua_function_name(line)
    local declared = line:gsub("^%s*local%s+", "")
    return declared:match "^%s*function%s+([%w_.:]+)"
        or declared:match "^%s*([%w_.]+)%s*=%s*function%s*%("
end

-- A function of Lua that has a name, down to the end with its indentation.
local function check_lua_functions(path, lines)
    for first, line in ipairs(lines) do
        local name = lua_function_name(line)
        if name and not line:find "%f[%w_]end%f[^%w_]%W*$" then
            local ends = "^" .. line:match "^%s*" .. "end%f[^%w_]"
            local last = first + 1
            while last < #lines and not lines[last]:find(ends) do
                last = last + 1
            end
            check_function(path, lines, name, first, last)
        end
    end
end

-- ---- results that must be used ------------------------------------------------------------------

-- Their errors may go unheard.
local may_be_dropped = {
    log_sink_flush = true, -- at the process's end nothing can be done about a log that is not read
    tls_fail = true,       -- the session keeps its failure, which the next call returns
    tls_push = true,       -- likewise
    site_fail = true,      -- the site keeps its failure, which site_commit returns
    site_no_memory = true, -- likewise
}

-- Only Lua calls what script/api*.h declares.
local function must_use_results(path)
    return path:find "^src/%l+/.*%.h$" and not path:find "^src/main/"
        and not path:find "^src/script/api[%w_]*%.h$"
end

local returns_error = { int = true, long = true, ssize_t = true }

local function may_drop_result(d)
    return d.kind ~= "function" or d.static or may_be_dropped[d.name]
        or d.head:find "warn_unused_result"
end

local function check_results(path, code)
    c_text.each_declaration(code, function(d)
        local type = d.head:match "^([%w_]+)%s+[%w_]+%("
        if returns_error[type] and not may_drop_result(d) then
            local text = "%s returns %s: it needs __attribute__((warn_unused_result))"
            fault(path, c_text.line_at(code, d.at), text:format(d.name, type))
        end
    end)
end

-- ---- methods of strings ------------------------------------------------------------------------

-- ("x"):format() looks into the table `string`, which an app may change (base/library.lua).
local function check_string_methods(path, lines)
    for number, line in ipairs(lines) do
        local code = line:gsub("%-%-.*$", "")
        for before, name in code:gmatch "([%w_%)%]\"]):(%l+)%s*[%(\"'{]" do
            if string[name] and before ~= "" then
                fault(path, number, ("write string.%s(…), not a method"):format(name))
            end
        end
    end
end

-- ---- all of it ----------------------------------------------------------------------------------

local function check_c(path, text, lines)
    local code = c_text.without_directives(c_text.strip(text))
    local code_lines = lines_of(code)
    check_columns(path, lines)
    check_torn(path, code_lines)
    check_c_functions(path, code, code_lines)
    if not text:find "^/%*" then
        fault(path, 1, "does not begin with a comment that says what the file is for")
    end
    if must_use_results(path) then
        check_results(path, code)
    end
end

for _, path in ipairs(arg) do
    local text = c_text.read(path)
    local lines = lines_of(text)
    if path:find "%.[ch]$" then
        check_c(path, text, lines)
    elseif path:find "%.lua$" then
        check_lua_functions(path, lines)
        check_string_methods(path, lines)
    end
    if #lines > FILE_LINES then
        fault(path, 1, ("%d lines"):format(#lines))
    end
end
os.exit(faults == 0 and 0 or 1)
