/* Calls inside a callback: what would wait for it is refused, all else is allowed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "gate.h"
#include "support.h"

TestSuite(inside, .init = stage_open, .fini = stage_close, .timeout = 60);

struct inside {
    int settle, join, start, stop, fd, read, process, loop;
};

static int call_all(const struct tn_event *event, void *userdata)
{
    struct inside *inside = userdata;

    if (event->mask & IN_IGNORED)
        return 0;
    inside->settle = tn_notifier_settle(notifier, -1);
    inside->join = tn_notifier_join(notifier);
    inside->start = tn_notifier_start(notifier);
    inside->fd = tn_notifier_fd(notifier);
    inside->read = tn_notifier_read_events(notifier);
    inside->process = tn_notifier_process_events(notifier);
    inside->loop = tn_notifier_loop(notifier, NULL, NULL);
    inside->stop = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return 0;
}

/* With the only reference to the executor. */
static void stage_calling_all(struct inside *inside, struct tn_executor *executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    memset(inside, 0x55, sizeof(*inside));
    ops.process_default = call_all;
    options.executor = executor;
    stage_new_with(processor_of(&ops, inside), &options);
    tn_executor_unref(executor);
    add(".", IN_CREATE, 0);
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

    stage_calling_all(&inside, NULL);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("f");
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_inside(&inside, -EBUSY);
    cr_expect_eq(inside.start, -EALREADY);
    cr_expect_eq(inside.fd, -EBUSY);
}

Test(inside, a_callback_of_the_inline_executor)
{
    struct inside inside;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    stage_calling_all(&inside, executor);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("f");
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_inside(&inside, -EBUSY);
    cr_expect_eq(inside.start, -EALREADY);
}

/* A start begins threads while this one is in a callback. */
Test(inside, start_in_a_callback_of_the_caller)
{
    struct inside inside;

    stage_calling_all(&inside, NULL);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_expect_eq(tn_notifier_process_events(notifier), 1);
    cr_expect_eq(inside.start, 0);
    check_inside(&inside, -EBUSY);
    cr_assert_eq(tn_notifier_join(notifier), 0);
}

Test(inside, start_in_a_callback_of_the_inline_executor_of_the_caller)
{
    struct inside inside;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    stage_calling_all(&inside, executor);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_expect_eq(inside.start, 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
}

Test(inside, start_in_a_callback_of_start)
{
    struct inside inside;

    stage_calling_all(&inside, NULL);
    make_file("f");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(inside.start, -EALREADY);
}

Test(inside, start_in_a_callback_of_join)
{
    struct inside inside;

    stage_calling_all(&inside, NULL);
    make_file("f");
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(inside.start, -ESHUTDOWN);
    cr_expect_eq(inside.settle, -EDEADLK);
    cr_expect_eq(inside.join, -EDEADLK);
}

static void start_in_flush(void *userdata)
{
    struct inside *inside = userdata;

    inside->start = tn_notifier_start(notifier);
    inside->settle = tn_notifier_settle(notifier, -1);
}

Test(inside, start_in_a_flush)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct inside inside = {0};

    ops.flush = start_in_flush;
    stage_new_with(processor_of(&ops, &inside), NULL);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    cr_expect_eq(inside.start, -EALREADY);
    cr_expect_eq(inside.settle, -EDEADLK);
    inside.start = 0;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect(inside.start == -EALREADY || inside.start == -ESHUTDOWN);
}

struct other {
    struct tn_notifier *notifier;
    int settle, join;
};

static int settle_other(const struct tn_event *event, void *userdata)
{
    struct other *other = userdata;

    (void)event;
    other->settle = tn_notifier_settle(other->notifier, -1);
    tn_notifier_stop(other->notifier, TN_FINISH_DRAIN);
    other->join = tn_notifier_join(other->notifier);
    tn_notifier_free(other->notifier);
    return 0;
}

/* "Inside a callback" is meant of the notifier that made the call. */
Test(inside, another_one_may_be_waited_for_inside_a_callback)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct other other = {.settle = 1, .join = 1};

    ops.process_create = settle_other;
    stage_new_with(processor_of(&ops, &other), NULL);
    cr_assert_eq(tn_notifier_new(NULL, &other.notifier), 0);
    cr_assert_eq(tn_notifier_start(other.notifier), 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", IN_CREATE, 0);
    make_file("f");
    settle(notifier);
    cr_expect_eq(other.settle, 0);
    cr_expect_eq(other.join, 0);
    notifier = tn_notifier_free(notifier);
}

/* Free inside a callback */

struct last {
    struct gate released;
    atomic_uint calls;
};

static int free_inside(const struct tn_event *event, void *userdata)
{
    struct last *last = userdata;

    (void)event;
    if (atomic_fetch_add(&last->calls, 1) == 0)
        cr_expect_null(tn_notifier_free(notifier));
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
    stage_new_with(processor_of(&ops, &last), &options);
    tn_executor_unref(executor);
    add(".", IN_CREATE, 0);
    if (start)
        cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("f");
    if (!start) {
        tn_notifier_read_events(notifier);
        if (!executor)
            tn_notifier_process_events(notifier);
    }
    gate_wait_for(&last.released, 1);
    notifier = NULL;
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
