/* At rest: the model against the real tree, and the watches against both. */
#ifndef TN_TOOLS_TNSTRESS_COMPARE_H
#define TN_TOOLS_TNSTRESS_COMPARE_H

#include <stdbool.h>
#include <tnotify/notifier.h>

#include "model.h"

/*
 * Names, types and watches. check_closed: each regular file must have been told
 * to be complete. 0 or a negative errno, if it could not look.
 */
int compare_tree(struct model *model, struct tn_notifier *notifier, bool check_closed);

/* Makes a file in each directory and removes it again, and sees that both are told, each once
 * and there. Settles the notifier. */
int compare_probe(struct model *model, struct tn_notifier *notifier);

/* Counts the kernel watches that stand on no directory of the tree. extra: others that do so by
 * right. */
int compare_kernel(struct model *model, unsigned extra);

#endif
