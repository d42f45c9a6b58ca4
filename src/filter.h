/*
 * What the reader and a crawl ask of a filter. NULL is a filter that lets
 * everything pass.
 *
 * Whoever keeps a reference to ask later freezes the filter, and so does a
 * question: from then on it is constant, so any thread asks without a lock.
 */
#ifndef TN_SRC_FILTER_H
#define TN_SRC_FILTER_H

#include <stdbool.h>

#include <tnotify/filter.h>

void tn__filter_freeze(struct tn_filter *filter);

/* Whether an event about the path is to be left out. */
bool tn__filter_excludes(struct tn_filter *filter, const char *path, bool is_dir);

/* Whether a directory is to be left unwatched: an include pattern never asks for that. */
bool tn__filter_prunes(struct tn_filter *filter, const char *path);

#endif
