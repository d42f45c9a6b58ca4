/*
 * The contents of a directory at the present point of the stream (rule 5 of
 * resolve.c).
 */
#include <dirent.h>
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
        tn__reader_new_directory(reader, found->watch, name, length);
    } else if (type == DT_REG) {
        news.mask = IN_CLOSE_WRITE;
        tn__reader_emit(reader, found->watch, &news);
    }
    return 0;
}

/* Of an entry that the scan saw: whether it is there at the present point of the stream. */
static int announce_scanned(void *context, const char *name, size_t length, unsigned char type)
{
    const struct tn__announce *own = context;
    struct tn__raw raw;
    int ahead = tn__stream_name_ahead(&own->reader->stream, own->key, name, length, &raw);

    if (ahead > 0 && raw.mask & (IN_CREATE | IN_MOVED_TO))
        return 0;
    if (ahead > 0 && raw.mask & IN_ISDIR)
        type = DT_DIR;
    else if (ahead > 0 && type == DT_DIR)
        type = DT_UNKNOWN;
    return announce(context, name, length, type);
}

/* Of a record ahead: what it takes away is there now, also if the scan came too late for it. */
static int announce_leaving(void *context, const struct tn__raw *raw)
{
    const struct tn__announce *own = context;
    struct tn__raw first;

    if (!(raw->mask & (IN_DELETE | IN_MOVED_FROM)) ||
        tn__stream_name_ahead(&own->reader->stream, own->key, raw->name, raw->name_length,
                              &first) <= 0 ||
        first.name != raw->name || tn__scan_has(own->scan, raw->name))
        return 0;
    /* What moves on may have been written before; of what is deleted nobody needs to know. */
    unsigned char type = raw->mask & IN_MOVED_FROM ? DT_REG : DT_UNKNOWN;
    return announce(context, raw->name, raw->name_length, raw->mask & IN_ISDIR ? DT_DIR : type);
}

void tn__announce(const struct tn__announce *found, uint64_t position)
{
    void *context = (void *)found;

    tn__scan_each(found->scan, announce_scanned, context);
    tn__stream_each_ahead(&found->reader->stream, position, found->key, announce_leaving, context);
}
