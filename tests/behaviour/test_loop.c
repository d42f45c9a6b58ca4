/* tn_notifier_loop(), and what ends it and a wait for events. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "gate.h"
#include "support.h"

TestSuite(loop, .init = stage_open, .fini = stage_close, .timeout = 60);

struct rounds {
    unsigned made, count;
    int result;
};

static int make_one_and_stop(struct tn_notifier *which, void *userdata)
{
    struct rounds *rounds = userdata;

    rounds->count++;
    if (rounds->result)
        return rounds->result;
    if (rounds->made == 10)
        tn_notifier_stop(which, TN_FINISH_DRAIN);
    else
        make_file(at("f%u", rounds->made++));
    return 0;
}

Test(loop, until_stopped)
{
    struct rounds rounds = {0};

    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_file("first");
    cr_expect_eq(tn_notifier_loop(notifier, make_one_and_stop, &rounds), 0);
    cr_expect_geq(rounds.count, 11);
    cr_expect_eq(recorder_count(&seen), 11);
    cr_expect_geq(seen.flushed, 1);
    cr_expect_eq(tn_notifier_loop(notifier, make_one_and_stop, &rounds), 0, "it is stopped");
    cr_expect_eq(tn_notifier_join(notifier), 0);
}

Test(loop, ends_with_its_callback_and_begins_again)
{
    struct rounds rounds = {.result = 42};

    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_file("a");
    cr_expect_eq(tn_notifier_loop(notifier, make_one_and_stop, &rounds), 42);
    rounds.result = -7;
    make_file("b");
    cr_expect_eq(tn_notifier_loop(notifier, make_one_and_stop, &rounds), -7);
    EXPECT(&seen, "CREATE .:a", "CREATE .:b");
    cr_expect_eq(seen.flushed, 0);
}

static int stop_discarding(struct tn_notifier *which, void *unused)
{
    (void)unused;
    make_files("g", 100);
    return tn_notifier_stop(which, TN_FINISH_DISCARD);
}

Test(loop, after_a_discard_processes_nothing_more)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_file("f");
    cr_expect_eq(tn_notifier_loop(notifier, stop_discarding, NULL), 0);
    EXPECT(&seen, "CREATE .:f");
    cr_expect_eq(seen.flushed, 0, "nothing is delivered after a discard");
}

static int stop_in_processor(const struct tn_event *event, void *unused)
{
    (void)event;
    (void)unused;
    return tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

Test(loop, ends_with_a_stop_in_a_processor)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    stage_new(NULL);
    ops.process_create = stop_in_processor;
    struct tn_processor *processor = processor_of(&ops, NULL);
    add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    make_file("f");
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), 0);
}

static void *open_later(void *gate)
{
    while (tn_notifier_check_events(notifier, 0) != -ESHUTDOWN)
        sched_yield();
    gate_open(gate);
    return NULL;
}

static int stop_draining(struct tn_notifier *which, void *unused)
{
    (void)unused;
    make_files("g", 100);
    return tn_notifier_stop(which, TN_FINISH_DRAIN);
}

/* What happened before the stop is processed when the loop returns, whoever processes. */
Test(loop, drains_an_executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *chain, *members[2];
    struct gate gate;
    pthread_t thread;

    gate_init(&gate);
    cr_assert_eq(tn_executor_new_pool(NULL, &options.executor), 0);
    stage_new(&options);
    tn_executor_unref(options.executor);
    ops.process_create = gate_pass_event;
    members[0] = processor_of(&ops, &gate);
    members[1] = seen.processor;
    cr_assert_eq(tn_processor_new_chain(members, 2, &chain), 0);
    tn_processor_unref(members[0]);
    add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = chain));
    tn_processor_unref(chain);
    make_file("f");
    pthread_create(&thread, NULL, open_later, &gate);
    cr_expect_eq(tn_notifier_loop(notifier, stop_draining, NULL), 0);
    cr_expect_eq(recorder_count(&seen), 101);
    pthread_join(thread, NULL);
    notifier = tn_notifier_free(notifier);
}

static int start_it(struct tn_notifier *which, void *unused)
{
    (void)unused;
    return tn_notifier_start(which);
}

Test(loop, ends_when_threads_take_over)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_file("f");
    cr_expect_eq(tn_notifier_loop(notifier, start_it, NULL), -EBUSY);
    make_file("g");
    settle(notifier);
    EXPECT(&seen, "CREATE .:f", "CREATE .:g");
}

/* What was read, and no more fits. */
static void fill_queue(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    int read;

    options.queue_bytes = 1;
    stage_new(&options);
    add(".", IN_CREATE, 0);
    make_files("a-file-with-quite-a-long-name-", 5000);
    while ((read = tn_notifier_read_events(notifier)) > 0)
        ;
    cr_assert_eq(read, -ENOBUFS);
}

static int stop_after_all(struct tn_notifier *which, void *unused)
{
    (void)unused;
    return recorder_count(&seen) < 5000 ? 0 : tn_notifier_stop(which, TN_FINISH_DRAIN);
}

Test(loop, begins_with_a_full_queue)
{
    fill_queue();
    cr_expect_eq(tn_notifier_loop(notifier, stop_after_all, NULL), 0);
    cr_expect_eq(recorder_count(&seen), 5000);
}

Test(loop, a_join_drains_a_full_queue)
{
    fill_queue();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_count(&seen), 5000);
}

/* Signals */

static atomic_uint signals;

static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&signals, 1);
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

static void count_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&signals, 1);
}

static void handle(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

struct interrupter {
    pthread_t target;
    atomic_bool over;
};

/* The signal may come before the call that it is to interrupt: it comes again. */
static void *interrupt(void *userdata)
{
    struct interrupter *self = userdata;

    while (!atomic_load(&self->over)) {
        pthread_kill(self->target, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static pthread_t start_interrupting(struct interrupter *self)
{
    pthread_t thread;

    self->target = pthread_self();
    atomic_init(&self->over, false);
    cr_assert_eq(pthread_create(&thread, NULL, interrupt, self), 0);
    return thread;
}

static void end_interrupting(struct interrupter *self, pthread_t thread)
{
    atomic_store(&self->over, true);
    pthread_join(thread, NULL);
}

Test(loop, a_signal_interrupts_check_events)
{
    struct interrupter self;

    stage_new(NULL);
    handle(count_signal);
    pthread_t thread = start_interrupting(&self);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), -EINTR);
    end_interrupting(&self, thread);
}

Test(loop, a_stop_in_a_signal_handler_ends_check_events)
{
    struct interrupter self;

    stage_new(NULL);
    handle(on_signal);
    pthread_t thread = start_interrupting(&self);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), -ESHUTDOWN);
    end_interrupting(&self, thread);
}

/* Nothing is interrupted when the signal comes first; the loop ends all the same. */
Test(loop, a_stop_in_a_signal_handler_ends_the_loop)
{
    struct interrupter self;

    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_files("f", 100);
    handle(on_signal);
    pthread_t thread = start_interrupting(&self);
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), 0);
    end_interrupting(&self, thread);
    cr_expect_eq(recorder_count(&seen), 100);
}

static void *stop_it(void *unused)
{
    (void)unused;
    tn_notifier_stop(notifier, TN_FINISH_DISCARD);
    return NULL;
}

Test(loop, a_stop_by_another_thread_ends_check_events)
{
    pthread_t thread;

    stage_new(NULL);
    pthread_create(&thread, NULL, stop_it, NULL);
    while (tn_notifier_check_events(notifier, -1) != -ESHUTDOWN)
        ;
    pthread_join(thread, NULL);
    cr_expect_eq(tn_notifier_check_events(notifier, 0), -ESHUTDOWN);
}
