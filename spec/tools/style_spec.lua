-- The part of make lint that checks the house style.

describe("tools/style.lua", function()
    local check = require("spec.tools.tree").describe "style"

    local function c_file(text)
        return check { ["src/base/map.c"] = "/* A map. */\n" .. text }
    end

    local function c_function(lines)
        local body = ("    n++;\n"):rep(lines - 4)
        return "static int count(int n)\n{\n" .. body .. "    return n;\n}\n"
    end

    it("passes what keeps to the style", function()
        assert.same({}, check {
            ["src/base/map.c"] = "/* A map. */\n" .. c_function(40),
            ["src/base/map.h"] =
                "/* A map. */\nint map_get(int key) __attribute__((warn_unused_result));\n",
            ["lua/moonwire/units.lua"] =
                "local function bytes()\n" .. ("    f()\n"):rep(38) .. "end\n",
        })
    end)

    it("sees methods of strings in our own Lua", function()
        assert.same({
            "lua/moonwire/units.lua:1: write string.format(…), not a method",
            "lua/moonwire/units.lua:2: write string.find(…), not a method",
        }, check {
            ["lua/moonwire/units.lua"] = 'local a = ("%d"):format(1)\n'
                .. 'local b = a:find "x" -- not a:sub(1)\nfile:close()\nws:send(a)\n',
        })
    end)

    it("counts columns, in comments too, and not the bytes of a character", function()
        assert.same({ "src/base/map.c:3: 101 columns" }, c_file(
            "/* " .. ("§"):rep(94) .. " */\n" .. "/* " .. ("x"):rep(95) .. " */\n"))
    end)

    it("sees a declaration that its comment tears", function()
        assert.same({
            "src/base/map.c:5: a declaration is torn: put its comment above it",
            "src/base/map.c:7: a declaration is torn: put its comment above it",
        }, c_file [[
#define EACH(i) \
    for (int i = 0; i < 9; i++)
struct map {
    uint32_t
        generation; /* of what is in it */
    _Atomic uint32_t
        *dealt; /* by worker */
};
]])
    end)

    it("takes no statement for a torn declaration", function()
        assert.same({}, c_file [[
enum kind {
    KIND_MAP,
    KIND_SET
};

static int find(int key)
{
    if (key)
        return 1;
    else
        key = 2;
    do
        key++;
    while (key < 9);
    return find(key) ||
           key;
}
]])
    end)

    it("sees a file that is too long", function()
        assert.same({
            "lua/moonwire/dispatch.lua:1: 501 lines",
            "src/base/map.c:1: 501 lines",
        }, check {
            ["src/base/map.c"] = "/* A map. */\n" .. ("int x;\n"):rep(500),
            ["src/base/log.c"] = "/* A log. */\n" .. ("int x;\n"):rep(499),
            ["lua/moonwire/dispatch.lua"] = ("f()\n"):rep(501),
        })
    end)

    it("sees a function that is too long, with its parameters and braces", function()
        assert.same({ "src/base/map.c:2: count has 41 lines" }, c_file(c_function(41)))
        assert.same({}, c_file(c_function(40)))
    end)

    local cases = ("    case 1:\n        return 2;\n"):rep(30)

    it("lets flat switches and tables be long", function()
        local rows = ("        1,\n"):rep(60)
        assert.same({}, c_file("static int f(int n)\n{\n    static const int rows[] = {\n" .. rows
            .. "    };\n    switch (n) {\n" .. cases .. "    }\n    return rows[n];\n}\n"))
    end)

    it("does not call a switch flat that has blocks inside", function()
        assert.same({ "src/base/map.c:2: f has 69 lines" }, c_file(
            "static int f(int n)\n{\n    switch (n) {\n" .. cases
            .. "    case 2:\n        if (n) {\n            n++;\n        }\n    }\n}\n"))
    end)

    it("sees a function of Lua that is too long", function()
        local body = ("    f()\n"):rep(39) .. "end\n"
        assert.same({
            "lua/moonwire/units.lua:1: bytes has 41 lines",
            "lua/moonwire/units.lua:42: M.text has 41 lines",
            "lua/moonwire/units.lua:83: M.of has 41 lines",
        }, check {
            ["lua/moonwire/units.lua"] = "local function bytes()\n" .. body .. "function M.text()\n"
                .. body .. "M.of = function()\n" .. body,
        })
    end)

    it("sees a source or header that does not begin with a comment", function()
        local text = ":1: does not begin with a comment that says what the file is for"
        assert.same({ "src/base/map.c" .. text, "src/base/map.h" .. text }, check {
            ["src/base/map.c"] = '#include "base/map.h"\n/* Late. */\n',
            ["src/base/map.h"] = "#pragma once\n",
        })
    end)

    it("wants an error's receiver to be warned", function()
        assert.same({
            "src/engine/ws/topics.h:2: topics_publish returns int: it needs "
                .. "__attribute__((warn_unused_result))",
        }, check {
            ["src/engine/ws/topics.h"] = [[
/* 0 or ERR_MEMORY. */
int topics_publish(const char *text,
                   unsigned len);
int topics_subscribe(const char *name)
    __attribute__((warn_unused_result));
void topics_init(int (*fn)(int));
unsigned topics_count(void);
extern int topics_limit;
]],
            ["src/script/api.h"] = "/* Only Lua calls it. */\nint mw_send(double conn);\n",
        })
    end)
end)
