/* A watch of the whole tree that is checked: its model holds what it was told. */
#ifndef TN_TOOLS_TNSTRESS_STEADY_H
#define TN_TOOLS_TNSTRESS_STEADY_H

#include <stdatomic.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

#include "model.h"
#include "options.h"

struct steady {
    struct model *model;
    struct tn_processor *processor;
    const struct options *options;
    tn_wd root;
    uint32_t mask;
    enum tn_order order; /* TREE or NOTIFIER: the model wants all in one order */
    atomic_bool is_deaf;
    uint64_t gaps;               /* before the present round */
    unsigned comings_and_goings; /* for --forget */
};

/* Of the directory or symbolic link at path; mask: beside what the model needs. */
int steady_init(struct steady *steady, const struct options *options, const char *path,
                uint32_t mask, enum tn_order order);
void steady_done(struct steady *steady);
int steady_add(struct steady *steady, struct tn_notifier *notifier);
/* While the tree changes: removes the watch, and what the model knew is told again. */
int steady_add_again(struct steady *steady, struct tn_notifier *notifier);

#endif
