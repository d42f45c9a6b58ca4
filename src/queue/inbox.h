/*
 * An unbounded stack of tasks, linked through the tasks themselves, that is
 * taken as a whole: no allocation, and no ABA, since nobody takes a single one.
 *
 * Any thread may push, take and ask at any time.
 */
#ifndef TN_SRC_QUEUE_INBOX_H
#define TN_SRC_QUEUE_INBOX_H

#include <stdbool.h>

#include <tnotify/executor.h>

#include "atomic.h"

struct tn__inbox {
    _Atomic(struct tn_task *) head; /* newest */
};

void tn__inbox_init(struct tn__inbox *inbox);
void tn__inbox_push(struct tn__inbox *inbox, struct tn_task *task);

/* All that was pushed, oldest first, linked by next; NULL: nothing. */
struct tn_task *tn__inbox_take(struct tn__inbox *inbox);
bool tn__inbox_empty(const struct tn__inbox *inbox);

#endif
