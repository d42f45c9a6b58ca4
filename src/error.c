/*
 * Errors as text for people.
 */
#include <tnotify/limits.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "compiler.h"
#include "text.h"

/* Those that mean something of their own here. */
static const struct {
    int error;
    const char *text;
} meanings[] = {
    {E2BIG, "An options struct asks for something that this version of the library does not know"},
    {EALREADY, "Already started"},
    {EBUSY, "In use: a filter is frozen once used, and a running notifier reads its events itself"},
    {ECHILD, "The notifier belongs to the parent process: after fork it can only be freed"},
    {EDEADLK, "This would wait for the callback that it is called from"},
    {EMFILE, "No inotify instance left (fs.inotify.max_user_instances) or no file descriptor left "
             "(RLIMIT_NOFILE)"},
    {ENFILE, "No file left in the whole system (fs.file-max)"},
    {ENOBUFS, "The notifier's event queue is full (queue_bytes)"},
    {ENOENT, "No such file or directory, or no such watch (any more)"},
    {ENOSPC, "No inotify watch left (fs.inotify.max_user_watches)"},
    {ESHUTDOWN, "The notifier is stopping or has stopped"},
};

/* 0 or above; INT_MIN has no positive. */
static int positive(int error)
{
    return error == INT_MIN ? INT_MAX : error < 0 ? -error : error;
}

const char *tn_strerror(int error)
{
    int code = positive(error);

    for (size_t i = 0; i < TN__COUNT(meanings); i++)
        if (meanings[i].error == code)
            return meanings[i].text;
    const char *text = strerrordesc_np(code);
    return text != NULL ? text : "Unknown error";
}

static uint64_t twice(uint64_t value)
{
    return value > UINT64_MAX / 2 ? UINT64_MAX : value * 2;
}

static void put_watches(struct tn__text *text)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    if (tn_limits_get(&limits) < 0)
        return;
    tn__text_printf(text,
                    ": the limit is %" PRIu64 ", this user has %" PRIu64
                    " in use; raise it: sysctl -w fs.inotify.max_user_watches=%" PRIu64,
                    limits.user_watches, limits.watches_used, twice(limits.user_watches));
}

/* Descriptors of this process; 0: /proc does not tell, or there is none left to look with. */
static uint64_t open_files(void)
{
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");

    if (directory == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.')
            count++;
    closedir(directory);
    return count - 1;
}

static void put_files(struct tn__text *text)
{
    uint64_t used = open_files();
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (used == 0)
        used = limit.rlim_cur;
    tn__text_printf(text,
                    "; RLIMIT_NOFILE is %" PRIu64 ", this process has %" PRIu64
                    " in use; raise it: ulimit -n %" PRIu64,
                    (uint64_t)limit.rlim_cur, used, twice(limit.rlim_cur));
}

static void put_instances(struct tn__text *text)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    if (tn_limits_get(&limits) == 0)
        tn__text_printf(text,
                        ": the limit of instances is %" PRIu64 ", this user has %" PRIu64
                        " in use; raise it: sysctl -w fs.inotify.max_user_instances=%" PRIu64,
                        limits.user_instances, limits.instances_used, twice(limits.user_instances));
    put_files(text);
}

size_t tn_error_format(int error, char *buffer, size_t size)
{
    int saved_errno = errno;
    struct tn__text text;

    tn__text_init(&text, buffer, size);
    tn__text_puts(&text, tn_strerror(error));
    if (positive(error) == ENOSPC)
        put_watches(&text);
    else if (positive(error) == EMFILE)
        put_instances(&text);
    errno = saved_errno;
    return text.length;
}
