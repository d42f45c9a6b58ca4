/* A crawl that opens nothing but to list it, and says when it leaves: tree/crawl.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree/crawl.h"

enum { DEEP = 150 };

static char top[64];
static uint32_t shown, depth_of[DEEP + 8], left_count[DEEP + 8], listed[DEEP + 8];
static uint32_t fail_at; /* the id whose leaving fails */

static void set_up(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(top, sizeof(top), "%.40s/tn-left-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(chdir(top), 0);
}

static void tear_down(void)
{
    char command[128];

    cr_expect_eq(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    cr_expect_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

TestSuite(crawl_left, .init = set_up, .fini = tear_down, .timeout = 60);

static int show(void *context, uint32_t parent, const char *name, size_t length, int fd,
                bool in_cwd, uint32_t *ret_id)
{
    const bool *is_deep = context;

    (void)name;
    (void)length;
    (void)in_cwd;
    cr_expect(fcntl(fd, F_GETFL) & O_PATH);
    cr_expect(*is_deep || !left_count[parent], "above it is not left");
    *ret_id = ++shown;
    depth_of[shown] = depth_of[parent] + 1;
    return 1;
}

static int entry(void *context, uint32_t parent, const char *name, size_t length,
                 unsigned char type)
{
    (void)context;
    (void)name;
    (void)length;
    (void)type;
    listed[parent]++;
    return 1;
}

static int failed(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    (void)context;
    (void)parent;
    (void)name;
    (void)length;
    return error;
}

static int leave(void *context, uint32_t id, int fd)
{
    const bool *is_deep = context;

    cr_expect(fcntl(fd, F_GETFL) & O_PATH);
    cr_expect_eq(left_count[id]++, 0);
    for (uint32_t below = id + 1; !*is_deep && below <= shown && depth_of[below] > depth_of[id];
         below++)
        cr_expect_eq(left_count[below], 1, "%u after what is below", id);
    return id == fail_at ? -EXDEV : 0;
}

static const struct tn__crawl_ops ops = {show, entry, failed, leave};

static int crawl(bool is_deep)
{
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    int result = tn__crawl_walk(fd, 0, false, &ops, &is_deep);
    cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC, "it is the caller's");
    close(fd);
    cr_expect_eq(left_count[0], 0, "the start is not left");
    return result;
}

static void make(const char *path)
{
    cr_assert_eq(mkdir(path, 0755), 0);
}

Test(crawl_left, each_once_when_all_below_is_done)
{
    make("a");
    make("a/b");
    make("a/b/c");
    make("a/d");
    make("e");
    cr_expect_eq(crawl(false), 0);
    cr_expect_eq(shown, 5);
    cr_expect_eq(listed[0], 2);
    for (uint32_t i = 1; i <= shown; i++)
        cr_expect_eq(left_count[i], 1);
}

/* One whose descriptor is closed on the way down is left then. */
Test(crawl_left, each_once_in_a_deep_tree)
{
    char path[2 * DEEP + 8] = "x";

    make(path);
    for (unsigned i = 1; i < DEEP; i++)
        make(strcat(path, "/x"));
    make("x/x/y");
    cr_expect_eq(crawl(true), 0);
    cr_expect_eq(shown, DEEP + 1);
    for (uint32_t i = 1; i <= shown; i++)
        cr_expect_eq(left_count[i], 1, "%u", i);
}

Test(crawl_left, an_error_ends_it)
{
    make("a");
    make("a/b");
    fail_at = 2;
    cr_expect_eq(crawl(false), -EXDEV);
    cr_expect_eq(left_count[1], 0);
}

/* Of the first that is left on the way down. */
Test(crawl_left, an_error_on_the_way_down_ends_it)
{
    char path[2 * DEEP + 8] = "x";

    make(path);
    for (unsigned i = 1; i < DEEP; i++)
        make(strcat(path, "/x"));
    fail_at = 1;
    cr_expect_eq(crawl(true), -EXDEV);
    cr_expect_lt(shown, DEEP);
}
