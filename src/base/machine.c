/* Reads proc/meminfo, and the limits of the cgroup that proc/self/cgroup names. */
#include "base/machine.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_at(const char *root, const char *path)
{
    char whole[PATH_MAX];
    int len = snprintf(whole, sizeof(whole), "%s/%s", root, path);
    return len > 0 && (size_t)len < sizeof(whole) ? fopen(whole, "re") : NULL;
}

static uint64_t total_memory(const char *root)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = open_at(root, "proc/meminfo");
    while (f && kib == 0 && fgets(line, sizeof(line), f))
        (void)sscanf(line, "MemTotal: %llu kB", &kib);
    if (f)
        fclose(f);
    return kib * 1024;
}

/* The number in a file of a cgroup; UINT64_MAX: there is no file, or it says "max". */
static uint64_t limit_in(const char *root, const char *group, const char *name)
{
    char path[PATH_MAX];
    unsigned long long bytes;
    int len = snprintf(path, sizeof(path), "sys/fs/cgroup/%s/%s", group, name);
    FILE *f = len > 0 && (size_t)len < sizeof(path) ? open_at(root, path) : NULL;
    if (!f)
        return UINT64_MAX;
    bool known = fscanf(f, "%llu", &bytes) == 1;
    fclose(f);
    return known ? bytes : UINT64_MAX;
}

/* The least limit of a group and of those above it, up to the mount itself: in a container the
 * mount may begin at its group, while the path is still the host's. Cuts path short. */
static uint64_t least_limit(const char *root, const char *mount, char *path, const char *name)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char group[PATH_MAX];
        int len = snprintf(group, sizeof(group), "%s%s", mount, path);
        uint64_t limit = UINT64_MAX;
        if (len >= 0 && (size_t)len < sizeof(group))
            limit = limit_in(root, group, name);
        if (limit < least)
            least = limit;
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Is `wanted` one of the names in a list with commas? */
static bool has_name(char *list, const char *wanted)
{
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (strcmp(name, wanted) == 0)
            return true;
    return false;
}

/* A line of proc/self/cgroup: "0::/path" of v2, "7:memory,cpu:/path" of v1. */
static uint64_t limit_of_line(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *kinds = strchr(line, ':');
    char *path = kinds ? strchr(++kinds, ':') : NULL;
    if (!path)
        return UINT64_MAX;
    *path++ = '\0';
    if (*kinds != '\0')
        return has_name(kinds, "memory")
                   ? least_limit(root, "memory", path, "memory.limit_in_bytes")
                   : UINT64_MAX;
    char again[PATH_MAX];
    snprintf(again, sizeof(again), "%s", path);
    uint64_t alone = least_limit(root, "", path, "memory.max");
    uint64_t beside_v1 = least_limit(root, "unified", again, "memory.max");
    return alone < beside_v1 ? alone : beside_v1;
}

uint64_t machine_memory_at(const char *root)
{
    uint64_t least = total_memory(root);
    char *line = NULL;
    size_t cap = 0;
    FILE *f = open_at(root, "proc/self/cgroup");
    while (f && getline(&line, &cap, f) > 0) {
        uint64_t limit = limit_of_line(root, line);
        if (limit < UINT64_MAX && (least == 0 || limit < least))
            least = limit;
    }
    free(line);
    if (f)
        fclose(f);
    return least;
}

uint64_t machine_memory(void)
{
    return machine_memory_at("");
}
