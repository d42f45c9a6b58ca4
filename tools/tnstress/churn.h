/*
 * Watches of other kinds that come and go in the same tree while it changes:
 * single ones and trees, overlapping, of several masks and orders.
 */
#ifndef TN_TOOLS_TNSTRESS_CHURN_H
#define TN_TOOLS_TNSTRESS_CHURN_H

#include <stdbool.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

struct churn;

/* In so many threads, on directories of the tree at path. */
int churn_start(struct tn_notifier *notifier, const char *path, unsigned threads, uint64_t seed,
                struct churn **ret_churn);
/* Nobody adds or removes until churn_resume(). empty: and nothing of it stands. NULL: no matter. */
int churn_pause(struct churn *churn, bool empty);
void churn_resume(struct churn *churn);
/* Ends the threads, not the watches. The first error that no race explains. */
int churn_stop(struct churn *churn);
/* After the notifier was freed: 0, or how many adds were released not at all or twice. */
unsigned churn_free(struct churn *churn);

#endif
