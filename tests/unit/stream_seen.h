/*
 * A stream that reads a script, and its questions as one word each.
 */
#ifndef TN_TESTS_STREAM_SEEN_H
#define TN_TESTS_STREAM_SEEN_H

#include <stdio.h>

#include "reader/stream.h"
#include "stream_script.h"

static struct script script;
static struct tn__stream stream;

static inline void set_up(void)
{
    script_init(&script);
    tn__stream_init(&stream, &script.source);
}

static inline void tear_down(void)
{
    tn__stream_done(&stream);
    script_done(&script);
}

static inline void push(uint64_t key, uint32_t mask, const char *name)
{
    script_push(&script, key, mask, 0, name);
}

/* With the number in its name: 32 bytes each, so 2048 fill a block. */
static inline void push_numbered(unsigned from, unsigned to)
{
    char name[16];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof(name), "%u", i);
        push(i % 7 + 1, IN_CREATE, name);
    }
}

/* All that there is; how many reads that took. */
static inline unsigned read_all(void)
{
    unsigned reads = 0;

    for (;;) {
        ssize_t size = tn__stream_read(&stream);
        if (size == -EAGAIN)
            return reads;
        cr_assert_gt(size, 0);
        reads++;
    }
}

static inline struct tn__raw next(void)
{
    struct tn__raw raw;
    uint64_t read_ns;

    cr_assert(tn__stream_next(&stream, &raw, &read_ns));
    return raw;
}

static inline void expect_end(void)
{
    struct tn__raw raw;
    uint64_t read_ns;

    cr_expect(tn__stream_is_empty(&stream));
    cr_expect_not(tn__stream_next(&stream, &raw, &read_ns));
}

static inline void expect_numbered(unsigned from, unsigned to)
{
    char name[16];

    for (unsigned i = from; i < to; i++) {
        struct tn__raw raw = next();
        snprintf(name, sizeof(name), "%u", i);
        cr_assert_str_eq(raw.name, name);
        cr_assert_eq(raw.key, i % 7 + 1);
    }
}

/* The mask of the first record ahead about a name; 0: none. */
static inline uint32_t ahead(uint64_t key, const char *name)
{
    struct tn__raw raw = {.mask = 1};
    int found = tn__stream_name_ahead(&stream, key, name, strlen(name), &raw);

    cr_assert_eq(found, raw.mask != 0);
    if (found) {
        cr_assert_eq(raw.key, key);
        cr_assert_str_eq(raw.name, name);
    }
    return raw.mask;
}

static inline uint64_t to_ahead(uint32_t cookie)
{
    uint64_t key = 0;

    cr_assert_eq(tn__stream_to_ahead(&stream, cookie, &key), key != 0);
    return key;
}

struct walked {
    char names[64]; /* one letter each */
    size_t count, stop_at;
};

static inline int walk(void *context, const struct tn__raw *raw)
{
    struct walked *walked = context;

    cr_assert_lt(walked->count, sizeof(walked->names) - 1);
    walked->names[walked->count++] = *raw->name;
    return walked->count == walked->stop_at ? -ECANCELED : 0;
}

static inline void expect_walk(uint64_t position, uint64_t key, const char *names)
{
    struct walked walked = {.count = 0};

    cr_expect_eq(tn__stream_each_ahead(&stream, position, key, walk, &walked), 0);
    cr_expect_str_eq(walked.names, names);
}

#endif
