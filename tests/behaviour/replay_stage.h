/*
 * A notifier whose stream the test writes, and whose hook runs where another
 * thread or the kernel would come in between.
 */
#ifndef TN_TESTS_REPLAY_STAGE_H
#define TN_TESTS_REPLAY_STAGE_H

#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "gate.h"
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

/* Another source, which stands before it; NULL: none. The processor is `seen` always. */
static inline void new_with_options(struct tn_notifier_options options, struct tn__source *other,
                                    void (*hook)(void *context, enum tn__replay_call call))
{
    recorder_init(&seen);
    recorder_init(&later);
    options.processor = seen.processor;
    cr_assert_eq(tn__source_new_replay(&source), 0);
    tn__replay_hook(source, hook, NULL);
    cr_assert_eq(tn__notifier_new_with(&options, other ? other : source, &notifier), 0);
}

static inline void new_with_source(struct tn__source *other,
                                   void (*hook)(void *context, enum tn__replay_call call))
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    new_with_options(options, other, hook);
}

static inline void new_with_replay(void (*hook)(void *context, enum tn__replay_call call))
{
    new_with_source(NULL, hook);
}

static inline void start(void)
{
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

static inline uint64_t key_of(const char *path)
{
    uint64_t key = tn__replay_key_of(source, path);

    cr_assert_neq(key, 0, "%s is not watched", path);
    return key;
}

static inline void push_key(uint64_t key, uint32_t mask, uint32_t cookie, const char *name)
{
    cr_assert_eq(tn__replay_push(source, key, mask, cookie, name), 0);
}

static inline void push(const char *directory, uint32_t mask, const char *name)
{
    push_key(key_of(directory), mask, 0, name);
}

/* Without a marker: what is there is read and processed, in this thread. */
static inline void play(void)
{
    while (tn_notifier_read_events(notifier) > 0)
        tn_notifier_process_events(notifier);
    tn_notifier_process_events(notifier);
}

/* The number of an armed mark, from 1; 0: another call, or not armed. */
static inline unsigned mark_number(enum tn__replay_call call)
{
    return call == TN__REPLAY_MARK && atomic_load(&armed) ? atomic_fetch_add(&marks, 1) + 1 : 0;
}

#endif
