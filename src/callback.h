/*
 * Whether this thread is inside a function of the application that a notifier
 * called: there, what would wait for that function answers -EDEADLK. Calls may
 * be nested: a processor of one notifier may run another's in its own thread.
 */
#ifndef TN_SRC_CALLBACK_H
#define TN_SRC_CALLBACK_H

#include <stdbool.h>
#include <stddef.h>

struct tn__callback {
    const void *owner; /* the notifier's registry; NULL: it may be any notifier's */
    struct tn__callback *outer;
};

extern _Thread_local struct tn__callback *tn__callbacks;

static inline void tn__callback_enter(struct tn__callback *callback, const void *owner)
{
    callback->owner = owner;
    callback->outer = tn__callbacks;
    tn__callbacks = callback;
}

static inline void tn__callback_leave(const struct tn__callback *callback)
{
    tn__callbacks = callback->outer;
}

static inline bool tn__in_callback(const void *owner)
{
    const struct tn__callback *callback = tn__callbacks;

    while (callback && callback->owner && callback->owner != owner)
        callback = callback->outer;
    return callback != NULL;
}

#endif
