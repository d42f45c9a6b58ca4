/*
 * The entries are packed into one block, so that a scan of a large directory
 * costs its names and five bytes each.
 */
#include "reader/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "reader/stream.h"
#include "tree/crawl.h"

enum { HEADER = 3 };

void tn__scan_read_stream(const struct tn__scan *scan, size_t done)
{
    if (!scan->stream || done % TN__SCAN_READ_EVERY)
        return;
    while (tn__stream_read(scan->stream) > 0)
        ; /* an error comes again where it is looked for */
}

static int keep(void *context, const char *name, size_t length, unsigned char type)
{
    struct tn__scan *scan = context;
    size_t need = HEADER + length + 1;

    if (scan->capacity - scan->size < need) {
        size_t capacity = tn__max(tn__max(1024, scan->size + need), scan->capacity * 2);
        char *bytes = realloc(scan->bytes, capacity);
        if (!bytes)
            return -ENOMEM;
        scan->bytes = bytes;
        scan->capacity = capacity;
    }
    char *entry = scan->bytes + scan->size;
    uint16_t short_length = (uint16_t)length; /* a directory record has no more */
    entry[0] = (char)type;
    memcpy(entry + 1, &short_length, sizeof(short_length));
    memcpy(entry + HEADER, name, length + 1);
    scan->size += need;
    tn__scan_read_stream(scan, ++scan->count);
    return 0;
}

int tn__scan_read(struct tn__scan *scan, int fd, void *buffer)
{
    return tn__dir_list(fd, buffer, TN__DIR_BUFFER, keep, scan);
}

static size_t length_of(const char *entry)
{
    uint16_t length;

    memcpy(&length, entry + 1, sizeof(length));
    return length;
}

int tn__scan_each(const struct tn__scan *scan,
                  int (*each)(void *context, const char *name, size_t length, unsigned char type),
                  void *context)
{
    for (size_t at = 0; at < scan->size;) {
        const char *entry = scan->bytes + at;
        size_t length = length_of(entry);
        int result = each(context, entry + HEADER, length, (unsigned char)entry[0]);
        if (result < 0)
            return result;
        at += HEADER + length + 1;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No memory: as if it were there, so that nothing is announced twice. */
bool tn__scan_has(struct tn__scan *scan, const char *name)
{
    if (!scan->count)
        return false;
    if (!scan->sorted) {
        scan->sorted = calloc(scan->count, sizeof(*scan->sorted));
        if (!scan->sorted)
            return true;
        size_t i = 0;
        for (size_t at = 0; at < scan->size; at += HEADER + length_of(scan->bytes + at) + 1)
            scan->sorted[i++] = scan->bytes + at + HEADER;
        qsort(scan->sorted, scan->count, sizeof(*scan->sorted), compare);
    }
    return bsearch(&name, scan->sorted, scan->count, sizeof(*scan->sorted), compare) != NULL;
}

void tn__scan_done(struct tn__scan *scan)
{
    free(scan->bytes);
    free(scan->sorted);
}
