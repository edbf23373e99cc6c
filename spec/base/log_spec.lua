local ffi = require "ffi"
local json = require "cjson"
local unistd = require "posix.unistd"
local core = require "spec.support.cdef"
local C = core.C

-- What one call writes, with a pipe in place of standard error.
local function written(options, call)
    local reading, writing = unistd.pipe()
    local log = ffi.new("struct log", writing, options.level or C.LOG_DEBUG, options.json or false)
    call(log)
    unistd.close(writing)
    local parts = {}
    repeat
        local part = assert(unistd.read(reading, 65536))
        parts[#parts + 1] = part
    until part == ""
    unistd.close(reading)
    return table.concat(parts)
end

local function text_line(text, fields)
    return written({}, function(log)
        C.log_text(log, C.LOG_INFO, core.copy(text, "char *"), #text, fields or "", #(fields or ""))
    end)
end

local function json_line(text, fields)
    local line = written({ json = true }, function(log)
        C.log_text(log, C.LOG_WARN, core.copy(text, "char *"), #text, fields or "", #(fields or ""))
    end)
    assert.are.equal("\n", line:sub(-1))
    assert.is_nil(line:sub(1, -2):find "\n")
    return json.decode(line), line
end

local TIME = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ "

describe("log", function()
    it("writes the time in UTC, the level, and the text", function()
        local before = os.time() - 1
        local line = text_line "listening on http://localhost:8080"
        assert.is_truthy(line:find(TIME .. "info  listening on http://localhost:8080\n$"))
        local y, mo, d, h, mi, s = line:match "(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)"
        local parsed = { year = y, month = mo, day = d, hour = h, min = mi, sec = s, isdst = false }
        -- os.time reads local time: compare with now in the same terms.
        local now = os.date("!*t")
        now.isdst = false
        local late = os.difftime(os.time(now), os.time(parsed))
        assert.is_true(late >= -1 and late <= os.time() - before + 1, late)
    end)

    it("formats like printf", function()
        local line = written({}, function(log)
            C.log_write(log, C.LOG_ERROR, "%s: %d", "port", ffi.new("int", 80))
        end)
        assert.is_truthy(line:find(TIME .. "error port: 80\n$"))
    end)

    it("writes nothing below its level, and nothing at all when it is off", function()
        local names = {}
        local function all(log)
            for level = 0, 4 do
                C.log_write(log, level, "line")
                C.log_text(log, level, "line", 4, "", 0)
            end
        end
        for line in written({ level = C.LOG_WARN }, all):gmatch "[^\n]+" do
            names[#names + 1] = line:match "Z (%w+) "
        end
        assert.are.same({ "warn", "warn", "error", "error" }, names)
        assert.are.equal("", written({ level = C.LOG_OFF }, all))
    end)

    it("puts fields after the text, as name=value", function()
        assert.is_truthy(text_line("joined", '"room":"a"'):find 'info  joined room=a\n$')
    end)

    it("escapes what could drive a terminal, and broken UTF-8", function()
        local cases = {
            ["\27[2J"] = "\\x1b[2J", ["a\rb"] = "a\\rb", ["a\tb"] = "a\\tb", ["\0"] = "\\x00",
            ["\127"] = "\\x7f", ["\194\155m"] = "\\x9bm", ["\155m"] = "\\x9bm", ["\255"] = "\\xff",
            ["é€😀"] = "é€😀", ["\226\130"] = "\\xe2\\x82", ["\237\160\128"] = "\\xed\\xa0\\x80",
            ["\192\128"] = "\\xc0\\x80", ["\224\159\191"] = "\\xe0\\x9f\\xbf",
            ["\194\160"] = "\194\160",
            ["\240\143\191\191"] = "\\xf0\\x8f\\xbf\\xbf",
            ["\244\144\128\128"] = "\\xf4\\x90\\x80\\x80",
            ["\244\143\191\191"] = "\244\143\191\191", ["\226\40\161"] = "\\xe2(\\xa1",
        }
        for input, expected in pairs(cases) do
            assert.are.equal(expected, text_line(input):match "info  (.*)\n$")
        end
    end)

    it("keeps a traceback's lines, indented, so that none looks like a line of its own", function()
        local line = text_line "app.lua:3: boom\nstack traceback:\n\tapp.lua:3: in main chunk"
        assert.are.equal(
            "app.lua:3: boom\n    stack traceback:\n    app.lua:3: in main chunk\n",
            line:match "info  (.*)$"
        )
    end)

    it("writes an object a line as JSON, with any text", function()
        local every = {}
        for byte = 0, 127 do
            every[#every + 1] = string.char(byte)
        end
        local text = table.concat(every) .. "é€😀"
        local object = json_line(text)
        assert.are.equal(text, object.message)
        assert.are.equal("warn", object.level)
        assert.is_truthy((object.time .. " "):find(TIME))
    end)

    it("replaces what is not UTF-8 in JSON, which must be", function()
        assert.are.equal("a\239\191\189b", json_line("a\255b").message)
        assert.is_truthy(select(2, json_line "\194\155"):find('\\u009b', 1, true))
    end)

    it("adds fields to the JSON object", function()
        local object = json_line("joined", '"room":"a","users":3')
        assert.are.equal("a", object.room)
        assert.are.equal(3, object.users)
        assert.are.equal("joined", object.message)
    end)

    it("cuts a line that is too long, between two characters", function()
        for _, part in ipairs { "z", "é", "😀", "\255", "\0", "\n", '"', "\194\155" } do
            local long = part:rep(30000)
            local line = text_line(long)
            assert.is_true(#line <= 16384, part)
            local text, missing = line:match "info  (.*)… %((%d+) more bytes%)\n$"
            assert.equal(0, (#long - tonumber(missing)) % #part, part)
            assert.is_truthy(#text > 10000 or #part == 1 and #text > 8000, part)
            local object, json_text = json_line(long)
            assert.is_true(#json_text <= 16384, part)
            assert.matches("… %(%d+ more bytes%)$", object.message)
        end
        local just = ("z"):rep(15000)
        assert.equal(just, text_line(just):match "info  (.*)\n$")
    end)

    it("leaves fields out that need more than half of a line", function()
        local fields = ('"a":"%s"'):format(("z"):rep(9000))
        assert.matches('info  text fields="9006 bytes, left out"\n$', text_line("text", fields))
        assert.equal("9006 bytes, left out", json_line("text", fields).fields)
    end)

    it("leaves errno as it was", function()
        local log = ffi.new("struct log", -1, C.LOG_DEBUG, false) -- every write fails
        ffi.errno(17)
        C.log_write(log, C.LOG_INFO, "lost")
        assert.are.equal(17, ffi.errno())
    end)

    it("reads the names of levels", function()
        local level = ffi.new "enum log_level[1]"
        for i, name in ipairs { "debug", "info", "warn", "error", "off" } do
            assert.are.equal(0, C.log_level_parse(name, level))
            assert.are.equal(i - 1, tonumber(level[0]))
        end
        for _, name in ipairs { "", "INFO", "infos", "warning" } do
            assert.are.equal("ERR_INVALID", core.name(C.log_level_parse(name, level)))
        end
    end)
end)
