/*
 * The traces that the library's own opening, listing and closing of a directory
 * leaves in the stream: noted before they come, and taken out when they do.
 *
 * All under the registry's write_lock, but for the count.
 */
#ifndef TN_SRC_REGISTRY_TRACE_H
#define TN_SRC_REGISTRY_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "atomic.h"

/* What opening, listing and closing are told as. */
#define TN__TRACE_MASK ((uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE))

enum { TN__TRACE_BUCKETS = 256 };

struct tn__add;
struct tn__trace;

struct tn__traces {
    struct tn__trace_bucket {
        struct tn__trace *first, *last;
    } buckets[TN__TRACE_BUCKETS];
    _Atomic uint32_t count;
    atomic_bool asked; /* some watch has asked for what leaves traces; any thread, relaxed */
};

/*
 * A directory is listed once: what the watches of key are told, about that name
 * in it or, with length 0, about itself. opened: it was before they could be
 * told. Of an add's crawl, until the add has forgotten it; else (NULL) of the
 * reader, up to where it is closed. Without memory it is told.
 */
void tn__trace_note_locked(struct tn__traces *traces, uint64_t key, const char *name, size_t length,
                           bool opened, const struct tn__add *add);

/* All that the reader has noted so far stands in the stream before the position, or nowhere. */
void tn__trace_close_locked(struct tn__traces *traces, uint64_t position);

/* Whether a record that ends at the position is such a trace, which is used up by that. */
bool tn__trace_take_locked(struct tn__traces *traces, uint64_t key, const char *name, size_t length,
                           uint32_t mask, uint64_t position);

/* Drops what the add has noted, all of whose listing stands before the position; NULL: what the
 * reader has closed up to there. */
void tn__trace_forget_locked(struct tn__traces *traces, const struct tn__add *add,
                             uint64_t position);

void tn__trace_done(struct tn__traces *traces);

#endif
