/*
 * What the reader keeps of the watched directories, compared with what is in
 * them.
 */
#ifndef TN_TESTS_KEPT_H
#define TN_TESTS_KEPT_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "stages.h"
#include "support.h"

#define ALL (CHANGES | (uint32_t)IN_ATTRIB)

static inline const struct tn__snapshot *snapshot_of(tn_wd wd)
{
    tn__rcu_read_lock();
    uint32_t id = tn__registry_find_rcu(&notifier->registry, wd);
    tn__rcu_read_unlock();
    return id ? tn__reader_snapshot(&notifier->reader, id) : NULL;
}

static inline int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* A directory's size and times change without a word to its parent. */
static inline void expect_entry(const struct tn__snapshot *snapshot, const char *path,
                                const char *name)
{
    struct tn__status kept, now;
    struct stat real;

    cr_assert_eq(lstat(path, &real), 0);
    cr_assert(tn__snapshot_get(snapshot, name, strlen(name), &kept), "%s is not kept", path);
    cr_assert(kept.known, "%s: the status is unknown", path);
    cr_assert_eq(kept.type, IFTODT(real.st_mode), "%s: the type", path);
    tn__status_read(AT_FDCWD, path, DT_UNKNOWN, &now);
    cr_assert_eq(kept.identity, now.identity, "%s: the identity", path);
    if (S_ISDIR(real.st_mode))
        return;
    cr_assert_eq(kept.size, (uint64_t)real.st_size, "%s: the size", path);
    cr_assert_eq(kept.mtime_ns, nanoseconds(real.st_mtim), "%s: mtime", path);
    cr_assert_eq(kept.ctime_ns, nanoseconds(real.st_ctim), "%s: ctime", path);
}

struct sum {
    uint64_t directories, entries, bytes;
};

static inline int expect_directory(tn_wd wd, const char *path, void *userdata)
{
    struct sum *sum = userdata;
    const struct tn__snapshot *snapshot = snapshot_of(wd);
    DIR *stream = opendir(path);
    char whole[4096];
    size_t found = 0;

    cr_assert_not_null(snapshot, "%s has no snapshot", path);
    cr_assert_not_null(stream);
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(whole, sizeof(whole), "%s/%s", path, entry->d_name);
        expect_entry(snapshot, whole, entry->d_name);
        found++;
    }
    closedir(stream);
    cr_assert_eq(tn__snapshot_count(snapshot), found, "%s: %zu are kept, %zu there", path,
                 tn__snapshot_count(snapshot), found);
    sum->directories++;
    sum->entries += found;
    sum->bytes += tn__snapshot_bytes(snapshot);
    return 0;
}

/* At rest; of all watches, so many directories or ANY. */
#define ANY UINT64_MAX

static inline void expect_equal(uint64_t directories)
{
    struct sum sum = {0};

    settle(notifier);
    cr_assert_eq(tn_watch_each(notifier, NULL, expect_directory, &sum), 0);
    cr_assert(directories == ANY || sum.directories == directories, "%llu directories",
              (unsigned long long)sum.directories);
    struct tn_stats now = stats();
    cr_assert_eq(now.snapshot_entries, sum.entries);
    cr_assert_geq(now.snapshot_bytes, sum.bytes);
}

#endif
