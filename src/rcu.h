/*
 * The only includer of liburcu (flavour bp: a thread registers itself at its
 * first read-side section, so any application thread may call the library).
 *
 * _LGPL_SOURCE is not defined, so liburcu's functions are called and not
 * inlined.
 *
 * ThreadSanitizer does not see liburcu's barriers. What they order is told to
 * it here: all that a reader did before tn__rcu_read_unlock comes before the
 * callback of a tn__rcu_call that waited for it.
 */
#ifndef TN_SRC_RCU_H
#define TN_SRC_RCU_H

#include <pthread.h>
#include <signal.h>
#include <urcu/urcu-bp.h>

#include "atomic.h"
#include "compiler.h"

#if defined(__SANITIZE_THREAD__)
#define TN__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TN__TSAN 1
#endif
#endif

#ifdef TN__TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define TN__TSAN_ACQUIRE(p) __tsan_acquire(p)
#define TN__TSAN_RELEASE(p) __tsan_release(p)
#else
#define TN__TSAN_ACQUIRE(p) ((void)(p))
#define TN__TSAN_RELEASE(p) ((void)(p))
#endif

/* Published with release, read with acquire inside a read-side section. */
#define tn__rcu_dereference(p) tn__load(p, acquire)
#define tn__rcu_assign(p, v)   tn__store(p, v, release)

struct tn__rcu_head {
    struct rcu_head head;
    void (*callback)(struct tn__rcu_head *head);
};

/* Defined in registry/store.c: what the sanitizer's edges hang on, whether liburcu's thread was
 * made, and whether a call was made. */
extern char tn__rcu_edge;
extern atomic_bool tn__rcu_prepared;
extern atomic_bool tn__rcu_started;

static inline void tn__rcu_read_lock(void)
{
    urcu_bp_read_lock();
}

static inline void tn__rcu_read_unlock(void)
{
    TN__TSAN_RELEASE(&tn__rcu_edge);
    urcu_bp_read_unlock();
}

static inline void tn__rcu_invoke(struct rcu_head *head)
{
    struct tn__rcu_head *own = tn__container_of(head, struct tn__rcu_head, head);

    TN__TSAN_ACQUIRE(&tn__rcu_edge);
    own->callback(own);
    TN__TSAN_RELEASE(&tn__rcu_edge); /* to tn__rcu_barrier */
}

static inline void *tn__rcu_trial(void *unused)
{
    return unused;
}

/*
 * Makes liburcu's thread, which must not take the application's signals. Where
 * it can't, liburcu ends the process; so another one is tried before. -EAGAIN.
 */
static inline int tn__rcu_prepare(void)
{
    sigset_t all, old;
    pthread_t trial;

    if (tn__load(&tn__rcu_prepared, acquire))
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&trial, NULL, tn__rcu_trial, NULL);
    if (error == 0) {
        pthread_join(trial, NULL);
        urcu_bp_get_default_call_rcu_data();
        tn__store(&tn__rcu_prepared, true, release);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

/*
 * Runs the callback on liburcu's thread after a grace period; never waits. In
 * tests without a notifier the first call makes that thread.
 */
static inline void tn__rcu_call(struct tn__rcu_head *head, void (*callback)(struct tn__rcu_head *))
{
    head->callback = callback;
    TN__TSAN_RELEASE(&tn__rcu_edge);
    if (TN__LIKELY(tn__load(&tn__rcu_started, acquire))) {
        urcu_bp_call_rcu(&head->head, tn__rcu_invoke);
        return;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    urcu_bp_call_rcu(&head->head, tn__rcu_invoke);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    tn__store(&tn__rcu_started, true, release);
}

/* Waits for every callback of earlier calls: 10 ms and more. Only where a notifier is freed. */
static inline void tn__rcu_barrier(void)
{
    if (!tn__load(&tn__rcu_started, acquire))
        return;
    urcu_bp_barrier();
    TN__TSAN_ACQUIRE(&tn__rcu_edge);
}

/* For pthread_atfork: a child gets a thread of its own for callbacks. */
static inline void tn__rcu_before_fork(void)
{
    urcu_bp_call_rcu_before_fork();
    urcu_bp_before_fork();
}

static inline void tn__rcu_after_fork_parent(void)
{
    urcu_bp_after_fork_parent();
    urcu_bp_call_rcu_after_fork_parent();
}

static inline void tn__rcu_after_fork_child(void)
{
    urcu_bp_after_fork_child();
    urcu_bp_call_rcu_after_fork_child();
}

#endif
