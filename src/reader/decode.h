/*
 * Bytes of a source to records. Pure: no state, no allocation.
 */
#ifndef TN_SRC_READER_DECODE_H
#define TN_SRC_READER_DECODE_H

#include <stddef.h>
#include <stdint.h>

struct tn__raw {
    uint64_t key; /* the wd; UINT64_MAX for wd -1, which comes with IN_Q_OVERFLOW */
    uint32_t mask, cookie;
    const char *name;   /* in the buffer, NUL-terminated; NULL: none */
    size_t name_length; /* 0: none */
};

/*
 * The record at *offset. 1: *ret_raw is filled and *offset is at the next
 * one; 0: the end; -EBADMSG: a header or a name that is cut short, or a name
 * without its NUL. *offset stays where it was on 0 and -EBADMSG.
 */
int tn__decode(const void *buffer, size_t size, size_t *offset, struct tn__raw *ret_raw);

#endif
