-- Reads C as the house writes it: whatever stands at file scope begins in the first column.
-- tools/layers.lua and tools/style.lua share it.

local M = {}

function M.read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function blank(text)
    return (text:gsub("[^\n]", " "))
end

-- The last byte of the literal whose quotation mark stands at first.
local function literal_end(text, first)
    local quote, at = text:sub(first, first), first
    while true do
        at = text:find('[\\"\'\n]', at + 1)
        if not at then
            return #text
        end
        local byte = text:sub(at, at)
        if byte == "\\" then
            at = at + 1
        elseif byte == quote or byte == "\n" then
            return at
        end
    end
end

-- The text with spaces in place of comments and of what literals hold. Every byte that is left, and
-- every line, keeps its place.
function M.strip(text)
    local out, at = {}, 1
    local function keep(last)
        out[#out + 1] = text:sub(at, last)
        at = last + 1
    end
    local function drop(last)
        out[#out + 1] = blank(text:sub(at, last))
        at = last + 1
    end
    while true do
        local first = text:find("[/\"']", at)
        if not first then
            keep(#text)
            return table.concat(out)
        end
        local two = text:sub(first, first + 1)
        if two == "/*" then
            keep(first - 1)
            drop(select(2, text:find("*/", first + 2, true)) or #text)
        elseif two == "//" then
            keep(first - 1)
            drop((text:find("\n", first, true) or #text + 1) - 1)
        elseif text:sub(first, first) == "/" then
            keep(first)
        else
            keep(first)
            drop(literal_end(text, first) - 1)
            keep(at)
        end
    end
end

-- Stripped code without the lines of the preprocessor; everything left keeps its place.
function M.without_directives(code)
    code = code:gsub("\\\n", "\\\1") -- a line that goes on
    code = ("\n" .. code):gsub("\n[ \t]*#[^\n]*", function(line)
        return (line:gsub("[^\n\1]", " "))
    end)
    return (code:sub(2):gsub("\1", "\n"))
end

-- The number of the line that the byte at stands in.
function M.line_at(text, at)
    return select(2, text:sub(1, at - 1):gsub("\n", "")) + 1
end

-- "int f(void)" is f, and a function; "const char name[]" is name, and a variable; a type is nil.
local function name_in(head)
    head = head:gsub("__attribute__%s*%b()", " "):gsub("_Alignas%s*%b()", " ")
    head = head:gsub("%)[%s%u_]+$", ")") -- an attribute that is a macro
    local type, name = head:match "^(.*[%s*])([%a_][%w_]*)%s*%b()%s*$"
    if type then
        return name, true
    end
    return head:match "%(%s*%*%s*([%a_][%w_]*)" -- a pointer to a function
        or head:gsub("%b[]", ""):match "[%s*]([%a_][%w_]*)%s*$"
end

local types = { struct = true, enum = true, union = true }
local not_a_name = { typedef = true, _Static_assert = true }

-- Calls fn(declaration) for each function and variable at file scope of code (stripped, without
-- directives). head is its text up to the body, value or semicolon, and at the first byte of that.
-- kind: "function" or "variable". defines: it has a body, or room in memory. static: no other file
-- sees it.
function M.each_declaration(code, fn)
    local at = 1
    code = "\n" .. code
    while true do
        local first = code:find("\n[%a_]", at)
        local last = first and code:find("[;{=]", first)
        if not last then
            return
        end
        at = last
        local head, ending = code:sub(first + 1, last - 1), code:sub(last, last)
        local word = head:match "^[%w_]+"
        local is_type = types[word] and head:find "^%l+%s*[%w_]*%s*$"
        local is_label = head:find "^[%w_]+%s*:"
        if not is_type and not is_label and not not_a_name[word] then
            local name, is_function = name_in(head)
            if name then
                fn {
                    name = name,
                    at = first, -- code has a byte before its first one here
                    head = head,
                    kind = is_function and "function" or "variable",
                    static = head:find "%f[%w_]static%f[^%w_]" ~= nil,
                    defines = ending == "{" or ending == "="
                        or not is_function and word ~= "extern",
                }
            end
        end
    end
end

return M
