/* Events on their way: coalesced, ignored, or too many. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "gate.h"
#include "support.h"

TestSuite(queue, .init = stage_open, .fini = stage_close, .timeout = 60);

/* Coalescing. The kernel merges two equal events in a row; another in between keeps them. */

static void write_in_turn(enum tn_order order)
{
    make_dir("a");
    make_dir("b");
    make_file("a/f");
    make_file("b/f");
    add_options("a", TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .order = order));
    add_options("b", TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .order = order));
    for (unsigned i = 0; i < 5; i++) {
        append("a/f", "x");
        append("b/f", "x");
    }
    cr_assert_eq(tn_notifier_read_events(notifier), 10);
    tn_notifier_process_events(notifier);
}

Test(queue, coalesce)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.flags = TN_NOTIFIER_COALESCE;
    stage_new(&options);
    write_in_turn(TN_ORDER_TREE);
    cr_expect_eq(recorder_count(&seen), 2);
    cr_expect_eq(stats().suppressed, 8);
    cr_expect_eq(stats().delivered, 2);
    append("a/f", "x");
    settle(notifier);
    cr_expect_eq(recorder_count(&seen), 3, "the one before is not queued any more");
}

Test(queue, coalesce_within_a_domain_alone)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.flags = TN_NOTIFIER_COALESCE;
    stage_new(&options);
    write_in_turn(TN_ORDER_NOTIFIER);
    cr_expect_eq(recorder_count(&seen), 10);
}

Test(queue, no_coalescing_unless_asked_for)
{
    stage_new(NULL);
    write_in_turn(TN_ORDER_TREE);
    cr_expect_eq(recorder_count(&seen), 10);
    cr_expect_eq(stats().suppressed, 0);
}

/* Ignoring */

static void ignore_in_the_stream(void)
{
    add(".", IN_CREATE | IN_MOVE, TN_WATCH_TREE);
    make_file("before");
    cr_assert_eq(tn_notifier_set_ignore(notifier, true), 0);
    make_file("ignored");
    make_dir("d");
    move("d", "e");
    settle(notifier); /* what a scan finds is told when it is found */
    make_file("e/ignored");
    cr_assert_eq(tn_notifier_set_ignore(notifier, false), 0);
    make_file("after");
    make_file("e/f");
    settle(notifier);
    EXPECT(&seen, "CREATE .:before", "CREATE .:after", "CREATE ./e:f");
    cr_expect_geq(stats().suppressed, 5);
}

Test(queue, set_ignore_at_its_place_in_the_stream)
{
    stage_new(NULL);
    ignore_in_the_stream();
}

Test(queue, set_ignore_while_threads_run)
{
    stage_start();
    ignore_in_the_stream();
}

/* A queue that is full */

struct slow {
    struct gate gate;
    atomic_uint created, overflows;
};

static int count_created(const struct tn_event *event, void *userdata)
{
    struct slow *slow = userdata;

    if (event->mask & IN_Q_OVERFLOW) {
        cr_expect_eq(event->wd, -1);
        cr_expect_null(event->path);
        cr_expect_null(event->pathname);
        atomic_fetch_add(&slow->overflows, 1);
        return 0;
    }
    if (!(event->flags & TN_EVENT_SYNTHETIC))
        atomic_fetch_add(&slow->created, 1);
    gate_pass(&slow->gate);
    return 0;
}

static void start_full(struct slow *slow, enum tn_full when_full)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    gate_init(&slow->gate);
    options.queue_bytes = 64 * 1024;
    options.when_full = when_full;
    stage_new_with(processing(count_created, slow), &options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", IN_CREATE, 0);
}

Test(queue, full_drop_counts_and_announces)
{
    struct slow slow = {0};

    start_full(&slow, TN_FULL_DROP);
    make_files("a-file-with-quite-a-long-name-", 10000);
    gate_wait_for(&slow.gate, 1);
    while (stats().dropped == 0)
        sched_yield();
    gate_open(&slow.gate);
    settle(notifier);
    struct tn_stats got = stats();
    cr_expect_eq(atomic_load(&slow.created) + got.dropped, 10000);
    cr_expect_geq(atomic_load(&slow.overflows), 1);
    cr_expect_eq(got.overflows, atomic_load(&slow.overflows));
    cr_expect_leq(got.queue_bytes_high, 128 * 1024);
    make_file("after");
    settle(notifier);
    cr_expect_eq(atomic_load(&slow.created) + got.dropped, 10001);
    notifier = tn_notifier_free(notifier);
}

Test(queue, full_block_loses_nothing)
{
    struct slow slow = {0};

    start_full(&slow, TN_FULL_BLOCK);
    make_files("a-file-with-quite-a-long-name-", 10000);
    gate_wait_for(&slow.gate, 1);
    gate_open(&slow.gate);
    settle(notifier);
    cr_expect_eq(atomic_load(&slow.created), 10000);
    cr_expect_eq(stats().dropped, 0);
    cr_expect_eq(stats().overflows, 0);
    cr_expect_leq(stats().queue_bytes_high, 64 * 1024);
    notifier = tn_notifier_free(notifier);
}
