/*
 * The two clocks. Raw records are read ahead of what is committed, and are
 * committed in order: what lies between is kept as it was read, and can be
 * asked for the first record ahead that tells something of a name, a cookie or
 * an object.
 *
 * One thread at a time, the reader.
 */
#ifndef TN_SRC_READER_STREAM_H
#define TN_SRC_READER_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "reader/decode.h"
#include "source/source.h"

/* The records that change what names stand for. */
#define TN__NAME_CHANGES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

/*
 * Added to a record's mask, see exchange.c. UNTOLD: of an IN_MOVED_TO: nothing
 * was told of what it replaces; of an IN_MOVED_FROM: nobody knows what it was
 * that left. DOUBT: of an IN_MOVED_FROM: nor whether something is there now.
 */
#define TN__RAW_UNTOLD 0x00010000u
#define TN__RAW_DOUBT  0x00020000u
#define TN__RAW_BITS   (TN__RAW_UNTOLD | TN__RAW_DOUBT)

struct tn__stream_block;

/* Records ahead, by what they tell; filled when it is first asked, see ahead.c. */
struct tn__ahead {
    struct tn__ahead_entry *entries;
    size_t count, capacity;
    uint32_t *buckets; /* first and last entry of each chain */
    size_t bucket_count;
    struct tn__stream_block *block; /* up to where it was filled */
    size_t offset;
    bool live;
};

struct tn__stream {
    struct tn__source *source;
    struct tn__stream_block *head, *tail, *spare;
    size_t offset;      /* in head: the next record to commit */
    uint64_t committed; /* position of that record; positions count bytes */
    uint64_t read;      /* position behind the last record that was read */
    uint64_t checked;   /* up to here overflows were looked for */
    uint64_t overflow;  /* position behind the last one found */
    bool ended;         /* the source has */
    struct tn__ahead ahead;
};

void tn__stream_init(struct tn__stream *stream, struct tn__source *source);
void tn__stream_done(struct tn__stream *stream);

/* One read. The bytes read; -EAGAIN: none now; 0: the source has ended; else its error, -ENOMEM. */
ssize_t tn__stream_read(struct tn__stream *stream);

/* Commits the next record: false when none is left. The name stays valid until the next commit. */
bool tn__stream_next(struct tn__stream *stream, struct tn__raw *ret_raw, uint64_t *ret_read_ns);

/* When the next record was read; 0: none is left. */
uint64_t tn__stream_next_ns(const struct tn__stream *stream);

static inline bool tn__stream_is_empty(const struct tn__stream *stream)
{
    return stream->committed == stream->read;
}

/*
 * Reads ahead until the IN_IGNORED of the key. 0; -EOVERFLOW: it was lost, or
 * an overflow lies ahead of it; or the source's error.
 */
int tn__stream_read_to(struct tn__stream *stream, uint64_t key);

/* The first record ahead that changes (key, name): 1; 0: none, and its mask is 0. -ENOMEM. */
int tn__stream_name_ahead(struct tn__stream *stream, uint64_t key, const char *name, size_t length,
                          struct tn__raw *ret_raw);

/* The IN_MOVED_TO ahead with that cookie: 1 and where it went; 0: none. -ENOMEM. */
int tn__stream_to_ahead(struct tn__stream *stream, uint32_t cookie, uint64_t *ret_key);

/* Whether an overflow lies ahead. */
bool tn__stream_has_overflow(struct tn__stream *stream);

/* Each record ahead from a position on. < 0 from each ends it. */
int tn__stream_each(const struct tn__stream *stream, uint64_t position,
                    int (*each)(void *context, const struct tn__raw *raw), void *context);

/* A record ahead, and where it is. */
struct tn__change {
    struct tn__raw raw;
    uint64_t position, behind;
};

/* The next that changes a name in the object, from a position on, if it is among the next `limit`
 * records. */
bool tn__stream_change_ahead(const struct tn__stream *stream, uint64_t key, uint64_t position,
                             size_t limit, struct tn__change *ret_change);

/* A record ahead has taken effect before its turn: it says nothing any more. */
void tn__stream_take(struct tn__stream *stream, const struct tn__raw *raw);

/* A half of a move ahead is committed with these TN__RAW_* in its mask. */
void tn__stream_mark(struct tn__stream *stream, const struct tn__raw *raw, uint32_t bits);

/* Whether a record ahead is about the object: a name in it changed, or its end. */
bool tn__stream_key_ahead(const struct tn__stream *stream, uint64_t key);
/* Or only its end. */
bool tn__stream_end_ahead(const struct tn__stream *stream, uint64_t key);

/* Of these, the ones that change a name in the object. */
int tn__stream_each_ahead(struct tn__stream *stream, uint64_t position, uint64_t key,
                          int (*each)(void *context, const struct tn__raw *raw), void *context);

#endif
