#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < 1u << HISTOGRAM_SUB_BITS) {
        return (unsigned)value;
    }
    /* The leading one and the six bits after it choose the bucket. */
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) +
           (unsigned)((value >> shift) - (1u << HISTOGRAM_SUB_BITS));
}

static uint64_t upper_bound_of(unsigned bucket)
{
    unsigned row = bucket >> HISTOGRAM_SUB_BITS;
    if (row == 0) {
        return bucket;
    }
    uint64_t sub = (bucket & ((1u << HISTOGRAM_SUB_BITS) - 1)) + (1u << HISTOGRAM_SUB_BITS);
    return ((sub + 1) << (row - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    if (value > h->max) {
        h->max = value;
    }
    h->buckets[bucket_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    double wanted = share * (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t bound = upper_bound_of(i);
            return bound < h->max ? bound : h->max;
        }
    }
    return h->max;
}
