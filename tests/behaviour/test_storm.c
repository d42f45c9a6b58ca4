/*
 * A loop that makes, writes, renames and deletes 10,000 files: each event once,
 * in order, with the right path.
 *
 * The writers settle now and then, so that the kernel's queue is never full.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { KINDS = 6 };

/* What the kernel sends for one file. */
static const uint32_t kinds[KINDS] = {IN_CREATE,     IN_MODIFY,   IN_CLOSE_WRITE,
                                      IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE};

/* One root, and what was told of it. */
struct root {
    char path[32];
    unsigned files, burst; /* settles after each burst */
    tn_wd wd;
    atomic_uint inside; /* calls that run */
    unsigned next;      /* written by one call at a time */
    uint64_t sequence;
    uint32_t cookie;
    char wrong[512]; /* the first thing that was not as expected */
};

TestSuite(storm, .init = stage_open, .fini = stage_close, .timeout = 170);

static void live_and_die(const char *root, unsigned i)
{
    char from[64], to[64];
    ssize_t written;

    snprintf(from, sizeof(from), "%s/f%u", root, i);
    snprintf(to, sizeof(to), "%s/g%u", root, i);
    int fd = open(from, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    written = write(fd, "x", 1);
    if (fd < 0 || written != 1 || close(fd) < 0 || rename(from, to) < 0 || unlink(to) < 0)
        abort();
}

static void *storm(void *userdata)
{
    struct root *root = userdata;

    for (unsigned i = 0; i < root->files; i++) {
        live_and_die(root->path, i);
        if (i % root->burst == root->burst - 1)
            settle(notifier);
    }
    return NULL;
}

static bool is_text(const char *text, const char *expected)
{
    return text && strcmp(text, expected) == 0;
}

/* Whether it is event number `next` of the loop above. */
static bool is_right(struct root *root, const struct tn_event *event)
{
    unsigned file = root->next / KINDS, kind = root->next % KINDS;
    char from[64], name[32], pathname[64];

    snprintf(from, sizeof(from), "%s/f%u", root->path, file);
    snprintf(name, sizeof(name), "%c%u", kind < 4 ? 'f' : 'g', file);
    snprintf(pathname, sizeof(pathname), "%s/%s", root->path, name);
    if (event->mask != kinds[kind] || event->flags || event->error || event->data != root ||
        event->wd != root->wd || event->root != root->wd)
        return false;
    if (!is_text(event->path, root->path) || !is_text(event->name, name) ||
        !is_text(event->pathname, pathname))
        return false;
    if (kinds[kind] == IN_MOVED_TO
            ? !is_text(event->src_pathname, from) || event->cookie != root->cookie
            : event->src_pathname != NULL)
        return false;
    return (event->cookie != 0) == ((event->mask & IN_MOVE) != 0) &&
           event->sequence > root->sequence;
}

static int check(const struct tn_event *event, void *unused)
{
    struct root *root = event->data;

    (void)unused;
    if (event->mask & IN_IGNORED)
        return 0;
    bool alone = atomic_fetch_add(&root->inside, 1) == 0;
    if (!root->wrong[0] && (!alone || !is_right(root, event))) {
        int length = snprintf(root->wrong, sizeof(root->wrong), "event %u%s: ", root->next,
                              alone ? "" : ", two at once");
        tn_event_format(event, root->wrong + length, sizeof(root->wrong) - (size_t)length);
    }
    root->next++;
    root->sequence = event->sequence;
    root->cookie = event->cookie;
    atomic_fetch_sub(&root->inside, 1);
    return 0;
}

static void start_checking(unsigned threads)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = threads;
    options.order = TN_ORDER_TREE;
    stage_new_with(processing(check, NULL), &options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

static void open_root(struct root *root, const char *path, unsigned files, unsigned burst)
{
    *root = (struct root){.files = files, .burst = burst};
    strcpy(root->path, path);
    make_dir(path);
    root->wd =
        add_options(path, TN_WATCH_OPTIONS(.mask = CHANGES, .flags = TN_WATCH_TREE, .data = root));
}

static void check_root(const struct root *root)
{
    cr_expect_str_eq(root->wrong, "", "%s: %s", root->path, root->wrong);
    cr_expect_eq(root->next, root->files * KINDS, "%s: %u events", root->path, root->next);
}

static void one_root(unsigned threads)
{
    struct root root;

    start_checking(threads);
    open_root(&root, "d", 10000, 2000);
    storm(&root);
    settle(notifier);
    check_root(&root);
    struct tn_stats got = stats();
    cr_expect_eq(got.delivered, 10000 * KINDS);
    cr_expect_eq(got.overflows, 0);
    cr_expect_eq(got.synthetic, 0);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(root.next, 10000 * KINDS);
}

Test(storm, one_root_one_worker)
{
    one_root(1);
}

Test(storm, one_root_four_workers)
{
    one_root(4);
}

Test(storm, eight_roots_at_once_four_workers)
{
    struct root roots[8];
    pthread_t writers[8];

    start_checking(4);
    for (unsigned i = 0; i < 8; i++)
        open_root(&roots[i], at("d%u", i), 10000, 250);
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&writers[i], NULL, storm, &roots[i]), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(writers[i], NULL);
    settle(notifier);
    for (size_t i = 0; i < 8; i++)
        check_root(&roots[i]);
    cr_expect_eq(stats().delivered, 8 * 10000 * KINDS);
    cr_expect_eq(stats().overflows, 0);
    notifier = finish(notifier, TN_FINISH_DRAIN);
}
