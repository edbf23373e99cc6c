/* Two sites of one app: made by two workers, or one after the other. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ground/site.h"

/* ---- of two workers ---- */

/* Do two workers' sites declare the same routes and listeners? */
bool site_agrees(const struct site *a, const struct site *b);
/* Writes one line that says what they do not, for an app of this name: the site of the first worker
 * and that of the worker with this number, from 1. */
void site_disagreement(char *out, size_t size, const char *app, const struct site *first,
                       const struct site *other, unsigned worker);

/* ---- one site after another ----
 * A route is the same in both when its kind, methods and pattern are, whatever its parameters are
 * called. */

/* After site_commit: finds the pairs and takes all memory that site_retire needs. 0 or
 * ERR_MEMORY. */
int site_succeed(struct site *s, const struct site *before) __attribute__((warn_unused_result));
/* The index of a route of the site before, or SITE_NOWHERE when it is gone. */
uint32_t site_successor(const struct site *s, uint32_t route);
/* Moves a route of the site before here, as it is, for what is under way on it. Returns its
 * index. */
uint32_t site_retire(struct site *s, struct site *before, uint32_t route);
/* The declared route that is the same as this one, which may be retired; or SITE_NOWHERE. */
uint32_t site_living(const struct site *s, uint32_t route);
