-- make layers: who may know whom in src/.

describe("tools/layers.lua", function()
    local check = require("spec.tools.tree").describe "layers"

    -- A clean tree of three rooms, with other files in place of some of its own.
    local function check_with(files)
        local tree = {
            ["src/base/map.h"] = "int map_get(int key);\nextern const int map_empty;\n",
            ["src/base/map.c"] = [[
#include "base/map.h"

const int map_empty = 0;

static int find(int key)
{
    return key;
}

int map_get(int key)
{
    return find(key);
}
]],
            ["src/engine/conn/conn.h"] = "struct conn;\nint conn_read(struct conn *c);\n",
            ["src/engine/conn/conn.c"] = [[
#include "engine/conn/conn.h"

#include "base/map.h"

int conn_read(struct conn *c)
{
    return c ? map_get(1) : map_empty;
}
]],
            ["src/engine/http/http_conn.h"] = "int http_conn_input(int n);\n",
            ["src/engine/http/http_conn.c"] = [[
#include "engine/http/http_conn.h"

#include "engine/conn/conn.h"

int http_conn_input(int n)
{
    return conn_read(0) + n;
}
]],
        }
        for path, text in pairs(files) do
            tree[path] = text
        end
        return check(tree)
    end

    -- A file of which a() calls the functions, each declared by its header.
    local function file(name, includes, calls)
        local text = {}
        for _, include in ipairs(includes) do
            text[#text + 1] = ('#include "%s"\n'):format(include)
        end
        text[#text + 1] = ("\nvoid %s(void)\n{\n"):format(name)
        for _, call in ipairs(calls) do
            text[#text + 1] = ("    %s();\n"):format(call)
        end
        text[#text + 1] = "}\n"
        return table.concat(text)
    end

    it("passes a tree whose arrows all point down", function()
        assert.same({}, check_with {})
    end)

    it("sees an include that points up", function()
        assert.same({
            "src/base/log.h:2: base/log may not know engine/conn/conn: engine/conn is above it "
                .. "(engine/conn/conn.h)",
        }, check_with { ["src/base/log.h"] = '#pragma once\n#include "engine/conn/conn.h"\n' })
    end)

    it("sees a call that points up without an include", function()
        assert.same({
            "src/base/log.c:1: conn_read is declared here and defined in src/engine/conn/conn.c",
            "src/base/log.c:5: base/log may not know engine/conn/conn: engine/conn is above it "
                .. "(conn_read)",
        }, check_with {
            ["src/base/log.c"] = "extern int conn_read(void *c);\n\nint log_it(void)\n{\n"
                .. "    return conn_read(0);\n}\n",
        })
    end)

    it("sees a function that is handed over, one in a macro, and a variable", function()
        local faults = check_with {
            ["src/engine/worker/worker.c"] = "int (*input)(int n) = http_conn_input;\n",
            ["src/engine/ground/site.c"] = "const int *site_wish = &worker_wish;\n",
            ["src/engine/worker/wish.c"] = "const int worker_wish = 1;\n",
            ["src/base/log.c"] = "#define LOG_READ conn_read\n",
        }
        assert.equal(3, #faults)
        assert.matches("base/log may not know engine/conn/conn", faults[1], 1, true)
        assert.matches("engine/ground/site may not know engine/worker/wish", faults[2], 1, true)
        assert.matches("engine/worker/worker may not know engine/http/http_conn", faults[3], 1,
            true)
    end)

    it("sees rooms that stand beside each other", function()
        local faults = check_with {
            ["src/engine/client/client.c"] = '#include "engine/http/http_conn.h"\n',
        }
        assert.equal(1, #faults)
        assert.matches("engine/http is beside it", faults[1], 1, true)
    end)

    it("knows what is no use of a function", function()
        assert.same({}, check_with {
            ["src/base/log.c"] = [[
/* conn_read() is another matter. */
#define LOG_TEXT "conn_read(\"conn_read\")" // conn_read
struct log {
    int conn_read; /* a field */
};

static int http_conn_input(struct log *l)
{
    const char quote = '"';
    struct log copy = {.conn_read = quote};
    return l->conn_read + copy.conn_read;
}

int log_it(struct log *l, struct conn *conn)
{
    struct conn_read *conn_read;
    return conn ? http_conn_input(l) : 0;
}
]],
        })
    end)

    it("names the files of a circle inside a room, and what ties them", function()
        assert.same({
            "circle: base/a -> base/b -> base/c -> base/a (b_take; base/c.h; a_take)",
        }, check_with {
            ["src/base/a.c"] = file("a_take", { "base/b.h" }, { "b_take" }),
            ["src/base/b.h"] = '#include "base/c.h"\nvoid b_take(void);\n',
            ["src/base/b.c"] = file("b_take", { "base/b.h" }, {}),
            ["src/base/c.c"] = file("c_take", {}, { "a_take" }),
            ["src/base/c.h"] = "void c_take(void);\n",
        })
    end)

    it("names each file of a knot of several circles", function()
        local faults = check_with {
            ["src/base/a.c"] = file("a_take", {}, { "b_take", "c_take" }),
            ["src/base/b.c"] = file("b_take", {}, { "a_take" }),
            ["src/base/c.c"] = file("c_take", {}, { "a_take" }),
        }
        assert.same({
            "circle: 3 files are tied: base/a base/b base/c",
            "circle: base/a -> base/b -> base/a (b_take; a_take)",
            "circle: base/c -> base/a -> base/c (a_take; c_take)",
        }, faults)
    end)

    it("sees a header that declares what another file defines", function()
        assert.same({
            "src/base/pool.h:2: map_get is declared here and defined in src/base/map.c",
        }, check_with {
            ["src/base/pool.h"] = "int pool_take(void);\nint map_get(int key)\n"
                .. "    __attribute__((warn_unused_result));\n",
            ["src/base/pool.c"] = "int pool_take(void)\n{\n    return 0;\n}\n",
        })
    end)

    it("sees a declaration of what nothing defines", function()
        assert.same({ "src/base/pool.h:1: pool_take is declared and defined nowhere" }, check_with {
            ["src/base/pool.h"] = "int pool_take(void);\n",
            ["src/base/pool.c"] = "static int unused;\n",
        })
    end)

    it("lets a header without a .c declare what the build makes", function()
        assert.same({}, check_with {
            ["src/script/embedded.h"] = "extern const struct module embedded[];\n",
        })
    end)

    it("sees a file that is in no room", function()
        assert.same({ "src/engine/conn.c:1: in a folder that is no room" }, check_with {
            ["src/engine/conn.c"] = "int conn_any;\n",
        })
    end)

    for header, place in pairs {
        ["ev.h"] = "src/transport/tcp.c",
        ["lua.h"] = "src/engine/worker/worker.c",
        ["openssl/evp.h"] = "src/protocol/sha1.c",
    } do
        it(("keeps %s out of %s"):format(header, place), function()
            local faults = check_with { [place] = ("#include <%s>\n"):format(header) }
            assert.equal(1, #faults)
            assert.matches("^" .. place .. ":1: only src/%l+ knows ", faults[1])
        end)
    end

    it("keeps what ffi.cdef cannot read out of the headers that Lua reads", function()
        assert.same({
            "src/base/pool.h:1: a #define in a header that Lua reads: use an enum",
            "src/engine/ground/event.h:2: an inline function in a header that Lua reads",
        }, check_with {
            ["src/base/pool.h"] = "#define POOL_BYTES 64\n",
            ["src/engine/ground/event.h"] = "#pragma once\nstatic inline int event_any(void)\n"
                .. "{\n    return 1;\n}\n",
            ["src/script/api.h"] = '#include "engine/ground/event.h"\n',
        })
    end)
end)
