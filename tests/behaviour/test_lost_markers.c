/* Markers that an overflow takes away: replay, behind a source that loses them. */
#include <sched.h>

#include "replay_stage.h"

TestSuite(lost_markers, .init = open_stage, .fini = close_stage, .timeout = 60);

enum { FIRST_LOST = 1, FIRST_KEPT = 1000 }; /* keys grow, as the kernel's do */

static struct losing {
    struct tn__source source;
    atomic_int losses; /* so many of the next markers */
    uint64_t key;      /* the last one lost */
} losing;

static int losing_fd(struct tn__source *unused)
{
    (void)unused;
    return source->ops->fd(source);
}

static ssize_t losing_read(struct tn__source *unused, void *buffer, size_t size)
{
    (void)unused;
    return source->ops->read(source, buffer, size);
}

static int losing_watch(struct tn__source *unused, int fd, const char *path, uint32_t mask,
                        uint64_t *ret_key)
{
    (void)unused;
    return source->ops->watch(source, fd, path, mask, ret_key);
}

static int losing_unwatch(struct tn__source *unused, uint64_t key)
{
    (void)unused;
    return source->ops->unwatch(source, key);
}

static int losing_mark(struct tn__source *unused, uint64_t *ret_key)
{
    (void)unused;
    if (atomic_load(&losing.losses) == 0)
        return source->ops->mark(source, ret_key);
    atomic_fetch_sub(&losing.losses, 1);
    *ret_key = ++losing.key;
    return tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

static void losing_close(struct tn__source *unused)
{
    (void)unused;
    source->ops->close(source);
}

static const struct tn__source_ops losing_ops = {.fd = losing_fd,
                                                 .read = losing_read,
                                                 .watch = losing_watch,
                                                 .unwatch = losing_unwatch,
                                                 .mark = losing_mark,
                                                 .close = losing_close};

static void start_with_losses(void)
{
    losing.source.ops = &losing_ops;
    losing.key = FIRST_LOST;
    new_with_source(&losing.source, NULL);
    tn__replay_next_key(source, FIRST_KEPT);
    make_dir("w");
    start();
}

static void expect_overflows(size_t count)
{
    size_t found_ones = recorder_lines(&seen, "Q_OVERFLOW -");

    cr_expect_eq(found_ones, count, "%zu", found_ones);
}

Test(lost_markers, a_settle_whose_markers_are_lost)
{
    start_with_losses();
    add("w", ENTRIES, TN_WATCH_TREE);
    for (int losses = 1; losses <= 3; losses++) {
        push("w", IN_CREATE, "f");
        atomic_store(&losing.losses, losses);
        settle(notifier);
        cr_expect_eq(atomic_load(&losing.losses), 0);
        cr_expect_eq(recorder_lines(&seen, "CREATE w:f"), 1);
        expect_overflows((size_t)losses);
        recorder_clear(&seen);
    }
}

Test(lost_markers, a_drain_whose_marker_is_lost)
{
    start_with_losses();
    add("w", ENTRIES, TN_WATCH_TREE);
    push("w", IN_CREATE, "f");
    atomic_store(&losing.losses, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_lines(&seen, "CREATE w:f"), 1);
    expect_overflows(1);
}

/* It would never be told anything, and its end would wait for ever. */
Test(lost_markers, a_watch_whose_beginning_is_lost)
{
    static struct released released;

    start_with_losses();
    add("w", ENTRIES, 0);
    settle(notifier);
    atomic_store(&losing.losses, 1);
    tn_wd wd = add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = later.processor,
                                                 .data = &released, .release = count_release));
    settle(notifier);
    push("w", IN_CREATE, "f");
    settle(notifier);
    EXPECT(&later, "CREATE w:f");
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_eq(released.count, 1);
}

Test(lost_markers, a_scan_whose_marker_is_lost)
{
    start_with_losses();
    add("w", ENTRIES, TN_WATCH_TREE);
    make_dirs("w/x/y");
    make_file("w/x/y/f");
    atomic_store(&losing.losses, 2);
    push("w", IN_CREATE | IN_ISDIR, "x");
    while (atomic_load(&losing.losses))
        sched_yield();
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w/x:y synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE w/x/y:f synthetic"), 1);
    cr_expect(is_watched("w/x/y"));
}
