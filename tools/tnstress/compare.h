/* At rest: the model against the real tree, and the watches against both. */
#ifndef TN_TOOLS_TNSTRESS_COMPARE_H
#define TN_TOOLS_TNSTRESS_COMPARE_H

#include <stdbool.h>
#include <tnotify/notifier.h>

#include "model.h"

/* Looking at a directory is told, too, to who asks for that: the notifier is settled before the
 * kernel's queue could be full of it. */
struct pace {
    struct tn_notifier *notifier;
    unsigned batch, left; /* directories, and those before the next settling */
};
int pace_step(struct pace *pace);

/*
 * Names, types, and the watches of the add that root is of. check_closed: each
 * regular file must have been told to be complete, unless there was a gap. 0 or
 * a negative errno, if it could not look.
 */
int compare_tree(struct model *model, struct pace pace, tn_wd root, bool check_closed);

/* Makes a file in each directory and removes it again, and sees that both are told, each once
 * and there. */
int compare_probe(struct model *model, struct pace pace);

/* Counts the kernel watches that stand on no directory of the tree. extra: others that do so by
 * right. */
int compare_kernel(struct model *model, unsigned extra);

#endif
