#include "processor/processor.h"

#include <errno.h>
#include <stdlib.h>

#include "callback.h"
#include "options.h"

_Thread_local struct tn__callback *tn__callbacks;

static tn_process_fn first_of(tn_process_fn exact, tn_process_fn family, tn_process_fn fallback)
{
    return exact != NULL ? exact : family != NULL ? family : fallback;
}

static void fill_slot(struct tn_processor *processor, const struct tn_processor_ops *ops,
                      uint32_t event, tn_process_fn exact, tn_process_fn family)
{
    processor->slots[tn__processor_slot(event)] = first_of(exact, family, ops->process_default);
}

static void resolve(struct tn_processor *p, const struct tn_processor_ops *ops)
{
    p->slots[TN__SLOT_NONE] = ops->process_default;
    fill_slot(p, ops, IN_ACCESS, ops->process_access, NULL);
    fill_slot(p, ops, IN_MODIFY, ops->process_modify, NULL);
    fill_slot(p, ops, IN_ATTRIB, ops->process_attrib, NULL);
    fill_slot(p, ops, IN_CLOSE_WRITE, ops->process_close_write, ops->process_close);
    fill_slot(p, ops, IN_CLOSE_NOWRITE, ops->process_close_nowrite, ops->process_close);
    fill_slot(p, ops, IN_OPEN, ops->process_open, NULL);
    fill_slot(p, ops, IN_MOVED_FROM, ops->process_moved_from, ops->process_move);
    fill_slot(p, ops, IN_MOVED_TO, ops->process_moved_to, ops->process_move);
    fill_slot(p, ops, IN_CREATE, ops->process_create, NULL);
    fill_slot(p, ops, IN_DELETE, ops->process_delete, NULL);
    fill_slot(p, ops, IN_DELETE_SELF, ops->process_delete_self, NULL);
    fill_slot(p, ops, IN_MOVE_SELF, ops->process_move_self, NULL);
    fill_slot(p, ops, IN_UNMOUNT, ops->process_unmount, NULL);
    fill_slot(p, ops, IN_Q_OVERFLOW, ops->process_q_overflow, NULL);
    fill_slot(p, ops, IN_IGNORED, ops->process_ignored, NULL);
}

struct tn_processor *tn__processor_alloc(size_t member_count)
{
    struct tn_processor *processor;
    size_t most = (SIZE_MAX - sizeof(*processor)) / sizeof(processor->members[0]);

    if (member_count > most)
        return NULL;
    processor = calloc(1, sizeof(*processor) + member_count * sizeof(processor->members[0]));
    if (processor != NULL)
        atomic_init(&processor->references, 1);
    return processor;
}

int tn_processor_new(const struct tn_processor_ops *ops, void *userdata,
                     struct tn_processor **ret_processor)
{
    struct tn_processor_ops known;

    if (ops == NULL || ret_processor == NULL)
        return -EINVAL;
    int r = tn__options_copy(&known, sizeof(known), ops);
    if (r < 0)
        return r;
    struct tn_processor *processor = tn__processor_alloc(0);
    if (processor == NULL)
        return -ENOMEM;
    if (known.process_batch == NULL)
        resolve(processor, &known);
    processor->process_batch = known.process_batch;
    processor->flush = known.flush;
    processor->release = known.release;
    processor->userdata = userdata;
    *ret_processor = processor;
    return 0;
}

struct tn_processor *tn_processor_ref(struct tn_processor *processor)
{
    if (processor != NULL)
        tn__fetch_add(&processor->references, 1, relaxed);
    return processor;
}

/* Of any notifier: whoever dropped the last reference may be in the middle of one. */
static void call_release(const struct tn_processor *processor)
{
    struct tn__callback callback;

    tn__callback_enter(&callback, NULL);
    processor->release(processor->userdata);
    tn__callback_leave(&callback);
}

struct tn_processor *tn_processor_unref(struct tn_processor *processor)
{
    if (processor == NULL || tn__fetch_sub(&processor->references, 1, acq_rel) != 1)
        return NULL;
    if (processor->release != NULL)
        call_release(processor);
    for (size_t i = 0; i < processor->member_count; i++)
        tn_processor_unref(processor->members[i]);
    free(processor);
    return NULL;
}

int tn__processor_call(struct tn_processor *processor, const struct tn_event *event,
                       bool *ret_unhandled)
{
    tn_process_fn process = processor->slots[tn__processor_slot(event->mask)];

    *ret_unhandled = false;
    if (TN__LIKELY(process != NULL))
        return process(event, processor->userdata);
    if (processor->process_batch != NULL)
        return processor->process_batch(&event, 1, processor->userdata);
    if (processor->is_chain)
        return tn__chain_call(processor, event, ret_unhandled);
    *ret_unhandled = true;
    return 0;
}

int tn_processor_call(struct tn_processor *processor, const struct tn_event *event)
{
    bool unhandled;

    if (processor == NULL || event == NULL)
        return -EINVAL;
    return tn__processor_call(processor, event, &unhandled);
}

int tn__processor_call_batch(struct tn_processor *processor, const struct tn_event *const *events,
                             size_t count)
{
    return processor->process_batch(events, count, processor->userdata);
}

void tn__processor_flush(struct tn_processor *processor)
{
    if (processor->flush != NULL)
        processor->flush(processor->userdata);
    for (size_t i = 0; i < processor->member_count; i++)
        tn__processor_flush(processor->members[i]);
}
