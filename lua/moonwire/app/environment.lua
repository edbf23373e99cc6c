-- The globals of one generation of an app, with a require of its own. What the app sets stays in
-- its generation, and its modules are read again by the next one; moonwire's, and the C modules
-- that package.loaded has, are shared by all.

local failure = require "moonwire.base.failure"
local library = require "moonwire.base.library"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"

local app_ffi = lazy.use "moonwire.app.app_ffi"

local M = {}

local PATH, CPATH = package.path, package.cpath -- the state's, before any app changes them

local loading = {} -- in the place of a module whose file runs

local function read(path)
    local file, problem = io.open(path, "rb")
    if not file then
        return nil, problem
    end
    local text
    text, problem = file:read "*a"
    file:close()
    return text, problem
end

local function parse(generation, path)
    local text, why = read(path)
    generation:found_file(path, text)
    if not text then
        return nil, "cannot read " .. (why or path)
    end
    return loadstring(text, "@" .. path)
end

-- A file's code, with the environment's globals; nil and a text. When the app is loaded again it
-- was most often parsed before, beside the event loop (src/engine/reload/sources.h).
local function compile(env, generation, path)
    local digest, chunk, problem = native.load_ahead(path)
    if digest then
        generation:found_ahead(path, digest)
    else
        chunk, problem = parse(generation, path)
    end
    if chunk then
        setfenv(chunk, env)
    end
    return chunk, problem
end

M.compile = compile

-- Where the module may be once somebody writes it. path: where it is now, and what comes behind
-- that does not count; nil: nowhere.
local function look_out(env, generation, name, path)
    local file = string.gsub(name, "%.", "/")
    local folder = generation.folder .. "/"
    for template in string.gmatch(env.package.path .. ";" .. env.package.cpath, "[^;]+") do
        local place = string.gsub(template, "%?", (string.gsub(file, "%%", "%%%%")))
        if place == path then
            return
        elseif string.sub(template, 1, #folder) == folder then
            generation:found_file(place, nil)
        end
    end
end

-- What require says in plain Lua: every place where the module could have been, in the order in
-- which they were tried. found_none is what the shared require says of C modules.
local function not_found(env, name, found_none)
    local _, tried = package.searchpath(name, env.package.path)
    local of_c = string.match(found_none, "\n\t?no file .*") or ""
    return string.format("module '%s' not found:\n\tno field package.preload['%s']%s%s", name, name,
        tried or "", of_c)
end

-- A C module, by the one require that all share.
local function require_shared(env, generation, name)
    local path, cpath = package.path, package.cpath
    package.path, package.cpath = "", env.package.cpath
    local ok, result = pcall(require, name)
    package.path, package.cpath = path, cpath
    if ok then
        return result
    end
    if type(result) == "string" and string.find(result, "module '" .. name .. "' not found", 1,
        true) then
        look_out(env, generation, name)
        result = not_found(env, name, result)
    end
    error(result, 2)
end

local function run_module(env, name, chunk)
    local loaded = env.package.loaded
    loaded[name] = loading
    local ok, result = xpcall(chunk, failure.catch, name)
    if not ok then
        loaded[name] = nil
        failure.raise(failure.opened(result, chunk), "required it")
    end
    if result ~= nil then
        loaded[name] = result
    elseif loaded[name] == loading then
        loaded[name] = true
    end
    return loaded[name]
end

local function make_require(env, generation)
    return function(name)
        if type(name) ~= "string" then
            error(string.format("require: expected a module's name, got %s", type(name)), 2)
        end
        local known = env.package.loaded[name]
        if known == loading then
            error(string.format("require: the module '%s' requires itself", name), 2)
        elseif name == "moonwire" then
            return generation.api
        elseif name == "ffi" and not rawget(env.package.loaded, name) then
            known, generation.settle_types = app_ffi.new(generation)
            env.package.loaded[name] = known
            return known
        elseif known ~= nil then
            return known
        elseif package.preload[name] then
            return require(name) -- a module of moonwire's that nobody has used yet
        end
        local chunk = env.package.preload[name]
        if not chunk then
            local path = package.searchpath(name, env.package.path)
            if not path then
                return require_shared(env, generation, name)
            end
            look_out(env, generation, name, path)
            local problem
            chunk, problem = compile(env, generation, path)
            if not chunk then
                error(problem, 0)
            end
        end
        return run_module(env, name, chunk)
    end
end

-- All that load's reader gives. For what it raises, LuaJIT's load would call the handler of the
-- xpcall that is around it all (failure.catch), and give the app what that returns.
local function text_of(reader)
    local pieces = {}
    local piece = reader()
    while piece ~= nil and piece ~= "" do
        if type(piece) ~= "string" then
            error("reader function must return a string", 4) -- as LuaJIT says it
        end
        pieces[#pieces + 1] = piece
        piece = reader()
    end
    return table.concat(pieces)
end

-- Code that is made at run time belongs to the generation that makes it.
local function add_loaders(env, generation)
    local function owned(chunk, problem)
        if chunk then
            setfenv(chunk, env)
        end
        return chunk, problem
    end

    function env.loadstring(text, name)
        return owned(loadstring(text, name))
    end
    function env.load(chunk, name, mode, ...)
        if type(chunk) == "function" then
            local ok, text = pcall(text_of, chunk)
            if not ok then
                return nil, text
            end
            chunk, name = text, name or "=(load)"
        elseif type(chunk) ~= "string" then
            return load(chunk, name, mode, ...)
        end
        if select("#", ...) > 0 then
            return load(chunk, name, mode, ...)
        end
        return owned(load(chunk, name, mode))
    end
    function env.loadfile(path, mode, ...)
        if path == nil or select("#", ...) > 0 then
            return loadfile(path, mode, ...)
        end
        return compile(env, generation, path)
    end
    function env.dofile(path)
        local chunk, problem = env.loadfile(path)
        if not chunk then
            error(problem, 0)
        end
        return chunk()
    end
end

-- The app's own places before the state's, each once: "./?.lua" is often one of these too.
local function places(own, others)
    local list = own
    for template in string.gmatch(others, "[^;]+") do
        if not string.find(";" .. own .. ";", ";" .. template .. ";", 1, true) then
            list = list .. ";" .. template
        end
    end
    return list
end

--- The globals for a generation. It must have found_file(path, text), found_ahead(path,
-- digest), folder and api; settle_types is set when the app uses C types.
function M.new(generation)
    local env = {}
    for name, value in pairs(library.globals) do
        env[name] = value
    end
    env._G = env
    local folder = generation.folder
    env.package = setmetatable({
        path = places(string.format("%s/?.lua;%s/?/init.lua", folder, folder), PATH),
        cpath = places(string.format("%s/?.so", folder), CPATH),
        loaded = setmetatable({}, { __index = package.loaded }),
        preload = {},
    }, { __index = package })
    env.require = make_require(env, generation)
    add_loaders(env, generation)
    return setmetatable(env, { __index = library.globals })
end

return M
