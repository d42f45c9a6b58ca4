/* Which function of a table is called, with what result, and how long the table lives. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "processor/processor.h"
#include "trace.h"

HANDLER(on_access, 'a')
HANDLER(on_modify, 'm')
HANDLER(on_attrib, 't')
HANDLER(on_close_write, 'w')
HANDLER(on_close_nowrite, 'n')
HANDLER(on_open, 'o')
HANDLER(on_moved_from, 'f')
HANDLER(on_moved_to, 'T')
HANDLER(on_delete_self, 'D')
HANDLER(on_move_self, 'S')
HANDLER(on_unmount, 'u')
HANDLER(on_q_overflow, 'q')
HANDLER(on_ignored, 'i')
HANDLER(on_close, '1')
HANDLER(on_move, '2')

/* One event of each kind, every other one of a directory. */
static void check_kinds(const struct tn_processor_ops *ops, const char *expected)
{
    struct trace trace = {0};
    struct tn_processor *processor = make(ops, &trace);

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        call(processor, masks[i] | (i % 2 ? IN_ISDIR : 0));
    cr_assert_str_eq(trace.letters, expected);
    tn_processor_unref(processor);
}

Test(processor, calls_the_exact_function)
{
    struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_access = on_access,
        .process_attrib = on_attrib,
        .process_close_write = on_close_write,
        .process_close_nowrite = on_close_nowrite,
        .process_create = on_create,
        .process_delete = on_delete,
        .process_delete_self = on_delete_self,
        .process_ignored = on_ignored,
        .process_modify = on_modify,
        .process_move_self = on_move_self,
        .process_moved_from = on_moved_from,
        .process_moved_to = on_moved_to,
        .process_open = on_open,
        .process_q_overflow = on_q_overflow,
        .process_unmount = on_unmount,
        .process_close = on_close,
        .process_move = on_move,
        .process_default = on_default,
    };

    check_kinds(&ops, "amtwnofTcdDSuqi");
}

Test(processor, falls_back_to_family_then_default)
{
    struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_close_write = on_close_write,
        .process_close = on_close,
        .process_move = on_move,
        .process_default = on_default,
    };

    check_kinds(&ops, "***w1*22*******");
}

Test(processor, no_event_bit_goes_to_default)
{
    struct tn_processor_ops ops = {.size = sizeof(ops),
                                   .process_create = on_create,
                                   .process_default = on_default};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    call(processor, 0);
    call(processor, IN_ISDIR);
    call(processor, 0x1000);
    call(processor, UINT32_MAX & ~TN__MASK_EVENTS);
    call(processor, IN_CREATE | 0x1000);
    cr_assert_str_eq(trace.letters, "****c");
    tn_processor_unref(processor);
}

Test(processor, tells_what_is_unhandled)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_create = on_create};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_not(is_unhandled(processor, IN_CREATE));
    cr_assert(is_unhandled(processor, IN_DELETE));
    cr_assert(is_unhandled(processor, 0));
    cr_assert_eq(call(processor, IN_DELETE), 0);
    cr_assert_str_eq(trace.letters, "c");
    tn_processor_unref(processor);
}

Test(processor, gives_back_the_result)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = on_default};
    struct trace trace = {.result = -EXDEV};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_eq(call(processor, IN_OPEN), -EXDEV);
    trace.result = TN_STOP;
    cr_assert_eq(call(processor, IN_OPEN), TN_STOP);
    tn_processor_unref(processor);
}

Test(processor, refuses_bad_arguments)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = NULL;
    struct tn_event event = {.wd = 1};

    cr_assert_eq(tn_processor_new(NULL, NULL, &processor), -EINVAL);
    cr_assert_eq(tn_processor_new(&ops, &trace, NULL), -EINVAL);
    ops.size = 3;
    cr_assert_eq(tn_processor_new(&ops, &trace, &processor), -EINVAL);
    cr_assert_null(processor);
    cr_assert_eq(trace.releases, 0);
    cr_assert_eq(tn_processor_call(NULL, &event), -EINVAL);
    ops.size = sizeof(ops);
    processor = make(&ops, &trace);
    cr_assert_eq(tn_processor_call(processor, NULL), -EINVAL);
    tn_processor_unref(processor);
    cr_assert_null(tn_processor_unref(NULL));
    cr_assert_null(tn_processor_ref(NULL));
    cr_assert_null(tn__processor_alloc(SIZE_MAX));
}

Test(processor, takes_an_older_and_a_newer_table)
{
    struct {
        struct tn_processor_ops ops;
        void *later;
    } newer = {.ops = {.size = sizeof(newer), .process_default = on_default}};
    struct tn_processor_ops older = {.size = offsetof(struct tn_processor_ops, process_close),
                                     .process_create = on_create,
                                     .process_default = on_default};
    struct trace trace = {0};
    struct tn_processor *processor = make(&older, &trace);

    call(processor, IN_CREATE);
    cr_assert(is_unhandled(processor, IN_OPEN));
    tn_processor_unref(processor);
    processor = make(&newer.ops, &trace);
    call(processor, IN_CREATE);
    cr_assert_str_eq(trace.letters, "c*");
    tn_processor_unref(processor);
    newer.later = &trace;
    cr_assert_eq(tn_processor_new(&newer.ops, &trace, &processor), -E2BIG);
}

Test(processor, releases_with_the_last_reference)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_eq(tn_processor_ref(processor), processor);
    cr_assert_null(tn_processor_unref(processor));
    cr_assert_eq(trace.releases, 0);
    cr_assert_null(tn_processor_unref(processor));
    cr_assert_eq(trace.releases, 1);
}

static pthread_barrier_t barrier;

static void *ref_and_unref(void *argument)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 500000; i++)
        tn_processor_unref(tn_processor_ref(argument));
    return tn_processor_unref(argument);
}

Test(processor, references_are_counted_by_all_threads)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);
    pthread_t threads[4];

    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ref_and_unref, tn_processor_ref(processor)),
                     0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(trace.releases, 0);
    tn_processor_unref(processor);
    cr_assert_eq(trace.releases, 1);
}

Test(processor, batch_stands_for_all)
{
    struct tn_processor_ops ops = {.size = sizeof(ops),
                                   .process_default = on_default,
                                   .process_batch = on_batch};
    struct trace trace = {.result = -EXDEV};
    struct tn_processor *processor = make(&ops, &trace);
    struct tn_event event = {.wd = 1, .mask = IN_OPEN};
    const struct tn_event *events[3] = {&event, &event, &event};

    cr_assert(tn__processor_has_batch(processor));
    cr_assert_eq(tn__processor_call_batch(processor, events, 3), -EXDEV);
    cr_assert_eq(trace.batch, 3);
    cr_assert_eq(call(processor, IN_OPEN), -EXDEV);
    cr_assert_eq(trace.batch, 4);
    cr_assert_not(is_unhandled(processor, 0));
    cr_assert_str_eq(trace.letters, "bbb");
    tn_processor_unref(processor);
}

Test(processor, flushes)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .flush = on_flush};
    struct tn_processor_ops none = {.size = sizeof(none)};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    tn__processor_flush(processor);
    cr_assert_str_eq(trace.letters, "F");
    tn_processor_unref(processor);
    processor = make(&none, &trace);
    tn__processor_flush(processor);
    tn_processor_unref(processor);
}
