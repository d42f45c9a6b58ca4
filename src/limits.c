/*
 * The kernel's limits on inotify, and how much of them this user holds.
 *
 * The kernel counts per user and shows no counter, so the use is added up from
 * /proc: each descriptor of this user's processes that is an inotify instance,
 * and each "inotify" line of its fdinfo, which is one watch. What /proc hides is
 * not counted; an instance that a fork shares is counted for each process.
 */
#include <tnotify/limits.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limit.h"
#include "compiler.h"
#include "options.h"

static const char *const files[] = {
    [TN_LIMIT_QUEUED_EVENTS] = "/proc/sys/fs/inotify/max_queued_events",
    [TN_LIMIT_USER_INSTANCES] = "/proc/sys/fs/inotify/max_user_instances",
    [TN_LIMIT_USER_WATCHES] = "/proc/sys/fs/inotify/max_user_watches",
};

static ssize_t read_some(int fd, char *buffer, size_t size)
{
    ssize_t count;

    do
        count = read(fd, buffer, size);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

int tn__limit_value(enum tn_limit which, uint64_t *ret_value)
{
    char text[32];
    int fd = open(files[which], O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t length = read_some(fd, text, sizeof(text) - 1);
    close(fd);
    if (length < 0)
        return (int)length;
    text[length] = '\0';
    if (!isdigit((unsigned char)text[0]))
        return -EIO;
    *ret_value = strtoull(text, NULL, 10);
    return 0;
}

/* Lines that begin with "inotify ", however the reads cut them. */
static uint64_t count_watches(int fd)
{
    static const char word[] = "inotify ";
    char buffer[16384];
    uint64_t count = 0;
    size_t matched = 0; /* of this line; SIZE_MAX: it is another line */
    ssize_t length;

    while ((length = read_some(fd, buffer, sizeof(buffer))) > 0) {
        for (ssize_t i = 0; i < length; i++) {
            if (buffer[i] == '\n')
                matched = 0;
            else if (matched != SIZE_MAX && buffer[i] == word[matched])
                matched++;
            else
                matched = SIZE_MAX;
            if (matched == sizeof(word) - 1) {
                count++;
                matched = SIZE_MAX;
            }
        }
    }
    return count;
}

static bool is_number(const char *name)
{
    return isdigit((unsigned char)name[0]) != 0;
}

static bool is_instance(int fds, const char *name)
{
    static const char link[] = "anon_inode:inotify";
    char target[sizeof(link) + 1];
    ssize_t length = readlinkat(fds, name, target, sizeof(target));

    return length == sizeof(link) - 1 && memcmp(target, link, sizeof(link) - 1) == 0;
}

static DIR *open_directory(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;

    if (directory == NULL && fd >= 0)
        close(fd);
    return directory;
}

static void count_process(int proc, const char *pid, struct tn_limits *limits)
{
    char path[64];
    struct dirent *entry;

    snprintf(path, sizeof(path), "%.20s/fd", pid);
    DIR *fds = open_directory(proc, path);
    if (fds == NULL)
        return;
    while ((entry = readdir(fds)) != NULL) {
        if (!is_number(entry->d_name) || !is_instance(dirfd(fds), entry->d_name))
            continue;
        limits->instances_used++;
        snprintf(path, sizeof(path), "%.20s/fdinfo/%.20s", pid, entry->d_name);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        limits->watches_used += count_watches(fd);
        close(fd);
    }
    closedir(fds);
}

/* /proc gives the directory of a process to its effective user, dumpable or not. */
static bool is_ours(int proc, const char *pid)
{
    struct stat status;

    return fstatat(proc, pid, &status, 0) == 0 && status.st_uid == geteuid();
}

static void count_used(struct tn_limits *limits)
{
    DIR *proc = open_directory(AT_FDCWD, "/proc");
    struct dirent *entry;

    if (proc == NULL)
        return;
    while ((entry = readdir(proc)) != NULL)
        if (is_number(entry->d_name) && is_ours(dirfd(proc), entry->d_name))
            count_process(dirfd(proc), entry->d_name, limits);
    closedir(proc);
}

int tn_limits_get(struct tn_limits *ret_limits)
{
    struct tn_limits limits = TN_LIMITS_INIT;
    int r;

    if (ret_limits == NULL || ret_limits->size < sizeof(ret_limits->size))
        return -EINVAL;
    r = tn__limit_value(TN_LIMIT_QUEUED_EVENTS, &limits.queued_events);
    if (r == 0)
        r = tn__limit_value(TN_LIMIT_USER_INSTANCES, &limits.user_instances);
    if (r == 0)
        r = tn__limit_value(TN_LIMIT_USER_WATCHES, &limits.user_watches);
    if (r < 0)
        return r;
    count_used(&limits);
    return tn__output_copy(ret_limits, &limits, sizeof(limits));
}

int tn_limits_set(enum tn_limit which, uint64_t value)
{
    char text[32];
    int r = 0;

    if ((unsigned)which >= TN__COUNT(files) || value == 0)
        return -EINVAL;
    int fd = open(files[which], O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
    ssize_t written;
    do
        written = write(fd, text, (size_t)length);
    while (written < 0 && errno == EINTR);
    if (written != length)
        r = written < 0 ? -errno : -EIO;
    close(fd);
    return r;
}
