/* What --check prints. */
#pragma once

#include <stddef.h>

struct site;
struct site_listener;

/* Writes the app's routes and n listeners to standard output, for people. */
void check_print(const struct site *site, const struct site_listener *listeners, size_t n);
