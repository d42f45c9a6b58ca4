/* tn_notifier_settle(): all that happened before the call has been processed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "support.h"

TestSuite(settle, .init = stage_open, .fini = stage_close, .timeout = 60);

Test(settle, nothing_happened)
{
    stage_start();
    settle(notifier);
    cr_expect_eq(seen.flushed, 1);
    settle(notifier);
    cr_expect_eq(seen.flushed, 2);
    cr_expect_eq(recorder_count(&seen), 0);
}

Test(settle, what_this_process_did)
{
    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    for (size_t i = 1; i <= 1000; i++) {
        make_file(at("f%zu", i));
        settle(notifier);
        cr_assert_eq(recorder_count(&seen), i);
    }
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

    stage_new(options);
    add(".", IN_CREATE | IN_CLOSE_WRITE, TN_WATCH_TREE);
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
        cr_assert_eq(recorder_count(&seen), round * 200);
        cr_assert_eq(write(go[1], "x", 1), 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
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

/* Lets all others go first, again and again. */
static int slowly(const struct tn_event *event, void *gate)
{
    gate_pass(gate);
    for (unsigned i = 0; i < 50; i++)
        sched_yield();
    return recorder_keep(event, &seen);
}

static void start_slow(enum tn_order order, struct gate *gate)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    gate_init(gate);
    options.order = order;
    options.threads = 4;
    stage_new_with(processing(slowly, gate), &options);
    add(".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

Test(settle, slow_processors)
{
    const enum tn_order orders[] = {TN_ORDER_TREE, TN_ORDER_NOTIFIER, TN_ORDER_DIRECTORY,
                                    TN_ORDER_PATH, TN_ORDER_NONE};

    recorder_init(&seen);
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct gate gate;
        start_slow(orders[i], &gate);
        recorder_clear(&seen);
        for (size_t round = 1; round <= 5; round++) {
            make_files(at("%zu-%zu-", i, round), 100);
            if (round == 1)
                cr_expect_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT, "none is over");
            gate_open(&gate);
            settle(notifier);
            cr_expect_eq(recorder_count(&seen), round * 100);
        }
        notifier = tn_notifier_free(notifier);
    }
}

static void start_gated(struct gate *gate)
{
    gate_init(gate);
    stage_new_with(processing(gate_pass_event, gate), NULL);
    add(".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

Test(settle, timeout)
{
    struct gate gate;
    struct timespec start, end;

    start_gated(&gate);
    make_file("f");
    gate_wait_for(&gate, 1);
    cr_expect_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &start);
    cr_expect_eq(tn_notifier_settle(notifier, 50), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_geq((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 50);
    gate_open(&gate);
    cr_expect_eq(tn_notifier_settle(notifier, 30000), 0);
    notifier = tn_notifier_free(notifier);
}

static _Atomic pid_t waiting_thread;

static void *settle_and_wait(void *unused)
{
    (void)unused;
    atomic_store(&waiting_thread, gettid());
    settle(notifier);
    return NULL;
}

/* None of them can end, so the last gets no ticket until the first call is over. */
Test(settle, more_at_once_than_there_are_epochs)
{
    enum { ROUNDS = 100 };
    struct gate gate;
    pthread_t thread;

    start_gated(&gate);
    for (unsigned i = 0; i < ROUNDS; i++) {
        make_file(at("f%u", i));
        while (stats().read <= i)
            sched_yield();
        cr_assert_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT);
    }
    cr_assert_eq(pthread_create(&thread, NULL, settle_and_wait, NULL), 0);
    while (!atomic_load(&waiting_thread) || !is_asleep(atomic_load(&waiting_thread)))
        sched_yield();
    gate_open(&gate);
    pthread_join(thread, NULL);
    cr_expect_eq(gate.waiting, ROUNDS);
    notifier = tn_notifier_free(notifier);
}

/* Only looking may say "not yet" for a while, but comes to see that all is done. */
Test(settle, polling)
{
    int result;

    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 100);
    while ((result = tn_notifier_settle(notifier, 0)) == -ETIMEDOUT)
        sched_yield();
    cr_expect_eq(result, 0);
    cr_expect_eq(recorder_count(&seen), 100);
}

static void *settle_it(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

Test(settle, by_several_threads)
{
    pthread_t threads[8];
    void *result;

    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    for (size_t round = 1; round <= 50; round++) {
        make_files(at("%zu-", round), 20);
        for (size_t i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, settle_it, NULL);
        settle(notifier);
        cr_assert_eq(recorder_count(&seen), round * 20);
        for (size_t i = 0; i < 8; i++) {
            pthread_join(threads[i], &result);
            cr_assert_null(result);
        }
    }
}

Test(settle, new_directories_are_scanned)
{
    stage_start();
    add(".", IN_CREATE | IN_MOVED_TO, TN_WATCH_TREE);
    for (size_t i = 1; i <= 100; i++) {
        make_dir(at("%zu", i));
        make_dir(at("%zu/a", i));
        make_dir(at("%zu/a/b", i));
        make_files(at("%zu/a/b/f", i), 5);
        settle(notifier);
        cr_assert_eq(recorder_count(&seen), i * 8);
    }
    cr_expect_eq(stats().watches, 301);
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
    _Atomic bool stop = false;
    pthread_t thread;

    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    pthread_create(&thread, NULL, write_on, &stop);
    for (unsigned i = 0; i < 20; i++) {
        make_file(at("f%u", i));
        settle(notifier);
        cr_expect_geq(recorder_count(&seen), i + 1);
    }
    stop = true;
    pthread_join(thread, NULL);
}

static void *stop_it(void *unused)
{
    tn_notifier_stop(notifier, TN_FINISH_DISCARD);
    return unused;
}

/* A stop ends a wait that can't end otherwise any more. */
Test(settle, stopped_meanwhile)
{
    struct gate gate;
    pthread_t waiter, stopper;
    void *result;

    start_gated(&gate);
    make_file("f");
    gate_wait_for(&gate, 1);
    pthread_create(&waiter, NULL, settle_it, NULL);
    pthread_create(&stopper, NULL, stop_it, NULL);
    pthread_join(stopper, NULL);
    gate_open(&gate);
    pthread_join(waiter, &result);
    int error = (int)(intptr_t)result;
    cr_expect(error == 0 || error == -ESHUTDOWN, "%d", error);
    cr_expect_eq(tn_notifier_settle(notifier, -1), -ESHUTDOWN);
    notifier = tn_notifier_free(notifier);
}

Test(settle, removals)
{
    stage_start();
    for (size_t i = 1; i <= 100; i++) {
        tn_wd wd = add(".", IN_CREATE, 0);
        cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
        settle(notifier);
        cr_assert_eq(recorder_count(&seen), i);
        cr_assert_eq(seen.events[i - 1]->wd, wd);
    }
}
