/* Rounds of changes by processes; after each, at rest, what was told is compared with the tree. */
#ifndef TN_TOOLS_TNSTRESS_ROUNDS_H
#define TN_TOOLS_TNSTRESS_ROUNDS_H

#include <stdbool.h>
#include <tnotify/tnotify.h>

#include "churn.h"
#include "options.h"
#include "steady.h"
#include "workload.h"

struct run {
    const struct options *options;
    const struct workload *workload;
    struct tn_notifier *notifier;
    struct steady steadies[2]; /* one, or two with a churn or an alias */
    unsigned steady_count;
    struct churn *churn;   /* or NULL */
    atomic_uint overflows; /* of the kernel's queue */
};

/* Until the operations are used up or something was wrong. 0 or a negative errno. */
int rounds_run(struct run *run);
bool rounds_found_fault(const struct run *run);

#endif
