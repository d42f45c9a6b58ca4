/*
 * Names of which nobody can tell whether something is there: see rule 4 of
 * exchange.c, where the directory can't be opened, because it, or one above it,
 * was moved and the record that tells it is still ahead. As far as was told,
 * nothing is there. The next record about the name decides; without one, a look
 * once the directory can be opened and the departure has been told.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "array.h"
#include "reader/moves.h"

static uint32_t first_watch(struct tn__reader *reader, const struct tn__half *doubt)
{
    return tn__move_watches(reader, doubt->key);
}

/* Without memory the doubt stays a departure. */
void tn__reader_doubt(struct tn__reader *reader, const struct tn__raw *raw)
{
    struct tn__half *doubts = tn__array_room(reader->doubts, reader->doubt_count,
                                             &reader->doubt_capacity, sizeof(*doubts));

    if (!doubts)
        return;
    reader->doubts = doubts;
    tn__move_fill_half(&doubts[reader->doubt_count++], raw);
    reader->retry_due = true;
}

struct departure {
    const struct tn__raw *raw;
    bool passed, arrives;
};

static int find_arrival(void *context, const struct tn__raw *raw)
{
    struct departure *departure = context;
    const struct tn__raw *from = departure->raw;

    if (raw->key != from->key || !(raw->mask & TN__NAME_CHANGES) || !raw->name ||
        raw->name_length != from->name_length ||
        memcmp(raw->name, from->name, raw->name_length) != 0)
        return 0;
    if (!departure->passed) {
        departure->passed = raw->name == from->name;
        return 0;
    }
    departure->arrives = raw->mask & (IN_CREATE | IN_MOVED_TO);
    return -1;
}

/* An arrival ahead decides, and may be taken out of the stream. */
void tn__reader_doubt_ahead(struct tn__reader *reader, const struct tn__raw *raw)
{
    struct departure departure = {.raw = raw};

    tn__stream_each(&reader->stream, reader->stream.committed, find_arrival, &departure);
    if (!departure.arrives)
        tn__stream_mark(&reader->stream, raw, TN__RAW_DOUBT);
}

/* It was there all the time. */
static void announce(struct tn__reader *reader, const struct tn__half *doubt, bool is_dir)
{
    const struct tn__raw raw = {.key = doubt->key,
                                .mask = IN_MOVED_TO | (is_dir ? IN_ISDIR : 0),
                                .name = doubt->name,
                                .name_length = doubt->length};
    struct tn__news news = tn__move_news(&raw);

    news.flags = TN_EVENT_SYNTHETIC;
    for (uint32_t id = first_watch(reader, doubt), next; id; id = next) {
        next = tn__registry_next_watch(reader->registry, id);
        tn__reader_emit(reader, id, &news);
        if (is_dir)
            tn__reader_new_directory(reader, id, raw.name, raw.name_length);
    }
}

static struct tn__half take(struct tn__reader *reader, size_t i)
{
    struct tn__half doubt = reader->doubts[i];

    reader->doubts[i] = reader->doubts[--reader->doubt_count];
    return doubt;
}

bool tn__reader_end_doubt(struct tn__reader *reader, const struct tn__raw *raw)
{
    for (size_t i = 0; i < reader->doubt_count; i++) {
        const struct tn__half *known = &reader->doubts[i];
        if (known->key != raw->key || known->length != raw->name_length ||
            memcmp(known->name, raw->name, known->length) != 0)
            continue;
        struct tn__half doubt = take(reader, i);
        if (raw->mask & (IN_DELETE | IN_MOVED_FROM))
            announce(reader, &doubt, raw->mask & IN_ISDIR);
        return true;
    }
    return false;
}

/* Whether a record ahead tells why no watch of the directory leads to it. */
static bool is_explained(struct tn__reader *reader, uint32_t first, int error)
{
    for (uint32_t id = first; id; id = tn__registry_next_watch(reader->registry, id))
        if (tn__reader_not_found(reader, id, error) == -EAGAIN)
            return true;
    return false;
}

/* Whether it is decided; then it is told. */
static bool look(struct tn__reader *reader, const struct tn__half *doubt)
{
    uint32_t id = first_watch(reader, doubt);
    struct stat status;
    struct tn__raw raw;

    if (!id)
        return true;
    if (tn__move_is_leaving(reader, doubt->key, doubt->name, doubt->length))
        return false;
    int fd = tn__reader_open_object(reader, id);
    bool waits = fd < 0 && is_explained(reader, id, fd);
    bool is_there = fd >= 0 && fstatat(fd, doubt->name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    bool seen = fd >= 0 && tn__reader_read_to_now(reader, fd) == 0;
    tn__reader_forget_parent(reader);
    if (fd < 0)
        return !waits;
    if (!seen ||
        tn__stream_name_ahead(&reader->stream, doubt->key, doubt->name, doubt->length, &raw) != 0)
        return false;
    if (is_there)
        announce(reader, doubt, S_ISDIR(status.st_mode));
    return true;
}

void tn__reader_look_at_doubts(struct tn__reader *reader)
{
    for (size_t i = 0; i < reader->doubt_count;) {
        const struct tn__half doubt = reader->doubts[i];
        if (look(reader, &doubt))
            take(reader, i);
        else
            i++;
    }
}
