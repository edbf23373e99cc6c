-- Listeners of one object, as the DOM's EventTarget keeps them: per event type a list in the order
-- added, the same function at most once, and one handler (onmessage) which has its place in that
-- list from when it was first set (HTML, "event handlers").

local M = require("moonwire.base.lazy").module(...)

M.types = { "open", "message", "close", "error", "drain" }
local known = {}
for _, name in ipairs(M.types) do
    known[name] = true
end

function M.is_type(name)
    return known[name] == true
end

local function list_of(target, kind)
    local list = target[kind]
    if not list then
        list = {}
        target[kind] = list
    end
    return list
end

-- A fresh target has no lists.
function M.new()
    return {}
end

-- Adds fn; once: it is removed before its first call. The same fn twice is one listener.
function M.add(target, kind, fn, once)
    local list = list_of(target, kind)
    for i = 1, #list do
        if list[i].fn == fn and not list[i].handler then
            return
        end
    end
    list[#list + 1] = { fn = fn, once = once or false, handler = false, removed = false }
end

local function take_out(list, at)
    list[at].removed = true
    table.remove(list, at)
end

function M.remove(target, kind, fn)
    local list = target[kind]
    for i = 1, list and #list or 0 do
        if list[i].fn == fn and not list[i].handler then
            take_out(list, i)
            return
        end
    end
end

local function handler_at(list)
    for i = 1, #list do
        if list[i].handler then
            return i
        end
    end
end

-- The handler of that type: nil removes it.
function M.set_handler(target, kind, fn)
    local list = list_of(target, kind)
    local at = handler_at(list)
    if at and fn then
        list[at].fn = fn
    elseif at then
        take_out(list, at)
    elseif fn then
        list[#list + 1] = { fn = fn, once = false, handler = true, removed = false }
    end
end

function M.handler(target, kind)
    local list = target[kind]
    local at = list and handler_at(list)
    return at and list[at].fn
end

function M.has(target, kind)
    local list = target[kind]
    return list ~= nil and #list > 0
end

-- Calls the listeners of event.type with event; call(fn, event, type) does it and deals with
-- errors, so that one that raises does not stop the others. Listeners added meanwhile are not
-- called, those removed meanwhile are not either (DOM, "inner invoke").
function M.fire(target, event, call)
    local kind = event.type -- a listener may change the event
    local list = target[kind]
    if not list then
        return
    end
    local now = {}
    for i = 1, #list do
        now[i] = list[i]
    end
    for i = 1, #now do
        local listener = now[i]
        if not listener.removed then
            if listener.once then
                M.remove(target, kind, listener.fn)
            end
            call(listener.fn, event, kind)
        end
    end
end

return M
