/*
 * A hash table whose buckets are packed blocks of whole entries, eight in the
 * mean, each as large as what it holds: that costs a few bytes an entry, where
 * a block or a pointer for each would cost twenty, and where an array that grows by a
 * share of its size would cost a share of the names too.
 *
 * It grows and shrinks by one bucket at a time (linear hashing): bucket n is
 * split off from bucket n - 2^floor(log2(n)), and is merged into it again. Where
 * there is no memory for that, the buckets are longer, and nothing else changes.
 */
#include "tree/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler.h"
#include "tree/name.h"

enum {
    SPLIT_ABOVE = 8, /* entries a bucket */
    MERGE_BELOW = 4,
    AT_TYPE = 32, /* of an entry: four words, type and KNOWN, the name's length, the name, NUL */
    AT_LENGTH,
    AT_NAME,
    KNOWN = 0x80,
};

struct bucket {
    uint32_t size;
    unsigned char entries[];
};

struct tn__snapshot {
    const uint64_t *seed;
    size_t bytes;
    union {
        struct bucket *one;   /* while bucket_count is 1 */
        struct bucket **many; /* room for the next power of two */
    } buckets;
    uint32_t count, bucket_count;
};

/* An inode's number is used again at once, so its time of birth belongs to it. */
static uint64_t identity_of(const struct statx *status)
{
    uint64_t device = (uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor;
    uint64_t birth = (uint64_t)status->stx_btime.tv_sec << 30 ^ status->stx_btime.tv_nsec;
    uint64_t hash = tn__name_mix(status->stx_ino ^ UINT64_C(0x9e3779b97f4a7c15),
                                 device ^ UINT64_C(0xd1b54a32d192ed03));

    hash = tn__name_mix(hash, birth ^ UINT64_C(0x8cb92ba72f3d8dd7));
    return hash ? hash : 1;
}

static int64_t nanoseconds(const struct statx_timestamp *time)
{
    return time->tv_sec * 1000000000 + time->tv_nsec;
}

void tn__status_read(int fd, const char *name, unsigned char type, struct tn__status *ret_status)
{
    struct statx status = {0};

    *ret_status = (struct tn__status){.type = type};
    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME,
              &status) < 0)
        return;
    *ret_status = (struct tn__status){.identity = identity_of(&status),
                                      .size = status.stx_size,
                                      .mtime_ns = nanoseconds(&status.stx_mtime),
                                      .ctime_ns = nanoseconds(&status.stx_ctime),
                                      .type = (unsigned char)IFTODT(status.stx_mode),
                                      .known = true};
}

/* What malloc takes for a block of that size. */
static size_t block_bytes(size_t size)
{
    return size ? tn__max(32, (size + 8 + 15) & ~(size_t)15) : 0;
}

static size_t bucket_bytes(const struct bucket *bucket)
{
    return bucket ? block_bytes(sizeof(*bucket) + bucket->size) : 0;
}

/* The highest bit of a number that is not 0. */
static uint32_t high_bit(uint32_t number)
{
    return 1u << (31 - __builtin_clz(number));
}

static size_t table_size(uint32_t bucket_count)
{
    return bucket_count == 1 ? 0 : (size_t)high_bit(bucket_count - 1) * 2 * sizeof(struct bucket *);
}

struct tn__snapshot *tn__snapshot_new(const uint64_t seed[3])
{
    struct tn__snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return NULL;
    snapshot->seed = seed;
    snapshot->bytes = block_bytes(sizeof(*snapshot));
    snapshot->bucket_count = 1;
    return snapshot;
}

static struct bucket **bucket_at(struct tn__snapshot *snapshot, uint32_t index)
{
    return snapshot->bucket_count == 1 ? &snapshot->buckets.one : &snapshot->buckets.many[index];
}

void tn__snapshot_free(struct tn__snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (uint32_t i = 0; i < snapshot->bucket_count; i++)
        free(*bucket_at(snapshot, i));
    if (snapshot->bucket_count > 1)
        free(snapshot->buckets.many);
    free(snapshot);
}

/* The bucket of a name, of so many buckets. */
static uint32_t index_of(const struct tn__snapshot *snapshot, uint32_t bucket_count,
                         const char *name, size_t length)
{
    struct tn__name packed;

    if (bucket_count == 1)
        return 0;
    tn__name_pack(&packed, snapshot->seed, name, length);
    uint32_t hash = tn__name_hash(snapshot->seed, 0, packed.word);
    uint32_t half = high_bit(bucket_count - 1);
    uint32_t index = hash & (2 * half - 1);
    return index < bucket_count ? index : index - half;
}

static struct bucket **bucket_of(const struct tn__snapshot *snapshot, const char *name,
                                 size_t length)
{
    return bucket_at((struct tn__snapshot *)snapshot,
                     index_of(snapshot, snapshot->bucket_count, name, length));
}

static size_t entry_size(const unsigned char *entry)
{
    return (size_t)AT_NAME + entry[AT_LENGTH] + 1;
}

static unsigned char *find(struct bucket *bucket, const char *name, size_t length)
{
    if (!bucket)
        return NULL;
    unsigned char *entry = bucket->entries, *end = entry + bucket->size;
    while (entry < end &&
           (entry[AT_LENGTH] != length || memcmp(entry + AT_NAME, name, length) != 0))
        entry += entry_size(entry);
    return entry < end ? entry : NULL;
}

static void write_status(unsigned char *entry, const struct tn__status *status)
{
    const uint64_t words[4] = {status->identity, status->size, (uint64_t)status->mtime_ns,
                               (uint64_t)status->ctime_ns};

    memcpy(entry, words, sizeof(words));
    entry[AT_TYPE] = (unsigned char)((status->type & ~KNOWN) | (status->known ? KNOWN : 0));
}

static struct tn__status read_status(const unsigned char *entry)
{
    uint64_t words[4];

    memcpy(words, entry, sizeof(words));
    return (struct tn__status){.identity = words[0],
                               .size = words[1],
                               .mtime_ns = (int64_t)words[2],
                               .ctime_ns = (int64_t)words[3],
                               .type = (unsigned char)(entry[AT_TYPE] & ~KNOWN),
                               .known = entry[AT_TYPE] & KNOWN};
}

/* False: no memory, and it is as it was; never when it becomes smaller. */
static bool resize(struct tn__snapshot *snapshot, struct bucket **bucket, uint32_t size)
{
    size_t before = bucket_bytes(*bucket);
    const bool grows = !*bucket || size > (*bucket)->size;
    struct bucket *resized = NULL;

    if (size) {
        resized = realloc(*bucket, sizeof(*resized) + size);
        if (!resized && grows)
            return false;
        resized = resized ? resized : *bucket;
        resized->size = size;
    } else {
        free(*bucket);
    }
    *bucket = resized;
    snapshot->bytes += bucket_bytes(resized) - before;
    return true;
}

static unsigned char *append(struct tn__snapshot *snapshot, struct bucket **bucket,
                             const char *name, size_t length)
{
    uint32_t size = *bucket ? (*bucket)->size : 0;

    if (!resize(snapshot, bucket, size + (uint32_t)(AT_NAME + length + 1)))
        return NULL;
    unsigned char *entry = (*bucket)->entries + size;
    entry[AT_LENGTH] = (unsigned char)length;
    memcpy(entry + AT_NAME, name, length);
    entry[AT_NAME + length] = '\0';
    snapshot->count++;
    return entry;
}

static void cut(struct tn__snapshot *snapshot, struct bucket **bucket, unsigned char *entry)
{
    size_t size = entry_size(entry);
    unsigned char *next = entry + size, *end = (*bucket)->entries + (*bucket)->size;

    memmove(entry, next, (size_t)(end - next));
    resize(snapshot, bucket, (*bucket)->size - (uint32_t)size);
    snapshot->count--;
}

static bool add_to_table(struct tn__snapshot *snapshot)
{
    const uint32_t count = snapshot->bucket_count;
    const size_t size = table_size(count + 1);

    if (size > table_size(count)) {
        struct bucket **many = realloc(count == 1 ? NULL : snapshot->buckets.many, size);
        if (!many)
            return false;
        if (count == 1)
            many[0] = snapshot->buckets.one;
        snapshot->buckets.many = many;
        snapshot->bytes += block_bytes(size) - block_bytes(table_size(count));
    }
    snapshot->buckets.many[count] = NULL;
    snapshot->bucket_count++;
    return true;
}

/* The last one, which must be empty. */
static void take_from_table(struct tn__snapshot *snapshot)
{
    const uint32_t count = --snapshot->bucket_count;
    const size_t size = table_size(count);
    struct bucket **many = snapshot->buckets.many;

    if (size == table_size(count + 1))
        return;
    if (count == 1) {
        snapshot->buckets.one = many[0];
        free(many);
    } else {
        struct bucket **shrunk = realloc(many, size);
        snapshot->buckets.many = shrunk ? shrunk : many;
    }
    snapshot->bytes -= block_bytes(table_size(count + 1)) - block_bytes(size);
}

/* Moves the entries that belong to another bucket, or, to NULL, tells their size. */
static uint32_t sort_out(const struct tn__snapshot *snapshot, struct bucket *from,
                         uint32_t bucket_count, struct bucket *to)
{
    uint32_t size = 0, kept = 0;

    for (uint32_t at = 0; from && at < from->size;) {
        unsigned char *entry = from->entries + at;
        uint32_t own = (uint32_t)entry_size(entry);
        const char *name = (const char *)entry + AT_NAME;
        bool goes = index_of(snapshot, bucket_count, name, entry[AT_LENGTH]) == bucket_count - 1;
        if (goes && to)
            memcpy(to->entries + size, entry, own);
        else if (!goes && to)
            memmove(from->entries + kept, entry, own);
        *(goes ? &size : &kept) += own;
        at += own;
    }
    return size;
}

static void split(struct tn__snapshot *snapshot)
{
    const uint32_t count = snapshot->bucket_count;
    const uint32_t low = count - high_bit(count);
    uint32_t size = sort_out(snapshot, *bucket_at(snapshot, low), count + 1, NULL);
    struct bucket *moved = size ? malloc(sizeof(*moved) + size) : NULL;

    if ((size && !moved) || !add_to_table(snapshot)) {
        free(moved);
        return;
    }
    if (!size)
        return;
    struct bucket **from = &snapshot->buckets.many[low];
    moved->size = size;
    sort_out(snapshot, *from, count + 1, moved);
    snapshot->buckets.many[count] = moved;
    snapshot->bytes += bucket_bytes(moved);
    resize(snapshot, from, (*from)->size - size);
}

static void merge(struct tn__snapshot *snapshot)
{
    const uint32_t last = snapshot->bucket_count - 1;
    struct bucket **from = &snapshot->buckets.many[last];
    struct bucket **to = &snapshot->buckets.many[last - high_bit(last)];
    uint32_t size = *to ? (*to)->size : 0;

    if (*from) {
        if (!resize(snapshot, to, size + (*from)->size))
            return;
        if (*to) /* else both were empty */
            memcpy((*to)->entries + size, (*from)->entries, (*from)->size);
        resize(snapshot, from, 0);
    }
    take_from_table(snapshot);
}

int tn__snapshot_put(struct tn__snapshot *snapshot, const char *name, size_t length,
                     const struct tn__status *status)
{
    if (length == 0 || length > TN__SNAPSHOT_NAME)
        return -EINVAL;
    struct bucket **bucket = bucket_of(snapshot, name, length);
    unsigned char *entry = find(*bucket, name, length);
    if (!entry)
        entry = append(snapshot, bucket, name, length);
    if (!entry)
        return -ENOMEM;
    write_status(entry, status);
    if (snapshot->count / SPLIT_ABOVE >= snapshot->bucket_count)
        split(snapshot);
    return 0;
}

bool tn__snapshot_remove(struct tn__snapshot *snapshot, const char *name, size_t length)
{
    if (length == 0)
        return false;
    struct bucket **bucket = bucket_of(snapshot, name, length);
    unsigned char *entry = find(*bucket, name, length);
    if (!entry)
        return false;
    cut(snapshot, bucket, entry);
    if (snapshot->bucket_count > 1 && snapshot->count / MERGE_BELOW < snapshot->bucket_count)
        merge(snapshot);
    return true;
}

bool tn__snapshot_get(const struct tn__snapshot *snapshot, const char *name, size_t length,
                      struct tn__status *ret_status)
{
    const unsigned char *entry =
        length ? find(*bucket_of(snapshot, name, length), name, length) : NULL;

    if (entry && ret_status)
        *ret_status = read_status(entry);
    return entry != NULL;
}

int tn__snapshot_each(const struct tn__snapshot *snapshot,
                      int (*each)(void *context, const char *name, size_t length,
                                  const struct tn__status *status),
                      void *context)
{
    for (uint32_t i = 0; i < snapshot->bucket_count; i++) {
        const struct bucket *bucket = *bucket_at((struct tn__snapshot *)snapshot, i);
        for (uint32_t at = 0; bucket && at < bucket->size;) {
            const unsigned char *entry = bucket->entries + at;
            const struct tn__status status = read_status(entry);
            int result = each(context, (const char *)entry + AT_NAME, entry[AT_LENGTH], &status);
            if (result < 0)
                return result;
            at += (uint32_t)entry_size(entry);
        }
    }
    return 0;
}

size_t tn__snapshot_count(const struct tn__snapshot *snapshot)
{
    return snapshot->count;
}

size_t tn__snapshot_bytes(const struct tn__snapshot *snapshot)
{
    return snapshot->bytes;
}
