/* Markers that an overflow takes away: replay, behind a source that loses them. */
#include <sched.h>

#include "clock.h"
#include "queue/lane.h"
#include "replay_stage.h"

TestSuite(lost_markers, .init = open_stage, .fini = close_stage, .timeout = 60);

static struct losing {
    struct tn__source source;
    atomic_int losses; /* so many of the next markers */
    atomic_uint marks; /* how many were put, lost ones too */
    uint64_t next;     /* the key that the source gives next; as the kernel's, they grow and wrap */
} losing;

static void use_key(uint64_t key)
{
    if (key == losing.next)
        losing.next = key == INT32_MAX ? 1 : key + 1;
}

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
    int result = source->ops->watch(source, fd, path, mask, ret_key);

    (void)unused;
    use_key(*ret_key);
    return result;
}

static int losing_unwatch(struct tn__source *unused, uint64_t key)
{
    (void)unused;
    return source->ops->unwatch(source, key);
}

static int losing_mark(struct tn__source *unused, uint64_t *ret_key)
{
    int result;

    (void)unused;
    atomic_fetch_add(&losing.marks, 1);
    if (atomic_load(&losing.losses) == 0) {
        result = source->ops->mark(source, ret_key);
        use_key(*ret_key);
        return result;
    }
    atomic_fetch_sub(&losing.losses, 1);
    *ret_key = losing.next;
    use_key(*ret_key);
    tn__replay_next_key(source, losing.next);
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

static void new_with_losses(uint64_t first_key)
{
    losing.source.ops = &losing_ops;
    losing.next = first_key;
    new_with_source(&losing.source, NULL);
    tn__replay_next_key(source, first_key);
}

static void start_with_losses(void)
{
    new_with_losses(1);
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

/* Three watches wait for markers that are lost, and their keys wrap around after the first few. */
static void lose_three(unsigned keys_before_wrap)
{
    struct released released = {0};
    tn_wd wds[3];

    new_with_losses(INT32_MAX - keys_before_wrap);
    add("w", ENTRIES, 0);
    settle(notifier);
    atomic_store(&losing.marks, 0);
    atomic_store(&losing.losses, 3);
    for (size_t i = 0; i < 3; i++)
        wds[i] = add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = later.processor,
                                                   .data = &released, .release = count_release));
    cr_expect_eq(atomic_load(&losing.losses), 0);
    settle(notifier);
    cr_expect_leq(atomic_load(&losing.marks), 3 + 1 + 3 * 4, "each once again for each overflow");
    push("w", IN_CREATE, "f");
    settle(notifier);
    EXPECT(&later, "CREATE w:f", "CREATE w:f", "CREATE w:f");
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(tn_watch_remove(notifier, wds[i], 0), 0);
    settle(notifier);
    cr_expect_eq(released.count, 3, "with %u keys before the wrap", keys_before_wrap);
    notifier = tn_notifier_free(notifier);
    recorder_done(&seen);
    recorder_done(&later);
}

Test(lost_markers, markers_whose_keys_wrap_around)
{
    make_dir("w");
    for (unsigned keys = 0; keys < 24; keys++)
        lose_three(keys);
}

/* Longer than a turn. */
static int take_long(const struct tn_event *event, void *unused)
{
    const uint64_t end = tn__now_ns() + 2 * TN__TURN_NS;

    (void)event;
    (void)unused;
    while (tn__now_ns() < end)
        ;
    return 0;
}

/* The record that no watch has stands where the turn ends. */
Test(lost_markers, an_overflow_behind_a_call_that_used_up_the_turn)
{
    struct tn_processor *slow = processing(take_long, NULL);

    new_with_replay(NULL);
    make_dir("w");
    add_options("w",
                TN_WATCH_OPTIONS(.mask = ENTRIES, .order = TN_ORDER_NOTIFIER, .processor = slow));
    push("w", IN_CREATE, "f");
    push("w", IN_CREATE, "g"); /* the clock is read before each call */
    cr_assert_eq(tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL), 0);
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "Q_OVERFLOW -"), 1);
    tn_processor_unref(slow);
}
