-- lua/moonwire/base/json_text.lua: fields of log lines, and what goes over the control socket.

require("spec.lua.fake").new()
local json_text = require "moonwire.base.json_text"

local decode, encode, quoted, scalar =
    json_text.decode, json_text.encode, json_text.quoted, json_text.scalar

describe("JSON of the server's own", function()
    describe("writes strings", function()
        it("between quotes, as they are", function()
            assert.equal('""', quoted "")
            assert.equal([["it's / plain"]], quoted "it's / plain")
            assert.equal('"äö 😀"', quoted "äö 😀")
        end)

        it("with an escape for what may not stand in one (RFC 8259 §7)", function()
            assert.equal([["\"\\\n\r\t"]], quoted '"\\\n\r\t')
            for code = 0, 0x1f do
                local text = quoted(string.char(code))
                assert.is_nil(text:find "%c", code)
                assert.equal(string.char(code), decode(text))
            end
            assert.equal([["\u0000\u001b"]], quoted "\0\27")
        end)

        it("in one line, so that a log line stays one", function()
            assert.is_nil(quoted("a\nb\r\nc\0"):find "[%c]")
        end)

        it("and leaves bytes that are no UTF-8 as they are", function()
            assert.equal('"\255\128"', quoted "\255\128")
            assert.equal("\255\128", decode(quoted "\255\128"))
        end)
    end)

    describe("writes values", function()
        it("that are numbers, without losing what they are", function()
            for text, value in pairs { ["0"] = 0, ["-7"] = -7, ["0.1"] = 0.1, ["1e+300"] = 1e300,
                ["9007199254740991"] = 9007199254740991, ["1700000000.125"] = 1700000000.125 } do
                assert.equal(text, scalar(value))
            end
            for _, value in ipairs { 1 / 3, 2 ^ 53, -2 ^ 52 - 1, 5e-324, 123456789.123456789 } do
                assert.equal(value, decode(scalar(value)))
            end
        end)

        it("that JSON has no numbers for, as strings", function()
            assert.equal('"inf"', scalar(math.huge))
            assert.equal('"-inf"', scalar(-math.huge))
            assert.matches('^"%-?nan"$', scalar(0 / 0))
        end)

        it("that are true, false and others", function()
            assert.equal("true", scalar(true))
            assert.equal("false", scalar(false))
            assert.equal('"nil"', scalar(nil))
            assert.matches('^"function: ', scalar(print))
        end)

        it("that are lists", function()
            assert.equal("[]", encode {})
            assert.equal('[1,"b",[true,[]]]', encode { 1, "b", { true, {} } })
        end)

        it("that are objects, always in the same order", function()
            assert.equal('{"a":{"c":[1,2]},"b":"x","quo\\"te":false}',
                encode { b = "x", ['quo"te'] = false, a = { c = { 1, 2 } } })
        end)
    end)

    describe("reads", function()
        it("what it writes", function()
            local value = {
                generations = { { number = 1, pinned = { "a", "b" } }, { number = 2 } },
                live = true,
                text = 'quotes ", \\ and\nlines\0', empty = {}, part = 0.25,
                no = false,
            }
            assert.same(value, decode(encode(value)))
        end)

        it("JSON that others wrote, with white space anywhere", function()
            assert.same({ a = { 1, { b = "c" } }, d = {}, e = {} },
                decode ' {\t"a" :\n[ 1 , { "b" : "c" } ]\r, "d" : [ ] , "e" : { } } \n')
        end)

        it("numbers as RFC 8259 §6 has them", function()
            for text, value in pairs { ["0"] = 0, ["-0.5"] = -0.5, ["12e2"] = 1200, ["1E+2"] = 100,
                ["25e-1"] = 2.5, ["1700000000.125"] = 1700000000.125 } do
                assert.equal(value, decode(text), text)
            end
        end)

        it("and refuses others", function()
            for _, text in ipairs { "0x10", "nan", "inf", "+1", "01", ".5", "1.", "1e", "--1", "1-",
                "infinity", "0b1", "1LL", "1i" } do
                assert.is_nil(decode(text), text)
                assert.is_nil(decode("[" .. text .. "]"), text)
            end
        end)

        it("the words true, false and null, and no others", function()
            assert.is_true(decode "true")
            assert.is_false(decode "false")
            assert.is_nil(decode "null")
            assert.same({ a = 1 }, decode '{"gone":null,"a":1}')
            for _, text in ipairs { "True", "tru", "truefalse", "nil", "none" } do
                assert.is_nil(decode("[" .. text .. "]"), text)
            end
        end)

        it("each escape", function()
            assert.equal('"\\/\b\f\n\r\t', decode [["\"\\\/\b\f\n\r\t"]])
            assert.equal("a\0A", decode [["a\u0000\u0041"]])
            assert.equal("éñ€", decode [["\u00e9\u00F1\u20aC"]])
            assert.equal("Aface", decode [["\u0041face"]])
            assert.equal("\\u0041", decode [["\\u0041"]])
            assert.equal([[\]], decode [["\\"]])
        end)

        it("two escapes that are one character together (§7)", function()
            assert.equal("😀!", decode [["\ud83d\ude00!"]])
            assert.equal("𐀀􏿿", decode [["\uD800\uDC00\udbff\udfff"]])
        end)

        it("halves of such pairs as the character that stands for what is none", function()
            assert.equal("�x", decode [["\ud83dx"]])
            assert.equal("�", decode [["\ude00"]])
            assert.equal("��", decode [["\ude00\ude00"]])
            assert.equal("��", decode [["\ud83d\ud83d"]])
            assert.equal("�A", decode [["\ud83d\u0041"]])
        end)

        it("no text that is cut, anywhere", function()
            local text = encode { a = { 1, "b\n", { c = true } }, d = "e" }
            for len = 0, #text - 1 do
                assert.is_nil(decode(text:sub(1, len)), text:sub(1, len))
            end
            assert.is_table(decode(text))
        end)

        it("nothing that is not JSON", function()
            for _, text in ipairs { "", " ", "[1,]", "[,1]", "[1 2]", '{"a" 1}', '{"a":1,}',
                "{a:1}", "{1:1}", "[1}", '{"a":1]', "1 2", "[] x", '"a" "b"', "'a'", [["\q"]],
                [["\u12"]], [["\u12G4"]], '"a\nb"', '"\0"', "\239\187\191[]", '{"a":}', "]" } do
                assert.is_nil(decode(text), text)
            end
        end)

        it("no depth without a limit", function()
            local function nested(depth)
                return ("["):rep(depth) .. ("]"):rep(depth)
            end
            assert.is_table(decode(nested(32)))
            assert.is_nil(decode(nested(33)))
            assert.is_nil(decode(("["):rep(1000000)))
            assert.is_nil(decode(('{"a":'):rep(100000) .. "1" .. ("}"):rep(100000)))
        end)
    end)
end)
