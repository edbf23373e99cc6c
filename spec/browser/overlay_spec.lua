-- The dev overlay in a real browser, over the chat. What it looked like is kept in build/browser.

local browser = require "spec.browser.browser"
local read = require("spec.support.files").read
local servers = require "spec.support.server"
local sys_stat = require "posix.sys.stat"

local chat, html = read "examples/chat/chat.lua", read "examples/chat/public/index.html"
local broken = chat:gsub('mw.publish%(room.topic, message%)', "mw.publish(room.topic, message")
local failing_line = select(2, chat:match "^(.-)\nend\n\nfunction chat.on_close":gsub("\n", "")) + 2
local evil = "<img src=x onerror=alert(1)>"
local failing = chat .. ([[
function chat.on_message() error "%s" end
]]):format(evil)

-- In the overlay's shadow: what a selector finds, or null.
local inside = [[(document.querySelector("moonwire-overlay")
    ?.shadowRoot.querySelector(%q) ?? null)]]

local desktop = { locale = "en-GB", viewport = { width = 1000, height = 640 },
    deviceScaleFactor = 2 }
local phone = { locale = "en-GB", viewport = { width = 390, height = 780 },
    deviceScaleFactor = 2, hasTouch = true, isMobile = true }

describe("the dev overlay in a browser", function()
    local chromium = browser.shared()
    local server

    local function start(listen)
        server = servers.start(chat, {
            arguments = { "--watch" },
            listen = listen,
            setup = function(folder)
                sys_stat.mkdir(folder.path .. "/public")
                folder:write("public/index.html", html)
            end,
        })
    end

    before_each(function()
        start()
    end)

    after_each(function()
        server:stop()
    end)

    -- In the chat as somebody. What stands in window.stays is gone when the page is loaded again.
    local function join(name, options)
        local page = chromium:open(("http://localhost:%d/#lobby"):format(server.port),
            options or desktop)
        page:fill("#name", name)
        page:press("#name", "Enter")
        page:wait "document.getElementById('state').dataset.state === 'open'"
        page:evaluate [[(window.stays = ws,
            ws.addEventListener("close", () => window.stays = 0), 1)]]
        return page
    end

    local function shows(page, selector, text)
        page:wait((inside .. "?.innerText.includes(%q)"):format(selector, text))
    end

    local function shows_nothing(page)
        page:wait((inside .. " === null"):format ".veil")
    end

    local function is_connected(page)
        return page:evaluate "window.stays === ws && ws.readyState === WebSocket.OPEN"
    end

    local function is_as_wide_as_the_window(page)
        assert.is_true(page:evaluate
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert.is_true(page:evaluate((inside .. ".scrollWidth <= innerWidth"):format ".veil"))
    end

    it("comes when the app breaks, and goes when it is mended; the page's socket stays", function()
        local ada, bo = join "Ada", join("Bo", phone)
        server:edit(broken)
        for _, page in ipairs { ada, bo } do
            shows(page, "[role=alert] .place", ("app.lua:%d"):format(failing_line))
            shows(page, "h2", "expected")
            shows(page, ".failing", "end")
            is_as_wide_as_the_window(page)
        end
        ada:keep "overlay-desktop"
        bo:keep "overlay-phone"
        server:edit(chat)
        shows_nothing(ada)
        shows_nothing(bo)
        ada:fill("#text", "still here")
        ada:press("#text", "Enter")
        bo:wait "document.getElementById('log').innerText.includes('still here')"
        assert.is_true(is_connected(ada))
        assert.is_true(is_connected(bo))
        assert.same({}, ada:complaints())
        assert.same({}, bo:complaints())
    end)

    it("says that new code was taken back, and why", function()
        local ada = join "Ada"
        server:edit(failing .. "\nmw.limits { probation_failures = 1 }\n")
        server:reloaded()
        ada:fill("#text", "fail")
        ada:press("#text", "Enter")
        shows(ada, ".kind", "New code was taken back")
        shows(ada, "h2", "on_message of /chat/:room failed")
        server:edit(chat)
        shows_nothing(ada)
    end)

    it("is there in a page that is opened while the app is broken", function()
        server:edit(broken)
        server:reload_failed()
        local page = chromium:open(("http://localhost:%d/"):format(server.port), desktop)
        shows(page, ".place", ("app.lua:%d"):format(failing_line))
        page:reload()
        shows(page, ".place", ("app.lua:%d"):format(failing_line))
    end)

    it("is hidden by Escape and by its button, until the next failure", function()
        local page = join "Ada"
        server:edit(broken)
        shows(page, ".place", "app.lua")
        page:press("body", "Escape")
        shows_nothing(page)
        server:edit(broken .. "\n")
        shows(page, ".place", "app.lua")
        page:click ".panel button"
        shows_nothing(page)
        assert.is_true(is_connected(page))
    end)

    it("shows what it is told as text, and a hook's failure beside the page", function()
        local page = join "Ada"
        server:edit(chat .. ("error(%q, 0)\n"):format(evil))
        shows(page, "h2", evil)
        assert.is_true(page:evaluate((inside .. " === null"):format "img"))
        server:edit(failing)
        shows_nothing(page)
        page:fill("#text", "hello")
        page:press("#text", "Enter")
        shows(page, ".toast", "on_message of /chat/:room failed")
        shows(page, ".toast", evil)
        shows(page, ".toast .place", "app.lua:")
        assert.is_true(page:evaluate((inside .. " === null"):format "img"))
        page:keep "overlay-toast"
        server:edit(chat) -- other code: what failed before is past
        page:wait((inside .. " === null"):format ".toast")
        assert.same({}, page:complaints())
    end)

    it("loads the page again when its files change, but not for a style sheet", function()
        server.folder:write("public/style.css", "body { outline: 1px solid rgb(1, 2, 3) }")
        server.folder:write("public/index.html",
            (html:gsub("</title>", '%0<link rel="stylesheet" href="style.css">')))
        local page = join "Ada"
        local outline = "getComputedStyle(document.body).outlineColor === 'rgb(%d, 2, 3)'"
        page:wait(outline:format(1))
        for i = 7, 9 do
            server.folder:write("public/style.css",
                ("body { outline: 1px solid rgb(%d, 2, 3) }"):format(i))
            page:wait(outline:format(i))
            page:wait "document.querySelectorAll('link[rel=stylesheet]').length === 1"
        end
        assert.is_true(is_connected(page))
        server.folder:write("public/index.html", (html:gsub("</title>", " anew%0")))
        page:wait "document.title.includes('anew') || document.title.includes('lobby')"
        page:wait "window.stays === undefined"
        page:wait "document.getElementById('state').dataset.state === 'open'"
        assert.is_true(page:evaluate "document.querySelector('link[rel=stylesheet]') === null")
        assert.same({}, page:complaints())
    end)

    it("waits for a page that is not there for a moment", function()
        local page = join "Ada"
        local other = assert(server:websocket "/.moonwire/overlay")
        other:read_text()
        os.remove(server.folder.path .. "/public/index.html")
        other:read_text() -- the page is told at the same time
        assert.equal(404, page:evaluate "fetch('/').then((answer) => answer.status)")
        assert.is_true(is_connected(page))
        server.folder:write("public/index.html", html)
        page:wait "window.stays === undefined"
        page:wait "document.getElementById('state').dataset.state === 'open'"
    end)

    it("loads the page again when another process serves it", function()
        local page = join "Ada"
        local port = server.port
        server:stop()
        page:wait "document.getElementById('state').dataset.state === 'closed'"
        start { "127.0.0.1:" .. port }
        page:wait "window.stays === undefined"
        page:wait "document.getElementById('state').dataset.state === 'open'"
    end)
end)
