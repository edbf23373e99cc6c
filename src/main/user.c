/* Becomes another user. */
#include "main/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static int say(char why[USER_WHY_BYTES], int err, const char *name, const char *what)
{
    snprintf(why, USER_WHY_BYTES, "--user %.64s: %s", name, what);
    return err;
}

static int say_errno(char why[USER_WHY_BYTES], const char *name, const char *call)
{
    char what[128];
    snprintf(what, sizeof(what), "%s: %s", call, strerrordesc_np(errno));
    return say(why, ERR_IO, name, what);
}

static const struct passwd *look_up(const char *name)
{
    const struct passwd *found = getpwnam(name);
    char *end;
    unsigned long number = found ? 0 : strtoul(name, &end, 10);
    bool is_number = !found && *name >= '0' && *name <= '9' && *end == '\0' && number < (uid_t)-1;
    return is_number ? getpwuid((uid_t)number) : found;
}

int user_find(struct user *u, const char *name, char why[USER_WHY_BYTES])
{
    *u = (struct user){.name = name};
    if (!name)
        return 0;
    const struct passwd *found = look_up(name);
    if (!found)
        return say(why, ERR_NOT_FOUND, name, "there is no such user");
    if (found->pw_uid == 0)
        return say(why, ERR_INVALID, name, "that is the superuser: name one without rights");
    if (geteuid() != 0 && (getuid() != found->pw_uid || geteuid() != found->pw_uid))
        return say(
            why, ERR_IO, name,
            "only the superuser can become another user: start it as root, or without --user");
    u->uid = found->pw_uid;
    u->gid = found->pw_gid;
    u->login = strdup(found->pw_name);
    u->home = strdup(found->pw_dir);
    return u->login && u->home ? 0 : say(why, ERR_MEMORY, name, error_text(ERR_MEMORY));
}

/* The groups come first, while it may still choose them. The C library does each in all threads. */
static int drop(const struct user *u, char why[USER_WHY_BYTES])
{
    if (initgroups(u->login, u->gid))
        return say_errno(why, u->name, "initgroups");
    if (setresgid(u->gid, u->gid, u->gid))
        return say_errno(why, u->name, "setresgid");
    if (setresuid(u->uid, u->uid, u->uid))
        return say_errno(why, u->name, "setresuid");
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return say(why, ERR_IO, u->name, "the process could still become root again");
    return 0;
}

int user_become(const struct user *u, char why[USER_WHY_BYTES])
{
    if (!u->name)
        return 0;
    int err = geteuid() == 0 ? drop(u, why) : 0;
    if (err)
        return err;
    bool told = setenv("HOME", u->home, 1) == 0 && setenv("USER", u->login, 1) == 0 &&
                setenv("LOGNAME", u->login, 1) == 0;
    return told ? 0 : say(why, ERR_MEMORY, u->name, error_text(ERR_MEMORY));
}

void user_deinit(struct user *u)
{
    free(u->login);
    free(u->home);
    u->login = u->home = NULL;
}
