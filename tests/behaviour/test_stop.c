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

#include "gate.h"
#include "support.h"

TestSuite(stop, .init = stage_open, .fini = stage_close, .timeout = 60);

Test(stop, drain_loses_nothing)
{
    stage_start();
    recorder_let_go(&seen);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 10000);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 10000);
    cr_expect_eq(seen.flushed, 1);
    cr_expect_eq(seen.released, 1);
}

Test(stop, drain_loses_nothing_with_four_workers_and_no_order)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 4;
    options.order = TN_ORDER_NONE;
    options.queue_bytes = 64 * 1024;
    stage_start_with(&options);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 10000);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 10000);
}

Test(stop, drain_scans_new_directories)
{
    for (unsigned round = 0; round < 20; round++) {
        stage_start();
        add(".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
        make_dir(at("%u", round));
        make_dir(at("%u/a", round));
        make_dir(at("%u/a/b", round));
        make_files(at("%u/a/b/f", round), 10);
        notifier = finish(notifier, TN_FINISH_DRAIN);
        cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 13, "round %u", round);
        recorder_done(&seen);
    }
}

Test(stop, drain_without_a_start_scans_new_directories)
{
    stage_new(NULL);
    add(".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
    make_dir("a");
    make_dir("a/b");
    make_files("a/b/f", 10);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 12);
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

static void start_gated(struct gated *gated)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    gate_init(&gated->gate);
    atomic_init(&gated->calls, 0);
    options.queue_bytes = 1;
    stage_new_with(processing(pass_gate, gated), &options);
    add(".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

/* Until the reader has come to the bound and reads no more: what it read is less than all. */
static void fill_lanes(struct gated *gated)
{
    make_files("a-file-with-quite-a-long-name-", 5000);
    gate_wait_for(&gated->gate, 1);
    while (stats().queue_bytes < 60 * 1024)
        sched_yield();
}

Test(stop, discard_is_prompt_with_full_lanes)
{
    struct gated gated;

    start_gated(&gated);
    fill_lanes(&gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    struct tn_stats got = stats();
    cr_expect_eq(atomic_load(&gated.calls), 1, "nothing more than what has begun: %u calls",
                 atomic_load(&gated.calls));
    cr_expect_eq(got.delivered, 1);
    cr_expect_geq(got.dropped, 300, "dropped %llu", (unsigned long long)got.dropped);
    cr_expect_leq(got.delivered + got.dropped, 5000);
    notifier = tn_notifier_free(notifier);
}

Test(stop, free_is_a_discard)
{
    struct gated gated;

    start_gated(&gated);
    fill_lanes(&gated);
    gate_open(&gated.gate);
    notifier = tn_notifier_free(notifier);
    cr_expect_lt(atomic_load(&gated.calls), 5000);
}

Test(stop, discard_overrides_drain)
{
    struct gated gated;

    start_gated(&gated);
    fill_lanes(&gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(atomic_load(&gated.calls), 1, "%u calls", atomic_load(&gated.calls));
    notifier = tn_notifier_free(notifier);
}

/* The reader waits for space; a drain goes on when there is some. */
Test(stop, drain_with_full_lanes)
{
    struct gated gated;

    start_gated(&gated);
    fill_lanes(&gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gated.gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(atomic_load(&gated.calls), 5000);
    notifier = tn_notifier_free(notifier);
}

/* Releases are called when it is freed at the latest. */
Test(stop, discard_releases)
{
    struct gated gated;
    struct released released = {0};

    start_gated(&gated);
    make_dir("d");
    for (unsigned i = 0; i < 10; i++)
        add_options("d", TN_WATCH_OPTIONS(.mask = IN_CREATE, .order = i % 5 + 1, .data = &released,
                                          .release = count_release));
    make_files("d/f", 1000);
    fill_lanes(&gated);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gated.gate);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(released.count, 10);
}

/* From anywhere */

struct stopper {
    enum tn_finish how;
    atomic_uint calls;
};

static int stop_it(const struct tn_event *event, void *userdata)
{
    struct stopper *stopper = userdata;

    (void)event;
    if (atomic_fetch_add(&stopper->calls, 1) == 0)
        cr_expect_eq(tn_notifier_stop(notifier, stopper->how), 0);
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
    stage_new_with(processor_of(&ops, stopper), &options);
    tn_executor_unref(executor);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    notifier = tn_notifier_free(notifier);
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

static void on_signal(int signal)
{
    (void)signal;
    errno = 0;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    if (errno)
        _exit(99);
}

Test(stop, in_a_signal_handler)
{
    struct sigaction action = {.sa_handler = on_signal};

    stage_start();
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_count(&seen), 1000);
}

static void *stop_in_thread(void *unused)
{
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return unused;
}

Test(stop, by_several_threads)
{
    pthread_t threads[8];

    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 1000);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, stop_in_thread, NULL);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(recorder_count(&seen), 1000);
}

/* Nothing of it runs when join returns. */
Test(stop, nothing_is_called_after_join)
{
    stage_start();
    recorder_let_go(&seen);
    add(".", CHANGES, TN_WATCH_TREE);
    make_files("f", 1000);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    size_t count = recorder_count(&seen);
    make_files("g", 100);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(recorder_count(&seen), count);
    cr_expect_eq(seen.released, 1);
}

/* Each thread watches its own directory until it is told that no more can be added. */
struct adder {
    unsigned number, added;
    struct released released;
};

static void *add_and_remove(void *userdata)
{
    struct adder *adder = userdata;
    char path[16];
    int result;
    tn_wd wd;

    snprintf(path, sizeof(path), "d%u", adder->number);
    while ((result = tn_watch_add(notifier, path,
                                  TN_WATCH_OPTIONS(.mask = CHANGES, .data = &adder->released,
                                                   .release = count_release),
                                  &wd)) == 0) {
        if (adder->added++ % 32)
            tn_watch_remove(notifier, wd, 0);
        make_file(at("%s/%u", path, adder->added));
        if (adder->added == 2000)
            tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    }
    cr_expect_eq(result, -ESHUTDOWN);
    return NULL;
}

Test(stop, while_watches_are_added)
{
    struct adder adders[4];
    pthread_t threads[4];

    stage_start();
    for (unsigned i = 0; i < 4; i++) {
        make_dir(at("d%u", i));
        adders[i] = (struct adder){.number = i};
        pthread_create(&threads[i], NULL, add_and_remove, &adders[i]);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    notifier = tn_notifier_free(notifier);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(adders[i].released.count, (int)adders[i].added);
}
