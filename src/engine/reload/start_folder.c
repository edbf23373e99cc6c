/* The folder in which the process was started. */
#include "engine/reload/start_folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_at(const struct start_folder *f, const struct stat *st)
{
    return st->st_dev == f->device && st->st_ino == f->inode;
}

void start_folder_init(struct start_folder *f)
{
    const char *name = getenv("PWD");
    struct stat named, here;
    *f = (struct start_folder){.path = ""};
    if (stat(".", &here))
        return;
    f->device = here.st_dev;
    f->inode = here.st_ino;
    if (name && name[0] == '/' && strlen(name) < sizeof(f->path) && stat(name, &named) == 0 &&
        is_at(f, &named))
        strcpy(f->path, name);
    else if (!getcwd(f->path, sizeof(f->path)))
        f->path[0] = '\0';
}

void start_folder_follow(struct start_folder *f)
{
    struct stat named, here;
    if (!f->path[0] || stat(f->path, &named) || is_at(f, &named))
        return;
    if (stat(".", &here) || !is_at(f, &here) || chdir(f->path))
        return;
    f->device = named.st_dev;
    f->inode = named.st_ino;
}
