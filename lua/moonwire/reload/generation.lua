-- One generation of an app: what its top level declared, and the hooks that came of it.
--
-- The top level only collects a plan, with no effect on the server. declare() hands it to a site
-- (script/api.h), and start() puts it to work: a plan that fails in between has changed nothing.
--
-- Connections, their state and their subscriptions are no generation's. The one that served before
-- is kept with its plan, which it can declare again: a rollback brings it back, under a new number.
-- Nothing here keeps an older one, or one that was taken back: those go with their last closure.

local caller = require "moonwire.base.caller"
local declare = require "moonwire.reload.declare"
local dispatch = require "moonwire.dispatch.dispatch"
local environment = require "moonwire.app.environment"
local failure = require "moonwire.base.failure"
local lazy = require "moonwire.base.lazy"
local native = require "moonwire.base.native"
local owner = require "moonwire.base.owner"
local wait = require "moonwire.waiting.wait"

local held = lazy.use "moonwire.reload.held"
local timer = lazy.use "moonwire.waiting.timer"
local top_level = lazy.use "moonwire.waiting.top_level"

local ffi = require "ffi"

local C, worker = native.C, native.worker
local batch = C.mw_batch(worker)
local NEVER = 0xFFFFFFFF -- as batch.hook_ms

local M = {}

local Generation = {}
Generation.__index = Generation

local loading
local newest_folder = "."                        -- the app's
local serving                                    -- the generation
local earlier                                    -- that a rollback brings back
local alive = setmetatable({}, { __mode = "v" }) -- by number, until they are collected
local kept = {}                                  -- what mw.keep made, by name
local taken_back = {}                            -- { number, since, files, why }, the last few
local TAKEN_BACK_MAX, NUMBERS_MAX = 5, 10

-- The generation of the app; raises outside of one.
function M.loading()
    return loading or error("moonwire is required by an app: moonwire app.lua", 3)
end

-- A generation for the app at path; make_api(generation) gives what require "moonwire" returns.
function M.new(path, make_api)
    local self = setmetatable({
        path = path,
        folder = string.match(path, "^(.*)/[^/]*$") or (string.sub(path, 1,
            1) == "/" and "/" or "."),
        collecting = true, -- false when the top level has run, or waits
        plan = {},         -- items: where, kind, and what declare[kind] wants
        limits = {},
        is_timed = batch.hook_ms ~= NEVER, -- its top level is stopped after limits.hook_ms,
        hook_ms = nil,     -- which it has set to that
        timers = {},
        routes = {},       -- records by the site's index, from 0
        files = {},        -- { path, sha1, text (while it is loaded, if it was parsed here) }
        file_at = {},      -- the same by path
        kept = {},         -- what mw.keep made while it was loaded
        top = wait.new_top(), -- its tasks
        deferred = {},     -- { run, where }: what the top level wants done when it serves
        site = nil,        -- while it is loaded
        chunk = nil,       -- the code of the app's file, while it is loaded
        number = nil,      -- once it serves
        numbers = {},      -- the last that it has served under: several when it has come back
        loaded_as = nil,   -- the first one
        serves = false,    -- it declares more than limits
        settle_types = false, -- gives C types its metatables (app/app_ffi.lua)
    }, Generation)
    self.api = make_api(self)
    self.env = environment.new(self)
    loading = self
    newest_folder = self.folder
    return self
end

-- How long the rest of the top level may take: as long as a hook, as far as is known by now. C has
-- set NEVER for what may be a script, and that is one while it declares nothing but limits.
local function note_time(self, item)
    if item.kind == "limits" then
        self.hook_ms = item.values.hook_ms or self.hook_ms
    end
    self.is_timed = self.is_timed or item.kind ~= "limits"
    if self.is_timed then
        batch.hook_ms = self.hook_ms == 0 and NEVER or self.hook_ms or 0
    end
end

-- Adds an item to the plan. name: the function of the app's that declares it, the caller's caller.
function Generation:add(name, item)
    if not self.collecting then
        error(string.format("mw.%s: an app declares this while it is loaded, at the top level of "
            .. "its file and before that waits; %s", name, self.serves and "now it serves already"
                or "this one has waited already, so that it is a script"), 3)
    end
    -- The file's own code has made a tail call, return mw.listen { … }, if the stack has no line.
    item.where = caller.place(3) or failure.definition(self.chunk)
    if item.record then
        item.record.where = item.where
    end
    self.plan[#self.plan + 1] = item
    note_time(self, item)
end

-- A file's name in the app's options is relative to the app's folder.
local function resolve_in(folder, path)
    if string.sub(path, 1, 1) == "/" or folder == "." then
        return path
    end
    return folder .. "/" .. path
end

function Generation:resolve(path)
    return resolve_in(self.folder, path)
end

-- The same in whatever generation runs, and is none's to keep.
function M.resolve(path)
    return resolve_in(newest_folder, path)
end

local digest = ffi.new "char[41]"

-- Once, however often a hook reads it.
local function note_file(self, path, sha1, text)
    local file = self.file_at[path]
    if not file then
        file = { path = path }
        self.files[#self.files + 1], self.file_at[path] = file, file
    end
    file.sha1, file.text = sha1, text
end

-- The app is made of this file, or would be: text is nil when there is none.
function Generation:found_file(path, text)
    local sha1 = ""
    if text then
        C.mw_digest(text, #text, digest)
        sha1 = ffi.string(digest)
        note_file(self, path, sha1, self.collecting and text)
    end
    C.mw_site_file(worker, self.site, path, sha1)
end

-- The same, when it was read before the app was loaded.
function Generation:found_ahead(path, sha1)
    note_file(self, path, sha1, nil)
    C.mw_site_file(worker, self.site, path, sha1)
end

local length = ffi.new "size_t[1]"
local begin = ffi.new "const char *[1]"

-- So many lines of a file, from one of them on, as they were read; nil when they are not known. For
-- one of the generation that is loaded.
function M.lines_of(file, first, count)
    local text = file.text or C.mw_source_text(worker, file.path, length)
    if text == nil then
        return nil
    end
    local len = C.mw_lines(text, file.text and #file.text or length[0], first, count, begin)
    return len >= 0 and ffi.string(begin[0], len) or nil
end

-- What make starts is none's: it lasts.
local function make_lasting(make)
    local top = wait.top()
    if not top then
        return make()
    end
    wait.set_top(nil)
    local ok, value = xpcall(make, failure.catch)
    wait.set_top(top)
    if not ok then
        failure.raise(failure.opened(value, make), "called mw.keep")
    end
    return value
end

-- The table that every generation finds under this name.
function Generation:keep(name, make)
    local value = kept[name] or self.kept[name]
    if value == nil then
        value = make and make_lasting(make) or {}
        local into = self.collecting and self.kept or kept
        into[name] = value
    end
    return value
end

-- A global function, or one of a module: "tick", "rooms.sweep". nil when there is none.
function Generation:find_function(name)
    local value = rawget(self.env, name)
    if value == nil then
        local module, field = string.match(name, "^(.+)%.([^.]+)$")
        local holder = module and (rawget(self.env.package.loaded, module)
            or rawget(self.env, module))
        value = type(holder) == "table" and holder[field] or nil
    end
    return type(value) == "function" and value or nil
end

-- The function that the name means in the generation that serves.
function M.find_function(name)
    return serving and serving:find_function(name)
end

-- A timer names its function, which may be defined below it.
local function unknown_function(self)
    for _, waiting in ipairs(self.timers) do
        if waiting.name and not self:find_function(waiting.name) then
            return string.format("%s: %s: there is no global function, or module's, of this name",
                waiting.where, waiting.title)
        end
    end
end

function Generation:declare(site)
    self.collecting = false
    return declare.plan(self, site) or unknown_function(self)
end

-- The one that has served before does it once more, for another site. What it has set and required
-- since stays as it is.
function Generation:declare_again(site)
    for _, file in ipairs(self.files) do
        C.mw_site_file(worker, site, file.path, file.sha1)
    end
    return declare.plan(self, site)
end

local function loaded(self)
    self.collecting = false
    self.site, self.chunk = nil, nil
    for _, file in ipairs(self.files) do
        file.text = nil
    end
    loading = serving
end

-- Its hooks may still be called, and set, but the site that it spoke to is gone.
local function retire(self)
    for _, record in pairs(self.routes) do
        if record.number == self.number then -- not one that it has taken over
            record.upgrade_changed = nil
        end
    end
end

-- The plan comes to nothing.
function Generation:abandon()
    loaded(self)
    retire(self)
end

-- What was under way on routes that are gone goes on there.
local function take_over_routes(self, before)
    local i = 0
    while true do
        local was = C.mw_route_was(worker, i)
        if was == C.ERR_NOT_FOUND then
            return
        elseif was >= 0 then
            self.routes[i] = before.routes[was]
        end
        i = i + 1
    end
end

function Generation:list_files()
    local out = {}
    for i, file in ipairs(self.files) do
        out[i] = { path = file.path, sha1 = file.sha1 }
    end
    return out
end

local pauses = ffi.new "struct reload_pauses"

-- How long the reload that brought what serves has held up events until now; nil: nothing did.
function M.pauses()
    local longest_in = C.mw_pauses(worker, pauses)
    return longest_in ~= nil and {
        longest_ms = pauses.longest_ms,
        longest_cpu_ms = pauses.longest_cpu_ms,
        longest_in = ffi.string(longest_in),
        commit_ms = pauses.commit_ms,
        commit_cpu_ms = pauses.commit_cpu_ms,
    } or nil
end

-- The generation before is kept for a rollback, unless there was one just now.
local function keep_earlier(before)
    local why = C.mw_taken_back(worker)
    if why == nil then
        earlier = C.mw_failed_probation(worker) and earlier or before
        return
    end
    earlier = nil
    taken_back[#taken_back + 1] = {
        number = before.number,
        since = before.since,
        files = before:list_files(),
        why = ffi.string(why),
    }
    if #taken_back > TAKEN_BACK_MAX then
        table.remove(taken_back, 1)
    end
end

local function renumber(self)
    if self.number then
        alive[self.number] = nil
    end
    self.number = C.mw_generation(worker)
    self.loaded_as = self.loaded_as or self.number
    self.numbers[#self.numbers + 1] = self.number
    if #self.numbers > NUMBERS_MAX then
        table.remove(self.numbers, 1)
    end
    alive[self.number] = self
    owner.know(self.env, self.number)
    for _, record in pairs(self.routes) do
        record.number = self.number
    end
end

-- The app that was loaded beside the one that serves has given C types its metatables.
function M.settle_types()
    if serving and serving.settle_types then
        serving.settle_types()
    end
end

local function take_over_tasks(self, before)
    local top = before and before.top
    if top and (next(top.running) or next(top.timers) or next(top.others)) then
        before.top = top_level.stop(before.top)
    end
    if #self.top.stopped > 0 then
        top_level.go_on(self.top)
    end
end

-- What the top level wanted done when it serves.
local function run_deferred(self)
    for _, later in ipairs(self.deferred) do
        batch.ticks = batch.ticks + 1
        local ok, problem = xpcall(later.run, failure.catch)
        if not ok then
            failure.report("the top level of " .. self.path, problem, nil, later.where)
        end
    end
    self.deferred = {}
end

-- The declared generation serves from now on.
function Generation:start()
    local before = serving
    serving = self
    loaded(self)
    self.since = os.time()
    if before then
        before.pauses = M.pauses()
        keep_earlier(before)
        retire(before)
    end
    renumber(self)
    if before then
        take_over_routes(self, before)
    end
    for name, value in pairs(self.kept) do
        kept[name] = value
    end
    self.kept = {}
    if before then
        -- The machine code is of hooks that are not called any more. What was compiled for the new
        -- ones would hang on to it, one behind the other: ever slower, and keeping each generation.
        jit.flush()
    end
    M.settle_types()
    dispatch.serve(self.routes, self.limits, self.number)
    if before then
        held.search(self.number)
    end
    if #self.timers > 0 or before and #before.timers > 0 then
        timer.take_over(self.timers, before and before.timers or {})
    end
    take_over_tasks(self, before)
    run_deferred(self)
end

-- The one that a rollback brings back, or nil.
function M.earlier()
    return earlier
end

-- For versions.lua: those that are in memory, by number; the one that serves, the one that a
-- rollback brings back; and a list of those that were taken back.
function M.all()
    return alive, serving, earlier, taken_back
end

return M
