/* tn_notifier_settle(): all that happened before the call has been processed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
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

TestSuite(settle, .init = open_stage, .fini = close_stage, .timeout = 60);

Test(settle, nothing_happened)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    settle(notifier);
    cr_expect_eq(seen.flushes, 1);
    settle(notifier);
    cr_expect_eq(seen.flushes, 2);
    cr_expect_eq(seen_count(&seen), 0);
    tn_notifier_free(notifier);
}

Test(settle, what_this_process_did)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    for (size_t i = 1; i <= 1000; i++) {
        make_file(at("f%zu", i));
        settle(notifier);
        cr_assert_eq(seen_count(&seen), i);
    }
    tn_notifier_free(notifier);
}

/* Makes files, tells of each hundred, and goes on when it is told to. */
static void child(int tell, int go)
{
    char byte;

    alarm(60);

    for (unsigned round = 0; round < 50; round++) {
        make_files(at("%u-", round), 100);
        if (write(tell, "x", 1) != 1 || read(go, &byte, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

static void with_another_process(const struct tn_notifier_options *options)
{
    int tell[2], go[2], status;
    struct tn_notifier *notifier = notifier_with(&seen, options);

    watch(notifier, ".", IN_CREATE | IN_CLOSE_WRITE, TN_WATCH_TREE);
    cr_assert_eq(pipe(tell), 0);
    cr_assert_eq(pipe(go), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        close(go[1]);
        child(tell[1], go[0]);
    }
    cr_assert_eq(tn_notifier_start(notifier), 0);
    for (size_t round = 1; round <= 50; round++) {
        char byte;
        cr_assert_eq(read(tell[0], &byte, 1), 1);
        settle(notifier);
        cr_assert_eq(seen_count(&seen), round * 200);
        cr_assert_eq(write(go[1], "x", 1), 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
    tn_notifier_free(notifier);
}

Test(settle, what_another_process_did)
{
    with_another_process(NULL);
}

Test(settle, what_another_process_did_with_four_workers_and_no_order)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 4;
    options.order = TN_ORDER_NONE;
    with_another_process(&options);
}

static int slowly(const struct tn_event *event, void *userdata)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return seen_process(event, userdata);
}

static struct tn_notifier *slow_notifier(enum tn_order order)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier;

    ops.process_default = slowly;
    cr_assert_eq(tn_processor_new(&ops, &seen, &options.processor), 0);
    options.order = order;
    options.threads = 4;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    return notifier;
}

Test(settle, slow_processors)
{
    const enum tn_order orders[] = {TN_ORDER_TREE, TN_ORDER_NOTIFIER, TN_ORDER_DIRECTORY,
                                    TN_ORDER_PATH, TN_ORDER_NONE};

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct tn_notifier *notifier = slow_notifier(orders[i]);
        seen_clear(&seen);
        for (size_t round = 1; round <= 5; round++) {
            make_files(at("%zu-%zu-", i, round), 100);
            settle(notifier);
            cr_expect_eq(seen_count(&seen), round * 100);
        }
        tn_notifier_free(notifier);
    }
}

static int pass_gate(const struct tn_event *event, void *gate)
{
    (void)event;
    gate_pass(gate);
    return 0;
}

static struct tn_notifier *gated_notifier(struct gate *gate)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier;

    gate_init(gate);
    ops.process_default = pass_gate;
    cr_assert_eq(tn_processor_new(&ops, gate, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_processor_unref(options.processor);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    return notifier;
}

Test(settle, timeout)
{
    struct gate gate;
    struct timespec start, end;
    struct tn_notifier *notifier = gated_notifier(&gate);

    make_file("f");
    gate_wait_for(&gate, 1);
    cr_expect_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &start);
    cr_expect_eq(tn_notifier_settle(notifier, 50), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_geq((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 50);
    gate_open(&gate);
    cr_expect_eq(tn_notifier_settle(notifier, 30000), 0);
    tn_notifier_free(notifier);
}

/* Only looking may say "not yet" for a while, but comes to see that all is done. */
Test(settle, polling)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    int result;

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 100);
    while ((result = tn_notifier_settle(notifier, 0)) == -ETIMEDOUT)
        sched_yield();
    cr_expect_eq(result, 0);
    cr_expect_eq(seen_count(&seen), 100);
    tn_notifier_free(notifier);
}

static void *settle_it(void *notifier)
{
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

Test(settle, by_several_threads)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    pthread_t threads[8];
    void *result;

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    for (size_t round = 1; round <= 50; round++) {
        make_files(at("%zu-", round), 20);
        for (size_t i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, settle_it, notifier);
        settle(notifier);
        cr_assert_eq(seen_count(&seen), round * 20);
        for (size_t i = 0; i < 8; i++) {
            pthread_join(threads[i], &result);
            cr_assert_null(result);
        }
    }
    tn_notifier_free(notifier);
}

Test(settle, new_directories_are_scanned)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
    for (size_t i = 1; i <= 100; i++) {
        make_directory(at("%zu", i));
        make_directory(at("%zu/a", i));
        make_directory(at("%zu/a/b", i));
        make_files(at("%zu/a/b/f", i), 5);
        settle(notifier);
        cr_assert_eq(seen_count(&seen), i * 8);
    }
    cr_expect_eq(stats_of(notifier).watches, 301);
    tn_notifier_free(notifier);
}

/* What happens meanwhile does not lengthen the wait. */
static void *write_on(void *stop)
{
    make_file("g");
    for (unsigned i = 0; !*(_Atomic bool *)stop; i++) {
        append("g", "x");
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

Test(settle, while_others_write)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    _Atomic bool stop = false;
    pthread_t thread;

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    pthread_create(&thread, NULL, write_on, &stop);
    for (unsigned i = 0; i < 20; i++) {
        make_file(at("f%u", i));
        settle(notifier);
        cr_expect_geq(seen_count(&seen), i + 1);
    }
    stop = true;
    pthread_join(thread, NULL);
    tn_notifier_free(notifier);
}

static void *stop_it(void *notifier)
{
    tn_notifier_stop(notifier, TN_FINISH_DISCARD);
    return NULL;
}

/* A stop ends a wait that can't end otherwise any more. */
Test(settle, stopped_meanwhile)
{
    struct gate gate;
    struct tn_notifier *notifier = gated_notifier(&gate);
    pthread_t waiter, stopper;
    void *result;

    make_file("f");
    gate_wait_for(&gate, 1);
    pthread_create(&waiter, NULL, settle_it, notifier);
    pthread_create(&stopper, NULL, stop_it, notifier);
    pthread_join(stopper, NULL);
    gate_open(&gate);
    pthread_join(waiter, &result);
    int error = (int)(intptr_t)result;
    cr_expect(error == 0 || error == -ESHUTDOWN, "%d", error);
    cr_expect_eq(tn_notifier_settle(notifier, -1), -ESHUTDOWN);
    tn_notifier_free(notifier);
}

Test(settle, removals)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    for (size_t i = 1; i <= 100; i++) {
        tn_wd wd = watch(notifier, ".", IN_CREATE, 0);
        cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
        settle(notifier);
        cr_assert_eq(seen_count(&seen), i);
        cr_assert_eq(seen.events[i - 1]->wd, wd);
    }
    tn_notifier_free(notifier);
}
