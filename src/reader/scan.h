/*
 * The entries of one directory, listed once and kept while they are announced.
 */
#ifndef TN_SRC_READER_SCAN_H
#define TN_SRC_READER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tn__reader;
struct tn__stream;

/* Type, length in two bytes, name, NUL; one after the other. */
struct tn__scan {
    char *bytes;
    size_t size, capacity, count;
    size_t told;               /* of the entries, so far */
    const char **sorted;       /* made when it is first asked for a name */
    struct tn__stream *stream; /* read now and then meanwhile, so that its source does not overflow;
                                * may be NULL */
};

/* What the announcing of a directory's contents works on. */
struct tn__announce {
    struct tn__reader *reader;
    uint32_t watch;
    uint64_t key;
    uint64_t position; /* of the stream before the source watched it */
    struct tn__scan *scan;
    int fd;        /* of the directory */
    bool takes_in; /* its directories too */
};

/* Reads the stream at every TN__SCAN_READ_EVERY-th entry. */
enum { TN__SCAN_READ_EVERY = 4096 };
void tn__scan_read_stream(const struct tn__scan *scan, size_t done);

/* Lists to the end; the buffer is TN__DIR_BUFFER. 0 or -errno, and then what was read stays. */
int tn__scan_read(struct tn__scan *scan, int fd, void *buffer);
int tn__scan_each(const struct tn__scan *scan,
                  int (*each)(void *context, const char *name, size_t length, unsigned char type),
                  void *context);
bool tn__scan_has(struct tn__scan *scan, const char *name);
void tn__scan_done(struct tn__scan *scan);

/* announce.c: tells what is there, from the scan and the records ahead from the position on. */
void tn__announce(const struct tn__announce *found);

#endif
