local ffi = require "ffi"
local cjson = require "cjson"
local core = require "spec.support.cdef"
local C = core.C

-- What fn(j) writes, and its error.
local function written(fn, before)
    local out = core.new("struct buffer", C.buffer_deinit)
    assert.equal(0, C.buffer_append(out, before or "", #(before or "")))
    local j = ffi.new("struct json_out", { out = out })
    fn(j)
    return core.string(out), j.err
end

describe("json_out", function()
    it("puts commas between values, and nowhere else", function()
        assert.equal('{"a":1,"b":{},"c":[],"d":[{"e":true},2,[null]],"f":false}',
            (written(function(j)
                C.json_out_object(j, nil)
                C.json_out_integer(j, "a", 1)
                C.json_out_object(j, "b")
                C.json_out_object_end(j)
                C.json_out_array(j, "c")
                C.json_out_array_end(j)
                C.json_out_array(j, "d")
                C.json_out_object(j, nil)
                C.json_out_bool(j, "e", true)
                C.json_out_object_end(j)
                C.json_out_integer(j, nil, 2)
                C.json_out_array(j, nil)
                C.json_out_string(j, nil, nil)
                C.json_out_array_end(j)
                C.json_out_array_end(j)
                C.json_out_bool(j, "f", false)
                C.json_out_object_end(j)
            end)))
    end)

    it("writes every value at the top, behind what the buffer holds", function()
        for wanted, fn in pairs {
            ["x1"] = function(j) C.json_out_integer(j, nil, 1) end,
            ["x-9223372036854775808"] = function(j)
                C.json_out_integer(j, nil, -9223372036854775807LL - 1)
            end,
            ["x9223372036854775807"] = function(j)
                C.json_out_integer(j, nil, 9223372036854775807LL)
            end,
            ["xnull"] = function(j) C.json_out_text(j, nil, nil, 0) end,
            ['x""'] = function(j) C.json_out_text(j, nil, "abc", 0) end,
            ['x"ab"'] = function(j) C.json_out_text(j, nil, "abc", 2) end,
        } do
            local text, err = written(fn, "x")
            assert.equal(wanted, text)
            assert.equal(0, err)
        end
    end)

    it("writes texts that mean what was given, whatever their bytes", function()
        for text, wanted in pairs { ['"\\\n\0\31'] = '"\\\n\0\31', ["\255\226\130\172"] =
            "\239\191\189\226\130\172" } do
            local json = written(function(j)
                C.json_out_object(j, nil)
                C.json_out_text(j, "a", text, #text)
                C.json_out_object_end(j)
            end)
            assert.same({ a = wanted }, cjson.decode(json))
        end
    end)

    it("takes JSON as it is, but for bytes that are not UTF-8", function()
        local json = '{"a":[1,"\\n\255"]}'
        assert.equal('[{"a":[1,"\\n\\ufffd"]},1]', (written(function(j)
            C.json_out_array(j, nil)
            C.json_out_json(j, nil, json, #json)
            C.json_out_integer(j, nil, 1)
            C.json_out_array_end(j)
        end)))
    end)

    it("keeps the first failure and writes nothing behind it", function()
        local text, err = written(function(j)
            C.json_out_array(j, nil)
            C.json_out_integer(j, nil, 1)
            j.err = C.ERR_MEMORY
            C.json_out_integer(j, "name", 2)
            C.json_out_string(j, "name", "text")
            C.json_out_json(j, "name", "{}", 2)
            C.json_out_bool(j, "name", true)
            C.json_out_object(j, "name")
            C.json_out_array_end(j)
        end)
        assert.equal("[1", text)
        assert.equal(C.ERR_MEMORY, err)
    end)
end)
