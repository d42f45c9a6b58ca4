/*
 * A crawl when what it stands on fails: tree/crawl.c, compiled here once more
 * with these functions between it and the system.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crawl_seen.h"

#include "compiler.h"

enum call { MEMORY, OPENAT, GETDENTS, FCHDIR, FSTAT, CALLS };

/* Which of the calls fails, counted from 1, and for how many; and a file system without types. */
static struct {
    int count, from, number, error;
} faults[CALLS];
static bool no_types;

static bool fails(enum call call)
{
    int count = ++faults[call].count;

    if (count < faults[call].from || count >= faults[call].from + faults[call].number)
        return false;
    errno = faults[call].error;
    return true;
}

static void *faulty_malloc(size_t size)
{
    return fails(MEMORY) ? NULL : malloc(size);
}

static void *faulty_realloc(void *pointer, size_t size)
{
    return fails(MEMORY) ? NULL : realloc(pointer, size);
}

static int faulty_openat(int fd, const char *name, int flags)
{
    return fails(OPENAT) ? -1 : openat(fd, name, flags);
}

static int faulty_fchdir(int fd)
{
    return fails(FCHDIR) ? -1 : fchdir(fd);
}

static int faulty_fstat(int fd, struct stat *stat)
{
    return fails(FSTAT) ? -1 : fstat(fd, stat);
}

static ssize_t faulty_getdents64(int fd, void *items, size_t size)
{
    ssize_t got = fails(GETDENTS) ? -1 : getdents64(fd, items, size);

    for (ssize_t at = 0; no_types && at < got;) {
        struct dirent64 *item = (void *)((char *)items + at);
        item->d_type = DT_UNKNOWN;
        at += item->d_reclen;
    }
    return got;
}

int faulty_dir_list(int fd, void *buffer, size_t size,
                    int (*entry)(void *context, const char *name, size_t length,
                                 unsigned char type),
                    void *context);
int faulty_walk(int fd, uint32_t id, bool own_cwd, const struct tn__crawl_ops *ops, void *context);

#define tn__dir_list    faulty_dir_list
#define tn__crawl_walk  faulty_walk
#define malloc          faulty_malloc
#define realloc         faulty_realloc
#define openat          faulty_openat
#define fchdir          faulty_fchdir
#define fstat(fd, stat) faulty_fstat(fd, stat)
#define getdents64      faulty_getdents64
#include "tree/crawl.c"
#undef tn__dir_list
#undef tn__crawl_walk
#undef malloc
#undef realloc
#undef openat
#undef fchdir
#undef fstat
#undef getdents64

TestSuite(crawl_faults, .init = set_up, .fini = tear_down);

static int walk_here(void)
{
    int fd = open_dir("."), before = count_descriptors();
    int result = faulty_walk(fd, 0, false, &see, NULL);

    cr_assert_eq(count_descriptors(), before, "a descriptor was lost");
    close(fd);
    return result;
}

static void forget(void)
{
    memset(found, 0, sizeof(found));
    memset(&seen, 0, sizeof(seen));
    memset(faults, 0, sizeof(faults));
    found_count = 0;
}

static void fail(enum call call, int from, int number, int error)
{
    forget();
    faults[call].from = from;
    faults[call].number = number;
    faults[call].error = error;
}

/* A wide and deep tree needs its arrays to grow more than once. */
Test(crawl_faults, memory_fails_at_every_place)
{
    int total, starts = 0;

    make_deep(140, 5);
    forget();
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.directories, 840);
    total = faults[MEMORY].count;
    cr_assert_geq(total, 6);
    for (int from = 1; from <= total; from++) {
        fail(MEMORY, from, 1, ENOMEM);
        int result = walk_here();
        starts += result == -ENOMEM;
        if (result == 0) {
            cr_assert_eq(seen.failures, 1, "told");
            cr_assert_eq(seen.last_error, -ENOMEM);
        }
        for (uint32_t id = 1; id <= found_count; id++)
            cr_assert_gt(found[id].opened + found[id].failed, 0);
    }
    cr_assert_eq(starts, 2, "the buffer and the first level");
    fail(MEMORY, 3, 1 << 30, ENOMEM);
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.failures, 6, "all that the start holds");
}

Test(crawl_faults, a_directory_that_does_not_open)
{
    make_deep(100, 2);
    for (int from = 1; from <= 300; from += 23) {
        fail(OPENAT, from, 1, EACCES);
        cr_assert_eq(walk_here(), 0);
        cr_assert_leq(seen.failures, 1);
        assert_all_seen();
    }
    fail(OPENAT, 7, 20, EINTR);
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.failures, 0, "tried again");
    cr_assert_eq(seen.directories, 300);
}

Test(crawl_faults, a_listing_that_breaks_off)
{
    make_deep(3, 2);
    fail(GETDENTS, 2, 1, EIO);
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.failures, 1);
    cr_assert_eq(seen.last_error, -EIO);
    cr_assert_eq(seen.last_failed, 0);
    cr_assert_eq(seen.last_length, 0);
    cr_assert_eq(seen.directories, 9, "what it gave before is walked");
    fail(GETDENTS, 1, 5, EINTR);
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.directories, 9);
    cr_assert_eq(seen.failures, 0);
}

Test(crawl_faults, a_file_system_without_types)
{
    make_deep(5, 3);
    cr_assert_eq(symlink("/", "link"), 0);
    no_types = true;
    forget();
    cr_assert_eq(walk_here(), 0);
    cr_assert_eq(seen.directories, 20);
    cr_assert_eq(seen.entries, 21);
    cr_assert_eq(seen.failures, 0);
}

/* A level whose device and inode could not be taken is not guessed at. */
Test(crawl_faults, a_level_without_identity_is_lost)
{
    make_deep(100, 3);
    fail(FSTAT, 1, 1, EIO);
    cr_assert_eq(walk_here(), 0);
    assert_all_seen();
    cr_assert_leq(seen.failures, 3);
    cr_assert_eq(seen.failures + seen.directories, 400);
}

Test(crawl_faults, a_directory_that_cannot_be_the_cwd)
{
    int fd = open_dir(".");

    make_deep(2, 2);
    fail(FCHDIR, 2, 3, EACCES);
    cr_assert_eq(faulty_walk(fd, 0, true, &see, NULL), 0);
    cr_assert_eq(seen.directories, 6);
    cr_assert_eq(seen.in_cwd, 3);
    cr_assert_eq(seen.wrong_cwd, 0);
    cr_assert_eq(fchdir(fd), 0);
    close(fd);
}
