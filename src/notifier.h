/*
 * What the calls on watches need of a notifier.
 */
#ifndef TN_SRC_NOTIFIER_H
#define TN_SRC_NOTIFIER_H

#include <tnotify/notifier.h>

#include "registry/registry.h"

/* 0; -EINVAL: NULL; -ECHILD: inherited by a fork. */
int tn__notifier_check(const struct tn_notifier *notifier);

struct tn__registry *tn__notifier_registry(struct tn_notifier *notifier);

struct tn__source;

/* As tn_notifier_new, with checked options and another source, which becomes the notifier's. */
int tn__notifier_new_with(const struct tn_notifier_options *options, struct tn__source *source,
                          struct tn_notifier **ret_notifier);

#endif
