/*
 * A notifier whose stream the test writes, and whose hook runs where another
 * thread or the kernel would come in between.
 */
#ifndef TN_TESTS_REPLAY_STAGE_H
#define TN_TESTS_REPLAY_STAGE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "notifier.h"
#include "source/replay.h"
#include "support.h"

static struct tn__source *source;
static struct recorder later; /* of a second add */
static atomic_uint marks;     /* put since the hook was armed */
static atomic_bool armed;
static sem_t told;
static sem_t reached; /* posted by the hook when it has done its part */

static inline void open_stage(void)
{
    stage_open();
    cr_assert_eq(sem_init(&told, 0, 0), 0);
    cr_assert_eq(sem_init(&reached, 0, 0), 0);
}

/* The notifier goes before the recorders that it tells. */
static inline void close_stage(void)
{
    notifier = tn_notifier_free(notifier);
    if (later.processor)
        recorder_done(&later);
    stage_close();
}

/* Another source, which stands before it; NULL: none. */
static inline void new_with_source(struct tn__source *other,
                                   void (*hook)(void *context, enum tn__replay_call call))
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    recorder_init(&seen);
    recorder_init(&later);
    options.processor = seen.processor;
    options.threads = 1;
    cr_assert_eq(tn__source_new_replay(&source), 0);
    tn__replay_hook(source, hook, NULL);
    cr_assert_eq(tn__notifier_new_with(&options, other ? other : source, &notifier), 0);
}

static inline void new_with_replay(void (*hook)(void *context, enum tn__replay_call call))
{
    new_with_source(NULL, hook);
}

static inline void start(void)
{
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

static inline void push(const char *directory, uint32_t mask, const char *name)
{
    uint64_t key = tn__replay_key_of(source, directory);

    cr_assert_neq(key, 0, "%s is not watched", directory);
    cr_assert_eq(tn__replay_push(source, key, mask, 0, name), 0);
}

static inline void wait_for(sem_t *semaphore)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    while (sem_timedwait(semaphore, &end) != 0)
        cr_assert_eq(errno, EINTR, "it did not come");
}

/* The number of an armed mark, from 1; 0: another call, or not armed. */
static inline unsigned mark_number(enum tn__replay_call call)
{
    return call == TN__REPLAY_MARK && atomic_load(&armed) ? atomic_fetch_add(&marks, 1) + 1 : 0;
}

#endif
