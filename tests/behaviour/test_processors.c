/* Which function of which processor is called, and what becomes of its result. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

TestSuite(processors, .init = open_stage, .fini = close_stage, .timeout = 60);

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

static struct tn_processor *processor_of(const struct tn_processor_ops *ops, void *userdata)
{
    struct tn_processor *processor;

    cr_assert_eq(tn_processor_new(ops, userdata, &processor), 0);
    return processor;
}

/* With the only reference to the processor. */
static struct tn_notifier *notifier_of(struct tn_processor *processor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier;

    options.processor = processor;
    options.threads = 1;
    options.order = TN_ORDER_NOTIFIER;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(processor);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    return notifier;
}

static void do_things(void)
{
    make_file("f");
    cr_assert_eq(rename("f", "g"), 0);
    cr_assert_eq(unlink("g"), 0);
}

Test(processors, exact_before_family_before_default)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    ops.process_close_write = exact;
    ops.process_moved_to = exact;
    ops.process_close = family;
    ops.process_move = family;
    ops.process_default = other;
    struct tn_notifier *notifier = notifier_of(processor_of(&ops, NULL));
    tn_wd wd = watch(notifier, ".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_str_eq(calls, "default(CREATE) exact(CLOSE_WRITE) family(MOVED_FROM) "
                            "exact(MOVED_TO) default(DELETE) default(IGNORED) ");
    cr_expect_eq(stats_of(notifier).delivered, 6);
    cr_expect_eq(stats_of(notifier).unhandled, 0);
    tn_notifier_free(notifier);
}

Test(processors, unhandled)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    ops.process_move = family;
    struct tn_notifier *notifier = notifier_of(processor_of(&ops, NULL));
    watch(notifier, ".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_expect_str_eq(calls, "family(MOVED_FROM) family(MOVED_TO) ");
    cr_expect_eq(stats_of(notifier).delivered, 2);
    cr_expect_eq(stats_of(notifier).unhandled, 3);
    tn_notifier_free(notifier);
}

Test(processors, no_processor_at_all)
{
    struct tn_notifier *notifier = notifier_of(NULL);

    watch(notifier, ".", CHANGES, 0);
    do_things();
    settle(notifier);
    cr_expect_eq(stats_of(notifier).delivered, 0);
    cr_expect_eq(stats_of(notifier).unhandled, 5);
    tn_notifier_free(notifier);
}

/* The watch's own stands in for the notifier's, also for what it has no function for. */
Test(processors, of_a_watch_before_the_notifier_s)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier = started_with(&seen, NULL);

    ops.process_create = exact;
    struct tn_processor *own = processor_of(&ops, NULL);
    make_directory("own");
    make_directory("shared");
    cr_assert_eq(tn_watch_add(notifier, "own", TN_WATCH_OPTIONS(.mask = CHANGES, .processor = own),
                              NULL),
                 0);
    tn_processor_unref(own);
    watch(notifier, "shared", CHANGES, 0);
    make_file("own/f");
    make_file("shared/f");
    settle(notifier);
    cr_expect_str_eq(calls, "exact(CREATE) ");
    assert_seen(&seen, "CREATE shared/f\nCLOSE_WRITE shared/f\n");
    cr_expect_eq(stats_of(notifier).unhandled, 1);
    tn_notifier_free(notifier);
}

Test(processors, replaced_for_what_is_queued)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    ops.process_create = exact;
    struct tn_processor *own = processor_of(&ops, NULL);
    tn_wd wd = watch(notifier, ".", IN_CREATE, 0);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_PROCESSOR,
                                 TN_WATCH_OPTIONS(.processor = own)),
                 0);
    tn_processor_unref(own);
    cr_expect_eq(tn_notifier_process_events(notifier), 1);
    cr_expect_str_eq(calls, "exact(CREATE) ");
    cr_expect_eq(seen_count(&seen), 0);
    tn_notifier_free(notifier);
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
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier;
    struct gate logged;

    gate_init(&logged);
    gate_open(&logged);
    ops.process_default = fail;
    options.processor = processor_of(&ops, NULL);
    options.log = keep_log;
    options.log_userdata = &logged;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 10);
    settle(notifier);
    cr_expect_eq(stats_of(notifier).errors, 10);
    cr_expect_eq(stats_of(notifier).delivered, 10);
    cr_expect_eq(logged.waiting, 10);
    tn_notifier_free(notifier);
}

Test(processors, chain)
{
    struct tn_processor_ops ops[4] = {TN_PROCESSOR_OPS_INIT, TN_PROCESSOR_OPS_INIT,
                                      TN_PROCESSOR_OPS_INIT, TN_PROCESSOR_OPS_INIT};
    struct tn_processor *members[4], *chain;

    ops[0].process_default = fail;
    ops[1].process_default = other;
    ops[2].process_default = stop_chain;
    ops[3].process_default = family;
    for (size_t i = 0; i < 4; i++)
        members[i] = processor_of(&ops[i], NULL);
    cr_assert_eq(tn_processor_new_chain(members, 4, &chain), 0);
    for (size_t i = 0; i < 4; i++)
        tn_processor_unref(members[i]);
    struct tn_notifier *notifier = notifier_of(chain);
    watch(notifier, ".", CHANGES, 0);
    make_file("f");
    settle(notifier);
    cr_expect_str_eq(calls, "default(CREATE) default(CLOSE_WRITE) family(CLOSE_WRITE) ");
    cr_expect_eq(stats_of(notifier).errors, 2);
    tn_notifier_free(notifier);
}

/* Batches */

struct batches {
    struct seen *seen;
    atomic_uint calls, largest;
};

static int keep_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    struct batches *batches = userdata;

    atomic_fetch_add(&batches->calls, 1);
    if (count > atomic_load(&batches->largest))
        atomic_store(&batches->largest, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        seen_process(events[i], batches->seen);
    return 0;
}

Test(processors, batch)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct batches batches = {.seen = &seen};
    struct tn_notifier *notifier;

    ops.process_batch = keep_batch;
    ops.process_default = exact;
    options.processor = processor_of(&ops, &batches);
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    tn_wd wd = watch(notifier, ".", CHANGES, 0);
    make_files("f", 500);
    settle(notifier);
    cr_assert_eq(seen_count(&seen), 1000);
    cr_expect_gt(atomic_load(&batches.largest), 1);
    cr_expect_lt(atomic_load(&batches.calls), 1000);
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(seen.events[i]->mask, i % 2 ? IN_CLOSE_WRITE : IN_CREATE);
        cr_assert_str_eq(seen.events[i]->name, at("f%zu", i / 2));
    }
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_eq(seen.events[1000]->mask, IN_IGNORED);
    cr_expect_str_eq(calls, "");
    cr_expect_eq(stats_of(notifier).delivered, 1001);
    tn_notifier_free(notifier);
}

/* Flush and release */

Test(processors, flush_at_settle_and_drain)
{
    struct seen own;
    struct tn_notifier *notifier = started_with(&seen, NULL);

    seen_init(&own);
    struct tn_processor *processor = seen_processor(&own);
    cr_assert_eq(tn_watch_add(notifier, ".",
                              TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor), NULL),
                 0);
    tn_processor_unref(processor);
    make_file("f");
    seen_wait(&own, 1);
    cr_expect_eq(own.flushes, 0);
    settle(notifier);
    cr_expect_eq(seen.flushes, 1);
    cr_expect_eq(own.flushes, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen.flushes, 2);
    cr_expect_eq(own.flushes, 2);
    cr_expect_eq(own.releases, 0);
    tn_notifier_free(notifier);
    cr_expect_eq(own.releases, 1);
    cr_expect_eq(seen.releases, 1);
    seen_done(&own);
}

Test(processors, no_flush_at_discard)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    finish(notifier, TN_FINISH_DISCARD);
    cr_expect_eq(seen.flushes, 0);
    cr_expect_eq(seen.releases, 1);
}

/* The watch's processor lives as long as its watch. */
Test(processors, released_with_its_watch)
{
    struct seen own;
    struct tn_notifier *notifier = started_with(&seen, NULL);
    tn_wd wd;

    seen_init(&own);
    struct tn_processor *processor = seen_processor(&own);
    cr_assert_eq(tn_watch_add(notifier, ".",
                              TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor), &wd),
                 0);
    tn_processor_unref(processor);
    make_file("f");
    settle(notifier);
    cr_expect_eq(own.releases, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    pthread_mutex_lock(&own.lock);
    while (own.releases == 0)
        pthread_cond_wait(&own.more, &own.lock);
    pthread_mutex_unlock(&own.lock);
    cr_expect_eq(seen_count_of(&own, IN_IGNORED), 1);
    tn_notifier_free(notifier);
    cr_expect_eq(own.releases, 1);
    seen_done(&own);
}
