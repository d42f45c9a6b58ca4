/*
 * The records ahead, asked for by name, by cookie or by object, through an index.
 *
 * The index is not kept while records are merely read and committed, which is
 * the common case. The first question enters all that lies ahead; later ones
 * enter what was read since; when the commits have caught up with it, it is
 * emptied. Entries that were committed are dropped from the head of their
 * chain when the chain is asked, so that a name which changes 10,000 times
 * costs no more than one that changes twice.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "reader/block.h"

enum { AHEAD_MIN = 256 };

struct tn__ahead_entry {
    uint64_t hash;
    struct tn__raw raw;
    uint64_t position;
    uint32_t next;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t hash_name(uint64_t key, const char *name, size_t length)
{
    uint64_t hash = mix(length, key);

    for (; length >= 8; name += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, name, 8);
        hash = mix(hash, word);
    }
    uint64_t word = 0;
    memcpy(&word, name, length);
    return mix(hash, word);
}

static uint64_t hash_cookie(uint32_t cookie)
{
    return mix(UINT64_C(0x746e), cookie);
}

static void chain(struct tn__ahead *ahead, uint32_t index)
{
    struct tn__ahead_entry *entry = &ahead->entries[index];
    uint32_t *bucket = &ahead->buckets[(entry->hash & (ahead->bucket_count - 1)) * 2];

    entry->next = 0;
    if (bucket[0])
        ahead->entries[bucket[1]].next = index;
    else
        bucket[0] = index;
    bucket[1] = index;
}

/* Entry 0 is not used. */
static int grow_ahead(struct tn__ahead *ahead)
{
    size_t capacity = ahead->capacity ? ahead->capacity * 2 : AHEAD_MIN;
    struct tn__ahead_entry *entries =
        reallocarray(ahead->entries, capacity, sizeof(*ahead->entries));

    if (!entries)
        return -ENOMEM;
    ahead->entries = entries;
    uint32_t *buckets = calloc(capacity * 2, sizeof(*buckets));
    if (!buckets)
        return -ENOMEM;
    free(ahead->buckets);
    ahead->buckets = buckets;
    ahead->bucket_count = capacity;
    ahead->capacity = capacity;
    for (size_t i = 1; i < ahead->count; i++)
        chain(ahead, (uint32_t)i);
    return 0;
}

static int enter(struct tn__ahead *ahead, uint64_t hash, const struct tn__raw *raw,
                 uint64_t position)
{
    if (ahead->count == ahead->capacity && grow_ahead(ahead) < 0)
        return -ENOMEM;
    ahead->entries[ahead->count] =
        (struct tn__ahead_entry){.hash = hash, .raw = *raw, .position = position};
    chain(ahead, (uint32_t)ahead->count++);
    return 0;
}

static int start_ahead(struct tn__stream *stream)
{
    struct tn__ahead *ahead = &stream->ahead;

    if (!ahead->capacity && grow_ahead(ahead) < 0)
        return -ENOMEM;
    memset(ahead->buckets, 0, ahead->bucket_count * 2 * sizeof(*ahead->buckets));
    ahead->count = 1;
    ahead->block = stream->head;
    ahead->offset = stream->offset;
    ahead->live = true;
    return 0;
}

static bool is_overtaken(const struct tn__ahead *ahead, uint64_t committed)
{
    return ahead->block->start + ahead->offset < committed;
}

static int fill_ahead(struct tn__stream *stream)
{
    struct tn__ahead *ahead = &stream->ahead;

    if ((!ahead->live || is_overtaken(ahead, stream->committed)) && start_ahead(stream) < 0)
        return -ENOMEM;
    for (;;) {
        struct tn__raw raw;
        size_t offset = ahead->offset;
        while (tn__decode(ahead->block->bytes, ahead->block->size, &offset, &raw) == 1) {
            uint64_t position = ahead->block->start + ahead->offset;
            if ((raw.mask & TN__NAME_CHANGES) && raw.name &&
                enter(ahead, hash_name(raw.key, raw.name, raw.name_length), &raw, position) < 0)
                goto no_memory;
            if ((raw.mask & IN_MOVED_TO) &&
                enter(ahead, hash_cookie(raw.cookie), &raw, position) < 0)
                goto no_memory;
            ahead->offset = offset;
        }
        if (!ahead->block->next)
            break;
        ahead->block = ahead->block->next;
        ahead->offset = 0;
    }
    return 0;

no_memory:
    ahead->live = false;
    return -ENOMEM;
}

/* The first entry of the hash's chain that was not committed, and drops those before it. */
static uint32_t first_of(struct tn__stream *stream, uint64_t hash)
{
    struct tn__ahead *ahead = &stream->ahead;
    uint32_t *bucket = &ahead->buckets[(hash & (ahead->bucket_count - 1)) * 2];

    while (bucket[0] && ahead->entries[bucket[0]].position < stream->committed)
        bucket[0] = ahead->entries[bucket[0]].next;
    return bucket[0];
}

int tn__stream_name_ahead(struct tn__stream *stream, uint64_t key, const char *name, size_t length,
                          struct tn__raw *ret_raw)
{
    ret_raw->mask = 0;
    if (tn__stream_is_empty(stream))
        return 0;
    if (fill_ahead(stream) < 0)
        return -ENOMEM;
    uint64_t hash = hash_name(key, name, length);
    for (uint32_t i = first_of(stream, hash); i; i = stream->ahead.entries[i].next) {
        const struct tn__ahead_entry *entry = &stream->ahead.entries[i];
        if (entry->hash == hash && entry->position >= stream->committed && entry->raw.mask &&
            entry->raw.key == key && entry->raw.name_length == length &&
            memcmp(entry->raw.name, name, length) == 0) {
            *ret_raw = entry->raw;
            return 1;
        }
    }
    return 0;
}

int tn__stream_to_ahead(struct tn__stream *stream, uint32_t cookie, uint64_t *ret_key)
{
    if (tn__stream_is_empty(stream))
        return 0;
    if (fill_ahead(stream) < 0)
        return -ENOMEM;
    uint64_t hash = hash_cookie(cookie);
    for (uint32_t i = first_of(stream, hash); i; i = stream->ahead.entries[i].next) {
        const struct tn__ahead_entry *entry = &stream->ahead.entries[i];
        if (entry->hash == hash && entry->position >= stream->committed &&
            (entry->raw.mask & IN_MOVED_TO) && entry->raw.cookie == cookie) {
            *ret_key = entry->raw.key;
            return 1;
        }
    }
    return 0;
}

bool tn__stream_change_ahead(const struct tn__stream *stream, uint64_t key, uint64_t position,
                             size_t limit, struct tn__change *ret_change)
{
    if (position < stream->committed)
        position = stream->committed;
    for (struct tn__stream_block *block = stream->head; block; block = block->next) {
        if (block->start + block->size <= position)
            continue;
        size_t offset = position > block->start ? (size_t)(position - block->start) : 0;
        struct tn__raw *raw = &ret_change->raw;
        for (; limit; limit--) {
            ret_change->position = block->start + offset;
            if (tn__decode(block->bytes, block->size, &offset, raw) != 1)
                break;
            ret_change->behind = block->start + offset;
            if (raw->key == key && raw->mask & TN__NAME_CHANGES && raw->name)
                return true;
        }
    }
    return false;
}

static void set_mask(struct tn__stream *stream, const struct tn__raw *raw, uint32_t mask)
{
    struct tn__stream_block *block = stream->head;

    while (raw->name < block->bytes || raw->name >= block->bytes + block->size)
        block = block->next;
    char *head = block->bytes + (raw->name - block->bytes) - sizeof(struct inotify_event);
    memcpy(head + offsetof(struct inotify_event, mask), &mask, sizeof(mask));
}

static void void_entry(struct tn__stream *stream, uint64_t hash, const struct tn__raw *raw)
{
    for (uint32_t i = first_of(stream, hash); i; i = stream->ahead.entries[i].next)
        if (stream->ahead.entries[i].raw.name == raw->name)
            stream->ahead.entries[i].raw.mask = 0;
}

void tn__stream_take(struct tn__stream *stream, const struct tn__raw *raw)
{
    set_mask(stream, raw, 0);
    if (!stream->ahead.live)
        return;
    void_entry(stream, hash_name(raw->key, raw->name, raw->name_length), raw);
    void_entry(stream, hash_cookie(raw->cookie), raw);
}

void tn__stream_mark(struct tn__stream *stream, const struct tn__raw *raw, uint32_t bits)
{
    set_mask(stream, raw, raw->mask | bits);
}

int tn__stream_each(const struct tn__stream *stream, uint64_t position,
                    int (*each)(void *context, const struct tn__raw *raw), void *context)
{
    if (position < stream->committed)
        position = stream->committed;
    for (struct tn__stream_block *block = stream->head; block; block = block->next) {
        if (block->start + block->size <= position)
            continue;
        size_t offset = position > block->start ? (size_t)(position - block->start) : 0;
        struct tn__raw raw;
        while (tn__decode(block->bytes, block->size, &offset, &raw) == 1) {
            int result = each(context, &raw);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

static int is_about(void *context, const struct tn__raw *raw)
{
    const uint64_t *key = context;

    return raw->key == *key &&
                   ((raw->mask & TN__NAME_CHANGES) || (raw->mask & (IN_IGNORED | IN_DELETE_SELF)))
               ? -EEXIST
               : 0;
}

bool tn__stream_key_ahead(const struct tn__stream *stream, uint64_t key)
{
    return tn__stream_each(stream, stream->committed, is_about, &key) < 0;
}

static int is_end(void *context, const struct tn__raw *raw)
{
    const uint64_t *key = context;

    return raw->key == *key && raw->mask & (IN_IGNORED | IN_DELETE_SELF) ? -EEXIST : 0;
}

bool tn__stream_end_ahead(const struct tn__stream *stream, uint64_t key)
{
    return tn__stream_each(stream, stream->committed, is_end, &key) < 0;
}

struct changes {
    uint64_t key;
    int (*each)(void *context, const struct tn__raw *raw);
    void *context;
};

static int pass_change(void *context, const struct tn__raw *raw)
{
    const struct changes *changes = context;

    if (raw->key != changes->key || !(raw->mask & TN__NAME_CHANGES) || !raw->name)
        return 0;
    return changes->each(changes->context, raw);
}

int tn__stream_each_ahead(struct tn__stream *stream, uint64_t position, uint64_t key,
                          int (*each)(void *context, const struct tn__raw *raw), void *context)
{
    struct changes changes = {.key = key, .each = each, .context = context};

    return tn__stream_each(stream, position, pass_change, &changes);
}
