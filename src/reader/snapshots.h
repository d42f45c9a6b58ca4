/*
 * What the directories of an add with TN_WATCH_SNAPSHOT hold, as far as it has
 * been told: names and types at the present point of the stream, and of each a
 * status that is no newer than what a processor saw that looked when it was told.
 */
#ifndef TN_SRC_READER_SNAPSHOTS_H
#define TN_SRC_READER_SNAPSHOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/event.h>

#include "compiler.h"
#include "tree/snapshot.h"

struct tn__news;
struct tn__reader;

/* The reader's. */
struct tn__snapshots {
    struct tn__snapshot ***pages; /* by watch; NULL: there was none yet */
    size_t page_count;
    tn_wd *stale; /* watches whose directory was not where the tree had it: listed again */
    size_t stale_count, stale_capacity;
    uint32_t scanned; /* the watch whose directory is open as scanned_fd; 0: none */
    int scanned_fd;
    bool due;    /* some are still to be listed */
    bool later;  /* or again, when more was committed */
    bool opened; /* a directory, since the batch began */
};

/* Of a watch; NULL: it has none, or its contents are still to be told. */
const struct tn__snapshot *tn__reader_snapshot(const struct tn__reader *reader, uint32_t watch);
/* The same, which is the caller's then: nothing is kept for the watch until it is set again. */
struct tn__snapshot *tn__reader_take_snapshot(struct tn__reader *reader, uint32_t watch);
/* Instead of the one that it has; the snapshot is the reader's in any case. NULL: none. -ENOMEM: it
 * has none, and its directory is listed later. */
int tn__reader_set_snapshot(struct tn__reader *reader, uint32_t watch,
                            struct tn__snapshot *snapshot);
/* NULL: no memory. */
struct tn__snapshot *tn__reader_new_snapshot(const struct tn__reader *reader);

/* A watch is told news of a name: noted before it is; or was not, and was to be. */
void tn__reader_note_news(struct tn__reader *reader, uint32_t watch, const struct tn__news *news);
void tn__reader_note_untold(struct tn__reader *reader, uint32_t watch, const struct tn__news *news);

/* Around the telling of all that is in a directory: it begins with an empty one. */
void tn__reader_begin_snapshot(struct tn__reader *reader, uint32_t watch, int fd);
void tn__reader_end_snapshot(struct tn__reader *reader);

/* Lists what is still to be listed, silently. */
void tn__reader_fill_snapshots(struct tn__reader *reader);
/* What was opened is closed, and what it holds back is read before a settle ends. */
void tn__reader_end_batch_of_snapshots(struct tn__reader *reader);
void tn__reader_free_snapshots(struct tn__reader *reader);

#endif
