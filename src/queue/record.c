/*
 * Writing and reading the compact form of an event.
 *
 *   header | path "/" name NUL | source pathname NUL | path NUL
 *
 * Each text is there only if it is needed; the name is the pathname's end. The
 * path stands last, so that a record which shares it is simply shorter.
 */
#include "queue/record.h"

#include <string.h>

/*
 * A copy of short text without a call: blocks of a constant size, the last of
 * which overlaps the one before it.
 */
static inline char *put(char *at, const char *text, size_t length)
{
    char *end = at + length;

    if (length >= 16) {
        for (; length > 16; length -= 16, at += 16, text += 16)
            memcpy(at, text, 16);
        memcpy(end - 16, text + length - 16, 16);
    } else if (length >= 8) {
        memcpy(at, text, 8);
        memcpy(end - 8, text + length - 8, 8);
    } else if (length >= 4) {
        memcpy(at, text, 4);
        memcpy(end - 4, text + length - 4, 4);
    } else {
        while (at < end)
            *at++ = *text++;
    }
    return end;
}

static char *put_joined(char *at, const struct tn__entry *entry)
{
    size_t length = entry->path ? entry->path_length : 0;

    if (length > 0) {
        at = put(at, entry->path, length);
        if (at[-1] != '/')
            *at++ = '/';
    }
    at = put(at, entry->name, entry->name_length);
    *at++ = '\0';
    return at;
}

void tn__record_write(void *at, size_t need, const struct tn__entry *entry, const char *shared,
                      uint32_t epoch)
{
    struct tn__record *record = at;
    char *start = at, *text = start + sizeof(*record);
    size_t size8 = need / 8;

    record->wd = entry->wd;
    record->root = entry->root;
    record->sequence = entry->sequence;
    record->read_ns = entry->read_ns;
    record->watch = entry->watch;
    record->mask = entry->mask;
    record->cookie = entry->cookie;
    record->flags = entry->flags;
    record->error = (int16_t)entry->error;
    record->kind = (uint8_t)entry->kind;
    record->epoch_bits = (uint8_t)(epoch | (entry->src_pathname ? TN__RECORD_SRC : 0));
    record->size8 = size8 <= UINT16_MAX ? (uint16_t)size8 : 0;
    record->name_length = entry->name ? (uint16_t)entry->name_length : 0;
    if (record->name_length > 0)
        text = put_joined(text, entry);
    record->text_end = (uint32_t)(text - start);
    if (entry->src_pathname) {
        text = put(text, entry->src_pathname, entry->src_length);
        *text++ = '\0';
    }
    record->path = 0;
    if (!entry->path)
        return;
    if (shared) {
        record->path = (int32_t)(shared - start);
        return;
    }
    record->path = (int32_t)(text - start);
    text = put(text, entry->path, entry->path_length);
    *text = '\0';
}

void tn__record_event(const struct tn__record *record, struct tn_event *event)
{
    const char *start = (const char *)record;

    *event = (struct tn_event){
        .wd = record->wd,
        .root = record->root,
        .mask = record->mask,
        .cookie = record->cookie,
        .flags = record->flags,
        .error = record->error,
        .path = tn__record_path(record),
        .name = tn__record_name(record),
        .sequence = record->sequence,
        .read_ns = record->read_ns,
    };
    event->pathname = event->path;
    if (event->path && event->name)
        event->pathname = start + sizeof(*record);
    if (record->epoch_bits & TN__RECORD_SRC)
        event->src_pathname = start + record->text_end;
}

bool tn__record_is_repeat(const struct tn__record *record, const struct tn__entry *entry)
{
    size_t name_length = entry->name ? entry->name_length : 0;

    if (record->wd != entry->wd || record->mask != entry->mask || record->cookie != entry->cookie ||
        record->flags != entry->flags || record->error != entry->error)
        return false;
    if (record->kind != TN__ENTRY_EVENT || entry->kind != TN__ENTRY_EVENT)
        return false;
    if ((record->epoch_bits & TN__RECORD_SRC) || entry->src_pathname)
        return false;
    if (record->name_length != name_length)
        return false;
    return name_length == 0 || memcmp(tn__record_name(record), entry->name, name_length) == 0;
}
