-- src/script/json*.c and lua/moonwire/base/json.lua: mw.json (RFC 8259).

local fake = require "spec.lua.fake"

fake.new()
local json = require("moonwire.base.json").api
local encode, decode, null = json.encode, json.decode, json.null

describe("mw.json", function()
    describe("reads", function()
        -- Also among others, and with blanks around it.
        local function reads(value, text)
            for _, around in ipairs { "%s", " %s", "\t%s\r\n" } do
                assert.same({ value }, { decode(around:format(text)) }, text)
            end
            assert.same({ 0, { a = value }, 0 }, decode(('[0,{"a":%s},0]'):format(text)))
        end

        it("§6 numbers", function()
            for text, value in pairs {
                ["0"] = 0, ["-1"] = -1, ["10"] = 10, ["1.5"] = 1.5, ["-0.25"] = -0.25,
                ["1e5"] = 1e5,
                ["1E+2"] = 100, ["2e-3"] = 0.002, ["0.1"] = 0.1, ["0e0"] = 0, ["1e-400"] = 0,
                ["999999999999999"] = 999999999999999, ["9007199254740991"] = 9007199254740991,
                ["-9007199254740992"] = -9007199254740992,
                ["12345678901234567890"] = 12345678901234567890,
                ["1.7976931348623157e308"] = 1.7976931348623157e308, ["5e-324"] = 5e-324,
                ["0.30000000000000004"] = 0.1 + 0.2,
            } do
                reads(value, text)
            end
            assert.equal(-math.huge, 1 / decode "-0")
        end)

        it("§7 strings, with all their escapes", function()
            for text, value in pairs {
                ['""'] = "", ['"a"'] = "a", ['"ä😀"'] = "ä😀", ['"\127"'] = "\127",
                [ [["\"\\\/\b\f\n\r\t"]] ] = '"\\/\b\f\n\r\t', [ [["\u0000x"]] ] = "\0x",
                [ [["\u0041\u00e4\u20AC"]] ] = "Aä€", [ [["\ud83d\uDE00!"]] ] = "😀!",
                [ [["\\u0041"]] ] = "\\u0041", [ [["a\\"]] ] = "a\\",
            } do
                reads(value, text)
            end
            local long = ("x"):rep(200000)
            assert.equal(long .. "\n" .. long, decode('"' .. long .. "\\n" .. long .. '"'))
        end)

        it("§3 words, lists and objects", function()
            reads(true, "true")
            reads(false, "false")
            reads(null, "null")
            assert.same({}, decode "[]")
            assert.same({}, decode "{ }")
            assert.same({ 1, "a", { b = { null } } }, decode '[1 , "a",\n{"b" : [null]}]')
            assert.same({ a = 2 }, decode '{"a":1,"a":2}')
            assert.same({ [""] = 1, ["1"] = 2 }, decode '{"":1,"1":2}')
        end)

        it("nothing that is not JSON: nil, and where and what", function()
            for text, wanted in pairs {
                [""] = "line 1, column 1: the text ends where a value is expected",
                ["  "] = "column 3: the text ends", ["[NaN]"] = "column 2: a value is expected",
                ["nan"] = "column 1: a value", ["[-NaN]"] = "digits are missing behind a minus",
                ["Infinity"] = "a value", ["-Infinity"] = "behind a minus", ["inf"] = "a value",
                ["0x10"] = "column 2: something follows", ["[0x10]"] = "column 3: a comma or ]",
                ["+1"] = "a value", ["01"] = "does not begin with 0", ["-01"] = "not begin with 0",
                ["00"] = "does not begin with 0", ["1."] = "behind a point", [".5"] = "a value",
                ["1.e5"] = "behind a point", ["1e"] = "in an exponent", ["1e+"] = "in an exponent",
                ["-"] = "behind a minus", ["--1"] = "behind a minus", ["1e400"] = "too large",
                ["-1e309"] = "too large", ["1_000"] = "something follows", ["1 2"] = "follows",
                ["[1,]"] = "column 4: a value", ["[,1]"] = "column 2: a value",
                ["[1"] = "column 3: a comma or ]", ["[1 2]"] = "a comma or ]", ["["] = "ends",
                ["]"] = "a value", ["{"] = "a name in double quotes", ['{"a"}'] = "a colon",
                ['{"a":1,}'] = "a name in double", ["{a:1}"] = "a name in double",
                ["{'a':1}"] = "a name in double", ['{"a":1 "b":2}'] = "a comma or }",
                ['{"a":}'] = "a value", ["{1:2}"] = "a name in double", ["'a'"] = "a value",
                ['"a'] = "column 1: this string does not end", ['"a\\'] = "does not end",
                ['"\\"'] = "does not end", ['"\n"'] = "a control character", ['"\0"'] = "a control",
                ['"\\x41"'] = "this escape is unknown", ['"\\u12"'] = "unknown",
                ['"\\u12g4"'] = "unknown", ['"\\\1"'] = "unknown", ['"\\U0041"'] = "unknown",
                ['"\\ud800"'] = "half a character", ['"\\udc00"'] = "half a character",
                ['"\\ud83dx"'] = "half a character", ['"\\ud83d\\u0041"'] = "half a character",
                ["True"] = "a value", ["nul"] = "a value", ["nulll"] = "something follows",
                ["undefined"] = "a value", ["// a\n1"] = "a value", ["[1]/**/"] = "follows",
                ["[1]x"] = "something follows", ["[1]\0"] = "something follows",
                ["[1]\f"] = "follows", ["[\v1]"] = "a value",
                ["\239\187\191[]"] = "byte order mark",
                ['"\255"'] = "it is not UTF-8", ['"\237\160\128"'] = "not UTF-8",
                ["[\n1,\n  x]"] = "line 3, column 3: a value is expected",
            } do
                local value, problem = decode(text)
                assert.is_nil(value, text)
                assert.matches("^this is not JSON: ", problem)
                assert.matches(wanted, problem, 1, true)
            end
        end)

        it("nothing that is cut anywhere, and does not read past the end", function()
            local text = [[{"a":[1.5e3,"\u0041x",true,null],"b":{"c":-0.5}}]]
            assert.is_table(decode(text))
            for i = 0, #text - 1 do
                assert.is_nil((decode(text:sub(1, i))), i)
            end
        end)

        it("no deeper than 1,000 lists and objects in one another", function()
            assert.is_table(decode(("["):rep(1000) .. ("]"):rep(1000)))
            for _, open in ipairs { "[", '{"a":' } do
                for _, count in ipairs { 1001, 10000, 1000000 } do
                    local value, problem = decode(open:rep(count))
                    assert.is_nil(value)
                    assert.matches("nested too deeply", problem)
                end
            end
        end)

        it("only strings", function()
            for _, value in ipairs { 5, true, {} } do
                fake.raises("mw.json.decode: expected a string, got " .. type(value), function()
                    local _ = decode(value)
                end)
            end
            fake.raises("expected a string, got nil", function()
                local _ = decode(nil)
            end)
            fake.raises("expected one string, got 2 values", function()
                local _ = decode("1", {})
            end)
        end)
    end)

    describe("writes", function()
        it("numbers with as many digits as bring them back", function()
            for text, value in pairs {
                ["0"] = 0, ["-0"] = -0.0 * 1, ["1"] = 1, ["-7"] = -7, ["0.1"] = 0.1, ["1.5"] = 1.5,
                ["0.3333333333333333"] = 1 / 3, ["0.30000000000000004"] = 0.1 + 0.2,
                ["1000000000000000"] = 1e15, ["9007199254740991"] = 9007199254740991,
                ["9007199254740992"] = 9007199254740992, ["-9007199254740992"] = -2 ^ 53,
                ["123456789012345"] = 123456789012345, ["1e+300"] = 1e300,
                ["1.7976931348623157e+308"] = 1.7976931348623157e308,
            } do
                if text ~= "-0" then
                    assert.equal(text, encode(value))
                end
                assert.equal(value, decode(encode(value)))
            end
            assert.equal("-0", encode(-1 / math.huge))
            math.randomseed(1)
            for _ = 1, 2000 do
                local value = (math.random() - 0.5) * 10 ^ math.random(-300, 300)
                assert.equal(value, decode(encode(value)))
            end
        end)

        it("strings with escapes where they must stand", function()
            assert.equal([["\"\\/\b\f\n\r\t\u0000\u001f]] .. '\127ä😀"',
                encode "\"\\/\b\f\n\r\t\0\31\127ä😀")
            for code = 0, 127 do
                local text = "x" .. string.char(code) .. "y"
                assert.equal(text, decode(encode(text)))
            end
            local long = ("\1"):rep(100000)
            assert.equal(long, decode(encode(long)))
        end)

        it("tables as lists or objects, and null", function()
            assert.equal("[1,[2],{}]", encode { 1, { 2 }, {} })
            assert.equal('{"a":true}', encode { a = true })
            assert.equal("null", encode(nil))
            assert.equal("[null,false]", encode { null, false })
            assert.equal("[1,null,3]", encode { 1, nil, 3 })
            assert.equal('{"1.5":1}', encode { [1.5] = 1 })
            assert.equal('{"0":1}', encode { [0] = 1 })
            local mixed = decode(encode { "x", a = 1 })
            assert.same({ ["1"] = "x", a = 1 }, mixed)
        end)

        it("lists that are empty", function()
            assert.equal("[]", encode(json.array()))
            assert.equal("[]", encode(json.array {}))
            assert.equal('{"list":[]}', encode { list = decode "[]" })
            local list = decode "[1,2]"
            list[2], list[1] = nil, nil
            assert.equal("[]", encode(list))
            list[1] = decode "[[],{}]"
            assert.equal("[[[],{}]]", encode(list))
            assert.equal("{}", encode(decode "{}"))
            assert.equal(json.array_mt, getmetatable(json.array {}))
        end)

        it("what was read as it came", function()
            for _, text in ipairs { "[]", "{}", "[[],[[]],{}]", '{"a":[]}', "[0.1,1e+300,null]",
                '["ä"]', "9007199254740991", '{"a":{"b":[{"c":[]}]}}', "-0", '""' } do
                assert.equal(text, encode(decode(text)))
            end
        end)

        it("nothing that JSON does not have, and names the place", function()
            local cyclic = {}
            cyclic.me = cyclic
            for wanted, value in pairs {
                ["the value is a function, which JSON does not have"] = print,
                ["users[2].name is a function, which"] =
                    { users = { { name = "a" }, { name = print } } },
                ["encode: [1].a[2] is infinite"] = { { a = { 1, math.huge } } },
                ["[1] is not a number (0/0), which"] = { 0 / 0 },
                ["a.b is infinite, which"] = { a = { b = math.huge } },
                ["[1][3] is infinite, which"] = { { 1, 2, -math.huge } },
                ["a is a string that is not UTF-8"] = { a = "\255" },
                ["a has a name that is not UTF-8"] = { a = { ["\255"] = 1 } },
                ["a has a key that is a boolean: names are strings"] = { a = { [true] = 1 } },
                ["the value is a list with holes: it has 2 items, and the last one is [100]"] =
                    { 1, [100] = 2 },
                ["x is a thread, which"] = { x = coroutine.create(print) },
                ["x is a userdata, which"] = { x = io.stdout },
                ["x is a cdata, which"] = { x = 1LL },
                ["list is a list with a key that is no place"] =
                    { list = setmetatable({ a = 1 }, json.array_mt) },
                ["is nested too deeply (does a table hold itself?)"] = cyclic,
            } do
                fake.raises("mw.json.encode: ", function()
                    local _ = encode(value)
                end)
                local _, problem = pcall(encode, value)
                assert.matches(wanted, problem, 1, true)
                assert.is_true(#problem < 400)
            end
            fake.raises("expected one value, got 2", function()
                local _ = encode({}, { indent = true })
            end)
        end)

        it("1,000 tables in one another, also in a coroutine, and no more", function()
            local deep = {}
            for _ = 1, 999 do
                deep = { deep }
            end
            assert.equal(("["):rep(999) .. "{}" .. ("]"):rep(999), encode(deep))
            assert.equal(2000, #coroutine.wrap(encode)(deep))
            assert.is_false((pcall(encode, { deep })))
        end)
    end)

    it("says what there is when it is asked for something else", function()
        fake.raises("mw.json.encod does not exist; did you mean encode?", function()
            local _ = json.encod
        end)
        fake.raises("mw.json.array: expected a table, got string", function()
            json.array "x"
        end)
        fake.raises("a metatable of its own", function()
            json.array(setmetatable({}, {}))
        end)
    end)
end)
