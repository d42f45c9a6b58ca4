/*
 * A source that a test of the stream writes: records, and how many of them a
 * read gives.
 */
#ifndef TN_TESTS_STREAM_SCRIPT_H
#define TN_TESTS_STREAM_SCRIPT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "compiler.h"
#include "source/source.h"

struct script {
    struct tn__source source;
    char *bytes;
    size_t size, capacity, at;
    size_t *ends; /* of the records */
    size_t records, next, records_capacity;
    size_t chunk; /* records that a read gives at most; 0: as many as fit */
    int error;    /* when there are none: 0 is the end */
};

static inline ssize_t script_read(struct tn__source *source, void *buffer, size_t size)
{
    struct script *script = tn__container_of(source, struct script, source);
    size_t first = script->at, given = 0;

    while (script->next < script->records && script->ends[script->next] - first <= size &&
           (!script->chunk || given < script->chunk)) {
        script->at = script->ends[script->next++];
        given++;
    }
    if (!given)
        return script->next < script->records ? -EINVAL : script->error;
    memcpy(buffer, script->bytes + first, script->at - first);
    return (ssize_t)(script->at - first);
}

static const struct tn__source_ops script_ops = {.read = script_read};

static inline void script_init(struct script *script)
{
    *script = (struct script){.source.ops = &script_ops, .error = -EAGAIN};
}

static inline void script_done(struct script *script)
{
    free(script->bytes);
    free(script->ends);
}

/* Any bytes, as one record. */
static inline void script_add(struct script *script, const void *bytes, size_t size)
{
    if (script->capacity - script->size < size) {
        script->capacity = (script->capacity + size) * 2;
        script->bytes = realloc(script->bytes, script->capacity);
        cr_assert_not_null(script->bytes);
    }
    if (script->records == script->records_capacity) {
        script->records_capacity = script->records_capacity * 2 + 64;
        script->ends = reallocarray(script->ends, script->records_capacity, sizeof(size_t));
        cr_assert_not_null(script->ends);
    }
    memcpy(script->bytes + script->size, bytes, size);
    script->size += size;
    script->ends[script->records++] = script->size;
}

static inline void script_push(struct script *script, uint64_t key, uint32_t mask, uint32_t cookie,
                               const char *name)
{
    size_t length = name ? strlen(name) : 0;
    size_t space = length ? (length + 16) & ~(size_t)15 : 0;
    struct inotify_event head = {.wd = (int)key,
                                 .mask = mask,
                                 .cookie = cookie,
                                 .len = (uint32_t)space};
    char bytes[sizeof(head) + 272] = {0};

    memcpy(bytes, &head, sizeof(head));
    if (length)
        memcpy(bytes + sizeof(head), name, length);
    script_add(script, bytes, sizeof(head) + space);
}

#endif
