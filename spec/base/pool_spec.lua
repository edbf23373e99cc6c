local core = require "spec.support.cdef"
local ffi = require "ffi"
local C = core.C

local function pool()
    return core.new("struct pool", C.pool_deinit)
end

local function address(pointer)
    return tonumber(ffi.cast("uintptr_t", pointer))
end

local function bytes(pointer, size)
    return ffi.string(ffi.cast("char *", pointer), size)
end

describe("pool", function()
    -- With a sanitizer every block is the C library's.
    local is_sanitized = (os.getenv "MOONWIRE_BUILD" or "build"):find "san"

    it("gives blocks of all sizes that do not overlap", function()
        local p, blocks = pool(), {}
        for round = 1, 20 do
            for size = 1, 300, 7 do
                local block = C.pool_realloc(p, nil, 0, size)
                assert.are.equal(0, address(block) % 8)
                ffi.fill(block, size, (round * 31 + size) % 256)
                blocks[#blocks + 1] = { block, size, (round * 31 + size) % 256 }
            end
        end
        for _, b in ipairs(blocks) do
            assert.are.equal(string.char(b[3]):rep(b[2]), bytes(b[1], b[2]))
            assert.is_true(C.pool_realloc(p, b[1], b[2], 0) == nil)
        end
    end)

    it("keeps what a block held when it grows and shrinks, into the C library and back", function()
        local p, text = pool(), ("abcdefghijklmnopqrstuvwxyz"):rep(100)
        local sizes = { 1, 8, 9, 24, 200, 256, 257, 2000, 2600, 300, 256, 64, 63, 8, 1 }
        local size = sizes[1]
        local block = C.pool_realloc(p, nil, 0, size)
        ffi.copy(block, text, size)
        for i = 2, #sizes do
            local new = sizes[i]
            block = C.pool_realloc(p, block, size, new)
            local same = math.min(size, new)
            assert.are.equal(text:sub(1, same), bytes(block, same), "at " .. new)
            ffi.copy(block, text, new)
            size = new
        end
        C.pool_realloc(p, block, size, 0)
    end)

    it("gives nothing for nothing", function()
        assert.is_true(C.pool_realloc(pool(), nil, 0, 0) == nil)
    end)

    if not is_sanitized then
        it("uses a freed block again for one of its size", function()
            local p = pool()
            local first = C.pool_realloc(p, nil, 0, 40)
            local other = C.pool_realloc(p, nil, 0, 40)
            C.pool_realloc(p, first, 40, 0)
            assert.are_not.equal(address(first), address(C.pool_realloc(p, nil, 0, 48)))
            assert.are.equal(address(first), address(C.pool_realloc(p, nil, 0, 33)))
            assert.are.equal(40, math.abs(address(other) - address(first)))
        end)

        it("uses the end of a chunk too", function()
            local p = pool()
            local room = C.POOL_CHUNK_BYTES - ffi.sizeof "void *" -- it begins with a link
            local left = room % 256
            assert.is_true(left > 0)
            local last
            for _ = 1, (room - left) / 256 do
                last = C.pool_realloc(p, nil, 0, 256)
            end
            local next_chunk = C.pool_realloc(p, nil, 0, 256)
            assert.are_not.equal(address(last) + 256, address(next_chunk))
            assert.are.equal(address(last) + 256, address(C.pool_realloc(p, nil, 0, left)))
        end)
    end
end)
