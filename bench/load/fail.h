#pragma once

/* A benchmark that cannot trust its figures gives none: say why on stderr, exit 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
