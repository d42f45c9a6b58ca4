#include "steady.h"

#include <string.h>

#include "trace.h"

/* For --forget: of what the model can't do without, each so-manyth. */
static bool is_to_forget(struct steady *steady, const struct tn_event *event)
{
    const struct options *options = steady->options;

    if (!options->forget || !event->name)
        return false;
    if (!(event->mask & (IN_CREATE | IN_DELETE | IN_MOVE)))
        return false;
    if (options->queue && !options->snapshot && !(event->mask & IN_ISDIR))
        return false;
    return ++steady->comings_and_goings % options->forget == 0;
}

static int apply(const struct tn_event *event, void *userdata)
{
    struct steady *steady = userdata;

    trace_event(event);
    if (!atomic_load(&steady->is_deaf) && !is_to_forget(steady, event))
        model_apply(steady->model, event);
    return 0;
}

int steady_init(struct steady *steady, const struct options *options, const char *path,
                uint32_t mask, enum tn_order order)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = apply};

    memset(steady, 0, sizeof(*steady));
    steady->options = options;
    steady->mask = mask;
    steady->order = order;
    steady->model = model_new(path);
    model_expect_all(steady->model, options->snapshot);
    return tn_processor_new(&ops, steady, &steady->processor);
}

void steady_done(struct steady *steady)
{
    tn_processor_unref(steady->processor);
    model_free(steady->model);
}

static int add(struct steady *steady, struct tn_notifier *notifier, uint32_t flags)
{
    uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE | IN_Q_OVERFLOW;

    if (steady->options->snapshot)
        flags |= TN_WATCH_SNAPSHOT;
    return tn_watch_add(notifier, model_root_path(steady->model),
                        TN_WATCH_OPTIONS(.mask = mask | steady->mask,
                                         .flags = TN_WATCH_TREE | flags, .order = steady->order,
                                         .processor = steady->processor),
                        &steady->root);
}

int steady_add(struct steady *steady, struct tn_notifier *notifier)
{
    return add(steady, notifier, 0);
}

/* While watches are removed, some of them still tell what the others would explain. */
int steady_add_again(struct steady *steady, struct tn_notifier *notifier)
{
    atomic_store(&steady->is_deaf, true);
    int result = tn_watch_remove(notifier, steady->root, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    if (result < 0)
        return result;
    trace_note("again");
    model_clear(steady->model);
    atomic_store(&steady->is_deaf, false);
    return add(steady, notifier, TN_WATCH_EXISTING);
}
