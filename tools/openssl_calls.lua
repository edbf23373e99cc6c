-- Makes each function of OpenSSL that our code calls a jump through a table, in assembler:
--   luajit tools/openssl_calls.lua OUT.S LINKED.so
-- LINKED.so is our code linked with OpenSSL as usual, so its symbols say which functions these are.
-- src/transport/openssl.c fills the table. A processor without a jump here gets an empty table, and
-- the Makefile links OpenSSL as usual.

local out_path, linked = arg[1], arg[2]

local function matches(command, pattern)
    local found = {}
    local pipe = assert(io.popen(command:format(linked)))
    for line in pipe:lines() do
        found[#found + 1] = line:match(pattern)
    end
    pipe:close()
    return found
end

-- "U SSL_read_ex@OPENSSL_3.0.0", "(NEEDED)  Shared library: [libssl.so.3]"
local names = matches("nm -D --undefined-only '%s'", "U ([%w_]+)@+OPENSSL_")
local library = matches("LC_ALL=C readelf -dW '%s'", "%(NEEDED%).*%[(libssl%.[^%]]+)%]")[1]
if #names == 0 or not library then
    io.stderr:write(linked, " is not linked with OpenSSL's shared libraries\n")
    os.exit(1)
end
table.sort(names)

local texts, calls = {}, {}
for i, name in ipairs(names) do
    texts[i] = ('    .asciz "%s"'):format(name)
    calls[i] = ("    call_through %s, %d"):format(name, i - 1)
end

-- For packagers' tools, which see only what is linked: uapi-group.org, ELF dlopen metadata.
local note = ([=[[{"feature":"tls","description":"https and wss","priority":"recommended",]=]
    .. [=["soname":["%s"]}]]=]):format(library):gsub('"', '\\"')

local text = [[
/* Made by tools/openssl_calls.lua. */
#if defined(__x86_64__)
#define PAGE 4096
#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif
    .macro jump index
    _CET_ENDBR
    jmp *openssl_table + 8 * \index(%rip)
    .endm
#elif defined(__aarch64__)
#define PAGE 65536
    .macro jump index
    hint 34 /* bti c */
    adrp x16, openssl_table + 8 * \index
    ldr x16, [x16, :lo12:openssl_table + 8 * \index]
    br x16
    .endm
#endif

    .section .bss.openssl_table, "aw", %nobits
    .globl openssl_table, openssl_table_end
    .hidden openssl_table, openssl_table_end
#ifdef PAGE
    .balign PAGE
openssl_table:
    .skip 8 * COUNT
    .balign PAGE /* alone on its pages: they become read-only */
openssl_table_end:
#else
openssl_table:
openssl_table_end:
#endif

    .section .rodata.openssl_names, "a", %progbits
    .globl openssl_library, openssl_names
    .hidden openssl_library, openssl_names
openssl_library:
    .asciz "LIBRARY"
openssl_names:
#ifdef PAGE
NAMES
#endif
    .byte 0

#ifdef PAGE
    .text
    .macro call_through name, index
    .globl \name
    .hidden \name
    .type \name, %function
    .balign 16
\name:
    jump \index
    .size \name, . - \name
    .endm
CALLS

    .section .note.dlopen, "a", %note
    .balign 4
    .long 4, 1f - 0f, 0x407c0c0a
    .asciz "FDO"
0:  .asciz "NOTE"
1:  .balign 4
#endif

    .section .note.GNU-stack, "", %progbits
]]
local parts = {
    COUNT = #names,
    LIBRARY = library,
    NAMES = table.concat(texts, "\n"),
    CALLS = table.concat(calls, "\n"),
    NOTE = note,
}
local out = assert(io.open(out_path, "wb"))
out:write((text:gsub("%f[%w_]%u+%f[^%w_]", parts)))
out:close()
