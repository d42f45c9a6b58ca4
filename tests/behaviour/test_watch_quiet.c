/* The quiet end of a watch (P6): tn_watch_remove() while calls run, and inside them. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>

TestSuite(watch_quiet, .init = stage_open, .fini = stage_close, .timeout = 60);

/*
 * A processor that stands at a gate, and counts what it is called for. `wait`
 * makes each call wait until the gate is opened.
 */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tn_processor *processor;
    bool shut;
    int inside, calls, ignored;
    int released, calls_after; /* of the watch that has the gate as its data */
};

static int pass(const struct tn_event *event, void *userdata)
{
    struct gate *gate = userdata;

    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    gate->calls++;
    gate->ignored += event->mask == IN_IGNORED;
    gate->calls_after += gate->released > 0;
    pthread_cond_broadcast(&gate->changed);
    while (gate->shut)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->inside--;
    gate->calls_after += gate->released > 0;
    pthread_mutex_unlock(&gate->lock);
    return 0;
}

static void gate_released(void *data)
{
    struct gate *gate = data;

    pthread_mutex_lock(&gate->lock);
    gate->released++;
    gate->calls_after += gate->inside > 0;
    pthread_mutex_unlock(&gate->lock);
}

static void gate_init(struct gate *gate, bool shut)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    *gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .shut = shut};
    ops.process_default = pass;
    cr_assert_eq(tn_processor_new(&ops, gate, &gate->processor), 0);
}

static void gate_wait_inside(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (!gate->inside)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_wait_called(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (!gate->calls)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->shut = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void *open_later(void *arg)
{
    gate_open(arg);
    return NULL;
}

static tn_wd add_gate(const char *path, struct gate *gate, uint32_t flags)
{
    return add_options(path, TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = flags,
                                              .processor = gate->processor, .data = gate,
                                              .release = gate_released));
}

static void remove_watch(tn_wd wd, uint32_t flags)
{
    int result = tn_watch_remove(notifier, wd, flags);

    cr_assert_eq(result, 0, "tn_watch_remove: %s", tn_strerror(result));
}

Test(watch_quiet, sync_waits_for_the_call_that_runs)
{
    struct gate gate;
    pthread_t opener;

    stage_start();
    gate_init(&gate, true);
    make_dir("d");
    tn_wd wd = add_gate(scratch("d"), &gate, 0);
    make_file("d/f");
    make_file("d/g");
    gate_wait_inside(&gate);
    /* The call ends only when the gate is opened, by a thread that starts now. */
    cr_assert_eq(pthread_create(&opener, NULL, open_later, &gate), 0);
    remove_watch(wd, TN_REMOVE_SYNC);
    pthread_mutex_lock(&gate.lock);
    int inside = gate.inside, calls = gate.calls;
    pthread_mutex_unlock(&gate.lock);
    cr_assert_eq(inside, 0);
    pthread_join(opener, NULL);
    settle(notifier);
    cr_assert_eq(gate.calls, calls);
    cr_assert_eq(gate.released, 1);
    cr_assert_eq(gate.calls_after, 0);
    notifier = tn_notifier_free(notifier);
    tn_processor_unref(gate.processor);
}

Test(watch_quiet, without_sync_does_not_wait)
{
    struct gate gate;

    stage_start();
    gate_init(&gate, true);
    make_dir("d");
    tn_wd wd = add_gate(scratch("d"), &gate, 0);
    make_file("d/f");
    gate_wait_inside(&gate);
    remove_watch(wd, 0);
    cr_assert_eq(gate.released, 0);
    gate_open(&gate);
    settle(notifier);
    cr_assert_eq(gate.calls, 2);
    cr_assert_eq(gate.ignored, 1);
    cr_assert_eq(gate.released, 1);
    cr_assert_eq(gate.calls_after, 0);
    notifier = tn_notifier_free(notifier);
    tn_processor_unref(gate.processor);
}

Test(watch_quiet, release_comes_after_the_last_call_of_the_last_watch)
{
    struct gate gate;

    stage_start();
    gate_init(&gate, true);
    make_dirs("d/a/b");
    tn_wd wd = add_gate(scratch("d"), &gate, TN_WATCH_TREE);
    make_file("d/a/f");
    gate_wait_inside(&gate);
    remove_watch(wd, TN_REMOVE_RECURSIVE);
    cr_assert_eq(gate.released, 0);
    gate_open(&gate);
    settle(notifier);
    cr_assert_eq(gate.ignored, 3);
    cr_assert_eq(gate.calls, 4);
    cr_assert_eq(gate.released, 1);
    cr_assert_eq(gate.calls_after, 0);
    notifier = tn_notifier_free(notifier);
    tn_processor_unref(gate.processor);
}

struct remover {
    uint32_t flags;
    tn_wd wd; /* 0: the event's */
    _Atomic int result, calls;
};

static int remove_in_callback(const struct tn_event *event, void *userdata)
{
    struct remover *remover = userdata;

    remover->calls++;
    if (event->mask != IN_IGNORED)
        remover->result =
            tn_watch_remove(notifier, remover->wd ? remover->wd : event->wd, remover->flags);
    return 0;
}

static void remove_inside(uint32_t flags, int result, int calls)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    struct remover remover = {.flags = flags, .result = 1};
    static struct released released;

    ops.process_default = remove_in_callback;
    stage_start();
    make_dir("d");
    cr_assert_eq(tn_processor_new(&ops, &remover, &processor), 0);
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .processor = processor,
                                               .data = &released, .release = count_release));
    tn_processor_unref(processor);
    make_file("d/f");
    make_file("d/g");
    settle(notifier);
    settle(notifier); /* what the processor did happened after the first began */
    cr_assert_eq(remover.result, result);
    cr_assert_eq(remover.calls, calls);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_quiet, inside_its_own_processor)
{
    remove_inside(0, 0, 2);
}

Test(watch_quiet, sync_inside_a_processor_removes_and_does_not_wait)
{
    remove_inside(TN_REMOVE_SYNC, -EDEADLK, 1);
}

Test(watch_quiet, recursive_sync_inside_a_processor)
{
    remove_inside(TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE, -EDEADLK, 1);
}

Test(watch_quiet, of_another_watch_inside_a_processor)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    struct remover remover = {.flags = TN_REMOVE_SYNC, .result = 1};

    ops.process_default = remove_in_callback;
    stage_start();
    make_dir("d");
    make_dir("other");
    remover.wd = add(scratch("other"), ENTRIES, 0);
    cr_assert_eq(tn_processor_new(&ops, &remover, &processor), 0);
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .processor = processor));
    tn_processor_unref(processor);
    make_file("d/f");
    settle(notifier);
    make_file("other/f");
    settle(notifier);
    cr_assert_eq(remover.result, -EDEADLK);
    EXPECT_NONE(&seen);
    cr_assert_not(is_watched(scratch("other")));
}

static void *make_files(void *arg)
{
    _Atomic bool *done = arg;

    for (unsigned i = 0; !*done; i++) {
        write_file("d/f", "");
        remove_file("d/f");
    }
    return NULL;
}

/* P6 */
Test(watch_quiet, sync_is_quiet_while_events_flow)
{
    _Atomic bool done = false;
    pthread_t writer;

    stage_start();
    make_dirs("d/a");
    cr_assert_eq(pthread_create(&writer, NULL, make_files, &done), 0);
    for (int i = 0; i < 200; i++) {
        struct gate gate;
        gate_init(&gate, false);
        tn_wd wd = add_gate(scratch("d"), &gate, TN_WATCH_TREE);
        if (i % 2)
            gate_wait_called(&gate);
        remove_watch(wd, TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE);
        int calls = gate.calls;
        cr_assert_eq(gate.inside, 0);
        settle(notifier);
        cr_assert_eq(gate.calls, calls);
        cr_assert_eq(gate.released, 1);
        cr_assert_eq(gate.ignored, 0);
        cr_assert_eq(gate.calls_after, 0);
        tn_processor_unref(gate.processor);
    }
    done = true;
    pthread_join(writer, NULL);
    cr_assert_eq(stats().watches, 0);
}
