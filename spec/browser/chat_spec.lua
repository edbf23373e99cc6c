-- The chat in a real browser. What the pages looked like is kept in build/browser.

local browser = require "spec.browser.browser"
local cjson = require "cjson"
local example = require "spec.examples.example"

local desktop = { locale = "en-GB", viewport = { width = 820, height = 700 },
    deviceScaleFactor = 2 }
local phone = {
    locale = "en-GB", viewport = { width = 390, height = 780 }, deviceScaleFactor = 2,
    hasTouch = true, isMobile = true,
}
local phone_at_night = { colorScheme = "dark" }
for name, value in pairs(phone) do
    phone_at_night[name] = value
end

-- Two windows side by side: docs/chat.png is what the spec makes of it, in 256 colours.
local picture = [[<body style="margin:0;height:820px;display:flex;align-items:center;gap:36px;
    justify-content:center;background:#bcc6d2">
    <style>img { box-shadow: 0 10px 24px rgb(20 25 40 / .25) }</style>
    <img src="%s" style="width:820px;border-radius:14px">
    <img src="%s" style="width:352px;border-radius:28px;border:8px solid #0b0c10">]]

describe("the chat in a browser", function()
    local chromium = browser.shared()
    local chat

    before_each(function()
        chat = example.start("chat", { arguments = { "0", "0" } })
    end)

    after_each(function()
        chat:stop()
    end)

    local function address(secure, room)
        return ("%s://localhost:%d/#%s"):format(secure and "https" or "http",
            secure and chat.tls_port or chat.port, room or "lobby")
    end

    local function waits_for_state(page, state)
        page:wait(("document.getElementById('state').dataset.state === '%s'"):format(state))
    end

    local function join(name, url, options)
        local page = chromium:open(url, options or desktop)
        page:fill("#name", name)
        page:press("#name", "Enter")
        waits_for_state(page, "open")
        page:wait(("document.getElementById('people').textContent.includes(%s)"):format(
            cjson.encode(name)))
        return page
    end

    local function shows(page, text, where)
        page:wait(("document.querySelector('%s').innerText.includes(%s)"):format(where or "#log",
            cjson.encode(text)))
    end

    local function say(page, text)
        page:fill("#text", text)
        page:press("#text", "Enter")
        shows(page, text)
    end

    local function count(page, selector)
        return page:evaluate(("document.querySelectorAll('%s').length"):format(selector))
    end

    local function both_are_content(...)
        for _, page in ipairs { ... } do
            assert.same({}, page:complaints())
        end
    end

    for _, secure in ipairs { false, true } do
        it("goes both ways over " .. (secure and "https and wss" or "http and ws"), function()
            local ada = join("Ada", address(secure))
            local linus = join("Linus", address(secure))
            shows(ada, "Linus joined")
            say(ada, "hello from Ada")
            shows(linus, "hello from Ada")
            say(linus, "hello from Linus")
            shows(ada, "hello from Linus")
            assert.equal(1, count(ada, ".message.own"))
            assert.equal(1, count(linus, ".message.own"))
            assert.equal(2, count(ada, "#people li"))
            both_are_content(ada, linus)
        end)
    end

    it("shows who comes to http what was said on https", function()
        say(join("Ada", address(true)), "said over TLS")
        shows(join("Linus", address(false)), "said over TLS")
    end)

    it("shows the history after a reload, and the other that somebody went and came", function()
        local ada, linus = join("Ada", address()), join("Linus", address())
        say(ada, "before the reload")
        shows(linus, "before the reload")
        linus:reload()
        waits_for_state(linus, "open") -- this tab knows its name
        shows(linus, "before the reload")
        shows(ada, "Linus left")
        ada:wait "document.getElementById('log').innerText.match(/Linus joined/g).length === 2"
        assert.equal(1, count(linus, ".message"))
        linus:leave()
        ada:wait "document.querySelectorAll('#people li').length === 1"
        both_are_content(ada)
    end)

    it("reconnects by itself when the server comes back, and shows that it was away", function()
        local ada = join("Ada", address())
        say(ada, "before the restart")
        both_are_content(ada)
        local ports = { tostring(chat.port), tostring(chat.tls_port) }
        chat:stop()
        waits_for_state(ada, "closed")
        shows(ada, "Reconnecting", "#state")
        ada:fill("#text", "written while it was away")
        assert.is_true(ada:evaluate "document.getElementById('send').disabled")
        chat = example.start("chat", { arguments = ports })
        waits_for_state(ada, "open")
        ada:press("#text", "Enter")
        shows(ada, "written while it was away")
        assert.equal(2, count(ada, ".message")) -- what was there before is still there, once
        -- A server that starts twice in one second gives its numbers twice.
        for _, text in ipairs { "of the first", "of the second" } do
            ada:evaluate(("on.message({ type: 'message', id: 1, at: 1, name: 'Eve', text: %s })")
                :format(cjson.encode(text)))
        end
        shows(ada, "of the first")
        shows(ada, "of the second")
        for _, complaint in ipairs(ada:complaints()) do
            assert.truthy(complaint:find("WebSocket connection to", 1, true), complaint)
        end
    end)

    it("shows what came while a page was cut off, and nothing twice", function()
        local ada, linus = join("Ada", address()), join("Linus", address())
        say(ada, "one")
        shows(linus, "one")
        linus:evaluate "ws.close()"
        waits_for_state(linus, "closed")
        say(ada, "two")
        waits_for_state(linus, "open")
        shows(linus, "two")
        assert.equal(2, count(linus, ".message"))
        both_are_content(ada, linus)
    end)

    it("shows what people write as text, whatever it is", function()
        local evil = "<img src=x onerror=\"document.title='owned'\"><script>throw 1</script>"
        local ada = join("Ada", address())
        local eve = join("<b>Eve</b>", address())
        say(eve, evil)
        shows(ada, evil)
        shows(ada, "<b>Eve</b>")
        say(eve, "see https://localhost/page?a=1. and javascript:alert(1)")
        shows(ada, "see https")
        assert.equal(1, count(ada, ".bubble a"))
        assert.equal("https://localhost/page?a=1",
            ada:evaluate "document.querySelector('.bubble a').href")
        assert.equal(0, count(ada, "#log img, #log script, #log b"))
        both_are_content(ada, eve)
    end)

    it("gives everybody a colour of their own, the same on each page", function()
        local ada, linus = join("Ada", address()), join("Linus", address())
        local grace = join("Grace", address())
        ada:wait "document.querySelectorAll('#people li').length === 3"
        linus:wait "document.querySelectorAll('#people li').length === 3"
        local function colours(page)
            return page:evaluate [[[...document.querySelectorAll("#people .avatar")].map((node) =>
                node.style.getPropertyValue("--hue"))]]
        end
        local first = colours(ada)
        assert.equal(3, #first)
        assert.is_true(first[1] ~= first[2] and first[2] ~= first[3] and first[1] ~= first[3])
        assert.same(first, colours(linus))
        say(grace, "in my colour")
        shows(ada, "in my colour")
        assert.equal(first[2], ada:evaluate
            "document.querySelector('.message').style.getPropertyValue('--hue')")
        both_are_content(ada, linus, grace)
    end)

    it("puts notes and messages under their day", function()
        local ada = join("Ada", address())
        ada:evaluate [[(() => {
            const now = Date.now() / 1000, day = 86400;
            const said = (ago, text) => on.message({ type: "message", id: ago, at: now - ago * day,
                name: "Eve", text });
            const came = (ago, who) => on.here({ type: "here", at: now - ago * day, people: [],
                colours: {}, came: who });
            said(3, "old");
            came(2, "Bob");
            said(2, "hello");
            came(0, "Eve");
            came(0, "Mallory");
        })()]]
        local lines = ada:evaluate [[[...document.querySelectorAll("#log > :not(#empty)")].map(
            (node) => node.classList.contains("day") ? "day" : node.querySelector(".bubble")
            ? "message" : node.textContent)]]
        assert.same({ "day", "message", "day", "Bob joined", "message", "day", "Eve joined",
            "Mallory joined" }, lines)
        assert.equal("Today", ada:evaluate
            "[...document.querySelectorAll('.day')].pop().textContent")
        both_are_content(ada)
    end)

    it("tells that somebody is typing, until the message is there", function()
        local ada, linus = join("Ada", address()), join("Linus", address())
        linus:type("#text", "hm")
        shows(ada, "Linus is typing", "#typing")
        linus:press("#text", "Enter")
        shows(ada, "hm")
        ada:wait "document.getElementById('typing').textContent === ''"
    end)

    it("keeps rooms apart, and changes the room with the address", function()
        local ada, linus = join("Ada", address(false, "attic")), join("Linus", address())
        say(ada, "only in the attic")
        say(linus, "only in the lobby")
        assert.equal(1, count(ada, ".message"))
        linus:evaluate "location.hash = '#attic'"
        shows(linus, "only in the attic")
        assert.equal(1, count(linus, ".message"))
        shows(ada, "Linus joined")
        assert.equal("#attic", linus:evaluate "document.title")
        both_are_content(ada, linus)
    end)

    it("asks for a name that the server takes", function()
        local page = chromium:open(address(), desktop)
        page:fill("#name", "   ")
        page:press("#name", "Enter")
        assert.is_true(page:isVisible "#welcome")
        assert.equal(24, page:evaluate "document.getElementById('name').maxLength")
        page:fill("#name", " Ада 月 ")
        page:press("#name", "Enter")
        waits_for_state(page, "open")
        shows(page, "Ада 月", "#people")
        both_are_content(page)
    end)

    it("follows new messages, but not while somebody reads old ones", function()
        local ada, linus = join("Ada", address()), join("Linus", address())
        for n = 1, 3 do
            say(ada, ("line\n"):rep(30) .. n)
        end
        linus:wait "document.querySelectorAll('.message').length === 3"
        linus:wait "atBottom()"
        linus:evaluate "document.getElementById('scroller').scrollTop = 0"
        say(ada, "news")
        shows(linus, "news")
        linus:wait "!document.getElementById('latest').hidden"
        linus:click "#latest"
        linus:wait "atBottom() && document.getElementById('latest').hidden"
        both_are_content(ada, linus)
    end)

    it("looks well on a desk and on a phone", function()
        local ada = join("Ada", address(), desktop)
        local linus = join("Linus", address(), phone_at_night)
        local grace = join("Grace", address(), phone)
        for _, line in ipairs {
            { ada, "Hello! The server is up." },
            { linus, "I just opened the link on my phone." },
            { linus, "No account, no app. Nice." },
            { grace, "Same here. What happens when you change the code?" },
            { ada, "It is one Lua file.\nThe page reconnects by itself." },
            { grace, "Then I know what I do tonight." },
        } do
            say(line[1], line[2])
            shows(ada, line[2])
            shows(linus, line[2])
            shows(grace, line[2])
        end
        linus:type("#text", "Me")
        shows(ada, "Linus is typing", "#typing")
        ada:keep "chat-desktop"
        linus:keep "chat-phone-dark"
        grace:click "#toggle-people"
        grace:wait "document.getElementById('side').offsetHeight > 0"
        grace:keep "chat-phone"
        chromium:open(address(), phone):keep "chat-welcome"
        local both = chromium:open("about:blank", { viewport = { width = 1300, height = 820 } })
        both:setContent(picture:format(browser.kept "chat-desktop", browser.kept "chat-phone-dark"))
        both:keep "chat"
        for _, page in ipairs { ada, linus, grace } do
            -- Nothing sticks out to the side.
            assert.is_true(page:evaluate
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            assert.is_true(page:evaluate "atBottom()")
        end
        both_are_content(ada, linus, grace)
    end)
end)
