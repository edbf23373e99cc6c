/* The table of peers that are connected, and the limits that it is held against. */
#include "engine/ground/admission.h"

#include <assert.h>
#include <stdbool.h>
#include <sys/socket.h>

void admission_init(struct admission *a)
{
    *a = (struct admission){.limits = limits_default};
    pthread_mutex_init(&a->lock, NULL);
    map_init(&a->by_address);
}

void admission_deinit(struct admission *a)
{
    map_deinit(&a->by_address);
    pthread_mutex_destroy(&a->lock);
}

void admission_set_limits(struct admission *a, const struct limits *limits)
{
    pthread_mutex_lock(&a->lock);
    a->limits = *limits;
    pthread_mutex_unlock(&a->lock);
}

struct limits admission_limits(struct admission *a)
{
    pthread_mutex_lock(&a->lock);
    struct limits limits = a->limits;
    pthread_mutex_unlock(&a->lock);
    return limits;
}

/* Local sockets have no address that tells one peer from another. */
static bool has_address(const struct address *peer)
{
    return peer->family == AF_INET || peer->family == AF_INET6;
}

/* stranger: of address_stranger. */
static uintptr_t count_of(const struct admission *a, const struct address *stranger)
{
    return has_address(stranger) ? (uintptr_t)map_get(&a->by_address, stranger, ADDRESS_KEY_BYTES)
                                 : 0;
}

/* Counts the peer among those of its address, if it has one. */
static const char *count_address(struct admission *a, const struct address *peer)
{
    static const char limit[] = "connections_per_address";
    uint32_t most = a->limits.connections_per_address;
    if (!has_address(peer))
        return NULL;
    struct address stranger;
    address_stranger(&stranger, peer);
    uintptr_t others = count_of(a, &stranger);
    if (most && others >= most)
        return limit;
    /* Without memory to count it a connection would not get far either. */
    return map_put(&a->by_address, &stranger, ADDRESS_KEY_BYTES, (void *)(others + 1)) ? limit
                                                                                       : NULL;
}

static const char *admit_locked(struct admission *a, const struct address *peer)
{
    if (a->connections >= a->limits.connections)
        return "connections";
    const char *refused = count_address(a, peer);
    if (!refused)
        a->connections++;
    return refused;
}

const char *admission_admit(struct admission *a, const struct address *peer)
{
    pthread_mutex_lock(&a->lock);
    const char *refused = admit_locked(a, peer);
    pthread_mutex_unlock(&a->lock);
    return refused;
}

const char *admission_know(struct admission *a, const struct address *peer)
{
    pthread_mutex_lock(&a->lock);
    const char *refused = count_address(a, peer);
    pthread_mutex_unlock(&a->lock);
    return refused;
}

void admission_release(struct admission *a, const struct address *peer)
{
    struct address stranger;
    address_stranger(&stranger, peer);
    pthread_mutex_lock(&a->lock);
    assert(a->connections > 0);
    a->connections--;
    uintptr_t others = count_of(a, &stranger);
    /* To overwrite a value takes no memory, so it cannot fail. */
    if (others <= 1 || map_put(&a->by_address, &stranger, ADDRESS_KEY_BYTES, (void *)(others - 1)))
        (void)map_remove(&a->by_address, &stranger, ADDRESS_KEY_BYTES);
    pthread_mutex_unlock(&a->lock);
}
