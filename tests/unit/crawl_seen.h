/*
 * What the tests of tree/crawl.c and tree/crawl_thread.c share: a directory to
 * make trees in, ops that keep what they see, and a crawl that checks what
 * must hold after every crawl.
 */
#ifndef TN_TESTS_UNIT_CRAWL_SEEN_H
#define TN_TESTS_UNIT_CRAWL_SEEN_H

#include "tree/crawl.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 20000, BOUND = 64 };

/* A directory that the crawl has opened. Id 0 is the start. */
struct found {
    uint32_t parent;
    char name[24]; /* as far as it fits */
    size_t length;
    int opened, failed; /* how often */
};

static struct found found[MOST];
static uint32_t found_count;
static struct {
    int directories, entries, failures, last_error, in_cwd, wrong_cwd, most_descriptors;
    uint32_t last_failed;
    size_t last_length;
} seen;

static char directory[] = "/tmp/tn-crawl-XXXXXX";

static inline void set_up(void)
{
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static inline void tear_down(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and its own */

    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static inline void make(const char *name)
{
    cr_assert_eq(mkdir(name, 0700), 0, "%s: %s", name, strerror(errno));
}

static inline void touch(const char *name)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    close(fd);
}

static int open_dir(const char *name)
{
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

static bool same(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static struct found *find(uint32_t parent, const char *name, size_t length)
{
    for (uint32_t id = parent + 1; id <= found_count; id++) {
        struct found *item = &found[id];
        if (item->parent == parent && item->length == length &&
            strncmp(item->name, name, sizeof(item->name) - 1) == 0)
            return item;
    }
    return NULL;
}

/* The ids are given at the entry, so that a directory that is opened twice or never is seen. */
static int see_entry(void *context, uint32_t parent, const char *name, size_t length,
                     unsigned char type)
{
    (void)context;
    cr_assert_eq(strlen(name), length);
    seen.entries++;
    if (type != DT_DIR)
        return 0;
    cr_assert_lt(found_count + 1, MOST);
    struct found *item = &found[++found_count];
    item->parent = parent;
    item->length = length;
    strncpy(item->name, name, sizeof(item->name) - 1);
    return 1;
}

static int see_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                         bool in_cwd, uint32_t *ret_id)
{
    struct found *item = find(parent, name, length);

    (void)context;
    cr_assert_not_null(item);
    cr_assert_eq(strlen(name), length);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    seen.directories++;
    item->opened++;
    seen.in_cwd += in_cwd;
    seen.wrong_cwd += in_cwd && !same(fd, ".");
    if (seen.directories % 97 == 0) {
        int count = count_descriptors();
        if (count > seen.most_descriptors)
            seen.most_descriptors = count;
    }
    *ret_id = (uint32_t)(item - found);
    return 1;
}

static int see_failed(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    struct found *item = length ? find(parent, name, length) : &found[parent];

    (void)context;
    cr_assert_not_null(item);
    item->failed++;
    seen.failures++;
    seen.last_error = error;
    seen.last_failed = parent;
    seen.last_length = length;
    return 0;
}

static const struct tn__crawl_ops see = {see_directory, see_entry, see_failed, NULL};

static inline int crawl(const struct tn__crawl_ops *ops, void *context)
{
    int fd = open_dir(".");
    int before = count_descriptors();
    int result = tn__crawl_run(fd, 0, ops, context);

    cr_assert_eq(count_descriptors(), before, "a descriptor was lost");
    cr_assert(same(fd, "."), "the working directory changed");
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC, "the start is still the caller's");
    close(fd);
    cr_assert_eq(seen.wrong_cwd, 0);
    return result;
}

/* Each directory was opened, or failed, once. */
static inline void assert_all_seen(void)
{
    for (uint32_t id = 1; id <= found_count; id++)
        cr_assert_eq(found[id].opened + found[id].failed, 1, "%s: %d, %d", found[id].name,
                     found[id].opened, found[id].failed);
}

/*
 * "d" in "d" in "d" beneath the start, and beside each this many others, of
 * which some are listed before it and some after, whatever the file system's
 * order is.
 */
static inline void make_deep(int levels, int siblings)
{
    int fd = open_dir(".");
    char name[32];

    for (int i = 0; i < levels; i++) {
        for (int j = 0; j <= siblings; j++) {
            snprintf(name, sizeof(name), "%d.%d", i, j);
            cr_assert_eq(mkdirat(fd, j == siblings / 2 ? "d" : name, 0700), 0);
        }
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(next, 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

#endif
