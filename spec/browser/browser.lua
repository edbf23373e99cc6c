-- Pages in a real browser, for specs:
--
--   local browser = require("spec.browser.browser").start()   -- in a describe: shared()
--   local page = browser:open("http://localhost:8080/")
--   page:fill("#name", "Ada")          -- any method of Playwright's Page, with its arguments
--   page:wait "document.title == 'x'"  -- until the expression is true
--   browser:stop()
--
-- Nothing sleeps: every call waits for what it asks for, with a deadline that fails the spec.

local busted = require "busted"
local cjson = require "cjson"
local files = require "spec.support.files"
local mime = require "mime"
local process = require "spec.support.process"
local socket = require "socket"
local sys_stat = require "posix.sys.stat"

local M = {}

local Browser, Page = {}, {}
Browser.__index = Browser

-- Any other name is a method of Playwright's Page; mouse_move is page.mouse.move.
function Page.__index(_, name)
    return Page[name] or function(self, ...)
        return self.browser:call("page", self.name, (name:gsub("_", ".", 1)), ...)
    end
end

-- Also one that was stopped.
local function start(self)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(30)
    local _, port = listener:getsockname()
    local driver = process.start { [0] = "node", "spec/browser/driver.js", tostring(port) }
    local peer = listener:accept()
    listener:close()
    if not peer then
        driver:finish()
        error("the browser did not start: " .. driver.out .. driver.err, 0)
    end
    peer:settimeout(60)
    self.driver, self.peer, self.calls, self.pages = driver, peer, 0, {}
    return self
end

function M.start()
    return start(setmetatable({}, Browser))
end

-- Within describe: one for all of its specs, each of which begins without pages.
function M.shared()
    local self = setmetatable({}, Browser)
    busted.setup(function()
        start(self)
    end)
    busted.teardown(function()
        self:stop()
    end)
    busted.after_each(function()
        self:close_pages()
    end)
    return self
end

function Browser:call(...)
    self.calls = self.calls + 1
    assert(self.peer:send(cjson.encode { self.calls, ... } .. "\n"))
    local line, why = self.peer:receive "*l"
    assert(line, "the browser's driver: " .. tostring(why))
    local answer = cjson.decode(line)
    assert(answer.id == self.calls)
    if answer.error then
        error(answer.error, 0)
    end
    if answer.value ~= cjson.null then
        return answer.value
    end
end

-- A page for a person of their own. options: those of Playwright's newContext (viewport, …).
function Browser:open(url, options)
    local name = "page " .. self.calls
    local page = setmetatable({ browser = self, name = name }, Page)
    self:call("open", name, url, options or { locale = "en-GB" })
    self.pages[#self.pages + 1] = page
    return page
end

function Browser:close_pages()
    for _, page in ipairs(self.pages) do
        page:leave()
    end
    self.pages = {}
end

function Browser:stop()
    self.peer:close()
    self.driver:wait()
end

-- Waits until a JavaScript expression is true.
function Page:wait(expression)
    local ok, why = pcall(self.browser.call, self.browser, "page", self.name, "waitForFunction",
        expression)
    if not ok then
        error(("%s: %s\nthe page says: %s"):format(why, expression,
            self:evaluate "document.body.innerText"), 2)
    end
end

-- What went wrong in the page since the last call: a list of texts.
function Page:complaints()
    return self.browser:call("complaints", self.name)
end

-- The page as it looks now, kept at build/browser/NAME.png.
function Page:keep(name)
    sys_stat.mkdir "build"
    sys_stat.mkdir "build/browser"
    self:screenshot { path = ("build/browser/%s.png"):format(name), animations = "disabled" }
end

-- What was kept under that name, as a data: address.
function M.kept(name)
    return "data:image/png;base64," .. mime.b64(files.read(("build/browser/%s.png"):format(name)))
end

-- Closes the page.
function Page:leave()
    if not rawget(self, "left") then
        self.left = true
        self.browser:call("close", self.name)
    end
end

return M
