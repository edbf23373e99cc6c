-- What a message may hold: text in UTF-8 (RFC 6455 §8.1), and no more than the limits (§10.4).

local frame = require "spec.support.frame"
local message = require "spec.support.message"

local TEXT, BINARY, CONTINUATION, PING = frame.TEXT, frame.BINARY, frame.CONTINUATION, frame.PING
local encode, new_reader, read_pieces, expect =
    message.encode, message.reader, message.read_pieces, message.expect
local seen_after, hex = message.seen_after, message.hex

describe("message", function()
    describe("of text", function()
        local texts = { "κόσμε", "日本語", "🌙🧵", "\0", hex "f48fbfbf", hex "ed9fbf ee8080",
            hex "efbfbe efbfbf", ("aé日🌙"):rep(30) }

        it("§5.6 and §8.1 may be cut within a character, by fragments too", function()
            for _, text in ipairs(texts) do
                expect({ { TEXT, text } }, { "text:" .. text })
                for at = 0, math.min(#text, 12) do
                    expect({ { TEXT, text:sub(1, at), fin = false }, { PING, "p" },
                        { CONTINUATION, text:sub(at + 1) } }, { "ping:p", "text:" .. text })
                end
            end
        end)

        -- The last byte of each is the first bad one.
        local bad = { "80", "bf", "c0", "c1", "ce4a", "e080", "e09f", "eda0", "edbf", "e282ff",
            "f080", "f08f", "f490", "f5", "f8", "fc", "fe", "ff", "f09f98c3",
            "ceba e1bdb9 cf83 cebc ceb5 eda0", "ceba e1bdb9 cf83 cebc ceb5 f490" }

        for _, case in ipairs(bad) do
            it("§8.1 refuses " .. case .. " at its last byte", function()
                local text = hex(case)
                for _, before in ipairs { "", ("a"):rep(33), ("é"):rep(60) } do
                    local whole = { TEXT, before .. text .. "edited" }
                    expect({ whole }, {}, "ERR_UTF8", "a text message is not UTF-8")
                    local bytes = encode(whole, true)
                    local head = #bytes - #whole[2]
                    assert.are.equal(head + #before + #text, (seen_after(bytes)))
                    -- The bad byte is the last of its piece, and the message is not whole.
                    local reader = new_reader()
                    local at = head + #before + #text
                    assert.is_nil(reader:feed(bytes:sub(1, at - 1)))
                    assert.are.equal("ERR_UTF8", (reader:feed(bytes:sub(at, at))))
                    local _, failure = read_pieces { bytes:sub(1, at) }
                    assert.are.equal("ERR_UTF8", failure)
                end
                expect({ { TEXT, text:sub(1, -2), fin = false }, { CONTINUATION, text:sub(-1) } },
                    {}, "ERR_UTF8")
                expect({ { TEXT, "a", fin = false }, { PING, "" },
                    { CONTINUATION, text .. "b", fin = false }, { PING, "" } }, { "ping:" },
                    "ERR_UTF8")
            end)
        end

        it("§8.1 refuses a message that ends within a character", function()
            for _, text in ipairs { "\206", "ab\226\130", "\240\159\146" } do
                local why = "a text message ends within a character"
                expect({ { TEXT, text } }, {}, "ERR_UTF8", why)
                expect({ { TEXT, text, fin = false }, { CONTINUATION, "" } }, {}, "ERR_UTF8", why)
            end
        end)

        it("§8.1 refuses long ASCII within a character, and a bad byte in it", function()
            local long = ("a"):rep(300)
            expect({ { TEXT, "\206", fin = false }, { CONTINUATION, long } }, {}, "ERR_UTF8",
                "a text message is not UTF-8")
            for at = 0, 300, 60 do
                expect({ { TEXT, long:sub(1, at) .. "\255" .. long:sub(at + 1) } }, {}, "ERR_UTF8")
            end
            expect({ { TEXT, long .. "\206" } }, {}, "ERR_UTF8",
                "a text message ends within a character")
        end)

        it("§8.1 starts anew with each message", function()
            expect({ { TEXT, "é" }, { TEXT, "\169" } }, { "text:é" }, "ERR_UTF8")
        end)

        it("§5.6 leaves binary messages alone", function()
            local all = {}
            for i = 0, 255 do
                all[i + 1] = string.char(i)
            end
            all = table.concat(all)
            expect({ { BINARY, all }, { BINARY, "\255", fin = false }, { CONTINUATION, "\192" } },
                { "binary:" .. all, "binary:\255\192" })
        end)
    end)

    describe("with limits", function()
        it("§10.4 takes a message of the limit, not one byte more", function()
            local limit = { message_bytes = 200 }
            local why = "a message is longer than the limit"
            expect({ { BINARY, ("a"):rep(200) } }, { "binary:" .. ("a"):rep(200) }, nil, nil, limit)
            expect({ { BINARY, ("a"):rep(201) } }, {}, "ERR_TOO_BIG", why, limit)
        end)

        it("§10.4 refuses by the header alone", function()
            local bytes = encode({ BINARY, "", len = 2 ^ 40 }, true)
            assert.are.same({ #bytes, "ERR_TOO_BIG" }, { seen_after(bytes) })
            bytes = "\130\255\127" .. ("\255"):rep(7) .. "\1\2\3\4"
            assert.are.same({ #bytes, "ERR_TOO_BIG" }, { seen_after(bytes) })
        end)

        it("§10.4 counts all fragments, and not the control frames between them", function()
            local limit = { message_bytes = 100 }
            local fragment = ("a"):rep(50)
            expect({ { TEXT, fragment, fin = false }, { PING, ("p"):rep(125) },
                { CONTINUATION, fragment }, { TEXT, fragment } },
                { "ping:" .. ("p"):rep(125), "text:" .. fragment .. fragment, "text:" .. fragment },
                nil, nil, limit)
            expect({ { TEXT, fragment, fin = false }, { CONTINUATION, fragment, fin = false },
                { CONTINUATION, "a" } }, {}, "ERR_TOO_BIG", nil, limit)
        end)

        it("takes no memory for a length that is only announced", function()
            local options = { message_bytes = 2 ^ 31, from_client = false }
            local reader = new_reader(options)
            assert.is_nil(reader:feed(encode({ BINARY, "", len = 2 ^ 30 }, false)))
            assert.is_true(reader:held() < 1000)
            for i = 1, 12 do
                assert.is_nil(reader:feed(("x"):rep(2 ^ (i + 6))))
                assert.is_true(reader:held() <= math.max(66000, 4 * reader.fed + 1000))
            end
        end)

        it("holds a frame that comes in pieces in a block of its own size", function()
            local reader = new_reader()
            local bytes = encode({ TEXT, ("x"):rep(16384) }, true)
            reader:feed(bytes:sub(1, 100))
            local first = reader:held()
            assert.is_true(first < 16384 + 400)
            reader:feed(bytes:sub(101, 16000))
            assert.are.equal(first, reader:held())
        end)
    end)
end)
