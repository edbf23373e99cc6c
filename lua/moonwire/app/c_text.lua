-- Reads the declarations of ffi.cdef, as far as one must to know which names they declare, and
-- whether two of them are the same. What LuaJIT does not accept is not noticed here.

local lazy = require "moonwire.base.lazy"

local M = lazy.module(...)

local function set(words)
    local out = {}
    for word in string.gmatch(words, "%S+") do
        out[word] = true
    end
    return out
end

local TAG = set "struct union enum"
local QUALIFIER = set [[const volatile restrict __const __const__ __volatile __volatile__ __restrict
    __restrict__ __extension__ __cdecl __stdcall __fastcall __thiscall]]
local BASIC = set [[void bool _Bool char short int long float double signed unsigned complex
    _Complex __int8 __int16 __int32 __int64]]
local GROUPED = set "__attribute__ __attribute __declspec __asm__ __asm asm"
local LAYOUT = set "__attribute__ __attribute __declspec"

-- ---- tokens ---------------------------------------------------------------------------------

local function newlines(text, from, to)
    local count = 0
    for _ in string.gmatch(string.sub(text, from, to), "\n") do
        count = count + 1
    end
    return count
end

local BLANKS = { "^%s+", "^//[^\n]*", "^/%*.-%*/" }
local KINDS = {
    { "word", "^[%a_\128-\255][%w_\128-\255]*" },
    { "number", "^%.?%d[%w_.]*" },
    { "text", '^"[^"\n]*"' },
    { "text", "^'[^'\n]*'" },
    { "pragma", "^#[^\n]*" },
    { "sign", "^." },
}

local function skip_blanks(text, at)
    local moved = true
    while moved do
        moved = false
        for _, pattern in ipairs(BLANKS) do
            local _, to = string.find(text, pattern, at)
            if to then
                at, moved = to + 1, true
            end
        end
    end
    return at
end

-- A list of { kind, text, from, to, line }.
local function tokens_of(text)
    local list, line, before = {}, 1, 1
    local at = skip_blanks(text, 1)
    while at <= #text do
        for _, kind in ipairs(KINDS) do
            local from, to = string.find(text, kind[2], at)
            if from then
                line = line + newlines(text, before, from - 1)
                list[#list + 1] = { kind = kind[1], text = string.sub(text, from, to), from = from,
                    to = to,
                    line = line }
                before = from
                at = skip_blanks(text, to + 1)
                break
            end
        end
    end
    return list
end

local CLOSES = { ["("] = ")", ["["] = "]", ["{"] = "}" }

-- The index of the token that closes the group which begins at i.
local function closing(list, i)
    local depth = 0
    for j = i, #list do
        if CLOSES[list[j].text] then
            depth = depth + 1
        elseif string.find(list[j].text, "^[%)%]}]$") then
            depth = depth - 1
            if depth == 0 then
                return j
            end
        end
    end
    return #list
end

-- Behind the attributes that may stand at i.
local function behind_groups(list, i, words)
    while list[i] and words[list[i].text] and list[i + 1] and list[i + 1].text == "(" do
        i = closing(list, i + 1) + 1
    end
    return i
end

-- Is the word at i the name of a parameter? Those do not matter.
local function names_parameter(list, i)
    local word, before, after = list[i], list[i - 1], list[i + 1]
    if word.kind ~= "word" or QUALIFIER[word.text] or BASIC[word.text] or not after
        or not string.find(after.text, "^[,)%[]$") then
        return false
    end
    return before.text == "*" or before.kind == "word" and not TAG[before.text]
        and not QUALIFIER[before.text]
end

-- The tokens from i to j in one way of writing. skip: those that are left out, by index. Fields of
-- a type have names that count.
local function plain(list, i, j, skip)
    local out, depth, body = {}, 0, 0
    for k = i, j do
        local text = list[k].text
        depth = depth + (text == "(" and 1 or text == ")" and -1 or 0)
        body = body + (text == "{" and 1 or text == "}" and -1 or 0)
        local in_parameters = depth > 0 and body == 0
        if not (skip and skip[k]) and not (in_parameters and names_parameter(list, k)) then
            out[#out + 1] = list[k].value or text
        end
    end
    return table.concat(out, " ")
end

-- ---- one declaration ------------------------------------------------------------------------

-- The constants of an enum whose braces are at open and close.
local function add_constants(names, list, open, close, text)
    local k = open + 1
    while k < close do
        if list[k].kind == "word" and string.find(list[k - 1].text, "^[{,]$") then
            names[#names + 1] = { key = list[k].text, title = list[k].text, text = text,
                line = list[k].line }
        end
        k = CLOSES[list[k].text] and closing(list, k) + 1 or k + 1
    end
end

-- Structs, unions and enums with a body; bodies[i] = j, those of types with a name.
local function add_types(names, list, first, last, pack, bodies)
    for i = first, last do
        local at = TAG[list[i].text] and behind_groups(list, i + 1, LAYOUT)
        local tag = at and list[at] and list[at].text ~= "{" and list[at] or nil
        local open = at and (tag and at + 1 or at)
        if open and open <= last and list[open].text == "{" then
            local close = closing(list, open)
            local whole = behind_groups(list, close + 1, LAYOUT) - 1
            local text = pack .. plain(list, i, whole)
            if tag then
                local name = tostring(tag.value or tag.text)
                names[#names + 1] = { key = "tag " .. name, title = list[i].text .. " " .. name,
                    text = text, line = tag.line, open = open, close = close }
                bodies[open] = close
            end
            if list[i].text == "enum" then
                add_constants(names, list, open, close, text)
            end
        end
    end
end

-- The index of the name that a declarator declares, between i and j; nil: none.
local function declared(list, i, j)
    local k = i
    while k <= j do
        local text, next_text = list[k].text, list[k + 1] and list[k + 1].text
        if GROUPED[text] and next_text == "(" then
            k = closing(list, k + 1) + 1
        elseif text == "{" then
            k = closing(list, k) + 1
        elseif text == "(" and (next_text == "*" or next_text == "(") then
            return declared(list, k + 1, closing(list, k) - 1)
        elseif list[k].kind == "word" and not QUALIFIER[text] and not BASIC[text]
            and not TAG[text] and not TAG[(list[k - 1] or list[k]).text]
            and (k == j or string.find(next_text, "^[%(%[:=,]$") or GROUPED[next_text]) then
            return k
        else
            k = k + 1
        end
    end
end

-- The ranges between the commas of a declaration, each with the index of the name that it declares.
-- One word alone is a type, or nothing at all.
local function declarators(list, first, last)
    local out, from, k = {}, first, first
    while k <= last + 1 do
        if k > last or list[k].text == "," then
            local name = declared(list, from, k - 1)
            if name and name > first then
                out[#out + 1] = { from = from, to = k - 1, name = name }
            end
            from = k + 1
        end
        k = k <= last and CLOSES[list[k].text] and closing(list, k) + 1 or k + 1
    end
    return out
end

-- Typedefs, functions and variables: each with the type that stands before the first one.
local function add_declarators(names, list, first, last, pack, bodies)
    local skip, unnamed = {}, false
    for k = first, last do
        if bodies[k] then
            for i = k, bodies[k] do
                skip[i] = true
            end
        end
        unnamed = unnamed or list[k].text == "{" and not skip[k]
    end
    local parts = declarators(list, first, last)
    local start = parts[1] and parts[1].name
    while start and (string.find(list[start - 1].text,
        "^[*(]$") or QUALIFIER[list[start - 1].text]) do
        start = start - 1
    end
    for _, part in ipairs(parts) do
        local word = list[part.name]
        local name = tostring(word.value or word.text)
        names[#names + 1] = {
            key = name,
            title = name,
            text = (unnamed and pack or "") .. plain(list, first, start - 1, skip) .. " "
                .. plain(list, math.max(part.from, start), part.to, skip),
            line = word.line,
        }
    end
end

-- ---- all of them ----------------------------------------------------------------------------

-- The parameters of $, which stand for a type, a name or a number.
local function fill_in(list, describe, ...)
    local n = 0
    for _, token in ipairs(list) do
        if token.text == "$" then
            n = n + 1
            token.parameter = n
            local value = select(n, ...)
            token.value = describe(value)
            token.kind = type(value) == "string" and "word" or token.kind
        end
    end
end

--- Takes the text of a cdef apart. describe(parameter) gives a text for what $ stands for.
-- @return a list of declarations { first, last, names }: tokens' indices, and for each name { key,
--   title, text, line, open, close }. Two with one key are the same if their texts are. open and
--   close: the braces of a type with a name
-- @return the tokens { text, from, to, line, parameter }
function M.read(text, describe, ...)
    local list = tokens_of(text)
    fill_in(list, describe, ...)
    local out, first, pack, i = {}, 1, "", 1
    while i <= #list do
        if list[i].kind == "pragma" then
            pack = pack .. string.gsub(list[i].text, "%s+", " ") .. "\n"
            first = i + 1
        elseif list[i].text == ";" or i == #list then
            local last = list[i].text == ";" and i - 1 or i
            local names, bodies = {}, {}
            add_types(names, list, first, last, pack, bodies)
            add_declarators(names, list, first, last, pack, bodies)
            out[#out + 1] = { first = first, last = i, names = names }
            first = i + 1
        end
        i = CLOSES[list[i].text] and math.max(closing(list, i), i + 1) or i + 1
    end
    return out, list
end

return M
