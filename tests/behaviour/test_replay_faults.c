/* Markers that are lost, and sources that go wrong. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "replay_stage.h"

/* A replay behind a source that can lose markers and spoil the ends of reads. */
struct odd_source {
    struct tn__source source;
    _Atomic bool lose_markers; /* they are not queued, and an overflow is in their place */
    uint64_t lost_key;
    size_t tail;           /* bytes of garbage behind each read */
    size_t most;           /* bytes of a read; 0: no bound */
    atomic_int reads_left; /* that give something; negative: no bound */
    atomic_uint refusals;  /* reads that gave nothing for that */
    atomic_uint marks;
};

static struct odd_source odd;
static struct gate source_ended; /* passed when that is logged */

static int odd_fd(struct tn__source *unused)
{
    (void)unused;
    return source->ops->fd(source);
}

static ssize_t odd_read(struct tn__source *unused, void *buffer, size_t size)
{
    (void)unused;
    if (odd.most && size > odd.most)
        size = odd.most;
    if (atomic_load(&odd.reads_left) == 0) {
        atomic_fetch_add(&odd.refusals, 1);
        return -EAGAIN;
    }
    ssize_t got = source->ops->read(source, buffer, size - odd.tail);
    if (got <= 0)
        return got;
    if (atomic_load(&odd.reads_left) > 0)
        atomic_fetch_sub(&odd.reads_left, 1);
    memset((char *)buffer + got, 0x7f, odd.tail);
    return got + (ssize_t)odd.tail;
}

static int odd_watch(struct tn__source *unused, int fd, const char *path, uint32_t mask,
                     uint64_t *ret_key)
{
    (void)unused;
    return source->ops->watch(source, fd, path, mask, ret_key);
}

static int odd_unwatch(struct tn__source *unused, uint64_t key)
{
    (void)unused;
    return source->ops->unwatch(source, key);
}

static int odd_mark(struct tn__source *unused, uint64_t *ret_key)
{
    int result = 0;

    (void)unused;
    if (!odd.lose_markers) {
        result = source->ops->mark(source, ret_key);
    } else {
        *ret_key = odd.lost_key++;
        result = tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    }
    atomic_fetch_add(&odd.marks, 1);
    return result;
}

static void odd_close(struct tn__source *unused)
{
    (void)unused;
    source->ops->close(source);
}

static const struct tn__source_ops odd_ops = {.fd = odd_fd,
                                              .read = odd_read,
                                              .watch = odd_watch,
                                              .unwatch = odd_unwatch,
                                              .mark = odd_mark,
                                              .close = odd_close};

static void note_end(int level, const char *message, void *unused)
{
    (void)unused;
    if (level == TN_LOG_ERROR && strstr(message, "ended"))
        gate_pass(&source_ended);
}

/* A notifier in the caller's thread on the odd source. */
static void open_odd(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    open_stage();
    odd = (struct odd_source){.source = {&odd_ops}, .lost_key = 1000000, .reads_left = -1};
    options.threads = 2;
    options.log = note_end;
    gate_init(&source_ended);
    gate_open(&source_ended);
    new_with_options(options, &odd.source, NULL);
}

TestSuite(replay_faults, .init = open_odd, .fini = close_stage, .timeout = 60);

/* Markers and overflows */

Test(replay_faults, a_settle_whose_marker_was_lost)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    odd.lose_markers = true;
    /* The overflow is read, and the marker put again: then there is room. */
    cr_expect_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT);
    odd.lose_markers = false;
    settle(notifier);
    cr_expect_geq(recorder_count_of(&seen, IN_Q_OVERFLOW), 1);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 1);
    cr_expect_geq(stats().overflows, 1);
}

static void *settle_it(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

static _Atomic pid_t later_id;
static atomic_bool later_over;

static void *settle_later(void *unused)
{
    atomic_store(&later_id, gettid());
    void *result = settle_it(unused);
    atomic_store(&later_over, true);
    return result;
}

/* A settle waits for its own marker, not for that of one that came before it. */
Test(replay_faults, a_settle_of_what_came_later)
{
    pthread_t early, late;
    void *result;

    odd.most = 47; /* a marker without what follows it */
    atomic_store(&odd.reads_left, 0);
    add(".", CHANGES, 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    pthread_create(&early, NULL, settle_it, NULL);
    while (atomic_load(&odd.marks) < 1)
        sched_yield();
    push(".", IN_CREATE, "f");
    pthread_create(&late, NULL, settle_later, NULL);
    while (atomic_load(&odd.marks) < 2)
        sched_yield();
    atomic_store(&odd.reads_left, 1);
    pthread_join(early, &result);
    cr_expect_null(result);
    cr_expect_eq(recorder_count(&seen), 0);
    /* The reader is done with the first marker, and whom it woke has run or sleeps again. */
    unsigned refusals = atomic_load(&odd.refusals);
    while (atomic_load(&odd.refusals) == refusals)
        sched_yield();
    while (!atomic_load(&later_over) && !is_asleep(atomic_load(&later_id)))
        sched_yield();
    cr_expect_not(atomic_load(&later_over));
    atomic_store(&odd.reads_left, -1);
    pthread_join(late, &result);
    cr_expect_null(result);
    cr_expect_eq(recorder_count(&seen), 1);
}

Test(replay_faults, a_settle_waits_on_when_its_marker_was_lost)
{
    pthread_t thread;
    void *result;

    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    odd.lose_markers = true;
    pthread_create(&thread, NULL, settle_it, NULL);
    while (stats().overflows < 3)
        sched_yield();
    odd.lose_markers = false;
    pthread_join(thread, &result);
    cr_expect_null(result);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 1);
}

Test(replay_faults, a_drain_whose_marker_was_lost)
{
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    odd.lose_markers = true;
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    while (stats().overflows < 3)
        sched_yield();
    odd.lose_markers = false;
    cr_expect_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), 1);
}

Test(replay_faults, an_overflow_is_told_once)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_expect_eq(event->mask, IN_Q_OVERFLOW);
    cr_expect_eq(event->wd, -1);
    cr_expect_null(event->path);
    cr_expect_null(event->name);
    cr_expect_null(event->pathname);
    cr_expect_null(event->data);
    cr_expect_eq(stats().overflows, 1);
}

Test(replay_faults, no_marker_can_be_put)
{
    add(".", CHANGES, 0);
    tn__replay_fail(source, TN__REPLAY_MARK, ENOMEM, 1);
    cr_expect_eq(tn_notifier_settle(notifier, -1), -ENOMEM);
    tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 1);
    cr_expect_eq(tn_notifier_set_ignore(notifier, true), -ENOSPC);
    push(".", IN_CREATE, "f");
    tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    EXPECT(&seen, "CREATE .:f");
}

/* Sources that go wrong */

Test(replay_faults, a_malformed_tail)
{
    add(".", CHANGES, TN_WATCH_TREE);
    for (size_t tail = 1; tail <= 40; tail++) {
        odd.tail = tail;
        recorder_clear(&seen);
        push(".", IN_CREATE, "f");
        push(".", IN_CREATE, "g");
        play();
        EXPECT(&seen, "CREATE .:f", "CREATE .:g");
    }
    odd.tail = 0;
    settle(notifier);
}

Test(replay_faults, the_source_ends)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_end(source);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    recorder_wait(&seen, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    EXPECT(&seen, "CREATE .:f");
}

Test(replay_faults, the_source_ends_in_the_caller_s_thread)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_end(source);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        tn_notifier_process_events(notifier);
    }
    EXPECT(&seen, "CREATE .:f");
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
}

/* Nothing will come any more, so a wait must not last for ever. */
Test(replay_faults, settle_after_the_source_s_end)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_end(source);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    gate_wait_for(&source_ended, 1);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
}

Test(replay_faults, settle_in_the_caller_s_thread_after_the_source_s_end)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_end(source);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    EXPECT(&seen, "CREATE .:f");
}

Test(replay_faults, a_read_fails_for_a_while)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_fail(source, TN__REPLAY_READ, ENOMEM, 1);
    cr_expect_eq(tn_notifier_read_events(notifier), -ENOMEM);
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    tn__replay_fail(source, TN__REPLAY_READ, ENOMEM, 3);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    EXPECT(&seen, "CREATE .:f");
}

Test(replay_faults, a_failed_read_ends_the_loop)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_fail(source, TN__REPLAY_READ, EIO, 1);
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), -EIO);
    cr_expect_eq(recorder_count(&seen), 0);
    settle(notifier);
    EXPECT(&seen, "CREATE .:f");
}

/* Ready, yet nothing comes: a settle in the caller's thread looks again. */
Test(replay_faults, reads_that_give_nothing)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push(".", IN_CREATE, "f");
    tn__replay_fail(source, TN__REPLAY_READ, EAGAIN, 3);
    cr_expect_eq(tn_notifier_settle(notifier, 60000), 0);
    EXPECT(&seen, "CREATE .:f");
    push(".", IN_CREATE, "g");
    tn__replay_fail(source, TN__REPLAY_READ, EAGAIN, 3);
    cr_expect_eq(tn_notifier_settle(notifier, -1), 0);
    EXPECT(&seen, "CREATE .:g");
}
