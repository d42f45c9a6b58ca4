/*
 * When the directories that are known by name only are taken in.
 *
 * One that stays unresolved for a while is a legal state of the tree, so a large
 * tree that appears at once is taken in by turns: after a turn, what had been
 * read by then is committed and published, then comes the next one. So neither
 * waits for ever: a turn is bounded by directories and entries, and what is
 * committed between two turns by what had been read. The last that came has the
 * first turn, which keeps the list short. Settle and drain wait until none is
 * left.
 *
 * Checked by tests/behaviour/test_turns.c.
 */
#include <errno.h>

#include "reader/reader.h"
#include "reader/scan.h"

enum {
    TURN = 4096,        /* entries */
    DIRECTORY_COST = 64 /* beside its entries */
};

void tn__reader_took(struct tn__reader *reader, const struct tn__scan *scan)
{
    reader->turn += DIRECTORY_COST + scan->count;
}

int tn__reader_retry_later(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    /* One that is in a list already has its turn there: in two, it would outlive the one. */
    bool queued = tn__node_flags(&registry->tree, node) & TN__NODE_QUEUED ||
                  tn__ids_append(&reader->retry, node);
    if (queued)
        tn__node_set_flags_locked(&registry->tree, node, TN__NODE_UNRESOLVED | TN__NODE_QUEUED);
    tn__registry_unlock(registry);
    return queued ? 0 : -ENOMEM;
}

/* True: none is left that could be taken in now. */
static bool resolve_until(struct tn__reader *reader, size_t end)
{
    struct tn__registry *registry = reader->registry;
    uint32_t node = 1;

    reader->turn = 0;
    while (node && reader->turn < end && !reader->skipping &&
           tn__reader_stop(reader) != TN__STOP_DISCARD) {
        tn__registry_lock(registry);
        node = tn__registry_take_unresolved_locked(registry);
        tn__registry_unlock(registry);
        if (!node)
            break;
        tn__reader_resolve_one(reader, node);
        tn__reader_end_spent(reader);
        if (TN__UNLIKELY(reader->options.when_full == TN_FULL_DROP))
            tn__reader_drop_when_full(reader);
    }
    /* A descriptor that stays open would hold back the directory's IN_DELETE_SELF. */
    tn__reader_forget_parent(reader);
    return reader->turn < end;
}

void tn__reader_resolve(struct tn__reader *reader)
{
    resolve_until(reader, SIZE_MAX);
    reader->paused = false;
}

void tn__reader_resolve_turn(struct tn__reader *reader)
{
    if (reader->paused || resolve_until(reader, TURN))
        return;
    reader->paused = true;
    reader->resume_at = reader->stream.read;
}

void tn__reader_resume(struct tn__reader *reader)
{
    if (!reader->paused || reader->stream.committed < reader->resume_at)
        return;
    reader->paused = false;
    reader->work_seen--; /* there is work, whether or not there is new */
    if (reader->retry_due && reader->retry.count && !reader->skipping)
        tn__reader_retry_unresolved(reader);
}

void tn__reader_retry_unresolved(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;
    struct tn__ids *retry = &reader->retry;
    size_t count_now = retry->count;

    reader->retry_due = false;
    retry->count = 0;
    tn__registry_lock(registry);
    for (size_t i = 0; i < count_now; i++) {
        uint32_t node = retry->items[i];
        tn__node_clear_flags_locked(&registry->tree, node, TN__NODE_QUEUED);
        uint32_t flags = tn__node_flags(&registry->tree, node);
        if (flags & TN__NODE_DETACHED || !(flags & TN__NODE_UNRESOLVED))
            tn__registry_prune_node_locked(registry, node);
        else if (tn__registry_unresolved_locked(registry, node) < 0)
            retry->items[retry->count++] = node;
    }
    tn__registry_unlock(registry);
}
