/*
 * What one directory held: its entries by name, each with what statx(2) said
 * of it. For the comparison after records were lost.
 *
 * One thread at a time.
 */
#ifndef TN_SRC_TREE_SNAPSHOT_H
#define TN_SRC_TREE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TN__SNAPSHOT_NAME = 255,
    /* Bytes an entry, beside its name, and bytes a snapshot, at most; all that malloc adds too. */
    TN__SNAPSHOT_ENTRY = 48,
    TN__SNAPSHOT_SELF = 64,
};

struct tn__status {
    uint64_t identity; /* of device, inode and time of birth; 0: not known */
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    unsigned char type; /* DT_* */
    bool known;         /* else the type alone holds */
};

/* Of an entry of the directory fd; the type is the DT_* if it can't be told. */
void tn__status_read(int fd, const char *name, unsigned char type, struct tn__status *ret_status);

struct tn__snapshot;

/* The seed, of the names' hash, must outlive it. NULL: no memory. */
struct tn__snapshot *tn__snapshot_new(const uint64_t seed[3]);
void tn__snapshot_free(struct tn__snapshot *snapshot);

/* A new entry, or a new status. -ENOMEM; -EINVAL: not a name of 1 to 255 bytes. */
int tn__snapshot_put(struct tn__snapshot *snapshot, const char *name, size_t length,
                     const struct tn__status *status);
/* Whether it was there. */
bool tn__snapshot_remove(struct tn__snapshot *snapshot, const char *name, size_t length);
bool tn__snapshot_get(const struct tn__snapshot *snapshot, const char *name, size_t length,
                      struct tn__status *ret_status);

/* Each entry, in no order; the name has a NUL behind it. The snapshot must not change meanwhile. <
 * 0 from each ends it. */
int tn__snapshot_each(const struct tn__snapshot *snapshot,
                      int (*each)(void *context, const char *name, size_t length,
                                  const struct tn__status *status),
                      void *context);

size_t tn__snapshot_count(const struct tn__snapshot *snapshot);
/* All its memory. */
size_t tn__snapshot_bytes(const struct tn__snapshot *snapshot);

#endif
