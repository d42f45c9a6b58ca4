/*
 * A source whose stream a test writes, for sequences that the kernel gives
 * once in a million. Watches are kept as the kernel keeps them: one key per
 * inode, from 1 upwards; the files must exist, for the tree opens them.
 *
 * Any thread may call any of these.
 */
#ifndef TN_SRC_SOURCE_REPLAY_H
#define TN_SRC_SOURCE_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "source/source.h"

/* What a push takes for the key of IN_Q_OVERFLOW. */
#define TN__REPLAY_NO_KEY UINT64_MAX

enum tn__replay_call {
    TN__REPLAY_READ,
    TN__REPLAY_WATCH,
    TN__REPLAY_UNWATCH,
    TN__REPLAY_MARK,
    TN__REPLAY_CALLS,
};

int tn__source_new_replay(struct tn__source **ret_source);

/* One record at the tail; name may be NULL. IN_IGNORED also forgets the watch, as in the kernel.
 * -EINVAL: the key does not fit a wd. -ENOMEM. */
int tn__replay_push(struct tn__source *source, uint64_t key, uint32_t mask, uint32_t cookie,
                    const char *name);

/* read gives 0 once all is read. */
void tn__replay_end(struct tn__source *source);

/* The key of what path names now, symlinks not followed; 0: not watched. */
uint64_t tn__replay_key_of(struct tn__source *source, const char *path);

/* The mask that was asked for, IN_ONLYDIR and the like included; 0: no such key. */
uint32_t tn__replay_mask_of(struct tn__source *source, uint64_t key);

/* How many objects are watched. */
size_t tn__replay_watches(struct tn__source *source);

/* The next `count` calls of that kind fail with -error; ENOSPC only for what is not watched yet. */
void tn__replay_fail(struct tn__source *source, enum tn__replay_call call, int error,
                     unsigned count);

/* The next new watch gets this key, and those after it the ones that follow (the kernel's wds
 * wrapped around). */
void tn__replay_next_key(struct tn__source *source, uint64_t key);

/*
 * Runs before each watch, unwatch and mark takes effect, in the caller's
 * thread; it may push records, so that they stand before the marker, or
 * change the tree. NULL: none. Set it while no call runs.
 */
void tn__replay_hook(struct tn__source *source,
                     void (*hook)(void *context, enum tn__replay_call call), void *context);

#endif
