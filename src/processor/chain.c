/*
 * A chain calls its members in order. A chain inside a chain is taken apart
 * when the outer one is made, so that TN_STOP ends the whole, errors come out
 * in the order of the members, and a call never recurses.
 */
#include <errno.h>
#include <stdlib.h>

#include "processor/processor.h"

static size_t leaf_count(const struct tn_processor *processor)
{
    return processor->is_chain ? processor->member_count : 1;
}

static void append(struct tn_processor *chain, struct tn_processor *processor)
{
    if (!processor->is_chain) {
        chain->members[chain->member_count++] = tn_processor_ref(processor);
        return;
    }
    for (size_t i = 0; i < processor->member_count; i++)
        chain->members[chain->member_count++] = tn_processor_ref(processor->members[i]);
}

int tn_processor_new_chain(struct tn_processor *const *processors, size_t count,
                           struct tn_processor **ret_processor)
{
    size_t total = 0;

    if (ret_processor == NULL || (processors == NULL && count > 0))
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (processors[i] == NULL)
            return -EINVAL;
        if (__builtin_add_overflow(total, leaf_count(processors[i]), &total))
            return -ENOMEM;
    }
    struct tn_processor *chain = tn__processor_alloc(total);
    if (chain == NULL)
        return -ENOMEM;
    chain->is_chain = true;
    for (size_t i = 0; i < count; i++)
        append(chain, processors[i]);
    *ret_processor = chain;
    return 0;
}

/* The first error is the result, also if a later member stops the chain. */
int tn__chain_call(struct tn_processor *chain, const struct tn_event *event, bool *ret_unhandled)
{
    bool handled = false;
    int result = 0;

    for (size_t i = 0; i < chain->member_count; i++) {
        struct tn_processor *member = chain->members[i];
        bool unhandled;
        int r = tn__processor_call(member, event, &unhandled);

        if (!unhandled && !(member->is_test && r == 0))
            handled = true;
        if (r < 0 && result == 0)
            result = r;
        if (r > 0) {
            result = result < 0 ? result : TN_STOP;
            break;
        }
    }
    *ret_unhandled = !handled;
    return result;
}

struct condition {
    bool (*test)(const struct tn_event *event, void *userdata);
    void *userdata;
    void (*release)(void *userdata);
};

static int condition_process(const struct tn_event *event, void *userdata)
{
    const struct condition *condition = userdata;

    return condition->test(event, condition->userdata) ? 0 : TN_STOP;
}

static void condition_release(void *userdata)
{
    struct condition *condition = userdata;

    if (condition->release != NULL)
        condition->release(condition->userdata);
    free(condition);
}

int tn_processor_new_if(bool (*test)(const struct tn_event *event, void *userdata), void *userdata,
                        void (*release)(void *userdata), struct tn_processor **ret_processor)
{
    static const struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_default = condition_process,
        .release = condition_release,
    };
    struct tn_processor *processor;

    if (test == NULL || ret_processor == NULL)
        return -EINVAL;
    struct condition *condition = malloc(sizeof(*condition));
    if (condition == NULL)
        return -ENOMEM;
    *condition = (struct condition){.test = test, .userdata = userdata, .release = release};
    int r = tn_processor_new(&ops, condition, &processor);
    if (r < 0) {
        free(condition);
        return r;
    }
    processor->is_test = true;
    *ret_processor = processor;
    return 0;
}
