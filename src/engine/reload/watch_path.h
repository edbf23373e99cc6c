/* The way of the system from a path to its file, name by name: whoever changes a name in one of
 * these folders may make the path lead to another file. */
#pragma once

#include <stdbool.h>

/* Calls step(owner, folder, name) for each name of the path in turn, and for the names that links
 * among them lead through: name is looked up in folder, which is free of links. Ends behind the
 * first name that is not there. start: the absolute path of the folder where a relative path
 * begins; "": the process's. Texts are borrowed for the call of step. */
void watch_path_walk(const char *start, const char *path,
                     void (*step)(void *owner, const char *folder, const char *name), void *owner);

/* Does the system not tell of all changes of the files in this folder? So it is where other
 * machines write: in network file systems, and in those that a program of its own serves. */
bool watch_path_is_blind(const char *folder);
