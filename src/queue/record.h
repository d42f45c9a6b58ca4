/*
 * One event on its way: what the producer hands over (entry) and how it lies
 * in a slab (record).
 *
 * A record is a header of 64 bytes and its text: the joined pathname, the
 * source pathname, and the path unless an earlier record of the same slab has
 * the same one. A record does not move and does not change once it is written.
 */
#ifndef TN_SRC_QUEUE_RECORD_H
#define TN_SRC_QUEUE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tnotify/event.h>

#include "compiler.h"

enum { TN__ENTRY_EVENT, TN__ENTRY_FINAL };

/* Text is copied; nothing in it need be NUL-terminated. */
struct tn__entry {
    tn_wd wd, root;
    uint32_t watch; /* the registry's id, opaque here */
    uint32_t mask, cookie, flags;
    int error;
    uint32_t kind;    /* TN__ENTRY_EVENT, TN__ENTRY_FINAL or another up to 255, opaque here */
    const char *path; /* NULL: none */
    size_t path_length;
    /* Equal in a row and not 0: equal path text, which is then shared. Lanes pass from watch to
     * watch, so a key means the same for all of them. */
    uint64_t path_key;
    const char *name; /* NULL: none */
    size_t name_length;
    const char *src_pathname; /* NULL: none */
    size_t src_length;
    uint64_t sequence, read_ns;
};

#define TN__RECORD_EPOCH 0x3fu /* bits of epoch_bits */
#define TN__RECORD_SRC   0x40u

struct tn__record {
    tn_wd wd, root;
    uint64_t sequence, read_ns;
    uint32_t watch, mask, cookie, flags;
    int32_t path;         /* the path's text, from the record's start; 0: none */
    uint32_t text_end;    /* just past the pathname's NUL, or past the header */
    uint16_t name_length; /* 0: no name. It ends where the pathname ends */
    uint16_t size8;       /* all of it in units of 8 bytes; 0: up to the slab's end */
    int16_t error;
    uint8_t kind;
    uint8_t epoch_bits; /* index of the epoch, TN__RECORD_SRC */
};

_Static_assert(sizeof(struct tn__record) == 64, "a record's header is one cache line");

/* Whether an entry's lengths and numbers fit a record at all. */
static inline bool tn__entry_is_valid(const struct tn__entry *entry)
{
    const size_t most = 1u << 28;

    return entry->name_length <= UINT16_MAX && entry->path_length <= most &&
           entry->src_length <= most && entry->kind <= UINT8_MAX && entry->error >= INT16_MIN &&
           entry->error <= INT16_MAX;
}

/* Bytes that the record takes, a multiple of 8; shared: the path's text is in the slab already. */
static inline size_t tn__record_need(const struct tn__entry *entry, bool shared)
{
    size_t size = sizeof(struct tn__record);

    if (entry->name)
        size += entry->path_length + 1 + entry->name_length + 1;
    if (entry->src_pathname)
        size += entry->src_length + 1;
    if (entry->path && !shared)
        size += entry->path_length + 1;
    return tn__align8(size);
}

/*
 * Writes the record at `at`, 8-aligned, with `need` bytes of room. `shared` is
 * the path's text if the slab has it already, else NULL.
 */
void tn__record_write(void *at, size_t need, const struct tn__entry *entry, const char *shared,
                      uint32_t epoch);

static inline const char *tn__record_path(const struct tn__record *record)
{
    return record->path ? (const char *)record + record->path : NULL;
}

static inline const char *tn__record_name(const struct tn__record *record)
{
    if (record->name_length == 0)
        return NULL;
    return (const char *)record + record->text_end - 1 - record->name_length;
}

/*
 * Fills all but data, which becomes NULL. The text lies in the slab: it is
 * valid while deliver has the record. No name: pathname is path.
 */
void tn__record_event(const struct tn__record *record, struct tn_event *event);

/* Whether the record is an event that the entry, with an equal path, would only repeat. */
bool tn__record_is_repeat(const struct tn__record *record, const struct tn__entry *entry);

#endif
