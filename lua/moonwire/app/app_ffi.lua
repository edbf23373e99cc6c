-- What an app gets from require "ffi". LuaJIT keeps C types and their metatables for the whole
-- state, so that a generation would meet what the one before it has declared:
--
-- - ffi.cdef leaves out what is declared already in the same way. A type that has changed raises an
--   error, since the old one would stay.
-- - ffi.metatype gives a type the metatable of the generation that runs.

local c_text = require "moonwire.app.c_text"
local finalisers = require "moonwire.app.finalisers"
local lazy = require "moonwire.base.lazy"
local library = require "moonwire.base.library"

local ffi = require "ffi"

local M = lazy.module(...)

local known = {}     -- by key: { text, by = the generation that declared it last, where }
local proxies = {}   -- the metatables that LuaJIT has, by the number of the type
local anonymous = {} -- the texts of types without a name, by number

-- For c_text: what stands for $.
local function describe(parameter)
    if type(parameter) ~= "cdata" then
        return tostring(parameter)
    end
    local ctype = ffi.typeof(parameter)
    -- types without a name have a number
    return anonymous[tonumber(ctype)] or string.format("%s %s %s", string.gsub(tostring(ctype),
        "%f[%w_]%d+", ""),
        tostring(ffi.sizeof(ctype)), ffi.alignof(ctype))
end

-- ---- declarations ---------------------------------------------------------------------------

local function changed(name, before)
    local line = name.line > 1 and string.format(" (line %d)", name.line) or ""
    return string.format("ffi.cdef: %s%s is not what %s declared before. LuaJIT keeps C "
        .. "declarations as long as "
        .. "the process runs: restart the server, or give this one another name", name.title, line,
            before.where)
end

-- The first name that an older generation has declared otherwise, as a message; or nil.
-- What this one itself declares twice is LuaJIT's to judge.
local function conflict(declarations, generation)
    local own = {}
    for _, declaration in ipairs(declarations) do
        for _, name in ipairs(declaration.names) do
            local before = known[name.key]
            if before and before.text == name.text then
                own[name.key] = true
            elseif before and before.by ~= generation and not own[name.key] then
                return changed(name, before)
            end
        end
    end
end

local function is_known(name)
    local before = known[name.key]
    return before and before.text == name.text
end

-- Marks the tokens that are left out: whole declarations, or bodies of types.
local function mark_known(declarations, tokens)
    local function drop(from, to)
        for i = from, to do
            tokens[i].dropped = true
        end
    end
    for _, declaration in ipairs(declarations) do
        local all = #declaration.names > 0
        for _, name in ipairs(declaration.names) do
            if not is_known(name) then
                all = false
            elseif name.open then
                drop(name.open, name.close)
            end
        end
        if all then
            drop(declaration.first, declaration.last)
        end
    end
end

-- The text with blanks for what is left out, so that lines stay; then the parameters that are left.
local function what_is_left(text, tokens, ...)
    local out, at, parameters, n = {}, 1, {}, 0
    for _, token in ipairs(tokens) do
        if token.dropped then
            out[#out + 1] = string.sub(text, at, token.from - 1)
            out[#out + 1] = string.rep(" ", #token.text)
            at = token.to + 1
        elseif token.parameter then
            n = n + 1
            parameters[n] = (select(token.parameter, ...))
        end
    end
    out[#out + 1] = string.sub(text, at)
    return table.concat(out), n, parameters
end

local function remember(declarations, generation, where)
    for _, declaration in ipairs(declarations) do
        for _, name in ipairs(declaration.names) do
            local before = known[name.key]
            if not before then
                known[name.key] = { text = name.text, by = generation, where = where }
            elseif before.text == name.text then
                before.by = generation
            end
        end
    end
end

-- What LuaJIT says, in the words of this file if it is about an older generation's declaration.
local function explained(problem, generation)
    local name = string.match(tostring(problem), "attempt to redefine '(.-)'")
    local before = name and (known["tag " .. name] or known[name])
    if before and before.by ~= generation then
        return changed({ title = name, line = 1 }, before)
    end
    return problem
end

local function cdef_of(generation)
    return function(text, ...)
        if type(text) ~= "string" then
            return ffi.cdef(text, ...)
        end
        local declarations, tokens = c_text.read(text, describe, ...)
        local problem = conflict(declarations, generation)
        if problem then
            error(problem, 2)
        end
        mark_known(declarations, tokens)
        local left, n, parameters = what_is_left(text, tokens, ...)
        local ok, raised = pcall(ffi.cdef, left, unpack(parameters, 1, n))
        if not ok then
            error(explained(raised, generation), 2)
        end
        local at = debug.getinfo(2, "Sl")
        remember(declarations, generation, string.format("%s:%d", at.short_src, at.currentline))
    end
end

local function typeof(text, ...)
    if type(text) ~= "string" or not string.find(text, "{", 1, true) then
        return ffi.typeof(text, ...)
    end
    local ok, ctype = pcall(ffi.typeof, text, ...)
    if not ok then
        error(ctype, 2)
    end
    anonymous[tonumber(ctype)] = string.gsub(text, "%s+", " ")
    return ctype
end

-- ---- metatables -----------------------------------------------------------------------------

local function fill(proxy, meta)
    for key in pairs(proxy) do
        proxy[key] = nil
    end
    for key, value in pairs(meta) do
        if key == "__gc" then
            value = finalisers.protected(value, "ffi.metatype", 3)
        end
        proxy[key] = value
    end
end

local function metatype_of(metatables)
    return function(what, meta)
        local ok, ctype = pcall(ffi.typeof, what)
        if not ok then
            error(ctype, 2)
        elseif type(meta) ~= "table" then
            return ffi.metatype(what, meta)
        end
        local number = tonumber(ctype)
        local proxy = proxies[number]
        if not proxy then
            proxy = {}
            fill(proxy, meta)
            local given, problem = pcall(ffi.metatype, ctype, proxy)
            if not given then
                error(problem, 2)
            end
            proxies[number] = proxy
        elseif metatables[number] then
            error("cannot change a protected metatable", 2) -- as LuaJIT says it
        end
        fill(proxy, meta)
        metatables[number] = meta
        return ctype
    end
end

-- ---- a generation's ffi ---------------------------------------------------------------------

--- The ffi of a generation.
-- @return the table for require
-- @return a function that gives the types the metatables of this generation
function M.new(generation)
    local metatables = {} -- the app's, by the number of the type
    local own = {}
    for name, value in pairs(library.ffi) do
        own[name] = value
    end
    own.cdef, own.typeof, own.metatype = cdef_of(generation), typeof, metatype_of(metatables)
    return own, function()
        for number, meta in pairs(metatables) do
            fill(proxies[number], meta)
        end
    end
end

return M
