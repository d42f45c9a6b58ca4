/*
 * The reader lists directories, which the kernel tells to whoever has asked for
 * it, by the directory's own watch and by the one of the directory that it is in.
 * The reader commits nothing meanwhile, so what it notes before it reads on is in
 * time; all stands in the stream before the marker that is put when the directory
 * was closed. Nothing is noted where the kernel was not asked.
 *
 * Checked by tests/behaviour/test_own_events.c and tests/unit/test_trace.c.
 */
#include "registry/trace.h"

#include <string.h>

#include "reader/reader.h"

static uint32_t kernel_mask_locked(struct tn__registry *registry, uint64_t key)
{
    uint32_t object = tn__index_get_rcu(&registry->by_key, key);

    return object ? tn__registry_object(registry, object)->kernel_mask : 0;
}

void tn__reader_note_child(struct tn__reader *reader, uint64_t parent_key, const char *name,
                           size_t length)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    if (kernel_mask_locked(registry, parent_key) & TN__TRACE_MASK)
        tn__trace_note_locked(&registry->traces, parent_key, name, length, false, NULL);
    tn__registry_unlock(registry);
}

void tn__reader_note_self_locked(struct tn__reader *reader, uint64_t key, uint32_t mask,
                                 bool opened)
{
    struct tn__registry *registry = reader->registry;

    if ((kernel_mask_locked(registry, key) | mask) & TN__TRACE_MASK)
        tn__trace_note_locked(&registry->traces, key, NULL, 0, opened, NULL);
}

void tn__reader_note_list(struct tn__reader *reader, uint32_t node, int directory)
{
    struct tn__registry *registry = reader->registry;
    uint32_t parent = tn__node_parent(&registry->tree, node);
    char name[TN__READER_NAME];
    uint64_t key = 0;

    if (TN__LIKELY(!tn__load(&registry->traces.asked, relaxed)))
        return;
    tn__registry_lock(registry);
    tn__reader_note_self_locked(
        reader, tn__registry_key_of(registry, tn__node_watch(&registry->tree, node)), 0, false);
    bool found = true;
    if (parent) {
        tn__node_name(&registry->tree, node, name, sizeof(name));
        key = tn__registry_key_of(registry, tn__node_watch(&registry->tree, parent));
    } else {
        found = tn__registry_find_above_locked(registry, directory, &key, name, sizeof(name));
    }
    tn__registry_unlock(registry);
    if (found)
        tn__reader_note_child(reader, key, name, strlen(name));
}

void tn__reader_end_notes(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    if (TN__LIKELY(!tn__load(&registry->traces.count, relaxed)))
        return;
    tn__registry_lock(registry);
    tn__trace_forget_locked(&registry->traces, NULL, reader->stream.committed);
    tn__trace_close_locked(&registry->traces, reader->stream.read);
    tn__registry_unlock(registry);
}

bool tn__reader_is_trace(struct tn__reader *reader, const struct tn__raw *raw)
{
    struct tn__registry *registry = reader->registry;

    if (!(raw->mask & TN__TRACE_MASK) || !(raw->mask & IN_ISDIR))
        return false;
    tn__registry_lock(registry);
    bool taken = tn__trace_take_locked(&registry->traces, raw->key, raw->name, raw->name_length,
                                       raw->mask, reader->stream.committed);
    tn__registry_unlock(registry);
    return taken;
}
