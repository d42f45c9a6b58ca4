/* The quiet end of a watch (P6): tn_watch_remove() while calls run, and inside them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "gate.h"
#include "support.h"

TestSuite(watch_quiet, .init = stage_open, .fini = stage_close, .timeout = 60);

/*
 * A processor that stands at a door, and counts what it is called for. `wait`
 * makes each call wait until the door is opened.
 */
struct door {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tn_processor *processor;
    bool shut;
    int inside, calls, ignored;
    int released, calls_after; /* of the watch that has the door as its data */
};

static int pass(const struct tn_event *event, void *userdata)
{
    struct door *door = userdata;

    pthread_mutex_lock(&door->lock);
    door->inside++;
    door->calls++;
    door->ignored += event->mask == IN_IGNORED;
    door->calls_after += door->released > 0;
    pthread_cond_broadcast(&door->changed);
    while (door->shut)
        pthread_cond_wait(&door->changed, &door->lock);
    door->inside--;
    door->calls_after += door->released > 0;
    pthread_mutex_unlock(&door->lock);
    return 0;
}

static void door_released(void *data)
{
    struct door *door = data;

    pthread_mutex_lock(&door->lock);
    door->released++;
    door->calls_after += door->inside > 0;
    pthread_mutex_unlock(&door->lock);
}

static void door_init(struct door *door, bool shut)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    *door = (struct door){.lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .shut = shut};
    ops.process_default = pass;
    cr_assert_eq(tn_processor_new(&ops, door, &door->processor), 0);
}

static void door_wait_inside(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    while (!door->inside)
        pthread_cond_wait(&door->changed, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static void door_wait_called(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    while (!door->calls)
        pthread_cond_wait(&door->changed, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static void door_open(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    door->shut = false;
    pthread_cond_broadcast(&door->changed);
    pthread_mutex_unlock(&door->lock);
}

/* Its watch has ended, once and quietly. */
static void door_done(struct door *door)
{
    cr_assert_eq(door->released, 1);
    cr_assert_eq(door->calls_after, 0);
    notifier = tn_notifier_free(notifier);
    tn_processor_unref(door->processor);
}

static void *open_later(void *arg)
{
    door_open(arg);
    return NULL;
}

static tn_wd add_door(const char *path, struct door *door, uint32_t flags)
{
    return add_options(path, TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = flags,
                                              .processor = door->processor, .data = door,
                                              .release = door_released));
}

static void remove_watch(tn_wd wd, uint32_t flags)
{
    int result = tn_watch_remove(notifier, wd, flags);

    cr_assert_eq(result, 0, "tn_watch_remove: %s", tn_strerror(result));
}

Test(watch_quiet, sync_waits_for_the_call_that_runs)
{
    struct door door;
    pthread_t opener;

    stage_start();
    door_init(&door, true);
    make_dir("d");
    tn_wd wd = add_door(scratch("d"), &door, 0);
    make_file("d/f");
    make_file("d/g");
    door_wait_inside(&door);
    /* The call ends only when the door is opened, by a thread that starts now. */
    cr_assert_eq(pthread_create(&opener, NULL, open_later, &door), 0);
    remove_watch(wd, TN_REMOVE_SYNC);
    pthread_mutex_lock(&door.lock);
    int inside = door.inside, calls = door.calls;
    pthread_mutex_unlock(&door.lock);
    cr_assert_eq(inside, 0);
    pthread_join(opener, NULL);
    settle(notifier);
    cr_assert_eq(door.calls, calls);
    door_done(&door);
}

Test(watch_quiet, without_sync_does_not_wait)
{
    struct door door;

    stage_start();
    door_init(&door, true);
    make_dir("d");
    tn_wd wd = add_door(scratch("d"), &door, 0);
    make_file("d/f");
    door_wait_inside(&door);
    remove_watch(wd, 0);
    cr_assert_eq(door.released, 0);
    door_open(&door);
    settle(notifier);
    cr_assert_eq(door.calls, 2);
    cr_assert_eq(door.ignored, 1);
    door_done(&door);
}

Test(watch_quiet, release_comes_after_the_last_call_of_the_last_watch)
{
    struct door door;

    stage_start();
    door_init(&door, true);
    make_dirs("d/a/b");
    tn_wd wd = add_door(scratch("d"), &door, TN_WATCH_TREE);
    make_file("d/a/f");
    door_wait_inside(&door);
    remove_watch(wd, TN_REMOVE_RECURSIVE);
    cr_assert_eq(door.released, 0);
    door_open(&door);
    settle(notifier);
    cr_assert_eq(door.ignored, 3);
    cr_assert_eq(door.calls, 4);
    door_done(&door);
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

static void *go_on_making(void *arg)
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
    cr_assert_eq(pthread_create(&writer, NULL, go_on_making, &done), 0);
    for (int i = 0; i < 200; i++) {
        struct door door;
        door_init(&door, false);
        tn_wd wd = add_door(scratch("d"), &door, TN_WATCH_TREE);
        if (i % 2)
            door_wait_called(&door);
        remove_watch(wd, TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE);
        int calls = door.calls;
        cr_assert_eq(door.inside, 0);
        settle(notifier);
        cr_assert_eq(door.calls, calls);
        cr_assert_eq(door.released, 1);
        cr_assert_eq(door.ignored, 0);
        cr_assert_eq(door.calls_after, 0);
        tn_processor_unref(door.processor);
    }
    done = true;
    pthread_join(writer, NULL);
    cr_assert_eq(stats().watches, 0);
}

/* A remover of the whole tree, while a call below runs whose watch was removed before. */
struct removal {
    struct door *door;
    tn_wd wd;
    uint32_t flags;
    _Atomic pid_t thread;
    atomic_bool over;
    int result, inside; /* calls that ran when it returned */
};

static void *remove_all(void *arg)
{
    struct removal *removal = arg;

    atomic_store(&removal->thread, gettid());
    removal->result = tn_watch_remove(notifier, removal->wd, removal->flags);
    pthread_mutex_lock(&removal->door->lock);
    removal->inside = removal->door->inside;
    pthread_mutex_unlock(&removal->door->lock);
    atomic_store(&removal->over, true);
    return NULL;
}

static pthread_t start_removal(struct removal *removal)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, remove_all, removal), 0);
    while (!atomic_load(&removal->over) &&
           (!atomic_load(&removal->thread) || !is_asleep(atomic_load(&removal->thread))))
        sched_yield();
    return thread;
}

static int remove_own_then_pass(const struct tn_event *event, void *userdata)
{
    if (event->mask & IN_CREATE)
        cr_expect_eq(tn_watch_remove(notifier, event->wd, TN_REMOVE_SYNC), -EDEADLK);
    return pass(event, userdata);
}

Test(watch_quiet, a_tree_waits_for_a_call_that_removed_its_own_watch)
{
    struct door door;

    stage_start();
    door_init(&door, true);
    tn_processor_unref(door.processor);
    door.processor = processing(remove_own_then_pass, &door);
    make_dirs("d/s");
    tn_wd root = add_door(scratch("d"), &door, TN_WATCH_TREE);
    make_file("d/s/f");
    door_wait_inside(&door);
    struct removal all = {.door = &door, .wd = root, .flags = TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE};
    pthread_t remover = start_removal(&all);
    door_open(&door);
    pthread_join(remover, NULL);
    cr_assert_eq(all.result, 0);
    cr_assert_eq(all.inside, 0);
    settle(notifier);
    door_done(&door);
}

Test(watch_quiet, a_tree_waits_for_a_call_that_another_remover_waits_for)
{
    struct door door;

    stage_start();
    door_init(&door, true);
    make_dirs("d/s");
    tn_wd root = add_door(scratch("d"), &door, TN_WATCH_TREE);
    tn_wd sub = found(scratch("d/s"));
    make_file("d/s/f");
    door_wait_inside(&door);
    struct removal one = {.door = &door, .wd = sub, .flags = TN_REMOVE_SYNC};
    struct removal all = {.door = &door, .wd = root, .flags = TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE};
    pthread_t first = start_removal(&one), second = start_removal(&all);
    door_open(&door);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    cr_assert_eq(one.inside, 0);
    cr_assert_eq(all.inside, 0);
    settle(notifier);
    door_done(&door);
}
