/*
 * What a directory held: tree/snapshot.c, compiled here once more with these
 * functions between it and the system.
 */
#include "tree/snapshot.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "tree/name.h"

/* The calls that fail, counted from 1. */
static unsigned calls, first_failing, last_failing;

static bool fails(void)
{
    calls++;
    return calls >= first_failing && calls <= last_failing;
}

static void fail(unsigned first, unsigned last)
{
    calls = 0;
    first_failing = first;
    last_failing = last;
}

static void *faulty_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

static void *faulty_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

static void *faulty_realloc(void *pointer, size_t size)
{
    return fails() ? NULL : realloc(pointer, size);
}

#define tn__snapshot_new    faulty_snapshot_new
#define tn__snapshot_free   faulty_snapshot_free
#define tn__snapshot_put    faulty_snapshot_put
#define tn__snapshot_remove faulty_snapshot_remove
#define tn__snapshot_get    faulty_snapshot_get
#define tn__snapshot_each   faulty_snapshot_each
#define tn__status_read     faulty_status_read
#define tn__snapshot_count  faulty_snapshot_count
#define tn__snapshot_bytes  faulty_snapshot_bytes
#define malloc              faulty_malloc
#define calloc              faulty_calloc
#define realloc             faulty_realloc

void tn__status_read(int fd, const char *name, unsigned char type, struct tn__status *ret_status);
struct tn__snapshot *tn__snapshot_new(const uint64_t seed[3]);
void tn__snapshot_free(struct tn__snapshot *snapshot);
int tn__snapshot_put(struct tn__snapshot *snapshot, const char *name, size_t length,
                     const struct tn__status *status);
bool tn__snapshot_remove(struct tn__snapshot *snapshot, const char *name, size_t length);
bool tn__snapshot_get(const struct tn__snapshot *snapshot, const char *name, size_t length,
                      struct tn__status *ret_status);
int tn__snapshot_each(const struct tn__snapshot *snapshot,
                      int (*each)(void *context, const char *name, size_t length,
                                  const struct tn__status *status),
                      void *context);
size_t tn__snapshot_count(const struct tn__snapshot *snapshot);
size_t tn__snapshot_bytes(const struct tn__snapshot *snapshot);

#include "tree/snapshot.c"

#undef malloc
#undef calloc
#undef realloc

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { NAMES = 3000 };

static const uint64_t seed[3] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9),
                                 UINT64_C(0x94d049bb133111eb)};
static struct tn__snapshot *snapshot;
static uint32_t stamp[NAMES]; /* of what each name has; 0: it is not there */
static uint32_t present;

static void set_up(void)
{
    fail(0, 0);
    snapshot = tn__snapshot_new(seed);
    cr_assert_not_null(snapshot);
}

static void tear_down(void)
{
    tn__snapshot_free(snapshot);
}

TestSuite(snapshot, .init = set_up, .fini = tear_down);

/* Of any length and with any bytes, different for different numbers. */
static size_t name_of(uint32_t number, char name[256])
{
    size_t length = number % 7 ? 4 + number % 40 : 255;

    memset(name, (int)(number % 255 + 1), length);
    memcpy(name, &(uint32_t){number * 256u + 1}, 4);
    name[length] = '\0';
    return length;
}

static struct tn__status status_of(uint32_t value)
{
    return (struct tn__status){.identity = UINT64_C(0x8000000000000000) + value,
                               .size = (uint64_t)value << 31,
                               .mtime_ns = -(int64_t)value,
                               .ctime_ns = INT64_MAX - value,
                               .type = value % 2 ? DT_SOCK : DT_DIR,
                               .known = value % 3};
}

static void expect_status(const struct tn__status *status, uint32_t value)
{
    struct tn__status expected = status_of(value);

    cr_assert_eq(status->identity, expected.identity);
    cr_assert_eq(status->size, expected.size);
    cr_assert_eq(status->mtime_ns, expected.mtime_ns);
    cr_assert_eq(status->ctime_ns, expected.ctime_ns);
    cr_assert_eq(status->type, expected.type);
    cr_assert_eq(status->known, expected.known);
}

static int put(uint32_t number, uint32_t value)
{
    char name[256];
    const struct tn__status status = status_of(value);
    int result = tn__snapshot_put(snapshot, name, name_of(number, name), &status);

    if (result == 0) {
        present += !stamp[number];
        stamp[number] = value;
    }
    return result;
}

static void take(uint32_t number)
{
    char name[256];

    cr_assert_eq(tn__snapshot_remove(snapshot, name, name_of(number, name)), stamp[number] != 0);
    present -= stamp[number] != 0;
    stamp[number] = 0;
}

static int check_entry(void *context, const char *name, size_t length,
                       const struct tn__status *status)
{
    uint32_t number, *met = context;
    char expected[256];

    memcpy(&number, name, sizeof(number));
    number /= 256;
    cr_assert_lt(number, NAMES);
    cr_assert_eq(length, name_of(number, expected));
    cr_assert_eq(memcmp(name, expected, length + 1), 0);
    cr_assert_neq(stamp[number], 0);
    expect_status(status, stamp[number]);
    met[number]++;
    return 0;
}

/* The whole is what the test has put in. */
static void check(void)
{
    static uint32_t met[NAMES];
    char name[256];

    memset(met, 0, sizeof(met));
    cr_assert_eq(tn__snapshot_count(snapshot), present);
    cr_assert_eq(tn__snapshot_each(snapshot, check_entry, met), 0);
    for (uint32_t i = 0; i < NAMES; i++) {
        struct tn__status status;
        bool found = tn__snapshot_get(snapshot, name, name_of(i, name), &status);
        cr_assert_eq(found, stamp[i] != 0);
        cr_assert_eq(met[i], found);
        if (found)
            expect_status(&status, stamp[i]);
    }
}

Test(snapshot, holds_what_was_put_last)
{
    check();
    for (uint32_t i = 0; i < NAMES; i++) {
        cr_assert_eq(put(i, i + 1), 0);
        if (i < 40 || i % 500 == 0)
            check();
    }
    for (uint32_t i = 0; i < NAMES; i += 3)
        cr_assert_eq(put(i, i + 7), 0);
    check();
    for (uint32_t i = 0; i < NAMES; i++) {
        take(i * 7 % NAMES);
        take(i * 7 % NAMES);
        if (present < 40 || i % 500 == 0)
            check();
    }
    cr_assert_eq(present, 0);
    cr_assert_leq(tn__snapshot_bytes(snapshot), TN__SNAPSHOT_SELF);
}

Test(snapshot, holds_it_whatever_comes_and_goes)
{
    uint32_t random = 1;

    for (uint32_t i = 0; i < 200000; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t number = (random >> 8) % NAMES;
        /* Waves, so that it grows and shrinks. */
        if ((random >> 4) % 16 < (i / 20000 % 2 ? 4u : 12u))
            cr_assert_eq(put(number, random | 1), 0);
        else
            take(number);
        if (i % 10000 == 0)
            check();
    }
    check();
}

Test(snapshot, refuses_what_is_no_name)
{
    char name[257];
    const struct tn__status status = status_of(1);

    memset(name, 'x', sizeof(name));
    cr_assert_eq(tn__snapshot_put(snapshot, name, 0, &status), -EINVAL);
    cr_assert_eq(tn__snapshot_put(snapshot, name, 256, &status), -EINVAL);
    cr_assert_eq(tn__snapshot_put(snapshot, name, 255, &status), 0);
    cr_assert_not(tn__snapshot_get(snapshot, name, 0, NULL));
    cr_assert_not(tn__snapshot_get(snapshot, name, 254, NULL));
    cr_assert_not(tn__snapshot_get(snapshot, name, 256, NULL));
    cr_assert(tn__snapshot_get(snapshot, name, 255, NULL));
    cr_assert_not(tn__snapshot_remove(snapshot, name, 0));
    cr_assert_not(tn__snapshot_remove(snapshot, name, 256));
    cr_assert(tn__snapshot_remove(snapshot, name, 255));
}

static int stop_at_third(void *context, const char *name, size_t length,
                         const struct tn__status *status)
{
    (void)name;
    (void)length;
    (void)status;
    return ++*(int *)context == 3 ? -ECANCELED : 0;
}

Test(snapshot, each_ends_when_told)
{
    int count = 0;

    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(put(i, 1), 0);
    cr_assert_eq(tn__snapshot_each(snapshot, stop_at_third, &count), -ECANCELED);
    cr_assert_eq(count, 3);
}

/* Of a block, its own word included. */
static size_t taken(void *block)
{
    return block ? malloc_usable_size(block) + sizeof(size_t) : 0;
}

/* What malloc says; it may leave a block one step larger than it was asked to. */
static size_t taken_by_all(size_t *ret_blocks)
{
    size_t bytes = taken(snapshot);

    if (snapshot->bucket_count > 1)
        bytes += taken(snapshot->buckets.many);
    for (uint32_t i = 0; i < snapshot->bucket_count; i++)
        bytes += taken(*bucket_at(snapshot, i));
    *ret_blocks = snapshot->bucket_count + 2;
    return bytes;
}

/* As it grows, at each number of entries, and as it shrinks. */
static void check_memory(size_t count)
{
    char name[256];
    size_t names = 0;
    size_t blocks;
    struct tn__status status = status_of(1);

    tn__snapshot_free(snapshot);
    snapshot = tn__snapshot_new(seed);
    for (size_t i = 0; i < 2 * count; i++) {
        uint32_t number = (uint32_t)(i < count ? i : i - count);
        size_t length = (size_t)snprintf(name, sizeof(name), "%x", number * 2654435761u);
        if (i < count) {
            cr_assert_eq(tn__snapshot_put(snapshot, name, length, &status), 0);
            names += length;
        } else {
            cr_assert(tn__snapshot_remove(snapshot, name, length));
            names -= length;
        }
        size_t entries = tn__snapshot_count(snapshot);
        cr_assert_leq(tn__snapshot_bytes(snapshot),
                      entries * TN__SNAPSHOT_ENTRY + names + (entries < 10 ? TN__SNAPSHOT_SELF : 0),
                      "%zu bytes for %zu entries", tn__snapshot_bytes(snapshot), entries);
        /* Under ASan blocks are others, and are not looked at. */
        if (!SANITIZED && (i % count == 0 || i % count == count - 1)) {
            size_t bytes = taken_by_all(&blocks);
            cr_assert_geq(bytes, tn__snapshot_bytes(snapshot));
            cr_assert_leq(bytes, tn__snapshot_bytes(snapshot) + 16 * blocks);
            cr_assert(entries < 1000 || bytes <= entries * TN__SNAPSHOT_ENTRY + names);
        }
    }
}

Test(snapshot, takes_48_bytes_an_entry_and_its_name)
{
    const size_t counts[] = {1, 10, 1000, 100000};

    for (size_t i = 0; i < TN__COUNT(counts); i++)
        check_memory(counts[i]);
}

Test(snapshot, is_as_it_was_without_memory)
{
    fail(1, 1);
    cr_assert_null(tn__snapshot_new(seed));
    for (uint32_t i = 0; i < NAMES; i++) {
        fail(1, 1);
        cr_assert_eq(put(i, i + 1), -ENOMEM);
        fail(1, UINT32_MAX);
        cr_assert_eq(put(i, i + 1), -ENOMEM);
        /* The entry has room, and the table can't grow; or its buckets. */
        fail(2, 2 + i % 2 * UINT32_MAX / 2);
        cr_assert_eq(put(i, i + 1), 0);
        cr_assert_eq(put(i, i + 2), 0);
        if (i < 40 || i % 500 == 0)
            check();
    }
    for (unsigned step = 0; step < 4; step++) {
        for (uint32_t i = 0; i < NAMES; i++) {
            fail(1 + i % 4, step ? 1 + i % 4 : UINT32_MAX);
            if (i % 4 == step)
                take(i);
            if (i % 500 == 0)
                check();
        }
        check();
    }
    cr_assert_eq(present, 0);
}
