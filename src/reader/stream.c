/*
 * Blocks of raw bytes in a list, each filled by one or more reads.
 */
#include "reader/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "clock.h"

void tn__stream_init(struct tn__stream *stream, struct tn__source *source)
{
    memset(stream, 0, sizeof(*stream));
    stream->source = source;
}

void tn__stream_done(struct tn__stream *stream)
{
    while (stream->head) {
        struct tn__stream_block *block = stream->head;
        stream->head = block->next;
        free(block);
    }
    free(stream->spare);
    free(stream->ahead.entries);
    free(stream->ahead.buckets);
}

static struct tn__stream_block *block_to_fill(struct tn__stream *stream)
{
    struct tn__stream_block *block = stream->tail;

    if (block && TN__BLOCK_SIZE - block->size >= TN__BLOCK_READ_MIN &&
        block->reads < TN__BLOCK_SIZE / TN__BLOCK_READ_MIN)
        return block;
    if (stream->spare) {
        block = stream->spare;
        stream->spare = NULL;
    } else {
        block = malloc(sizeof(*block));
        if (!block)
            return NULL;
    }
    block->next = NULL;
    block->start = stream->read;
    block->size = 0;
    block->reads = 0;
    if (stream->tail)
        stream->tail->next = block;
    else
        stream->head = block;
    stream->tail = block;
    return block;
}

ssize_t tn__stream_read(struct tn__stream *stream)
{
    struct tn__stream_block *block = block_to_fill(stream);
    if (!block)
        return -ENOMEM;
    ssize_t size = stream->source->ops->read(stream->source, block->bytes + block->size,
                                             TN__BLOCK_SIZE - block->size);
    if (size <= 0) {
        stream->ended = stream->ended || size == 0;
        return size;
    }
    block->size += (size_t)size;
    block->read_ns[block->reads] = tn__now_ns();
    block->ends[block->reads] = (uint32_t)block->size;
    block->reads++;
    stream->read += (uint64_t)size;
    return size;
}

static void free_head(struct tn__stream *stream)
{
    struct tn__stream_block *block = stream->head;

    stream->head = block->next;
    stream->offset = 0;
    if (stream->ahead.block == block)
        stream->ahead.live = false;
    if (!stream->spare) {
        stream->spare = block;
        return;
    }
    free(block);
}

/* All is committed: the last block is filled from its start again. */
static void rewind_blocks(struct tn__stream *stream)
{
    while (stream->head && stream->head != stream->tail)
        free_head(stream);
    if (!stream->head)
        return;
    stream->head->start = stream->read;
    stream->head->size = 0;
    stream->head->reads = 0;
    stream->offset = 0;
    stream->ahead.live = false;
}

/* What can't be decoded ends the block: the kernel gives no such thing. */
bool tn__stream_next(struct tn__stream *stream, struct tn__raw *ret_raw, uint64_t *ret_read_ns)
{
    while (stream->head && !tn__stream_is_empty(stream)) {
        struct tn__stream_block *block = stream->head;
        size_t offset = stream->offset;
        if (tn__decode(block->bytes, block->size, &offset, ret_raw) == 1) {
            unsigned read = 0;
            while (block->ends[read] < offset)
                read++;
            *ret_read_ns = block->read_ns[read];
            stream->committed += offset - stream->offset;
            stream->offset = offset;
            return true;
        }
        stream->committed = block->start + block->size;
        if (block->next)
            free_head(stream);
        else
            stream->offset = block->size;
    }
    rewind_blocks(stream);
    return false;
}

uint64_t tn__stream_next_ns(const struct tn__stream *stream)
{
    const struct tn__stream_block *block = stream->head;
    size_t offset = stream->offset;
    unsigned read = 0;

    if (tn__stream_is_empty(stream))
        return 0;
    if (offset == block->size) {
        block = block->next;
        offset = 0;
    }
    while (block->ends[read] <= offset)
        read++;
    return block->read_ns[read];
}

/* Whether the record tells that the marker was read, or will not come. */
static bool ends_wait(const struct tn__raw *raw, uint64_t key, int *result)
{
    if (raw->mask & IN_Q_OVERFLOW)
        *result = -EOVERFLOW;
    else if (raw->key == key && (raw->mask & IN_IGNORED))
        *result = 0;
    else
        return false;
    return true;
}

/* Each record is looked at once. */
bool tn__stream_has_overflow(struct tn__stream *stream)
{
    if (stream->checked < stream->committed)
        stream->checked = stream->committed;
    for (struct tn__stream_block *block = stream->head; block; block = block->next) {
        if (block->start + block->size <= stream->checked)
            continue;
        size_t offset =
            stream->checked > block->start ? (size_t)(stream->checked - block->start) : 0;
        struct tn__raw raw;
        while (tn__decode(block->bytes, block->size, &offset, &raw) == 1)
            if (raw.mask & IN_Q_OVERFLOW)
                stream->overflow = block->start + offset;
    }
    stream->checked = stream->read;
    return stream->overflow > stream->committed;
}

int tn__stream_read_to(struct tn__stream *stream, uint64_t key)
{
    if (tn__stream_has_overflow(stream))
        return -EOVERFLOW;
    for (;;) {
        ssize_t size = tn__stream_read(stream);
        if (size == -EAGAIN)
            return -EOVERFLOW;
        if (size <= 0)
            return size < 0 ? (int)size : -EOVERFLOW;
        struct tn__stream_block *block = stream->tail;
        size_t offset = block->size - (size_t)size;
        struct tn__raw raw;
        int result;
        while (tn__decode(block->bytes, block->size, &offset, &raw) == 1)
            if (ends_wait(&raw, key, &result))
                return result;
    }
}
