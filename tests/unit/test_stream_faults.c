/*
 * The stream when there is no memory: reader/stream.c, compiled here once more
 * with these functions between it and the system.
 */
#include "reader/stream.h"

#include <stdbool.h>
#include <stdio.h>

#include "stream_script.h"

/* The calls that fail, counted from 1. */
static unsigned calls, first_failing, last_failing;

static bool fails(void)
{
    calls++;
    return calls >= first_failing && calls <= last_failing;
}

static void *faulty_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

static void *faulty_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

static void *faulty_reallocarray(void *pointer, size_t count, size_t size)
{
    return fails() ? NULL : reallocarray(pointer, count, size);
}

#define tn__stream_init         faulty_stream_init
#define tn__stream_done         faulty_stream_done
#define tn__stream_read         faulty_stream_read
#define tn__stream_next         faulty_stream_next
#define tn__stream_next_ns      faulty_stream_next_ns
#define tn__stream_read_to      faulty_stream_read_to
#define tn__stream_name_ahead   faulty_stream_name_ahead
#define tn__stream_to_ahead     faulty_stream_to_ahead
#define tn__stream_each_ahead   faulty_stream_each_ahead
#define tn__stream_each         faulty_stream_each
#define tn__stream_key_ahead    faulty_stream_key_ahead
#define tn__stream_change_ahead faulty_stream_change_ahead
#define tn__stream_take         faulty_stream_take
#define tn__stream_mark         faulty_stream_mark
#define tn__stream_end_ahead    faulty_stream_end_ahead
#define tn__stream_has_overflow faulty_stream_has_overflow
#define malloc                  faulty_malloc
#define calloc                  faulty_calloc
#define reallocarray            faulty_reallocarray

void tn__stream_init(struct tn__stream *stream, struct tn__source *source);
void tn__stream_done(struct tn__stream *stream);
ssize_t tn__stream_read(struct tn__stream *stream);
bool tn__stream_next(struct tn__stream *stream, struct tn__raw *ret_raw, uint64_t *ret_read_ns);
uint64_t tn__stream_next_ns(const struct tn__stream *stream);
int tn__stream_read_to(struct tn__stream *stream, uint64_t key);
int tn__stream_name_ahead(struct tn__stream *stream, uint64_t key, const char *name, size_t length,
                          struct tn__raw *ret_raw);
int tn__stream_to_ahead(struct tn__stream *stream, uint32_t cookie, uint64_t *ret_key);
int tn__stream_each_ahead(struct tn__stream *stream, uint64_t position, uint64_t key,
                          int (*each)(void *context, const struct tn__raw *raw), void *context);

#include "reader/stream.c"

#include "reader/ahead.c"

#undef malloc
#undef calloc
#undef reallocarray

enum { RECORDS = 6000 };

static struct script script;
static struct tn__stream stream;

static void set_up(void)
{
    script_init(&script);
    tn__stream_init(&stream, &script.source);
}

static void tear_down(void)
{
    tn__stream_done(&stream);
    script_done(&script);
}

TestSuite(stream_faults, .init = set_up, .fini = tear_down, .timeout = 60);

static void name_of(unsigned number, char *name)
{
    snprintf(name, 24, "%u", number);
}

static void push_all(void)
{
    char name[24];

    for (unsigned i = 0; i < RECORDS; i++) {
        name_of(i, name);
        script_push(&script, 1, IN_MOVED_TO, i + 1, name);
    }
}

/* From the given call on, `count` fail. */
static void fail_from(unsigned from, unsigned count)
{
    calls = 0;
    first_failing = from;
    last_failing = from + count - 1;
}

/* How many reads and questions met the shortage; each is made again until it is over. */
static unsigned read_and_ask(void)
{
    unsigned met = 0;
    char middle[24], name[24];
    ssize_t size;

    name_of(RECORDS / 2, middle);
    while ((size = tn__stream_read(&stream)) != -EAGAIN) {
        cr_assert(size > 0 || size == -ENOMEM, "%zd", size);
        met += size == -ENOMEM;
    }
    for (unsigned i = 0; i < RECORDS; i++) {
        struct tn__raw raw;
        uint64_t key, read_ns;
        int found;
        while ((found = tn__stream_name_ahead(&stream, 1, middle, strlen(middle), &raw)) == -ENOMEM)
            met++;
        cr_assert_eq(found, i <= RECORDS / 2);
        while ((found = tn__stream_to_ahead(&stream, i + 1, &key)) == -ENOMEM)
            met++;
        cr_assert_eq(found, 1);
        cr_assert(tn__stream_next(&stream, &raw, &read_ns));
        name_of(i, name);
        cr_assert_str_eq(raw.name, name);
    }
    return met;
}

Test(stream_faults, each_allocation_fails_once)
{
    for (unsigned from = 1; from < 64; from++) {
        push_all();
        fail_from(from, 1);
        unsigned met = read_and_ask();
        cr_expect_eq(met, calls >= from, "call %u of %u", from, calls);
        if (!met) {
            cr_expect_gt(from, 8, "there were that many");
            return;
        }
        tear_down();
        set_up();
    }
    cr_expect(false, "more than 64 calls");
}

Test(stream_faults, a_shortage_that_lasts)
{
    for (unsigned from = 1; from < 8; from++) {
        push_all();
        fail_from(from, 20);
        cr_expect_geq(read_and_ask(), 10, "call %u", from);
        tear_down();
        set_up();
    }
}

Test(stream_faults, read_to)
{
    char name[24];

    for (unsigned i = 0; i < RECORDS; i++) {
        name_of(i, name);
        script_push(&script, 1, IN_CREATE, 0, name);
    }
    script_push(&script, 77, IN_IGNORED, 0, NULL);
    fail_from(2, 1);
    cr_expect_eq(tn__stream_read_to(&stream, 77), -ENOMEM);
    cr_expect_eq(tn__stream_read_to(&stream, 77), 0, "it goes on where it was");
}
