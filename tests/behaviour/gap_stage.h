/*
 * What the tests of gaps share.
 *
 * What is done before gap() is not told by any record; after it the marker of
 * the gap stands, and records that are pushed come behind it.
 */
#ifndef TN_TESTS_BEHAVIOUR_GAP_STAGE_H
#define TN_TESTS_BEHAVIOUR_GAP_STAGE_H

#include "replay_stage.h"

#define WITH_GAP (ENTRIES | (uint32_t)IN_Q_OVERFLOW)

static inline void open_tree(void)
{
    open_stage();
    make_dirs("w/a/deep");
    make_dirs("w/b/low");
    make_dir("w/c");
}

static inline void watch_tree(void)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
}

static inline void lose(void)
{
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

/* The records of the ends are lost as well. */
static inline void forget(uint64_t key)
{
    push_key(key, IN_IGNORED, 0, NULL);
}

static inline void forget_path(const char *path)
{
    forget(key_of(path));
}

/* The overflow is committed, and the marker put. */
static inline void gap(void)
{
    lose();
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
}

static inline void push_dir(const char *directory, uint32_t mask, uint32_t cookie, const char *name)
{
    push_key(key_of(directory), mask | IN_ISDIR, cookie, name);
}

/* A file there is told, once. */
static inline void expect_told(const char *directory)
{
    push(directory, IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, at("CREATE %s:probe", directory));
    cr_assert(is_watched(directory));
}

/* The whole tree that open_tree() made, as it is. */
static inline void expect_whole(void)
{
    expect_told("w");
    expect_told("w/a");
    expect_told("w/a/deep");
    expect_told("w/b");
    expect_told("w/b/low");
    expect_told("w/c");
    cr_expect_eq(stats().watches, 6);
}

static inline void watch_tree_hooked(void (*hook)(void *context, enum tn__replay_call call),
                                     uint32_t mask)
{
    new_with_replay(hook);
    add_options("w",
                TN_WATCH_OPTIONS(.mask = mask, .flags = TN_WATCH_TREE, .order = TN_ORDER_NOTIFIER));
    settle(notifier);
}

#endif
