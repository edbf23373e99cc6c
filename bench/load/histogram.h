/* Latencies in buckets that are at most 1/64 of their value wide. */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << 6 };

struct histogram {
    uint64_t count;
    uint64_t max;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The smallest bucket bound that a share (0..1) of all values does not exceed; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double share);
