/* Processors that write down what is called in them. */
#ifndef TN_TESTS_TRACE_H
#define TN_TESTS_TRACE_H

#include <criterion/criterion.h>

#include "processor/processor.h"

/* What was called, as one letter a call. */
struct trace {
    char letters[64];
    size_t length;
    int result;
    size_t batch;
    int releases;
};

static inline void note(struct trace *trace, char letter)
{
    cr_assert_lt(trace->length, sizeof(trace->letters) - 1);
    trace->letters[trace->length++] = letter;
    trace->letters[trace->length] = '\0';
}

#define HANDLER(name, letter)                                                                      \
    static inline int name(const struct tn_event *event, void *userdata)                           \
    {                                                                                              \
        (void)event;                                                                               \
        note(userdata, letter);                                                                    \
        return ((struct trace *)userdata)->result;                                                 \
    }

/* Every kind of event, in the order of the bits. */
static const uint32_t masks[] = {
    IN_ACCESS,      IN_MODIFY,     IN_ATTRIB,   IN_CLOSE_WRITE, IN_CLOSE_NOWRITE,
    IN_OPEN,        IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE,      IN_DELETE,
    IN_DELETE_SELF, IN_MOVE_SELF,  IN_UNMOUNT,  IN_Q_OVERFLOW,  IN_IGNORED,
};

HANDLER(on_create, 'c')
HANDLER(on_delete, 'd')
HANDLER(on_default, '*')

static inline int on_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    struct trace *trace = userdata;

    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(events[i]);
    note(trace, 'b');
    trace->batch += count;
    return trace->result;
}

static inline void on_flush(void *userdata)
{
    note(userdata, 'F');
}

static inline void on_release(void *userdata)
{
    ((struct trace *)userdata)->releases++;
}

static inline struct tn_processor *make(const struct tn_processor_ops *ops, struct trace *trace)
{
    struct tn_processor *processor = NULL;

    cr_assert_eq(tn_processor_new(ops, trace, &processor), 0);
    return processor;
}

static inline int call(struct tn_processor *processor, uint32_t mask)
{
    struct tn_event event = {.wd = 1, .mask = mask};

    return tn_processor_call(processor, &event);
}

static inline bool is_unhandled(struct tn_processor *processor, uint32_t mask)
{
    struct tn_event event = {.wd = 1, .mask = mask};
    bool unhandled = !processor;

    tn__processor_call(processor, &event, &unhandled);
    return unhandled;
}

#endif
