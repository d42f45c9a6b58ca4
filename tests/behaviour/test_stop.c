/* tn_notifier_stop(): from anywhere, draining or discarding. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
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

TestSuite(stop, .init = open_stage, .fini = close_stage, .timeout = 60);

Test(stop, drain_loses_nothing)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 10000);
    finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 10000);
    cr_expect_eq(seen.flushes, 1);
    cr_expect_eq(seen.releases, 1);
}

Test(stop, drain_loses_nothing_with_four_workers_and_no_order)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 4;
    options.order = TN_ORDER_NONE;
    options.queue_bytes = 64 * 1024;
    struct tn_notifier *notifier = started_with(&seen, &options);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 10000);
    finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 10000);
}

Test(stop, drain_scans_new_directories)
{
    for (unsigned round = 0; round < 20; round++) {
        struct tn_notifier *notifier = started_with(&seen, NULL);
        seen_clear(&seen);
        watch(notifier, ".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
        make_directory(at("%u", round));
        make_directory(at("%u/a", round));
        make_directory(at("%u/a/b", round));
        make_files(at("%u/a/b/f", round), 10);
        finish(notifier, TN_FINISH_DRAIN);
        cr_expect_eq(seen_count_of(&seen, IN_CREATE), 13, "round %u", round);
    }
}

Test(stop, drain_without_a_start_scans_new_directories)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
    make_directory("a");
    make_directory("a/b");
    make_files("a/b/f", 10);
    finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 12);
}

/* A discard. The processor waits at the gate in its first call. */

struct gated {
    struct gate gate;
    atomic_uint calls;
};

static int pass_gate(const struct tn_event *event, void *userdata)
{
    struct gated *gated = userdata;

    if (!(event->mask & IN_CREATE))
        return 0;
    atomic_fetch_add(&gated->calls, 1);
    gate_pass(&gated->gate);
    return 0;
}

static struct tn_notifier *gated_notifier(struct gated *gated)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier;

    gate_init(&gated->gate);
    atomic_init(&gated->calls, 0);
    ops.process_default = pass_gate;
    options.queue_bytes = 1;
    cr_assert_eq(tn_processor_new(&ops, gated, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    return notifier;
}

/* Until the reader has come to the bound and reads no more: what it read is less than all. */
static void fill_lanes(struct tn_notifier *notifier, struct gated *gated)
{
    make_files("a-file-with-quite-a-long-name-", 5000);
    gate_wait_for(&gated->gate, 1);
    while (stats_of(notifier).queue_bytes < 60 * 1024)
        sched_yield();
}

Test(stop, discard_is_prompt_with_full_lanes)
{
    struct gated gated;
    struct tn_notifier *notifier = gated_notifier(&gated);
    struct tn_stats stats;

    fill_lanes(notifier, &gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    stats = stats_of(notifier);
    cr_expect_eq(atomic_load(&gated.calls), 1, "nothing more than what has begun: %u calls",
                 atomic_load(&gated.calls));
    cr_expect_eq(stats.delivered, 1);
    cr_expect_geq(stats.dropped, 300, "dropped %llu", (unsigned long long)stats.dropped);
    cr_expect_leq(stats.delivered + stats.dropped, 5000);
    tn_notifier_free(notifier);
}

Test(stop, free_is_a_discard)
{
    struct gated gated;
    struct tn_notifier *notifier = gated_notifier(&gated);

    fill_lanes(notifier, &gated);
    gate_open(&gated.gate);
    tn_notifier_free(notifier);
    cr_expect_lt(atomic_load(&gated.calls), 5000);
}

Test(stop, discard_overrides_drain)
{
    struct gated gated;
    struct tn_notifier *notifier = gated_notifier(&gated);

    fill_lanes(notifier, &gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(atomic_load(&gated.calls), 1, "%u calls", atomic_load(&gated.calls));
    tn_notifier_free(notifier);
}

/* The reader waits for space; a drain goes on when there is some. */
Test(stop, drain_with_full_lanes)
{
    struct gated gated;
    struct tn_notifier *notifier = gated_notifier(&gated);

    fill_lanes(notifier, &gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(atomic_load(&gated.calls), 5000);
    tn_notifier_free(notifier);
}

/* Releases are called when it is freed at the latest. */
static void count_release(void *count)
{
    atomic_fetch_add((atomic_uint *)count, 1);
}

Test(stop, discard_releases)
{
    struct gated gated;
    struct tn_notifier *notifier = gated_notifier(&gated);
    atomic_uint releases = 0;

    make_directory("d");
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(tn_watch_add(notifier, "d",
                                  TN_WATCH_OPTIONS(.mask = IN_CREATE, .order = i % 5 + 1,
                                                   .data = &releases, .release = count_release),
                                  NULL),
                     0);
    make_files("d/f", 1000);
    fill_lanes(notifier, &gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gated.gate);
    tn_notifier_free(notifier);
    cr_expect_eq(atomic_load(&releases), 10);
}

/* From anywhere */

struct stopper {
    struct tn_notifier *notifier;
    enum tn_finish how;
    atomic_uint calls;
};

static int stop_it(const struct tn_event *event, void *userdata)
{
    struct stopper *stopper = userdata;

    (void)event;
    if (atomic_fetch_add(&stopper->calls, 1) == 0)
        cr_expect_eq(tn_notifier_stop(stopper->notifier, stopper->how), 0);
    return 0;
}

static void stop_inside(struct stopper *stopper, struct tn_executor *executor, enum tn_finish how)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    stopper->how = how;
    atomic_init(&stopper->calls, 0);
    ops.process_create = stop_it;
    options.executor = executor;
    cr_assert_eq(tn_processor_new(&ops, stopper, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &stopper->notifier), 0);
    tn_processor_unref(options.processor);
    tn_executor_unref(executor);
    watch(stopper->notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(tn_notifier_start(stopper->notifier), 0);
    cr_assert_eq(tn_notifier_join(stopper->notifier), 0);
    tn_notifier_free(stopper->notifier);
}

Test(stop, drain_in_a_callback)
{
    struct stopper stopper;

    stop_inside(&stopper, NULL, TN_FINISH_DRAIN);
    cr_expect_eq(atomic_load(&stopper.calls), 1000);
}

Test(stop, discard_in_a_callback)
{
    struct stopper stopper;

    stop_inside(&stopper, NULL, TN_FINISH_DISCARD);
    cr_expect_eq(atomic_load(&stopper.calls), 1, "%u calls", atomic_load(&stopper.calls));
}

Test(stop, drain_in_a_callback_of_the_inline_executor)
{
    struct stopper stopper;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    stop_inside(&stopper, executor, TN_FINISH_DRAIN);
    cr_expect_eq(atomic_load(&stopper.calls), 1000);
}

static struct tn_notifier *to_stop;

static void on_signal(int signal)
{
    (void)signal;
    errno = 0;
    tn_notifier_stop(to_stop, TN_FINISH_DRAIN);
    if (errno)
        _exit(99);
}

Test(stop, in_a_signal_handler)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct tn_notifier *notifier = to_stop = started_with(&seen, NULL);

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen_count(&seen), 1000);
    tn_notifier_free(notifier);
}

static void *stop_in_thread(void *notifier)
{
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return NULL;
}

Test(stop, by_several_threads)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    pthread_t threads[8];

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, stop_in_thread, notifier);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(seen_count(&seen), 1000);
    tn_notifier_free(notifier);
}

/* Nothing of it runs when join returns. */
Test(stop, nothing_is_called_after_join)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    size_t count = seen_count(&seen);
    make_files("g", 100);
    tn_notifier_free(notifier);
    cr_expect_eq(seen_count(&seen), count);
    cr_expect_eq(seen.releases, 1);
}

/* Each thread watches its own directory until it is told that no more can be added. */
struct adder {
    struct tn_notifier *notifier;
    unsigned number, added;
    atomic_uint releases;
};

static void *add_and_remove(void *userdata)
{
    struct adder *adder = userdata;
    char path[16];
    int result;
    tn_wd wd;

    snprintf(path, sizeof(path), "d%u", adder->number);
    while ((result = tn_watch_add(adder->notifier, path,
                                  TN_WATCH_OPTIONS(.mask = CHANGES, .data = &adder->releases,
                                                   .release = count_release),
                                  &wd)) == 0) {
        if (adder->added++ % 32)
            tn_watch_remove(adder->notifier, wd, 0);
        make_file(at("%s/%u", path, adder->added));
        if (adder->added == 2000)
            tn_notifier_stop(adder->notifier, TN_FINISH_DRAIN);
    }
    cr_expect_eq(result, -ESHUTDOWN);
    return NULL;
}

Test(stop, while_watches_are_added)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    struct adder adders[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        make_directory(at("d%u", i));
        adders[i] = (struct adder){.notifier = notifier, .number = i};
        pthread_create(&threads[i], NULL, add_and_remove, &adders[i]);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    tn_notifier_free(notifier);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(atomic_load(&adders[i].releases), adders[i].added);
}
