/* What somebody meant who gave the name of no Lua file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A name that options.c gave for the app: is it a folder, or no file but like a command? Then it
 * writes one line to why (of size bytes) that says what to write instead. commands: the names of
 * those that there are; the last is NULL. */
bool meant_another(const char *name, const char *const *commands, char *why, size_t size);
/* An option of other servers, without its value: what to write here; NULL for others. */
const char *meant_by_option(const char *text, size_t len);
