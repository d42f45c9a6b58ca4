/*
 * The contents of a directory at the present point of the stream (rule 5 of
 * resolve.c).
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include "reader/reader.h"
#include "reader/scan.h"

static int announce(void *context, const char *name, size_t length, unsigned char type)
{
    const struct tn__announce *found = context;
    struct tn__reader *reader = found->reader;
    bool is_dir = type == DT_DIR;
    struct tn__news news = {.mask = is_dir ? IN_CREATE | IN_ISDIR : IN_CREATE,
                            .flags = TN_EVENT_SYNTHETIC,
                            .name = name,
                            .name_length = length};

    tn__reader_emit(reader, found->watch, &news);
    if (is_dir) {
        if (found->takes_in)
            tn__reader_take_in(reader, found->watch, name, length);
    } else if (type == DT_REG) {
        news.mask = IN_CLOSE_WRITE;
        news.noted = true;
        tn__reader_emit(reader, found->watch, &news);
    }
    return 0;
}

struct arrival {
    const char *name;
    size_t length;
};

static int is_arrival(void *context, const struct tn__raw *raw)
{
    const struct arrival *arrival = context;

    return raw->mask & (IN_CREATE | IN_MOVED_TO) && raw->name_length == arrival->length &&
                   memcmp(raw->name, arrival->name, arrival->length) == 0
               ? -EEXIST
               : 0;
}

/*
 * What is there now and leaves by the record: if something else came to the
 * name after it, that may be what the scan saw. What moves on may have been
 * written before; of what is deleted nobody needs to know.
 */
static unsigned char type_now(const struct tn__announce *own, const struct tn__raw *leaving,
                              unsigned char scanned)
{
    struct arrival arrival = {.name = leaving->name, .length = leaving->name_length};

    if (leaving->mask & IN_ISDIR)
        return DT_DIR;
    if (scanned != DT_UNKNOWN && scanned != DT_DIR &&
        tn__stream_each_ahead(&own->reader->stream, own->position, own->key, is_arrival,
                              &arrival) == 0)
        return scanned;
    return leaving->mask & IN_MOVED_FROM ? DT_REG : DT_UNKNOWN;
}

/* Of an entry that the scan saw: whether it is there at the present point of the stream. */
static int announce_scanned(void *context, const char *name, size_t length, unsigned char type)
{
    const struct tn__announce *own = context;
    struct tn__raw raw;

    tn__scan_read_stream(own->scan, ++own->scan->told);
    int ahead = tn__stream_name_ahead(&own->reader->stream, own->key, name, length, &raw);

    if (ahead > 0 && raw.mask & (IN_CREATE | IN_MOVED_TO))
        return 0;
    if (ahead > 0)
        type = type_now(own, &raw, type);
    return announce(context, name, length, type);
}

struct leaving {
    const struct tn__announce *own;
    bool is_begun; /* a record was seen */
};

/*
 * Of a record ahead: what it takes away is there now, also if the scan came too
 * late for it. What it replaces is not announced, or it may have exchanged it.
 * Where the watch was placed in the middle of an exchange, a departure comes
 * first, and the arrival before it is not seen: the name is looked at (doubt.c).
 */
static int announce_leaving(void *context, const struct tn__raw *raw)
{
    struct leaving *leaving = context;
    const struct tn__announce *own = leaving->own;
    const bool is_first = !leaving->is_begun;
    struct tn__raw first;

    leaving->is_begun = true;
    if (is_first && raw->mask & IN_MOVED_FROM)
        tn__stream_mark(&own->reader->stream, raw, TN__RAW_DOUBT);
    if (!(raw->mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) ||
        tn__stream_name_ahead(&own->reader->stream, own->key, raw->name, raw->name_length,
                              &first) <= 0 ||
        first.name != raw->name)
        return 0;
    if (raw->mask & IN_MOVED_TO)
        tn__stream_mark(&own->reader->stream, raw, TN__RAW_UNTOLD);
    if (raw->mask & IN_MOVED_TO || tn__scan_has(own->scan, raw->name))
        return 0;
    return announce((void *)own, raw->name, raw->name_length, type_now(own, raw, DT_UNKNOWN));
}

void tn__announce(const struct tn__announce *found)
{
    void *context = (void *)found;
    struct leaving leaving = {.own = found};

    tn__reader_begin_snapshot(found->reader, found->watch, found->fd);
    tn__scan_each(found->scan, announce_scanned, context);
    tn__stream_each_ahead(&found->reader->stream, found->position, found->key, announce_leaving,
                          &leaving);
    tn__reader_end_snapshot(found->reader);
}
