-- Checks what the documents say against the code: luajit tools/check-docs.lua
--
-- docs/protocol.md: every file, function and spec title that it names exists, and each rule names
-- code and a spec. docs/websocket.md: each step names specs. docs/tuning.md: every limit with its
-- default and every counter, in the code's order, and the defaults of compression. docs/api.md
-- names them all. The annotations for editors have each of them too, with the same defaults.
-- docs/decisions: the index lists every record, and each record has the same four headings.
-- Everywhere: links and files exist, Lua blocks compile. Lines of prose have at most 100 columns.

local markdown = require "tools.markdown"

local M = {}

local lines_of, cells_of = markdown.lines_of, markdown.cells_of

local decisions = "docs/decisions/"
local columns = 100

local documents = {
    "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/api.md", "docs/app.md", "docs/waiting.md",
    "docs/client.md", "docs/editor.md", "docs/protocol.md",
    "docs/operations.md", "docs/tuning.md", "docs/reload.md", "docs/websocket.md",
    "examples/README.md", "bench/README.md", "bench/NOTES.md", decisions .. "README.md",
}

-- Checked where they are there.
local optional = { "CONTRIBUTING.md", "SECURITY.md", "docs/glossary.md" }

-- ---- what the code says ---------------------------------------------------------------------

-- A function is defined where its name begins a line's declaration that is not a prototype.
local function defines(source, name)
    for line in source:gmatch "[^\n]+" do
        if line:find("^[%w_].-%f[%w_]" .. name .. "%(") and not line:find ";%s*$" then
            return true
        end
    end
    return false
end

-- A title stands in the spec as a whole string, or ("…" at its end) begins one.
local function has_title(spec, title)
    local start = title:match "^(.*)…$"
    local literal = '"' .. (start or title):gsub('"', '\\"') .. (start and "" or '"')
    return spec:find(literal, 1, true) ~= nil
end

-- { { name, default } } of src/base/limits.c, in its order.
local function limits_of(source)
    local list = {}
    local body = source:match "limits_default%s*=%s*{(.-)\n};"
    for name, value in (body or ""):gmatch "%.([%w_]+)%s*=%s*([^,]+)," do
        local low, shift = value:match "^(%d+)%s*<<%s*(%d+)$"
        list[#list + 1] = { name, low and low * 2 ^ shift or tonumber(value) }
    end
    return list
end

-- The number that each option of permessage-deflate is by default, by name.
local function compression_of(source)
    local body = source:match "deflate_options_default%s*=%s*{(.-)\n};"
    local out = {}
    for name, value in (body or ""):gmatch "%.([%w_]+)%s*=%s*(%d+)," do
        out[name] = tonumber(value)
    end
    return out
end

local function counters_of(source)
    local list = {}
    for name in (source:match "names%[%]%s*=%s*{(.-)\n};" or ""):gmatch '"([%w_]+)"' do
        list[#list + 1] = name
    end
    return list
end

-- ---- what the documents say -----------------------------------------------------------------

-- "8 KiB" to 8192; a number that other words follow to that number.
local factors = { KiB = 1024, MiB = 1024 ^ 2 }
local function amount(cell)
    local number, unit = cell:match "^([%d,]+)%s*(%a*)"
    local value = number and tonumber((number:gsub(",", "")))
    return value and value * (factors[unit] or 1)
end

-- The first column's code and the second's text of the table below a heading.
local function table_below(text, heading)
    local rows, inside = {}, false
    for number, line in lines_of(text) do
        if line:find "^##" then
            inside = line:gsub("^#+%s*", "") == heading
        end
        local cells = inside and cells_of(line)
        local name = cells and cells[1]:match "^`([%w_]+)`$"
        if name then
            rows[#rows + 1] = { name = name, value = cells[2], line = number }
        end
    end
    return rows
end

-- ---- the checks -----------------------------------------------------------------------------

local function check_code(self, path, number, cell)
    local source, any = nil, false
    for name in cell:gmatch "`([^`]+)`" do
        if name:find "/" then
            local file = name:find "%.lua$" and name or "src/" .. name
            source = self.read(file)
            if not source then
                self.fault(path, number, file .. " does not exist")
                return
            end
        elseif source then
            any = true
            if not defines(source, name) then
                self.fault(path, number, "there is no function " .. name)
            end
        end
    end
    if not any then
        self.fault(path, number, "names no function")
    end
end

local function check_specs(self, path, number, cell)
    local any = false
    for name, titles in cell:gmatch '`([%w_/]+)` ("[^`]*)' do
        local spec = self.read("spec/" .. name .. "_spec.lua")
        if not spec then
            self.fault(path, number, "spec/" .. name .. "_spec.lua does not exist")
        end
        for title in (titles .. ", "):gmatch '"(.-)",%s' do
            any = true
            if spec and not has_title(spec, title) then
                self.fault(path, number, ('spec/%s_spec.lua has no "%s"'):format(name, title))
            end
        end
    end
    if not any then
        self.fault(path, number, "names no spec")
    end
end

function M.protocol(self)
    local path, rules = "docs/protocol.md", 0
    for number, line in lines_of(self.read(path) or "") do
        local cells = cells_of(line)
        if cells and cells[1] ~= "Rule" then
            rules = rules + 1
            if #cells ~= 3 then
                self.fault(path, number, "has not three columns")
            else
                check_code(self, path, number, cells[2])
                check_specs(self, path, number, cells[3])
            end
        end
    end
    if rules == 0 then
        self.fault(path, 1, "has no rules")
    end
end

-- The last column of each table names specs.
function M.websocket(self)
    local path, steps = "docs/websocket.md", 0
    for number, line in lines_of(self.read(path) or "") do
        local cells = cells_of(line)
        if cells and cells[#cells] ~= "Specs" then
            steps = steps + 1
            check_specs(self, path, number, cells[#cells])
        end
    end
    if steps == 0 then
        self.fault(path, 1, "has no steps")
    end
end

-- wanted: names in order. Returns the rows by name.
local function check_names(self, path, heading, wanted)
    local rows = table_below(self.read(path) or "", heading)
    for i = 1, math.max(#rows, #wanted) do
        local row = rows[i]
        if not row or row.name ~= wanted[i] then
            self.fault(path, row and row.line or 1, ("%s: expected %s, got %s"):format(heading,
                wanted[i] or "nothing more", row and row.name or "nothing more"))
            break
        end
    end
    return rows
end

local function check_defaults(self, path, rows, defaults)
    for _, row in ipairs(rows) do
        if defaults[row.name] and amount(row.value) ~= defaults[row.name] then
            self.fault(path, row.line, ("the default of %s is %d, not %s"):format(row.name,
                defaults[row.name], row.value))
        end
    end
end

-- docs/api.md has them in brackets behind the names: `level` 1–9 (1)
local function check_compression(self, path)
    local defaults = compression_of(self.read "src/protocol/extension.c" or "")
    if not next(defaults) then
        self.fault(path, 1, "no defaults of compression are found in the code")
    end
    check_defaults(self, path, table_below(self.read(path) or "", "Compression"), defaults)
    local api = self.read "docs/api.md" or ""
    for name, value in pairs(defaults) do
        local said = api:match("`" .. name .. "`[^()`|]*%((%d+)")
        if said and tonumber(said) ~= value then
            self.fault("docs/api.md", 1, ("the default of %s is %d, not %s"):format(name, value,
                said))
        end
    end
end

-- The fields of a class of the annotations, in order: { name, text before it, the field's line }.
local function fields_of(text, class)
    local list, inside, before = {}, false, ""
    for number, line in lines_of(text) do
        if line:find "^%-%-%-@class " then
            inside = line:match "^%-%-%-@class ([%w_.]+)" == class
        elseif not line:find "^%-%-%-" then
            inside = false
        end
        local name = inside and line:match "^%-%-%-@field ([%w_]+)"
        if name then
            list[#list + 1] = { name = name, value = before .. line, line = number }
        end
        before = inside and not name and line or ""
    end
    return list
end

-- "Default: 1 MiB.", "Default: 0, none."
local function check_annotations(self, limits, defaults, counters)
    local path = "annotations/moonwire.lua"
    local text = self.read(path) or ""
    local known = {}
    for _, class in ipairs { "moonwire.RouteLimits", "moonwire.Limits", "moonwire.Counters" } do
        for _, field in ipairs(fields_of(text, class)) do
            known[field.name] = true
            local default = amount(field.value:match "Default: (.-)%.?%-%-%-" or "")
            if defaults[field.name] and default ~= defaults[field.name] then
                self.fault(path, field.line, ("the default of %s is %d"):format(field.name,
                    defaults[field.name]))
            end
        end
    end
    for _, list in ipairs { limits, counters } do
        for _, name in ipairs(list) do
            if not known[name] then
                self.fault(path, 1, "has no field " .. name)
            end
        end
    end
end

function M.tuning(self)
    local path = "docs/tuning.md"
    local limits = limits_of(self.read "src/base/limits.c" or "")
    local names, defaults = {}, {}
    for i, limit in ipairs(limits) do
        names[i], defaults[limit[1]] = limit[1], limit[2]
    end
    check_defaults(self, path, check_names(self, path, "Limits", names), defaults)
    check_compression(self, path)
    local counters = counters_of(self.read "src/engine/ground/counters.c" or "")
    check_names(self, path, "Counters", counters)
    if #names == 0 or #counters == 0 then
        self.fault(path, 1, "no limits or no counters are found in the code")
    end
    check_annotations(self, names, defaults, counters)
    local api = self.read "docs/api.md" or ""
    for _, list in ipairs { names, counters } do
        for _, name in ipairs(list) do
            if not api:find("`" .. name .. "`", 1, true) then
                self.fault("docs/api.md", 1, "does not name " .. name)
            end
        end
    end
end

local function check_link(self, path, number, text, target)
    if target:find "^%a+:" then
        return
    end
    local file, place = target:match "^([^#]*)#?(.*)$"
    local folder = path:match "^(.*/)" or ""
    local full = file == "" and path or markdown.resolved(folder .. file)
    local linked = file == "" and text or self.read(full) or ""
    if not self.exists(full) then
        self.fault(path, number, "links to " .. full .. ", which does not exist")
    elseif place ~= "" and not markdown.has_anchor(linked, place) then
        self.fault(path, number, ("links to #%s, which is no heading of %s"):format(place, full))
    end
end

local layers = { base = true, protocol = true, transport = true, engine = true, script = true,
    main = true }
local folders = { src = true, lua = true, spec = true, tools = true, docs = true, examples = true,
    bench = true, fuzz = true }

-- `engine/conn.c`, `src/base/limits.c`, `docs/api.md`: names of our own files.
local function check_file(self, path, number, name)
    local first = name:match "^(%w+)/[%w_/%-]+%.%w+$"
    if layers[first] then
        name = "src/" .. name
    elseif not folders[first] then
        return
    end
    if not self.exists(name) then
        self.fault(path, number, name .. " does not exist")
    end
end

local record_headings = { "Situation", "Decision", "What it costs", "What was measured" }

local function check_record(self, path)
    local at = 0
    for number, line in lines_of(self.read(path) or "") do
        local heading = line:match "^## (.*)"
        if heading then
            at = at + 1
            if heading ~= record_headings[at] then
                self.fault(path, number, ("a record's heading %d is %s"):format(at,
                    record_headings[at] or "none"))
            end
        end
    end
    if at < #record_headings then
        self.fault(path, 1, "has no heading " .. record_headings[at + 1])
    end
end

function M.decisions(self)
    local index = decisions .. "README.md"
    local listed = {}
    for _, line in lines_of(self.read(index) or "") do
        local name = line:match "^| %[[^%]]+%]%(([%w_-]+%.md)%)"
        if name then
            listed[name] = true
            check_record(self, decisions .. name)
        end
    end
    for _, name in ipairs(self.list(decisions)) do
        if name ~= "README.md" and not listed[name] then
            self.fault(index, 1, "does not list " .. name)
        end
    end
end

-- Tables and code have no other way. The benchmark's notes are kept as they were written.
function M.width(self)
    for _, path in ipairs(self.documents) do
        local code = path:find "^bench/" ~= nil
        for number, line in lines_of(self.read(path) or "") do
            if line:find "^%s*```" then
                code = not code
            elseif not code and not line:find "^%s*|" then
                local width = markdown.width_of(line)
                if width > columns then
                    self.fault(path, number, ("has %d columns"):format(width))
                end
            end
        end
    end
end

-- All documents: those that must be there, those that are there, and the decisions.
local function all_documents(self)
    local list = {}
    for _, path in ipairs(documents) do
        list[#list + 1] = path
    end
    for _, path in ipairs(optional) do
        if self.exists(path) then
            list[#list + 1] = path
        end
    end
    for _, name in ipairs(self.list(decisions)) do
        if name ~= "README.md" then
            list[#list + 1] = decisions .. name
        end
    end
    return list
end

function M.links(self)
    for _, path in ipairs(self.documents) do
        local text = self.read(path)
        if not text then
            self.fault(path, 1, "does not exist")
        end
        local code = false
        for number, line in lines_of(text or "") do
            if line:find "^```" then
                code = not code
            elseif not code then
                for target in line:gmatch "%]%(([^)%s]+)%)" do
                    check_link(self, path, number, text, target)
                end
                for name in line:gmatch "`([^`]+)`" do
                    check_file(self, path, number, name)
                end
            end
        end
    end
end

function M.snippets(self)
    for _, path in ipairs(self.documents) do
        local block, began
        for number, line in lines_of(self.read(path) or "") do
            if line:find "^```lua" then
                block, began = {}, number
            elseif block and line:find "^```" then
                local chunk, problem = loadstring(table.concat(block, "\n"), "=block")
                if not chunk then
                    self.fault(path, began, "this Lua does not compile: " .. problem)
                end
                block = nil
            elseif block then
                block[#block + 1] = line
            end
        end
    end
end

--- All faults, as lines "file:line: text".
-- @param read function(path) → text or nil
-- @param exists function(path) → boolean, for folders too
-- @param list function(folder) → the names of its Markdown files
function M.check(read, exists, list)
    local faults = {}
    local self = {
        read = read,
        exists = exists,
        list = list,
        fault = function(path, number, text)
            faults[#faults + 1] = ("%s:%d: %s"):format(path, number, text)
        end,
    }
    self.documents = all_documents(self)
    M.protocol(self)
    M.websocket(self)
    M.tuning(self)
    M.decisions(self)
    M.links(self)
    M.snippets(self)
    M.width(self)
    return faults
end

function M.read_file(path)
    local file = io.open(path, "rb")
    local text = file and file:read "*a"
    if file then
        file:close()
    end
    return text
end

function M.file_exists(path)
    local file = io.open(path, "rb")
    if file then
        file:close()
    end
    return file ~= nil
end

function M.list_folder(path)
    local names = {}
    local pipe = io.popen("ls " .. path)
    for name in pipe:lines() do
        if name:find "%.md$" then
            names[#names + 1] = name
        end
    end
    pipe:close()
    return names
end

if arg and (arg[0] or ""):find "check%-docs%.lua$" then
    local faults = M.check(M.read_file, M.file_exists, M.list_folder)
    for _, fault in ipairs(faults) do
        io.stderr:write(fault, "\n")
    end
    os.exit(#faults == 0 and 0 or 1)
end

return M
