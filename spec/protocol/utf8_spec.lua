local core = require "spec.support.cdef"
local C = core.C

local forms = {}
for _, name in ipairs { "UTF8_SCALAR", "UTF8_WORDS", "UTF8_SSSE3", "UTF8_AVX2" } do
    if C[name] <= C.utf8_form_best() then
        forms[#forms + 1] = name
    end
end

local function hex(text)
    return (text:gsub("%x%x%s*", function(byte)
        return string.char(tonumber(byte, 16))
    end))
end

local function dump(text)
    return (text:gsub(".", function(c)
        return ("%02x "):format(c:byte())
    end))
end

-- How many bytes of the text are taken before one is refused, and whether the text may end there:
-- RFC 3629 §4's grammar, written as it is there. The judge of all C forms.
local tails = "[\128-\191]"
local grammar = {
    "^[%z\1-\127]", "^[\194-\223]" .. tails,
    "^\224[\160-\191]" .. tails, "^[\225-\236]" .. tails .. tails, "^\237[\128-\159]" .. tails,
    "^[\238-\239]" .. tails .. tails,
    "^\240[\144-\191]" .. tails .. tails, "^[\241-\243]" .. tails .. tails .. tails,
    "^\244[\128-\143]" .. tails .. tails,
}

local function whole_characters(text)
    local at = 1
    while at <= #text do
        local last
        for _, pattern in ipairs(grammar) do
            last = select(2, text:find(pattern, at))
            if last then
                break
            end
        end
        if not last then
            return at
        end
        at = last + 1
    end
    return at
end

-- Can more bytes make the text from here one character? Completions that hold in every range.
local completions = { "\128", "\191", "\144", "\160", "\128\128", "\191\191", "\144\128",
    "\160\128", "\128\128\128", "\191\191\191", "\144\128\128", "\159\128" }

local verdicts = {} -- every form is asked the same

local function find_verdict(text)
    local at = whole_characters(text)
    if at > #text then
        return "whole"
    end
    for _, completion in ipairs(completions) do
        if whole_characters(text:sub(at) .. completion) == #text - at + 2 + #completion then
            return "cut"
        end
    end
    return "bad"
end

local function judge(text)
    verdicts[text] = verdicts[text] or find_verdict(text)
    return verdicts[text]
end

local function check(form, pieces)
    local state = core.new "struct utf8"
    for i, piece in ipairs(pieces) do
        if C.utf8_check_as(C[form], state, core.copy(piece), #piece) ~= 0 then
            return "bad", i
        end
    end
    return C.utf8_complete(state) and "whole" or "cut"
end

-- Texts of many scripts, and the edges of every range.
local valid = {
    ["nothing"] = "",
    ["ASCII"] = "Hello, World!",
    ["NUL"] = "a\0b",
    ["Greek"] = "κόσμε",
    ["Chinese"] = "日本語の文字列",
    ["emoji"] = "🌙🧵👩‍👩‍👧‍👦",
    ["U+0080"] = hex "c280",
    ["U+07FF"] = hex "dfbf",
    ["U+0800"] = hex "e0a080",
    ["U+D7FF"] = hex "ed9fbf",
    ["U+E000"] = hex "ee8080",
    ["U+FFFD"] = hex "efbfbd",
    ["U+FFFF"] = hex "efbfbf",
    ["U+10000"] = hex "f0908080",
    ["U+10FFFF"] = hex "f48fbfbf",
    ["a byte order mark"] = hex "efbbbf" .. "a",
}

-- Each with the number of its first bad byte.
local invalid = {
    ["a lone continuation"] = { hex "80", 1 },
    ["a lone last continuation"] = { hex "bf", 1 },
    ["two continuations"] = { hex "8080", 1 },
    ["a continuation after a whole character"] = { hex "cebaba", 3 },
    ["C0, an overlong NUL"] = { hex "c080", 1 },
    ["C1, an overlong U+007F"] = { hex "c1bf", 1 },
    ["an overlong slash of three bytes"] = { hex "e080af", 2 },
    ["an overlong U+07FF"] = { hex "e09fbf", 2 },
    ["an overlong slash of four bytes"] = { hex "f08080af", 2 },
    ["an overlong U+FFFF"] = { hex "f08fbfbf", 2 },
    ["the surrogate U+D800"] = { hex "eda080", 2 },
    ["the surrogate U+DFFF"] = { hex "edbfbf", 2 },
    ["a pair of surrogates"] = { hex "eda080edb080", 2 },
    ["U+110000"] = { hex "f4908080", 2 },
    ["F4 BF"] = { hex "f4bfbfbf", 2 },
    ["F5, above U+10FFFF"] = { hex "f5808080", 1 },
    ["F8, five bytes"] = { hex "f888808080", 1 },
    ["FC, six bytes"] = { hex "fc8480808080", 1 },
    ["FE"] = { hex "fe", 1 },
    ["FF"] = { hex "ff", 1 },
    ["ASCII inside two bytes"] = { hex "c3" .. "A", 2 },
    ["ASCII inside three bytes"] = { hex "e282" .. "A", 3 },
    ["ASCII inside four bytes"] = { hex "f09f98" .. "A", 4 },
    ["a lead inside three bytes"] = { hex "e282e282ac", 3 },
    ["a lead inside four bytes"] = { hex "f09ff09f9880", 3 },
    ["Autobahn's 6.3.1"] = { hex "cebae1bdb9cf83cebcceb5eda080656469746564", 13 },
    ["Autobahn's 6.4.1"] = { hex "cebae1bdb9cf83cebcceb5f4908080656469746564", 13 },
}

local prefixes = { 0, 1, 3, 13, 15, 16, 29, 30, 31, 32, 61, 62, 63, 64, 95, 130 }

for _, form in ipairs(forms) do
    describe("utf8 as " .. form, function()
        for name, text in pairs(valid) do
            it("§8.1 takes " .. name .. ", cut at each place", function()
                core.split(text, function(pieces, how)
                    assert.are.equal("whole", (check(form, pieces)), how)
                end)
            end)
        end

        for name, case in pairs(invalid) do
            local text, bad = case[1], case[2]
            it("§8.1 refuses " .. name .. " as soon as the bad byte is seen", function()
                for _, len in ipairs(prefixes) do
                    local before = ("a"):rep(len)
                    assert.are_not.equal("bad", (check(form, { before .. text:sub(1, bad - 1) })))
                    assert.are.equal("bad", (check(form, { before .. text:sub(1, bad) })))
                    assert.are.equal("bad", (check(form, { before .. text .. ("z"):rep(70) })))
                    local pieces = { before }
                    for i = 1, #text do
                        pieces[#pieces + 1] = text:sub(i, i)
                    end
                    local result, piece = check(form, pieces)
                    assert.are.equal("bad", result)
                    assert.are.equal(bad + 1, piece)
                end
            end)
        end

        it("§8.1 says that a cut character is not complete", function()
            for _, text in ipairs { "κ", "日", "🌙" } do
                for len = 1, #text - 1 do
                    for _, before in ipairs(prefixes) do
                        assert.are.equal("cut", (check(form,
                            { ("é"):rep(before) .. text:sub(1, len) })))
                    end
                end
            end
        end)

        it("§8.1 agrees with RFC 3629 on every pair of bytes, at block edges too", function()
            local edges = { 15, 31, 63 }
            for first = 0, 255 do
                for second = 0, 255, first < 0x80 and 37 or 1 do
                    local pair = string.char(first, second)
                    local want = judge(pair)
                    for _, before in ipairs { 0, edges[1 + (first + second) % 3] } do
                        local text = ("a"):rep(before) .. pair
                        local got = check(form, { text .. (want == "cut" and "" or ("b"):rep(40)) })
                        if got ~= want then
                            error(("%safter %d: %s, not %s"):format(dump(pair), before, got, want))
                        end
                    end
                end
            end
        end)

        it("§8.1 agrees with the grammar on structured and random text of every length", function()
            math.randomseed(3629)
            local units = { "a", "é", "日", "🌙", "\237\159\191", "\244\143\191\191", "\224\160\128",
                "\240\144\128\128", "abcdefgh" }
            local seen = { whole = 0, cut = 0, bad = 0 }
            for len = 0, 200 do
                for round = 1, 12 do
                    local parts = {}
                    local size = 0
                    while size < len do
                        parts[#parts + 1] = units[math.random(round > 8 and 9 or 8)]
                        size = size + #parts[#parts]
                    end
                    local text = table.concat(parts):sub(1, len)
                    if round % 3 == 0 and len > 0 then -- one byte changed
                        local at = math.random(len)
                        text = text:sub(1, at - 1) .. string.char(math.random(0, 255))
                            .. text:sub(at + 1)
                    end
                    local cut = math.random(0, len)
                    local want = judge(text)
                    seen[want] = seen[want] + 1
                    local whole = check(form, { text })
                    local pieces = check(form, { text:sub(1, cut), text:sub(cut + 1) })
                    if whole ~= want or pieces ~= want then
                        error(("%s: %s and %s, not %s"):format(dump(text), whole, pieces, want))
                    end
                end
            end
            assert.is_true(seen.whole > 100 and seen.cut > 100 and seen.bad > 100)
        end)
    end)
end

describe("utf8", function()
    it("§8.1 gives the same in every form where long runs of ASCII and others meet", function()
        math.randomseed(8259)
        local others = { "é", "日", "🌙", "\237\159\191", "\244\143\191\191" }
        local seen = { [0] = 0, [C.ERR_UTF8] = 0 }
        for round = 1, 3000 do
            local parts = {}
            for i = 1, math.random(1, 6) do
                parts[i] = i % 2 == round % 2 and ("a"):rep(math.random(0, 300))
                    or others[math.random(#others)]:rep(math.random(0, 40))
            end
            local text = table.concat(parts)
            if round % 2 == 0 and #text > 0 then
                local at = math.random(#text)
                text = text:sub(1, at - 1) .. string.char(math.random(128, 255)) .. text:sub(at + 1)
            end
            local data, scalar = core.copy(text), core.new "struct utf8"
            local want = C.utf8_check_scalar(scalar, data, #text)
            seen[want] = seen[want] + 1
            for _, form in ipairs(forms) do
                local state = core.new "struct utf8"
                if C.utf8_check_as(C[form], state, data, #text) ~= want
                    or want == 0 and state.state ~= scalar.state then
                    error(("%s, not as the scalar form: %s"):format(form, dump(text)))
                end
            end
        end
        assert.is_true(seen[0] > 500 and seen[C.ERR_UTF8] > 500)
    end)

    it("§8.1 chooses a form that agrees with the scalar one at every length", function()
        for len = 0, 200 do
            for _, text in ipairs { ("a"):rep(len), ("é"):rep(len), ("a"):rep(len) .. "\255",
                ("日"):rep(len) .. "\230", "\169" .. ("a"):rep(len) } do
                local best, scalar = core.new "struct utf8", core.new "struct utf8"
                local data = core.copy(text)
                assert.are.equal(C.utf8_check_scalar(scalar, data, #text),
                    C.utf8_check(best, data, #text))
                assert.are.equal(C.utf8_complete(scalar), C.utf8_complete(best))
            end
        end
    end)

    it("§8.1 finds a bad byte at every place of every short length", function()
        for len = 1, 80 do
            for at = 1, len do
                local text = ("a"):rep(at - 1) .. "\192" .. ("a"):rep(len - at)
                local state = core.new "struct utf8"
                if C.utf8_check(state, core.copy(text), len) ~= C.ERR_UTF8 then
                    error(("not found: byte %d of %d"):format(at, len))
                end
            end
        end
    end)

    it("§8.1 takes an empty piece between two pieces of a character", function()
        local state = core.new "struct utf8"
        assert.are.equal(0, C.utf8_check(state, core.copy "\195", 1))
        assert.are.equal(0, C.utf8_check(state, nil, 0))
        assert.is_false(C.utf8_complete(state))
        assert.are.equal(0, C.utf8_check(state, core.copy "\169", 1))
        assert.is_true(C.utf8_complete(state))
    end)

    it("§8.1 refuses ASCII that cuts a character of an earlier piece", function()
        local state = core.new "struct utf8"
        assert.are.equal(0, C.utf8_check(state, core.copy "\195", 1))
        assert.are.equal(C.ERR_UTF8, C.utf8_check(state, core.copy "abcdefghijkl", 12))
    end)

    it("§8.1 knows a text that is whole", function()
        for text, whole in pairs {
            [""] = true, ["h\195\169llo"] = true, ["h\195"] = false, ["\169"] = false,
        } do
            assert.are.equal(whole, C.utf8_valid(core.copy(text), #text), dump(text))
        end
    end)
end)
