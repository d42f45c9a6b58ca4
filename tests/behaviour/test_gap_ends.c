/* The begin and the end of a gap, and what waits for it. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "gap_stage.h"

TestSuite(gap_ends, .init = open_tree, .fini = close_stage, .timeout = 60);

static tn_wd add_in_order(enum tn_order order)
{
    return add_options("w",
                       TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .order = order));
}

Test(gap_ends, begins_before_and_ends_behind_in_the_tree_order)
{
    new_with_replay(NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE,
                                      .processor = later.processor));
    settle(notifier);
    make_dirs("w/new/in");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w:new synthetic",
           "CREATE|ISDIR w/new:in synthetic", "Q_OVERFLOW w gap-end");
}

Test(gap_ends, not_told_to_who_does_not_ask)
{
    watch_tree();
    add_options("w/a", TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS, .processor = later.processor));
    settle(notifier);
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    EXPECT_NONE(&later);
}

/* In other orders the lanes run by themselves: the end waits for all that was rebuilt. */
static struct gate gate;
static atomic_bool gated;

static int keep_behind_gate(const struct tn_event *event, void *userdata)
{
    if (atomic_load(&gated) && event->mask & IN_CREATE)
        gate_pass(&gate);
    return recorder_keep(event, userdata);
}

static void start_gated(enum tn_order order, unsigned threads)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *slow = processing(keep_behind_gate, &later);

    gate_init(&gate);
    atomic_store(&gated, true);
    options.threads = threads;
    new_with_options(options, NULL, NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .order = order,
                                      .processor = slow));
    tn_processor_unref(slow);
    start();
    settle(notifier);
}

/* The first rebuilt event is at the gate, and the begin, of another lane, was told. */
static void wait_behind_begin(void)
{
    gate_wait_for(&gate, 1);
    recorder_wait(&later, 1);
}

static void end_after_all(enum tn_order order)
{
    start_gated(order, 4);
    make_dir("w/a/new");
    lose();
    wait_behind_begin();
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-begin"), 1);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
    gate_open(&gate);
    recorder_wait(&later, 3);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap_ends, end_after_all_in_the_directory_order)
{
    end_after_all(TN_ORDER_DIRECTORY);
}

Test(gap_ends, end_after_all_in_the_path_order)
{
    end_after_all(TN_ORDER_PATH);
}

Test(gap_ends, end_after_all_without_order)
{
    end_after_all(TN_ORDER_NONE);
}

/* The end of the first was not told when records were lost again: it is one gap. */
Test(gap_ends, goes_on_when_the_end_still_waits)
{
    start_gated(TN_ORDER_DIRECTORY, 4);
    make_dir("w/a/new");
    lose();
    wait_behind_begin();
    make_dir("w/b/newer");
    lose();
    gate_wait_for(&gate, 2);
    gate_open(&gate);
    recorder_wait(&later, 4);
    settle(notifier);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-begin"), 1);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 1);
    cr_expect(recorder_event(&later, 3)->flags & TN_EVENT_GAP_END);
}

Test(gap_ends, removed_while_the_end_waits)
{
    start_gated(TN_ORDER_DIRECTORY, 4);
    make_dir("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    cr_assert_eq(tn_watch_remove(notifier, found("w"), TN_REMOVE_RECURSIVE), 0);
    gate_open(&gate);
    settle(notifier);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
    cr_expect_eq(stats().watches, 0);
}

/* The stop waits for what was rebuilt, and the end is told. */
Test(gap_ends, stop_with_drain_tells_all)
{
    start_gated(TN_ORDER_TREE, 1);
    gate_open(&gate);
    make_dirs("w/a/new/in");
    lose();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "CREATE|ISDIR w/a/new:in synthetic", "Q_OVERFLOW w gap-end");
}

Test(gap_ends, stop_with_drain_tells_the_end_in_other_orders)
{
    start_gated(TN_ORDER_DIRECTORY, 2);
    make_dirs("w/a/new");
    lose();
    wait_behind_begin();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap_ends, stop_with_discard_does_not_wait)
{
    start_gated(TN_ORDER_TREE, 1);
    make_dirs("w/a/new/in");
    lose();
    gate_wait_for(&gate, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
}

Test(gap_ends, settle_waits_for_the_end)
{
    start_gated(TN_ORDER_DIRECTORY, 2);
    make_dir("w/a/new");
    lose();
    wait_behind_begin();
    cr_expect_eq(tn_notifier_settle(notifier, 1), -ETIMEDOUT);
    gate_open(&gate);
    settle(notifier);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap_ends, in_the_callers_thread_in_other_orders)
{
    new_with_replay(NULL);
    add_in_order(TN_ORDER_DIRECTORY);
    settle(notifier);
    make_dir("w/a/new");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
               "Q_OVERFLOW w gap-end");
}

Test(gap_ends, coalesced)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    options.flags = TN_NOTIFIER_COALESCE;
    new_with_options(options, NULL, NULL);
    add_in_order(TN_ORDER_NOTIFIER);
    settle(notifier);
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW w gap-end");
}

/* The tree is healed, and nothing is told of it. */
Test(gap_ends, while_events_are_ignored)
{
    watch_tree_hooked(NULL, WITH_GAP);
    cr_assert_eq(tn_notifier_set_ignore(notifier, true), 0);
    settle(notifier);
    make_dir("w/new");
    move("w/a", "w/c/a");
    lose();
    settle(notifier);
    cr_assert_eq(tn_notifier_set_ignore(notifier, false), 0);
    settle(notifier);
    recorder_clear(&seen);
    expect_told("w/new");
    expect_told("w/c/a/deep");
}

/* A small queue, whose events beyond that are dropped; the processor is at the gate. */
static void watch_full(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *slow = processing(keep_behind_gate, &later);

    gate_init(&gate);
    atomic_store(&gated, true);
    options.threads = 2;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = 64 << 10;
    new_with_options(options, NULL, NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .processor = slow));
    tn_processor_unref(slow);
}

static void push_many(void)
{
    for (unsigned i = 0; i < 4000; i++)
        push("w", IN_CREATE, at("a-name-that-takes-some-room-%u", i));
}

static void start_full(void)
{
    start();
    gate_wait_for(&gate, 1);
    while (!stats().dropped)
        sched_yield();
}

/* Between the two halves of its move the queue is full: the arrival is dropped. */
Test(gap_ends, full_in_the_middle_of_a_move)
{
    watch_full();
    push("w", IN_CREATE, "first");
    move("w/a/deep", "w/b/deep");
    push_dir("w/a", IN_MOVED_FROM, 7, "deep");
    push_many();
    push_dir("w/b", IN_MOVED_TO, 7, "deep");
    start_full();
    gate_open(&gate);
    settle(notifier);
    recorder_clear(&later);
    make_dir("w/a/deep");
    push_dir("w/a", IN_CREATE, 0, "deep");
    settle(notifier);
    EXPECT(&later, "CREATE|ISDIR w/a:deep");
    push("w/a/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&later, "CREATE w/a/deep:probe");
}

/* It is healed without a marker, and nothing else happens. */
Test(gap_ends, the_marker_fails_when_it_is_no_longer_full)
{
    watch_full();
    push_many();
    start_full();
    tn__replay_fail(source, TN__REPLAY_MARK, ENOMEM, 1);
    gate_open(&gate);
    while (!recorder_lines(&later, "Q_OVERFLOW w gap-end"))
        sched_yield();
}
