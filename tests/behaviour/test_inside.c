/* Calls inside a callback: what would wait for it is refused, all else is allowed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "seen.h"

TestSuite(inside, .init = enter_directory, .fini = leave_directory, .timeout = 60);

static struct tn_notifier *make(void)
{
    struct tn_notifier *notifier;

    cr_assert_eq(tn_notifier_new(NULL, &notifier), 0);
    return notifier;
}

struct inside {
    struct tn_notifier *notifier;
    int settle, join, start, stop, fd, read, process, loop;
    struct gate done;
};

static int call_all(const struct tn_event *event, void *userdata)
{
    struct inside *inside = userdata;

    if (event->mask & IN_IGNORED)
        return 0;
    inside->settle = tn_notifier_settle(inside->notifier, -1);
    inside->join = tn_notifier_join(inside->notifier);
    inside->start = tn_notifier_start(inside->notifier);
    inside->fd = tn_notifier_fd(inside->notifier);
    inside->read = tn_notifier_read_events(inside->notifier);
    inside->process = tn_notifier_process_events(inside->notifier);
    inside->loop = tn_notifier_loop(inside->notifier, NULL, NULL);
    inside->stop = tn_notifier_stop(inside->notifier, TN_FINISH_DRAIN);
    return 0;
}

static struct tn_notifier *calling_all(struct inside *inside, struct tn_executor *executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    memset(inside, 0x55, sizeof(*inside));
    ops.process_default = call_all;
    options.executor = executor;
    cr_assert_eq(tn_processor_new(&ops, inside, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &inside->notifier), 0);
    tn_processor_unref(options.processor);
    watch(inside->notifier, ".", IN_CREATE, 0);
    return inside->notifier;
}

static void check_inside(const struct inside *inside, int busy)
{
    cr_expect_eq(inside->settle, -EDEADLK);
    cr_expect_eq(inside->join, -EDEADLK);
    cr_expect_eq(inside->stop, 0);
    cr_expect_eq(inside->read, busy);
    cr_expect_eq(inside->process, busy);
    cr_expect_eq(inside->loop, busy);
}

Test(inside, a_callback_of_its_threads)
{
    struct inside inside;
    struct tn_notifier *notifier = calling_all(&inside, NULL);

    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("f");
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_inside(&inside, -EBUSY);
    cr_expect_eq(inside.start, -EALREADY);
    cr_expect_eq(inside.fd, -EBUSY);
    tn_notifier_free(notifier);
}

Test(inside, a_callback_of_the_inline_executor)
{
    struct inside inside;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    struct tn_notifier *notifier = calling_all(&inside, executor);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("f");
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_inside(&inside, -EBUSY);
    cr_expect_eq(inside.start, -EALREADY);
    tn_notifier_free(notifier);
    tn_executor_unref(executor);
}

/* A start begins threads while this one is in a callback. */
Test(inside, start_in_a_callback_of_the_caller)
{
    struct inside inside;
    struct tn_notifier *notifier = calling_all(&inside, NULL);

    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_expect_eq(tn_notifier_process_events(notifier), 1);
    cr_expect_eq(inside.start, 0);
    check_inside(&inside, -EBUSY);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    tn_notifier_free(notifier);
}

Test(inside, start_in_a_callback_of_the_inline_executor_of_the_caller)
{
    struct inside inside;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    struct tn_notifier *notifier = calling_all(&inside, executor);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_expect_eq(inside.start, 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    tn_notifier_free(notifier);
    tn_executor_unref(executor);
}

Test(inside, start_in_a_callback_of_start)
{
    struct inside inside;
    struct tn_notifier *notifier = calling_all(&inside, NULL);

    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(inside.start, -EALREADY);
    tn_notifier_free(notifier);
}

Test(inside, start_in_a_callback_of_join)
{
    struct inside inside;
    struct tn_notifier *notifier = calling_all(&inside, NULL);

    make_file("f");
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(inside.start, -ESHUTDOWN);
    cr_expect_eq(inside.settle, -EDEADLK);
    cr_expect_eq(inside.join, -EDEADLK);
    tn_notifier_free(notifier);
}

static void start_in_flush(void *userdata)
{
    struct inside *inside = userdata;

    inside->start = tn_notifier_start(inside->notifier);
    inside->settle = tn_notifier_settle(inside->notifier, -1);
}

Test(inside, start_in_a_flush)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct inside inside = {0};

    ops.flush = start_in_flush;
    cr_assert_eq(tn_processor_new(&ops, &inside, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &inside.notifier), 0);
    cr_assert_eq(tn_notifier_start(inside.notifier), 0);
    settle(inside.notifier);
    cr_expect_eq(inside.start, -EALREADY);
    cr_expect_eq(inside.settle, -EDEADLK);
    inside.start = 0;
    tn_notifier_stop(inside.notifier, TN_FINISH_DRAIN);
    cr_assert_eq(tn_notifier_join(inside.notifier), 0);
    cr_expect(inside.start == -EALREADY || inside.start == -ESHUTDOWN);
    tn_notifier_free(inside.notifier);
    tn_processor_unref(options.processor);
}

static int settle_other(const struct tn_event *event, void *userdata)
{
    struct inside *inside = userdata;

    (void)event;
    inside->settle = tn_notifier_settle(inside->notifier, -1);
    tn_notifier_stop(inside->notifier, TN_FINISH_DRAIN);
    inside->join = tn_notifier_join(inside->notifier);
    tn_notifier_free(inside->notifier);
    return 0;
}

/* "Inside a callback" is meant of the notifier that made the call. */
Test(inside, another_one_may_be_waited_for_inside_a_callback)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct inside inside = {.notifier = make(), .settle = 1, .join = 1};
    struct tn_notifier *notifier;

    ops.process_create = settle_other;
    cr_assert_eq(tn_processor_new(&ops, &inside, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    cr_assert_eq(tn_notifier_start(inside.notifier), 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    watch(notifier, ".", IN_CREATE, 0);
    make_file("f");
    settle(notifier);
    cr_expect_eq(inside.settle, 0);
    cr_expect_eq(inside.join, 0);
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
}

/* Free inside a callback */

struct last {
    struct tn_notifier *notifier;
    struct gate released;
    atomic_uint calls, calls_after;
    atomic_bool freed;
};

static int free_inside(const struct tn_event *event, void *userdata)
{
    struct last *last = userdata;

    (void)event;
    if (atomic_load(&last->freed))
        atomic_fetch_add(&last->calls_after, 1);
    if (atomic_fetch_add(&last->calls, 1) == 0) {
        cr_expect_null(tn_notifier_free(last->notifier));
        atomic_store(&last->freed, true);
    }
    return 0;
}

static void tell_release(void *userdata)
{
    gate_pass(&((struct last *)userdata)->released);
}

static void free_inside_with(struct tn_executor *executor, bool start)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct last last = {0};

    gate_init(&last.released);
    gate_open(&last.released);
    ops.process_create = free_inside;
    ops.release = tell_release;
    options.executor = executor;
    cr_assert_eq(tn_processor_new(&ops, &last, &options.processor), 0);
    cr_assert_eq(tn_notifier_new(&options, &last.notifier), 0);
    tn_processor_unref(options.processor);
    tn_executor_unref(executor);
    watch(last.notifier, ".", IN_CREATE, 0);
    if (start)
        cr_assert_eq(tn_notifier_start(last.notifier), 0);
    make_file("f");
    if (!start) {
        tn_notifier_read_events(last.notifier);
        if (!executor)
            tn_notifier_process_events(last.notifier);
    }
    gate_wait_for(&last.released, 1);
    cr_expect_eq(atomic_load(&last.calls), 1);
}

Test(inside, free_inside_a_callback_of_its_pool)
{
    free_inside_with(NULL, true);
}

Test(inside, free_inside_a_callback_of_a_pool)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_pool(NULL, &executor), 0);
    free_inside_with(executor, true);
}

Test(inside, free_inside_a_callback_of_the_inline_executor)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    free_inside_with(executor, true);
}

Test(inside, free_inside_a_callback_of_the_caller)
{
    free_inside_with(NULL, false);
}

Test(inside, free_inside_a_callback_of_the_inline_executor_of_the_caller)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    free_inside_with(executor, false);
}
