/* Events on their way: coalesced, ignored, or too many. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "seen.h"

static struct seen seen;

static void open_stage(void)
{
    enter_directory();
    seen_init(&seen);
}

static void close_stage(void)
{
    seen_done(&seen);
    leave_directory();
}

TestSuite(queue, .init = open_stage, .fini = close_stage, .timeout = 60);

/* Coalescing. The kernel merges two equal events in a row; another in between keeps them. */

static void write_in_turn(struct tn_notifier *notifier, enum tn_order order)
{
    make_directory("a");
    make_directory("b");
    make_file("a/f");
    make_file("b/f");
    cr_assert_eq(tn_watch_add(notifier, "a",
                              TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .order = order), NULL),
                 0);
    cr_assert_eq(tn_watch_add(notifier, "b",
                              TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .order = order), NULL),
                 0);
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
    struct tn_notifier *notifier = notifier_with(&seen, &options);
    write_in_turn(notifier, TN_ORDER_TREE);
    cr_expect_eq(seen_count(&seen), 2);
    cr_expect_eq(stats_of(notifier).suppressed, 8);
    cr_expect_eq(stats_of(notifier).delivered, 2);
    append("a/f", "x");
    settle(notifier);
    cr_expect_eq(seen_count(&seen), 3, "the one before is not queued any more");
    tn_notifier_free(notifier);
}

Test(queue, coalesce_within_a_domain_alone)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.flags = TN_NOTIFIER_COALESCE;
    struct tn_notifier *notifier = notifier_with(&seen, &options);
    write_in_turn(notifier, TN_ORDER_NOTIFIER);
    cr_expect_eq(seen_count(&seen), 10);
    tn_notifier_free(notifier);
}

Test(queue, no_coalescing_unless_asked_for)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    write_in_turn(notifier, TN_ORDER_TREE);
    cr_expect_eq(seen_count(&seen), 10);
    cr_expect_eq(stats_of(notifier).suppressed, 0);
    tn_notifier_free(notifier);
}

/* Ignoring */

static void ignore_in_the_stream(struct tn_notifier *notifier)
{
    watch(notifier, ".", IN_CREATE | IN_MOVE, TN_WATCH_TREE);
    make_file("before");
    cr_assert_eq(tn_notifier_set_ignore(notifier, true), 0);
    make_file("ignored");
    make_directory("d");
    cr_assert_eq(rename("d", "e"), 0);
    settle(notifier); /* what a scan finds is told when it is found */
    make_file("e/ignored");
    cr_assert_eq(tn_notifier_set_ignore(notifier, false), 0);
    make_file("after");
    make_file("e/f");
    settle(notifier);
    assert_seen(&seen, "CREATE ./before\nCREATE ./after\nCREATE ./e/f\n");
    cr_expect_geq(stats_of(notifier).suppressed, 5);
    tn_notifier_free(notifier);
}

Test(queue, set_ignore_at_its_place_in_the_stream)
{
    ignore_in_the_stream(notifier_with(&seen, NULL));
}

Test(queue, set_ignore_while_threads_run)
{
    ignore_in_the_stream(started_with(&seen, NULL));
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

static struct tn_notifier *full_notifier(struct slow *slow, enum tn_full when_full)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier;

    gate_init(&slow->gate);
    ops.process_default = count_created;
    cr_assert_eq(tn_processor_new(&ops, slow, &options.processor), 0);
    options.queue_bytes = 64 * 1024;
    options.when_full = when_full;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    watch(notifier, ".", IN_CREATE, 0);
    return notifier;
}

Test(queue, full_drop_counts_and_announces)
{
    struct slow slow = {0};
    struct tn_notifier *notifier = full_notifier(&slow, TN_FULL_DROP);

    make_files("a-file-with-quite-a-long-name-", 10000);
    gate_wait_for(&slow.gate, 1);
    while (stats_of(notifier).dropped == 0)
        sched_yield();
    gate_open(&slow.gate);
    settle(notifier);
    struct tn_stats stats = stats_of(notifier);
    cr_expect_eq(atomic_load(&slow.created) + stats.dropped, 10000);
    cr_expect_geq(atomic_load(&slow.overflows), 1);
    cr_expect_eq(stats.overflows, atomic_load(&slow.overflows));
    cr_expect_leq(stats.queue_bytes_high, 128 * 1024);
    make_file("after");
    settle(notifier);
    cr_expect_eq(atomic_load(&slow.created) + stats.dropped, 10001);
    tn_notifier_free(notifier);
}

Test(queue, full_block_loses_nothing)
{
    struct slow slow = {0};
    struct tn_notifier *notifier = full_notifier(&slow, TN_FULL_BLOCK);

    make_files("a-file-with-quite-a-long-name-", 10000);
    gate_wait_for(&slow.gate, 1);
    gate_open(&slow.gate);
    settle(notifier);
    cr_expect_eq(atomic_load(&slow.created), 10000);
    cr_expect_eq(stats_of(notifier).dropped, 0);
    cr_expect_eq(stats_of(notifier).overflows, 0);
    cr_expect_leq(stats_of(notifier).queue_bytes_high, 64 * 1024);
    tn_notifier_free(notifier);
}
