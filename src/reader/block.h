/*
 * A block of the stream, for stream.c and ahead.c.
 */
#ifndef TN_SRC_READER_BLOCK_H
#define TN_SRC_READER_BLOCK_H

#include "reader/stream.h"

enum {
    TN__BLOCK_SIZE = 64 * 1024,
    TN__BLOCK_READ_MIN = 4096, /* the rest of a block is not worth a read below this */
};

/* A read's records begin with the time of the read. */
struct tn__stream_block {
    struct tn__stream_block *next;
    uint64_t start; /* position of its first byte */
    size_t size;    /* bytes filled */
    uint64_t read_ns[TN__BLOCK_SIZE / TN__BLOCK_READ_MIN];
    uint32_t ends[TN__BLOCK_SIZE / TN__BLOCK_READ_MIN]; /* where each read ended */
    unsigned reads;
    _Alignas(8) char bytes[TN__BLOCK_SIZE];
};

#endif
