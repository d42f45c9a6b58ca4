/*
 * The trees that a script adds: a model of each that knows what was there at the
 * add and then the events alone, against the real one. The model is tnstress's.
 */
#ifndef TN_TESTS_REPLAY_TREE_H
#define TN_TESTS_REPLAY_TREE_H

#include <tnotify/tnotify.h>

#include "script.h"

struct tree;

/* has_all: the add asks for all that keeps a model true. The flags are the add's. */
struct tree *tree_new(const char *path, bool has_all, uint32_t flags);
void tree_free(struct tree *tree);
void tree_apply(struct tree *tree, const struct tn_event *event);
/* What was told was possible, the model equals the tree, and all its directories and nothing else
 * is watched by the add. False and a text: not so. */
bool tree_check(struct tree *tree, struct tn_notifier *notifier, tn_wd root);

#endif
