local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function buffer()
    return core.new("struct buffer", C.buffer_deinit)
end

local function append(b, text)
    return C.buffer_append(b, core.copy(text), #text)
end

describe("buffer", function()
    it("owns nothing when it is empty", function()
        local b = buffer()
        assert.are.equal(0, append(b, ""))
        assert.are.equal(0, C.buffer_append(b, nil, 0))
        assert.is_true(b.data == nil)
        assert.are.equal(0, tonumber(b.cap))
    end)

    it("keeps what is appended, in order", function()
        local b, expected = buffer(), {}
        for i = 1, 500 do
            local piece = ("%d,"):format(i)
            expected[i] = piece
            assert.are.equal(0, append(b, piece))
        end
        assert.are.equal(table.concat(expected), core.string(b))
    end)

    it("keeps NUL bytes", function()
        local b = buffer()
        append(b, "a\0b")
        append(b, "\0")
        assert.are.equal("a\0b\0", core.string(b))
    end)

    it("grows by half at least, so that appending costs the same however long it gets", function()
        local b, moves = buffer(), 0
        local cap = 0
        for _ = 1, 100000 do
            append(b, "x")
            if b.cap ~= cap then
                assert.is_true(b.cap >= cap + cap / 2)
                cap, moves = b.cap, moves + 1
            end
        end
        assert.is_true(moves < 25, moves .. " moves")
    end)

    it("reserves room that later appends use without moving", function()
        local b = buffer()
        assert.are.equal(0, C.buffer_reserve(b, 1000))
        assert.are.equal(0, tonumber(b.len))
        local at = b.data
        append(b, ("x"):rep(1000))
        assert.is_true(at == b.data)
        assert.are.equal(1000, tonumber(b.len))
    end)

    it("refuses a size that no memory has, and is then unchanged", function()
        local b = buffer()
        append(b, "kept")
        for _, size in ipairs { -1ULL, -1ULL / 2, -5ULL } do
            assert.are.equal("ERR_MEMORY", core.name(C.buffer_reserve(b, ffi.cast("size_t", size))))
        end
        assert.are.equal("kept", core.string(b))
    end)

    it("appends formatted text of any length, without its NUL", function()
        local b = buffer()
        append(b, ">")
        assert.are.equal(0, C.buffer_printf(b, "%d-%s", ffi.new("int", 42), "é"))
        assert.are.equal(">42-é", core.string(b))
        local long = ("y"):rep(5000)
        assert.are.equal(0, C.buffer_printf(b, "%s", long))
        assert.are.equal(">42-é" .. long, core.string(b))
        assert.are.equal(0, C.buffer_printf(b, "%s", ""))
        assert.are.equal(5005 + 1, tonumber(b.len))
    end)

    it("drops bytes from its front", function()
        local b = buffer()
        append(b, "hello world")
        C.buffer_consume(b, 0)
        assert.are.equal("hello world", core.string(b))
        C.buffer_consume(b, 6)
        assert.are.equal("world", core.string(b))
        C.buffer_consume(b, 5)
        assert.are.equal("", core.string(b))
        append(b, "again")
        assert.are.equal("again", core.string(b))
    end)

    it("is the empty buffer again after deinit", function()
        local b = buffer()
        append(b, "text")
        C.buffer_deinit(b)
        assert.is_true(b.data == nil)
        assert.are.equal(0, tonumber(b.len + b.cap))
        assert.are.equal(0, append(b, "more"))
        assert.are.equal("more", core.string(b))
    end)
end)
