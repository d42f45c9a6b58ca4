/* Which function of which processor is called, and what becomes of its result. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "support.h"

TestSuite(processors, .init = stage_open, .fini = stage_close, .timeout = 60);

/* Writes which function was called; the notifier has one worker and one order. */
static char calls[4096];

static void note(const char *function, const struct tn_event *event)
{
    size_t length = strlen(calls);

    snprintf(calls + length, sizeof(calls) - length, "%s(%s) ", function,
             tn_mask_name(event->mask) + 3);
}

static int exact(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    note("exact", event);
    return 0;
}

static int family(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    note("family", event);
    return 0;
}

static int other(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    note("default", event);
    return 0;
}

/* With the only reference to the processor. */
static void start_with(struct tn_processor *processor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    options.order = TN_ORDER_NOTIFIER;
    stage_new_with(processor, &options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

static void do_things(void)
{
    make_file("f");
    move("f", "g");
    remove_file("g");
}

Test(processors, exact_before_family_before_default)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    ops.process_close_write = exact;
    ops.process_moved_to = exact;
    ops.process_close = family;
    ops.process_move = family;
    ops.process_default = other;
    start_with(processor_of(&ops, NULL));
    tn_wd wd = add(".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_str_eq(calls, "default(CREATE) exact(CLOSE_WRITE) family(MOVED_FROM) "
                            "exact(MOVED_TO) default(DELETE) default(IGNORED) ");
    cr_expect_eq(stats().delivered, 6);
    cr_expect_eq(stats().unhandled, 0);
}

Test(processors, unhandled)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    ops.process_move = family;
    start_with(processor_of(&ops, NULL));
    add(".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_expect_str_eq(calls, "family(MOVED_FROM) family(MOVED_TO) ");
    cr_expect_eq(stats().delivered, 2);
    cr_expect_eq(stats().unhandled, 3);
}

Test(processors, no_processor_at_all)
{
    start_with(NULL);
    add(".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_expect_eq(stats().delivered, 0);
    cr_expect_eq(stats().unhandled, 5);
}

/* The watch's own stands in for the notifier's, also for what it has no function for. */
Test(processors, of_a_watch_before_the_notifier_s)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    stage_start();
    ops.process_create = exact;
    struct tn_processor *own = processor_of(&ops, NULL);
    make_dir("own");
    make_dir("shared");
    add_options("own", TN_WATCH_OPTIONS(.mask = CHANGES, .processor = own));
    tn_processor_unref(own);
    add("shared", CHANGES, 0);
    make_file("own/f");
    make_file("shared/f");
    settle(notifier);
    cr_expect_str_eq(calls, "exact(CREATE) ");
    EXPECT(&seen, "CREATE shared:f", "CLOSE_WRITE shared:f");
    cr_expect_eq(stats().unhandled, 1);
}

Test(processors, replaced_for_what_is_queued)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    stage_new(NULL);
    ops.process_create = exact;
    struct tn_processor *own = processor_of(&ops, NULL);
    tn_wd wd = add(".", IN_CREATE, 0);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_PROCESSOR,
                                 TN_WATCH_OPTIONS(.processor = own)),
                 0);
    tn_processor_unref(own);
    cr_expect_eq(tn_notifier_process_events(notifier), 1);
    cr_expect_str_eq(calls, "exact(CREATE) ");
    cr_expect_eq(recorder_count(&seen), 0);
}

/* Results */

static int fail(const struct tn_event *event, void *userdata)
{
    (void)event;
    (void)userdata;
    return -EIO;
}

static int stop_chain(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    return event->mask & IN_CREATE ? TN_STOP : 0;
}

static void keep_log(int level, const char *message, void *userdata)
{
    struct gate *gate = userdata;

    cr_expect_eq(level, TN_LOG_ERROR, "%s", message);
    cr_expect_not_null(strstr(message, "processor"), "%s", message);
    cr_expect_null(strchr(message, '\n'));
    gate_pass(gate);
}

Test(processors, errors_are_counted_and_logged)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct gate logged;

    gate_init(&logged);
    gate_open(&logged);
    options.log = keep_log;
    options.log_userdata = &logged;
    stage_new_with(processing(fail, NULL), &options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", IN_CREATE, 0);
    make_files("f", 10);
    settle(notifier);
    cr_expect_eq(stats().errors, 10);
    cr_expect_eq(stats().delivered, 10);
    cr_expect_eq(logged.waiting, 10);
    notifier = tn_notifier_free(notifier);
}

Test(processors, chain)
{
    struct tn_processor *members[] = {processing(fail, NULL), processing(other, NULL),
                                      processing(stop_chain, NULL), processing(family, NULL)};
    struct tn_processor *chain;

    cr_assert_eq(tn_processor_new_chain(members, 4, &chain), 0);
    for (size_t i = 0; i < 4; i++)
        tn_processor_unref(members[i]);
    start_with(chain);
    add(".", CHANGES, 0);
    make_file("f");
    settle(notifier);
    cr_expect_str_eq(calls, "default(CREATE) default(CLOSE_WRITE) family(CLOSE_WRITE) ");
    cr_expect_eq(stats().errors, 2);
}

/* Batches */

struct batches {
    atomic_uint calls, largest;
};

static int keep_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    struct batches *batches = userdata;

    atomic_fetch_add(&batches->calls, 1);
    if (count > atomic_load(&batches->largest))
        atomic_store(&batches->largest, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        recorder_keep(events[i], &seen);
    return 0;
}

Test(processors, batch)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct batches batches = {0};

    recorder_init(&seen);
    ops.process_batch = keep_batch;
    ops.process_default = exact;
    stage_new_with(processor_of(&ops, &batches), NULL);
    tn_wd wd = add(".", CHANGES, 0);
    make_files("f", 500);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1000);
    cr_expect_gt(atomic_load(&batches.largest), 1);
    cr_expect_lt(atomic_load(&batches.calls), 1000);
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(recorder_event(&seen, i)->mask, i % 2 ? IN_CLOSE_WRITE : IN_CREATE);
        cr_assert_str_eq(recorder_event(&seen, i)->name, at("f%zu", i / 2));
    }
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 1000)->mask, IN_IGNORED);
    cr_expect_str_eq(calls, "");
    cr_expect_eq(stats().delivered, 1001);
    notifier = tn_notifier_free(notifier);
}

/* Flush and release */

Test(processors, flush_at_settle_and_drain)
{
    struct recorder own;

    stage_start();
    recorder_init(&own);
    add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = own.processor));
    recorder_let_go(&own);
    recorder_let_go(&seen);
    make_file("f");
    recorder_wait(&own, 1);
    cr_expect_eq(own.flushed, 0);
    settle(notifier);
    cr_expect_eq(seen.flushed, 1);
    cr_expect_eq(own.flushed, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen.flushed, 2);
    cr_expect_eq(own.flushed, 2);
    cr_expect_eq(own.released, 0);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(own.released, 1);
    cr_expect_eq(seen.released, 1);
    recorder_done(&own);
}

Test(processors, no_flush_at_discard)
{
    stage_start();
    recorder_let_go(&seen);
    notifier = finish(notifier, TN_FINISH_DISCARD);
    cr_expect_eq(seen.flushed, 0);
    cr_expect_eq(seen.released, 1);
}

/* The watch's processor lives as long as its watch. */
Test(processors, released_with_its_watch)
{
    struct recorder own;

    stage_start();
    recorder_init(&own);
    tn_wd wd = add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = own.processor));
    recorder_let_go(&own);
    make_file("f");
    settle(notifier);
    cr_expect_eq(own.released, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    recorder_wait_released(&own);
    cr_expect_eq(recorder_count_of(&own, IN_IGNORED), 1);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(own.released, 1);
    recorder_done(&own);
}
