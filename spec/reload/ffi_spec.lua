-- C declarations of an app across reloads.

package.path = "tools/?.lua;" .. package.path
local files = require "spec.support.files"
local private_names = require "private_names"
local servers = require "spec.support.server"

describe("across a reload an app's C declarations", function()
    local server

    local function app(declarations, result)
        return ([==[
local mw = require "moonwire"
local ffi = require "ffi"
%s
mw.get("/", function() return tostring(%s) end)
]==]):format(declarations, result or '"fine"')
    end

    local function cdef(text)
        return ("ffi.cdef [[\n%s\n]]"):format(text)
    end

    local function start(text, ...)
        server = servers.start(app(text, ...))
    end

    local function reload(text, ...)
        server:reload(app(text, ...))
    end

    local function fails(text, ...)
        server:edit(app(text, ...))
        server.process:signal "HUP"
        return server:reload_failed()
    end

    after_each(function()
        server:stop()
    end)

    local kinds = {
        { "a struct", "struct foo { int a; char *b; };",
            "/* new */ struct foo\n{\n\tint a; // first\n\tchar * b;\n}\n;",
            "struct foo { char *b; int a; };", "struct foo" },
        { "a struct with a field that is a function", "struct foo { int (*a)(int); };",
            "struct foo {int(*a)(int);};", "struct foo { int (*b)(int); };", "struct foo" },
        { "a typedef of a struct without a name", "typedef struct { int a; } foo;",
            "typedef struct {int a;} foo;", "typedef struct { int a, b; } foo;", "foo" },
        { "a typedef of a number", "typedef int foo;", "typedef\nint foo;", "typedef long foo;",
            "foo" },
        { "a union", "union foo { int a; double b; };", "union foo {int a;double b;};",
            "union foo { int a; };", "union foo" },
        { "an enum", "enum foo { ONE, TWO };", "enum foo {ONE,TWO};", "enum foo { TWO, ONE };",
            "enum foo" },
        { "constants", "enum { ONE, TWO };", "enum {ONE,TWO};", "enum { TWO, ONE };", "TWO" },
        { "a static constant", "static const int FOO = 3;", "static const int FOO=3;",
            "static const int FOO = 4;", "FOO" },
        { "a function", "int getpid(void); int kill(int pid, int sig);",
            "int kill(int,int);int getpid(void);", "int kill(long pid, int sig);", "kill" },
        { "a struct within one", "struct foo { struct bar { int a; } b; };",
            "struct foo { struct bar {int a;} b; };",
            "struct foo { struct bar { long a; } b; };", "struct foo" },
        { "one of several", "typedef int number; struct foo { number a; };",
            "typedef int number;\nstruct foo { number a; };",
            "typedef short number; struct foo { number a; };", "number" },
        { "a packed struct", "#pragma pack(push, 1)\nstruct foo { char a; int b; };",
            "#pragma pack(push, 1)\nstruct foo {char a;int b;};",
            "struct foo { char a; int b; };", "struct foo" },
        { "an aligned struct", "struct foo { int a; } __attribute__((aligned(16)));",
            "struct foo {int a;} __attribute__((aligned(16)));", "struct foo { int a; };",
            "struct foo" },
    }
    for _, kind in ipairs(kinds) do
        local title, before, same, other, name = unpack(kind)
        it("may be the same: " .. title, function()
            start(cdef(before))
            reload(cdef(before))
            reload(cdef(same))
            assert.equal("fine", (server:get "/"))
        end)

        it("may not be others: " .. title, function()
            start(cdef(before))
            local why = fails(cdef(other)):gsub(" %(line %d%)", "")
            assert.matches("app.lua:%d: ffi.cdef: " .. name .. " is not what .*app.lua:%d declared "
                .. "before.*restart the server, or give this one another name", why)
            reload(cdef(before))
            assert.equal("fine", (server:get "/"))
        end)
    end

    it("may be more", function()
        start(cdef "struct foo { int a; };\ntypedef struct foo foo_t;")
        reload(cdef "struct foo { int a; };\nstruct bar { struct foo b; long c; };",
            'ffi.sizeof "struct bar"')
        assert.equal("16", (server:get "/"))
        reload(cdef "typedef struct foo { int a; } foo_t, *foo_p;", 'ffi.sizeof "foo_p"')
    end)

    it("are looked at in modules, and in a hook", function()
        server = servers.start([[
            local mw = require "moonwire"
            require "types"
            mw.get("/", function()
                require("ffi").cdef "struct late { int a; };"
                return "fine"
            end)
        ]], { files = { ["types.lua"] = 'require("ffi").cdef "struct foo { int a; };"' } })
        for _ = 1, 3 do
            server:reload()
            assert.equal("fine", (server:get "/"))
        end
        server:edit('\n\nrequire("ffi").cdef "struct foo { long a; };"', "types.lua")
        server.process:signal "HUP"
        assert.matches("types.lua:3: ffi.cdef: struct foo is not what .*types.lua:1 declared",
            server:reload_failed())
    end)

    it("take types, names and numbers for $", function()
        local text = [[
            local point = ffi.typeof "struct { int x, y; }"
            ffi.cdef("typedef $ point; struct $ { $ a[$]; };", point, "foo", point, 3)
        ]]
        start(text)
        reload(text, 'ffi.sizeof "struct foo"')
        assert.equal("24", (server:get "/"))
        local why = fails((text:gsub("int x, y", "int y, x")))
        assert.matches("point is not what", why)
        why = fails((text:gsub("3%)", "4)")))
        assert.matches("struct foo is not what", why)
    end)

    it("have errors at the app's own line, with the line of the text", function()
        start(cdef "struct foo { int a; };")
        assert.matches("app.lua:%d: declaration specifier expected near 'nonsense' at line 4",
            fails(cdef "struct foo { int a; };\n\n\nnonsense here;"))
        assert.matches("app.lua:%d: attempt to redefine 'bar'",
            fails(cdef "struct bar { int a; }; struct bar { long a; };"))
        reload(cdef "struct foo { int a; }; struct bar { int b; };") -- nothing of it was kept
    end)

    it("may be doubled in one load as LuaJIT has it", function()
        local text = cdef [[
            int kill(int pid, int sig);
            int kill(long, int);
            typedef int number;
            typedef unsigned number;
        ]]
        start(text)
        reload(text)
        assert.equal("fine", (server:get "/"))
    end)

    it("have the metatables of the generation that serves", function()
        local function source(name)
            return ([[
                ffi.cdef "typedef struct { int x; } point;"
                local meta = { __index = {} }
                local point = ffi.metatype("point", meta)
                function meta.__index.name(self) return %q .. self.x end
                meta.__len = function() return 7 end
                local first = point(1):name()
            ]]):format(name)
        end
        local result = [[first .. " " .. point(2):name() .. #point(3)]]
        start(source "one", result)
        assert.equal("one1 one27", (server:get "/"))
        for _ = 1, 200 do -- compiled
            server:get "/"
        end
        assert.matches("no", fails(source "two" .. " error 'no'"))
        assert.equal("one1 one27", (server:get "/"))
        reload(source "two", result)
        assert.equal("two1 two27", (server:get "/"))
        server:edit(app(source "two" .. " ffi.metatype('point', {})"))
        server.process:signal "HUP"
        assert.matches("app.lua:9: cannot change a protected metatable", server:reload_failed())
        assert.equal("two1 two27", (server:get "/"))
    end)

    it("have any name that the server's own have", function()
        local text = [[
            ffi.cdef "typedef struct { char a[77]; } mw_input;"
            ffi.cdef "enum { ERR_CLOSED = 77, EVENT_OPEN, HTTP_GET, MW_NO_ROUTE };"
            ffi.cdef "int mw_send(int); typedef char mw_stop[77]; int isatty(int);"
            ffi.cdef "typedef int read; typedef int free; typedef int realpath;"
        ]]
        local out, seen = { text }, { ERR_CLOSED = true, EVENT_OPEN = true, HTTP_GET = true,
            MW_NO_ROUTE = true, mw_send = true, mw_stop = true, mw_input = true }
        for _, header in ipairs { "src/base/error.h", "src/engine/ground/event.h",
            "src/script/api.h", "src/script/api_client.h", "src/script/api_control.h",
            "src/script/api_reload.h", "src/script/api_site.h", "src/script/api_text.h" } do
            local text_of = files.read(header):gsub("/%*.-%*/", "")
            local names = private_names.declared_in(text_of)
            for tag in pairs(names.tags) do
                out[#out + 1] = ("ffi.cdef 'struct %s { char a[77]; };'"):format(tag)
            end
            for name in pairs(names.others) do
                out[#out + 1] = not seen[name] and ("ffi.cdef 'typedef char %s[77];' "
                    .. "assert(ffi.sizeof '%s' == 77)"):format(name, name) or ""
            end
        end
        assert.is_true(#out > 120)
        text = table.concat(out, "\n")
        start(text, 'ffi.C.ERR_CLOSED .. " " .. ffi.C.HTTP_GET .. ffi.sizeof "mw_input"')
        assert.equal("77 7977", (server:get "/"))
        reload(text, 'ffi.C.EVENT_OPEN')
        assert.equal("78", (server:get "/"))
    end)
end)
