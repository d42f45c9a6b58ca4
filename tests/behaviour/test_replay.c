/* Sequences that the kernel gives once in a million, through the whole notifier. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler.h"
#include "notifier.h"
#include "seen.h"
#include "source/replay.h"

/* A replay behind a source that can lose markers and spoil the ends of reads. */
struct odd_source {
    struct tn__source source;
    struct tn__source *replay;
    _Atomic bool lose_markers; /* they are not queued, and an overflow is in their place */
    uint64_t lost_key;
    size_t tail;           /* bytes of garbage behind each read */
    size_t most;           /* bytes of a read; 0: no bound */
    atomic_int reads_left; /* that give something; negative: no bound */
    atomic_uint marks;
};

static struct seen seen;
static struct odd_source odd;
static struct tn_notifier *notifier;
static struct gate source_ended; /* passed when that is logged */

static int odd_fd(struct tn__source *source)
{
    (void)source;
    return odd.replay->ops->fd(odd.replay);
}

static ssize_t odd_read(struct tn__source *source, void *buffer, size_t size)
{
    (void)source;
    if (odd.most && size > odd.most)
        size = odd.most;
    if (atomic_load(&odd.reads_left) == 0)
        return -EAGAIN;
    ssize_t got = odd.replay->ops->read(odd.replay, buffer, size - odd.tail);
    if (got <= 0)
        return got;
    if (atomic_load(&odd.reads_left) > 0)
        atomic_fetch_sub(&odd.reads_left, 1);
    memset((char *)buffer + got, 0x7f, odd.tail);
    return got + (ssize_t)odd.tail;
}

static int odd_watch(struct tn__source *source, int fd, const char *path, uint32_t mask,
                     uint64_t *ret_key)
{
    (void)source;
    return odd.replay->ops->watch(odd.replay, fd, path, mask, ret_key);
}

static int odd_unwatch(struct tn__source *source, uint64_t key)
{
    (void)source;
    return odd.replay->ops->unwatch(odd.replay, key);
}

static int odd_mark(struct tn__source *source, uint64_t *ret_key)
{
    int result = 0;

    (void)source;
    if (!odd.lose_markers) {
        result = odd.replay->ops->mark(odd.replay, ret_key);
    } else {
        *ret_key = odd.lost_key++;
        result = tn__replay_push(odd.replay, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    }
    atomic_fetch_add(&odd.marks, 1);
    return result;
}

static void odd_close(struct tn__source *source)
{
    (void)source;
    odd.replay->ops->close(odd.replay);
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
static void open_stage(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    enter_directory();
    seen_init(&seen);
    odd = (struct odd_source){.source = {&odd_ops}, .lost_key = 1000000, .reads_left = -1};
    cr_assert_eq(tn__source_new_replay(&odd.replay), 0);
    options.processor = seen_processor(&seen);
    options.threads = 2;
    options.log = note_end;
    gate_init(&source_ended);
    gate_open(&source_ended);
    cr_assert_eq(tn__notifier_new_with(&options, &odd.source, &notifier), 0);
    tn_processor_unref(options.processor);
}

static void close_stage(void)
{
    tn_notifier_free(notifier);
    seen_done(&seen);
    leave_directory();
}

TestSuite(replay, .init = open_stage, .fini = close_stage, .timeout = 60);

static void push(uint64_t key, uint32_t mask, uint32_t cookie, const char *name)
{
    cr_assert_eq(tn__replay_push(odd.replay, key, mask, cookie, name), 0);
}

static uint64_t key_of(const char *path)
{
    uint64_t key = tn__replay_key_of(odd.replay, path);

    cr_assert_neq(key, 0, "%s is not watched", path);
    return key;
}

static void read_some(void)
{
    cr_assert_geq(tn_notifier_read_events(notifier), 0);
}

/* Without a marker: what is there is read and processed. */
static void play(void)
{
    while (tn_notifier_read_events(notifier) > 0)
        tn_notifier_process_events(notifier);
    tn_notifier_process_events(notifier);
}

Test(replay, a_plain_stream)
{
    tn_wd wd = watch(notifier, ".", CHANGES, 0);
    uint64_t key = key_of(".");

    push(key, IN_CREATE, 0, "f");
    push(key, IN_MODIFY, 0, "f");
    push(key, IN_OPEN, 0, "f");
    push(key, IN_MOVED_FROM, 7, "f");
    push(key, IN_MOVED_TO, 7, "g");
    push(key, IN_DELETE, 0, "g");
    settle(notifier);
    assert_seen(&seen, "CREATE ./f\nMODIFY ./f\nMOVED_FROM ./f\nMOVED_TO ./g < ./f\n"
                       "DELETE ./g\n");
    for (size_t i = 0; i < seen.count; i++) {
        cr_expect_eq(seen.events[i]->wd, wd);
        cr_expect_eq(seen.events[i]->sequence, i + 1);
        cr_expect_eq(seen.events[i]->cookie, seen.events[i]->mask & IN_MOVE ? 7 : 0);
    }
}

Test(replay, unknown_keys)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    uint64_t key = key_of(".");

    push(key, IN_CREATE, 0, "f");
    push(4711, IN_CREATE, 0, "stale");
    push(4711, IN_CREATE | IN_ISDIR, 0, "stale");
    push(4711, IN_MOVED_FROM | IN_ISDIR, 3, "stale");
    push(4712, IN_MOVED_TO | IN_ISDIR, 3, "stale");
    push(4711, IN_DELETE_SELF, 0, NULL);
    push(4711, IN_IGNORED, 0, NULL);
    push(4711, IN_UNMOUNT, 0, NULL);
    push(key, IN_CREATE, 0, "g");
    settle(notifier);
    assert_seen(&seen, "CREATE ./f\nCREATE ./g\n");
    cr_expect_geq(stats_of(notifier).read, 9);
}

Test(replay, ignored_of_a_watch_that_was_removed)
{
    tn_wd wd = watch(notifier, ".", CHANGES, 0);
    uint64_t key = key_of(".");

    push(key, IN_CREATE, 0, "before");
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    push(key, IN_CREATE, 0, "after");
    push(key, IN_IGNORED, 0, NULL);
    push(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    cr_assert_eq(seen_count(&seen), 1, "one IN_IGNORED, and nothing else");
    cr_expect_eq(seen.events[0]->mask, IN_IGNORED);
    cr_expect_eq(seen.events[0]->wd, wd);
    cr_expect_eq(tn__replay_watches(odd.replay), 0);
    cr_expect_eq(stats_of(notifier).watches, 0);
}

Test(replay, ignored_twice)
{
    watch(notifier, ".", CHANGES, 0);
    uint64_t key = key_of(".");

    push(key, IN_DELETE_SELF, 0, NULL);
    push(key, IN_IGNORED, 0, NULL);
    push(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    assert_seen(&seen, "IGNORED .\n");
}

Test(replay, unmount)
{
    watch(notifier, ".", CHANGES, 0);
    uint64_t key = key_of(".");

    push(key, IN_UNMOUNT, 0, NULL);
    push(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    assert_seen(&seen, "UNMOUNT .\nIGNORED .\n");
}

/* The kernel's wds wrap around: a key means another inode after its IN_IGNORED. */
Test(replay, a_key_is_used_again)
{
    make_directory("a");
    make_directory("b");
    tn_wd a = watch(notifier, "a", CHANGES, 0);
    uint64_t key = key_of("a");
    push(key, IN_CREATE, 0, "f");
    push(key, IN_DELETE_SELF, 0, NULL);
    push(key, IN_IGNORED, 0, NULL);
    tn__replay_next_key(odd.replay, key);
    tn_wd b = watch(notifier, "b", CHANGES, 0);
    cr_assert_eq(key_of("b"), key);
    push(key, IN_CREATE, 0, "g");
    play();
    assert_seen(&seen, "CREATE a/f\nIGNORED a\nCREATE b/g\n");
    cr_expect_eq(seen.events[1]->wd, a);
    cr_expect_eq(seen.events[2]->wd, b);
    cr_expect_neq(a, b, "a tn_wd is not");
    push(key, IN_IGNORED, 0, NULL);
    play();
    cr_expect_eq(seen.count, 4);
    cr_expect_eq(seen.events[3]->wd, b);
    cr_expect_eq(stats_of(notifier).watches, 0);
}

Test(replay, a_key_is_used_again_twice)
{
    tn_wd wds[4];
    uint64_t key = 5;

    for (unsigned i = 0; i < 4; i++) {
        make_directory(at("%u", i));
        tn__replay_next_key(odd.replay, key);
        wds[i] = watch(notifier, at("%u", i), CHANGES, 0);
        cr_assert_eq(key_of(at("%u", i)), key);
        push(key, IN_CREATE, 0, "f");
        push(key, IN_IGNORED, 0, NULL);
    }
    play();
    assert_seen(&seen, "CREATE 0/f\nIGNORED 0\nCREATE 1/f\nIGNORED 1\nCREATE 2/f\nIGNORED 2\n"
                       "CREATE 3/f\nIGNORED 3\n");
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(seen.events[2 * i]->wd, wds[i]);
}

/* Moves */

Test(replay, a_file_s_move_straddles_two_reads)
{
    make_directory("a");
    make_directory("b");
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("a"), IN_MOVED_FROM, 9, "f");
    read_some();
    tn_notifier_process_events(notifier);
    assert_seen(&seen, "MOVED_FROM ./a/f\n");
    push(key_of("b"), IN_CREATE, 0, "other");
    read_some();
    push(key_of("b"), IN_MOVED_TO, 9, "g");
    play();
    assert_seen(&seen, "MOVED_FROM ./a/f\nCREATE ./b/other\nMOVED_TO ./b/g < ./a/f\n");
    cr_expect_eq(seen.events[0]->cookie, 9);
    cr_expect_eq(seen.events[2]->cookie, 9);
}

/* The arrival comes while its departure is committed: before the marker that looks for it. */
static uint64_t arrival_key;

static void arrive(void *unused, enum tn__replay_call call)
{
    (void)unused;
    if (call != TN__REPLAY_MARK || !arrival_key)
        return;
    tn__replay_push(odd.replay, arrival_key, IN_MOVED_TO | IN_ISDIR, 9, "c");
    arrival_key = 0;
}

static void make_move(void)
{
    make_directory("a");
    make_directory("a/d");
    make_directory("b");
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
}

Test(replay, a_directory_s_move_straddles_two_reads)
{
    tn_wd before, after;

    make_move();
    cr_assert_eq(tn_watch_find(notifier, "./a/d", &before), 0);
    uint64_t key = key_of("a/d");
    cr_assert_eq(rename("a/d", "b/c"), 0);
    arrival_key = key_of("b");
    tn__replay_hook(odd.replay, arrive, NULL);
    push(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    play();
    push(key, IN_CREATE, 0, "f");
    play();
    assert_seen(&seen, "MOVED_FROM/ ./a/d\nMOVED_TO/ ./b/c < ./a/d\nCREATE ./b/c/f\n");
    cr_assert_eq(tn_watch_find(notifier, "./b/c", &after), 0);
    cr_expect_eq(before, after);
    cr_expect_eq(stats_of(notifier).moves, 1);
    cr_expect_eq(stats_of(notifier).synthetic, 0);
}

Test(replay, writes_between_the_halves_of_a_move)
{
    make_move();
    uint64_t key = key_of("a/d");
    cr_assert_eq(rename("a/d", "b/c"), 0);
    push(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    push(key, IN_CREATE, 0, "f");
    push(key_of("b"), IN_MOVED_TO | IN_ISDIR, 9, "c");
    push(key, IN_DELETE, 0, "f");
    play();
    assert_seen(&seen, "CREATE ./a/d/f\nMOVED_FROM/ ./a/d\nMOVED_TO/ ./b/c < ./a/d\n"
                       "DELETE ./b/c/f\n");
}

Test(replay, a_departure_without_an_arrival)
{
    make_move();
    uint64_t key = key_of("a/d");
    tn_wd wd;
    cr_assert_eq(tn_watch_find(notifier, "./a/d", &wd), 0);
    make_directory("elsewhere"); /* its record is not in the stream: it is nowhere */
    cr_assert_eq(rename("a/d", "elsewhere/d"), 0);
    push(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    settle(notifier);
    push(key, IN_CREATE, 0, "f");
    settle(notifier);
    cr_assert_eq(seen_count(&seen), 2, "nothing of what left");
    cr_expect_eq(seen.events[0]->mask, IN_MOVED_FROM | IN_ISDIR);
    cr_expect_eq(seen.events[0]->cookie, 0, "there is no other half");
    cr_expect_eq(seen.events[1]->mask, IN_IGNORED);
    cr_expect_eq(seen.events[1]->wd, wd);
    cr_expect(seen.events[1]->flags & TN_EVENT_PATH_UNKNOWN);
    cr_expect_str_eq(seen.events[1]->path, "./a/d");
    cr_expect_eq(tn__replay_key_of(odd.replay, "elsewhere/d"), 0, "it is not watched any more");
    cr_expect_eq(stats_of(notifier).watches, 3);
}

Test(replay, a_file_s_departure_without_an_arrival)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_MOVED_FROM, 9, "f");
    push(key_of("."), IN_CREATE, 0, "g");
    settle(notifier);
    assert_seen(&seen, "MOVED_FROM ./f\nCREATE ./g\n");
}

Test(replay, an_arrival_without_a_departure)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    make_directory("d");
    make_file("d/f");
    push(key_of("."), IN_MOVED_TO | IN_ISDIR, 9, "d");
    push(key_of("."), IN_MOVED_TO, 10, "g");
    settle(notifier);
    assert_seen(&seen, "MOVED_TO/ ./d\n*CREATE ./d/f\n*CLOSE_WRITE ./d/f\nMOVED_TO ./g\n");
    cr_expect_eq(seen.events[0]->cookie, 0);
}

/* Markers and overflows */

Test(replay, a_settle_whose_marker_was_lost)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    odd.lose_markers = true;
    /* The overflow is read, and the marker put again: then there is room. */
    cr_expect_eq(tn_notifier_settle(notifier, 0), -ETIMEDOUT);
    odd.lose_markers = false;
    settle(notifier);
    cr_expect_geq(seen_count_of(&seen, IN_Q_OVERFLOW), 1);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 1);
    cr_expect_geq(stats_of(notifier).overflows, 1);
}

static void *settle_it(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

/* A settle waits for its own marker, not for that of one that came before it. */
Test(replay, a_settle_of_what_came_later)
{
    struct timespec late;
    pthread_t early, later;
    void *result;

    odd.most = 47; /* a marker without what follows it */
    atomic_store(&odd.reads_left, 0);
    watch(notifier, ".", CHANGES, 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    pthread_create(&early, NULL, settle_it, NULL);
    while (atomic_load(&odd.marks) < 1)
        sched_yield();
    push(key_of("."), IN_CREATE, 0, "f");
    pthread_create(&later, NULL, settle_it, NULL);
    while (atomic_load(&odd.marks) < 2)
        sched_yield();
    atomic_store(&odd.reads_left, 1);
    pthread_join(early, &result);
    cr_expect_null(result);
    cr_expect_eq(seen_count(&seen), 0);
    clock_gettime(CLOCK_REALTIME, &late);
    late.tv_sec++;
    cr_assert_eq(pthread_timedjoin_np(later, &result, &late), ETIMEDOUT);
    atomic_store(&odd.reads_left, -1);
    pthread_join(later, &result);
    cr_expect_null(result);
    cr_expect_eq(seen_count(&seen), 1);
}

Test(replay, a_settle_waits_on_when_its_marker_was_lost)
{
    pthread_t thread;
    void *result;

    cr_assert_eq(tn_notifier_start(notifier), 0);
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    odd.lose_markers = true;
    pthread_create(&thread, NULL, settle_it, NULL);
    while (stats_of(notifier).overflows < 3)
        sched_yield();
    odd.lose_markers = false;
    pthread_join(thread, &result);
    cr_expect_null(result);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 1);
}

Test(replay, a_drain_whose_marker_was_lost)
{
    cr_assert_eq(tn_notifier_start(notifier), 0);
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    odd.lose_markers = true;
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    while (stats_of(notifier).overflows < 3)
        sched_yield();
    odd.lose_markers = false;
    cr_expect_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen_count_of(&seen, IN_CREATE), 1);
}

Test(replay, an_overflow_is_told_once)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    settle(notifier);
    const struct tn_event *event = seen.events[0];
    cr_assert_eq(seen_count(&seen), 1);
    cr_expect_eq(event->mask, IN_Q_OVERFLOW);
    cr_expect_eq(event->wd, -1);
    cr_expect_null(event->path);
    cr_expect_null(event->name);
    cr_expect_null(event->pathname);
    cr_expect_null(event->data);
    cr_expect_eq(stats_of(notifier).overflows, 1);
}

Test(replay, no_marker_can_be_put)
{
    watch(notifier, ".", CHANGES, 0);
    tn__replay_fail(odd.replay, TN__REPLAY_MARK, ENOMEM, 1);
    cr_expect_eq(tn_notifier_settle(notifier, -1), -ENOMEM);
    tn__replay_fail(odd.replay, TN__REPLAY_MARK, ENOSPC, 1);
    cr_expect_eq(tn_notifier_set_ignore(notifier, true), -ENOSPC);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_fail(odd.replay, TN__REPLAY_MARK, ENOSPC, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    assert_seen(&seen, "CREATE ./f\n");
}

/* Sources that go wrong */

Test(replay, a_malformed_tail)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    for (size_t tail = 1; tail <= 40; tail++) {
        odd.tail = tail;
        seen_clear(&seen);
        push(key_of("."), IN_CREATE, 0, "f");
        push(key_of("."), IN_CREATE, 0, "g");
        play();
        assert_seen(&seen, "CREATE ./f\nCREATE ./g\n");
    }
    odd.tail = 0;
    settle(notifier);
}

Test(replay, the_source_ends)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_end(odd.replay);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    seen_wait(&seen, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    assert_seen(&seen, "CREATE ./f\n");
}

Test(replay, the_source_ends_in_the_caller_s_thread)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_end(odd.replay);
    for (unsigned i = 0; i < 3; i++) {
        read_some();
        tn_notifier_process_events(notifier);
    }
    assert_seen(&seen, "CREATE ./f\n");
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
}

/* Nothing will come any more, so a wait must not last for ever. */
Test(replay, settle_after_the_source_s_end)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_end(odd.replay);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    gate_wait_for(&source_ended, 1);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
}

Test(replay, settle_in_the_caller_s_thread_after_the_source_s_end)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_end(odd.replay);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    cr_expect_neq(tn_notifier_settle(notifier, 5000), -ETIMEDOUT);
    assert_seen(&seen, "CREATE ./f\n");
}

Test(replay, a_read_fails_for_a_while)
{
    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    push(key_of("."), IN_CREATE, 0, "f");
    tn__replay_fail(odd.replay, TN__REPLAY_READ, ENOMEM, 1);
    cr_expect_eq(tn_notifier_read_events(notifier), -ENOMEM);
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    tn__replay_fail(odd.replay, TN__REPLAY_READ, ENOMEM, 3);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    assert_seen(&seen, "CREATE ./f\n");
}
