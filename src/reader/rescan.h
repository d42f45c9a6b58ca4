/*
 * What a tree's directories are now, seen by a walk after records were lost.
 */
#ifndef TN_SRC_READER_RESCAN_H
#define TN_SRC_READER_RESCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/reader.h"
#include "tree/snapshot.h"

/* What became of a directory; see heal.c. */
enum tn__fate {
    TN__FATE_NONE,
    TN__FATE_STAYED,
    TN__FATE_WAITS, /* it stayed, and is still to be taken in */
    TN__FATE_KEPT,  /* it stood where the tree has it, and was seen elsewhere */
    TN__FATE_MOVED,
    TN__FATE_NEW,
};

struct tn__seen {
    uint64_t key;              /* 0: it could not be opened or watched */
    struct tn__snapshot *list; /* what is in it, if the add keeps snapshots; NULL: not known */
    uint32_t parent;
    uint32_t node; /* the tree's, once it is known */
    size_t name;   /* in names; the root has none */
    uint32_t length;
    uint32_t lost; /* heal.c's, of one that moved */
    int blind;     /* why what is in it could not be seen; 0: it was */
    bool fresh;    /* the source did not watch it before */
    unsigned char fate;
};

/* The root is the first; each stands behind its parent. */
struct tn__rescan {
    struct tn__reader *reader;
    uint32_t root; /* its watch */
    struct tn__policy *policy;
    struct tn_filter *filter;
    int fd;     /* of the directory that is listed */
    bool quiet; /* what the walk leaves in the stream is noted, see trace.c */
    struct tn__seen *dirs;
    size_t count, capacity;
    size_t listed; /* entries */
    char *names;
    size_t names_size, names_capacity;
    char *path; /* scratch */
    size_t path_capacity;
};

/*
 * Walks below the add's root watch, places kernel watches and reads ahead to
 * now. 0; -EAGAIN: the root is not where the tree has it, and records ahead tell
 * why; -EOVERFLOW: records were lost again; or why it can't be walked.
 */
int tn__rescan_walk(struct tn__rescan *rescan, struct tn__reader *reader, uint32_t root);
/* One more directory, which is not opened. 0 or -ENOMEM. */
int tn__rescan_add(struct tn__rescan *rescan, uint32_t parent, const char *name, size_t length,
                   uint32_t *ret_id);
/* The kernel watches that it has placed stay. */
void tn__rescan_done(struct tn__rescan *rescan);
/* Until this: what was not taken in is watched no more. */
void tn__rescan_give_back(struct tn__reader *reader);

/* sighting.c: whether what a walk saw is what stood in a place at this point, and left it by
 * `from`, the next record about it. */
bool tn__rescan_is_traced(const struct tn__rescan *rescan, const struct tn__seen *seen,
                          const struct tn__raw *from);

static inline const char *tn__rescan_name(const struct tn__rescan *rescan,
                                          const struct tn__seen *seen)
{
    return rescan->names + seen->name;
}

#endif
