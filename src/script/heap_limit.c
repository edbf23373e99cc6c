/* Looks at the heap, and collects it. */
#include "script/heap_limit.h"

void heap_limit_set(struct heap_limit *h, size_t bytes)
{
    h->most_kib = h->next_kib = bytes >> 10;
}

bool heap_limit_is_over(struct heap_limit *h, lua_State *l)
{
    size_t kib = (size_t)lua_gc(l, LUA_GCCOUNT, 0);
    if (kib < h->most_kib)
        h->next_kib = h->most_kib;
    return kib >= h->next_kib;
}

bool heap_limit_admits(const struct heap_limit *h, lua_State *l, size_t size)
{
    if (h->most_kib == 0)
        return true;
    size_t kib = (size_t)lua_gc(l, LUA_GCCOUNT, 0) + (size >> 10);
    return kib <= h->most_kib * HEAP_LIMIT_TIMES;
}

bool heap_limit_collect(struct heap_limit *h, lua_State *l)
{
    lua_gc(l, LUA_GCCOLLECT, 0);
    size_t left_kib = (size_t)lua_gc(l, LUA_GCCOUNT, 0);
    size_t again_kib = left_kib + h->most_kib / HEAP_LIMIT_STEPS;
    h->next_kib = again_kib > h->most_kib ? again_kib : h->most_kib;
    return left_kib > h->most_kib;
}
