/*
 * What became of the entries of directories that have a snapshot, when records
 * were lost.
 */
#ifndef TN_SRC_READER_ENTRIES_H
#define TN_SRC_READER_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/reader.h"
#include "tree/snapshot.h"

/* One that went, came or changed. */
struct tn__entry_change {
    uint32_t watch;  /* of its directory */
    uint32_t mask;   /* what is told of it, beside a coming or going */
    size_t name;     /* in names */
    uint32_t cookie; /* of its move; 0: it did not move */
    char *src;       /* then its old path; NULL: no memory */
    unsigned char length, type;
    struct tn__status status;
};

struct tn__entry_changes {
    struct tn__entry_change *items;
    size_t count, capacity;
};

struct tn__entries {
    struct tn__reader *reader;
    bool strangers; /* the tree leaves directories out: these are told here */
    struct tn__entry_changes gone, came, changed;
    char *names;
    size_t names_size, names_capacity;
};

/*
 * A directory that has its place in the tree, by its watch and key: what it
 * held by its snapshot, against what it was seen to hold, made exact for the present
 * point of the stream by the records ahead. The list is its snapshot then. 0 or -ENOMEM.
 */
int tn__entries_compare(struct tn__entries *entries, uint32_t watch, uint64_t key,
                        struct tn__snapshot *list);
/* A directory that has none any more. */
int tn__entries_lose(struct tn__entries *entries, uint32_t watch);
/* A directory of the tree that moved there. */
void tn__entries_forget(struct tn__entries *entries, uint32_t watch, const char *name,
                        size_t length);
/* What went, before any directory leaves its place; and what came, when all have theirs. */
void tn__entries_tell_gone(struct tn__entries *entries);
void tn__entries_tell_came(struct tn__entries *entries);
void tn__entries_done(struct tn__entries *entries);

#endif
