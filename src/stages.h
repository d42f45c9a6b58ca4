/*
 * A notifier: all its stages in one struct. For notifier.c and caller.c alone.
 */
#ifndef TN_SRC_STAGES_H
#define TN_SRC_STAGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "executor/executor.h"
#include "log.h"
#include "notifier.h"
#include "processor/dispatch.h"
#include "queue/inbox.h"
#include "queue/lane.h"
#include "reader/reader.h"
#include "registry/registry.h"
#include "source/source.h"

struct tn_notifier {
    /* constant after tn_notifier_new */
    unsigned generation; /* of forks */
    unsigned threads;
    size_t queue_bytes;
    struct tn__log log;
    struct tn_processor *processor;
    struct tn_filter *filter;
    struct tn__source *source;
    int poll_fd;

    struct tn__registry registry;
    struct tn__lanes lanes;
    struct tn__reader reader;
    struct tn__dispatch dispatch;

    struct tn_executor *_Atomic executor; /* NULL until start: the notifier's own */
    struct tn_executor *fallback;         /* for what the executor refuses; NULL: it never does */
    struct tn__inbox ready;               /* without a start and an executor: run by the caller */

    _Atomic uint32_t tasks; /* submitted and not over, and one while the notifier stands */
    struct tn__park idle;   /* woken when tasks becomes 0 */
    atomic_bool started;    /* written under life_lock */
    _Atomic uint32_t ended; /* the reader thread is through */
    struct tn__park end;    /* woken when it stops being asked for, and when it is through */

    /* Locks, in this order. Under the first two the executor may run processors. */
    pthread_mutex_t end_lock; /* who ends the notifier: waits, flushes */
    bool joined, flushed;
    pthread_mutex_t stream_lock; /* who plays the reader in the caller's thread */
    pthread_mutex_t life_lock;   /* start */
};

/* tasks.c, struct tn__lanes_ops: the context is the notifier. */
void tn__notifier_submit(void *context, struct tn__task *task);
void tn__notifier_cancel(void *context, struct tn__task *task);
void tn__notifier_task_over(void *context);
/* Gives what waits for the caller to the executor that was made meanwhile. */
void tn__notifier_give_ready(struct tn_notifier *notifier, struct tn_executor *executor);
/* Until no task is submitted. One at a time: end_lock is held, or nobody else is left. */
void tn__notifier_wait_tasks(struct tn_notifier *notifier);

/* After a stop, without a reader or once it is through: waits for what runs, and flushes. */
void tn__notifier_end(struct tn_notifier *notifier);

/* caller.c: reads once; -EBUSY: the threads do. */
int tn__notifier_read(struct tn_notifier *notifier);
/* Runs what is ready here; how many events were processed. */
uint64_t tn__notifier_process(struct tn_notifier *notifier);
/* After a stop: what happened before it, as the stop says. */
void tn__notifier_finish(struct tn_notifier *notifier);

#endif
