/*
 * Bytes of a source to records. The header is copied out, so the buffer needs
 * no alignment and a fuzzer may hand over anything.
 */
#include "reader/decode.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

int tn__decode(const void *buffer, size_t size, size_t *offset, struct tn__raw *ret_raw)
{
    struct inotify_event head;
    size_t at = *offset;

    if (at >= size)
        return 0;
    if (size - at < sizeof(head))
        return -EBADMSG;
    memcpy(&head, (const char *)buffer + at, sizeof(head));
    at += sizeof(head);
    if (head.len > size - at)
        return -EBADMSG;

    const char *name = (const char *)buffer + at;
    size_t length = strnlen(name, head.len);
    if (head.len > 0 && length == head.len)
        return -EBADMSG;

    *ret_raw = (struct tn__raw){
        .key = (uint64_t)(int64_t)head.wd,
        .mask = head.mask,
        .cookie = head.cookie,
        .name = length > 0 ? name : NULL,
        .name_length = length,
    };
    *offset = at + head.len;
    return 1;
}
