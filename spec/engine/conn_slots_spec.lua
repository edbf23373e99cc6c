-- src/engine/conn/conn_slots.c: slots of connections, the handles that name them, their deadlines

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

-- The worker is opaque here: zeroed bytes, more than it has, as a worker begins.
ffi.cdef [[
struct worker;
struct conn;
int conn_slot_take(struct worker *w, struct conn **out);
void conn_slot_give(struct worker *w, struct conn *c);
void conn_slots_deinit(struct worker *w);
struct conn *conn_at(const struct worker *w, uint32_t slot);
double conn_handle(const struct worker *w, const struct conn *c);
struct conn *conn_get(const struct worker *w, double handle);
uint32_t *conn_deadline_at(const struct worker *w, uint32_t slot);
void *aligned_alloc(size_t alignment, size_t size);
]]

local WORKER_BYTES = 65536
local SLOTS, GENERATIONS = 2 ^ 20, 2 ^ 25

describe("A slot of a connection", function()
    local w, out

    before_each(function()
        local block = ffi.C.aligned_alloc(64, WORKER_BYTES)
        ffi.fill(block, WORKER_BYTES)
        w = ffi.cast("struct worker *", block)
        out = ffi.new "struct conn *[1]"
    end)

    after_each(function()
        C.conn_slots_deinit(w)
        ffi.C.free(w)
    end)

    local function take()
        assert.equal(0, C.conn_slot_take(w, out))
        return out[0]
    end

    it("has a handle that is a whole number, never 0, and leads back to it", function()
        local c = take()
        local handle = C.conn_handle(w, c)
        assert.is_true(handle > 0 and handle % 1 == 0)
        assert.is_true(C.conn_get(w, handle) == c)
    end)

    it("has a handle of its own", function()
        local seen = {}
        for _ = 1, 200 do
            local handle = C.conn_handle(w, take())
            assert.is_nil(seen[handle])
            seen[handle] = true
        end
    end)

    it("stays where it is while others are taken, over the blocks' ends", function()
        local first = take()
        local handle = C.conn_handle(w, first)
        for _ = 1, 64 * 9 do
            take()
        end
        assert.is_true(C.conn_get(w, handle) == first)
        assert.is_true(C.conn_at(w, handle % SLOTS) == first)
    end)

    it("is found by its number only while it is taken", function()
        local c = take()
        local slot = C.conn_handle(w, c) % SLOTS
        assert.is_true(C.conn_at(w, slot) == c)
        C.conn_slot_give(w, c)
        assert.is_true(C.conn_at(w, slot) == nil)
    end)

    it("leaves a stale handle behind when it is given back, also when it is taken again", function()
        local c = take()
        local handle = C.conn_handle(w, c)
        C.conn_slot_give(w, c)
        assert.is_true(C.conn_get(w, handle) == nil)
        local again = take()
        assert.is_true(again == c)
        assert.is_true(C.conn_get(w, handle) == nil)
        assert.are_not.equal(handle, C.conn_handle(w, again))
    end)

    it("has no generation 0 when its generations begin again", function()
        local first = C.conn_handle(w, take())
        for _ = 1, GENERATIONS - 1 do
            C.conn_slot_give(w, out[0])
            C.conn_slot_take(w, out)
            assert(C.conn_handle(w, out[0]) >= SLOTS) -- plain: this runs 33 million times
        end
        assert.equal(first, C.conn_handle(w, out[0]))
    end)

    it("is not found by a number that is no handle", function()
        local handle = C.conn_handle(w, take())
        for _, wrong in ipairs { 0, -1, -handle, 0 / 0, 1 / 0, -1 / 0, 2 ^ 53, 2 ^ 63, 2 ^ 64,
            handle + 1, handle + SLOTS, handle + SLOTS * GENERATIONS } do
            assert.is_true(C.conn_get(w, wrong) == nil, tostring(wrong))
        end
    end)

    it("has a deadline apart from its neighbours'", function()
        for _ = 1, 70 do
            take()
        end
        for slot = 0, 69 do
            C.conn_deadline_at(w, slot)[0] = slot + 1
        end
        for slot = 0, 69 do
            assert.equal(slot + 1, C.conn_deadline_at(w, slot)[0])
        end
    end)
end)
