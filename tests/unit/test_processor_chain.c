/* Processors made of others: chains, and tests in them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "trace.h"

/* A chain of processors that share one trace, made and left with the only reference. */
static struct tn_processor *chain_of(struct tn_processor *const *members, size_t count)
{
    struct tn_processor *chain = NULL;

    cr_assert_eq(tn_processor_new_chain(members, count, &chain), 0);
    for (size_t i = 0; i < count; i++)
        tn_processor_unref(members[i]);
    return chain;
}

static const struct tn_processor_ops create_ops = {.size = sizeof(create_ops),
                                                   .process_create = on_create,
                                                   .flush = on_flush,
                                                   .release = on_release};
static const struct tn_processor_ops default_ops = {.size = sizeof(default_ops),
                                                    .process_default = on_default,
                                                    .flush = on_flush,
                                                    .release = on_release};
static const struct tn_processor_ops batch_ops = {.size = sizeof(batch_ops),
                                                  .process_batch = on_batch,
                                                  .flush = on_flush,
                                                  .release = on_release};

Test(chain, calls_in_order)
{
    struct trace trace = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &trace), make(&batch_ops, &trace),
                                           make(&default_ops, &trace)},
                 3);

    cr_assert_not(tn__processor_has_batch(chain));
    cr_assert_eq(call(chain, IN_CREATE), 0);
    cr_assert_str_eq(trace.letters, "cb*");
    cr_assert_eq(trace.batch, 1);
    tn__processor_flush(chain);
    cr_assert_str_eq(trace.letters, "cb*FFF");
    cr_assert_eq(trace.releases, 0);
    tn_processor_unref(chain);
    cr_assert_eq(trace.releases, 3);
}

Test(chain, stop_ends_it)
{
    struct trace first = {.result = TN_STOP}, second = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &first), make(&default_ops, &second)},
                 2);

    cr_assert_eq(call(chain, IN_CREATE), TN_STOP);
    cr_assert_str_eq(second.letters, "");
    cr_assert_eq(call(chain, IN_DELETE), 0);
    cr_assert_str_eq(second.letters, "*");
    tn_processor_unref(chain);
}

Test(chain, the_first_error_is_the_result_and_it_goes_on)
{
    struct trace first = {.result = -EXDEV}, second = {.result = -EIO}, third = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&default_ops, &first), make(&default_ops, &second),
                                           make(&default_ops, &third)},
                 3);

    cr_assert_eq(call(chain, IN_CREATE), -EXDEV);
    cr_assert_str_eq(third.letters, "*");
    third.result = TN_STOP;
    cr_assert_eq(call(chain, IN_CREATE), -EXDEV);
    tn_processor_unref(chain);
}

Test(chain, is_unhandled_when_no_member_handles)
{
    struct trace trace = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &trace), make(&create_ops, &trace)},
                 2);

    cr_assert(is_unhandled(chain, IN_DELETE));
    cr_assert_not(is_unhandled(chain, IN_CREATE));
    tn_processor_unref(chain);
    chain =
        chain_of((struct tn_processor *[]){make(&default_ops, &trace), make(&create_ops, &trace)},
                 2);
    cr_assert_not(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
    chain = chain_of(NULL, 0);
    cr_assert(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
}

Test(chain, a_nested_one_is_part_of_it)
{
    struct trace before = {0}, inside = {.result = TN_STOP}, after = {0};
    struct tn_processor *inner = chain_of((struct tn_processor *[]){make(&create_ops, &inside)}, 1);
    struct tn_processor *outer =
        chain_of((struct tn_processor *[]){make(&default_ops, &before), inner,
                                           make(&default_ops, &after)},
                 3);

    cr_assert_eq(call(outer, IN_CREATE), TN_STOP);
    cr_assert_str_eq(before.letters, "*");
    cr_assert_str_eq(inside.letters, "c");
    cr_assert_str_eq(after.letters, "");
    cr_assert_eq(call(outer, IN_DELETE), 0);
    cr_assert_str_eq(after.letters, "*");
    tn__processor_flush(outer);
    cr_assert_str_eq(inside.letters, "cF");
    cr_assert_eq(inside.releases, 0);
    tn_processor_unref(outer);
    cr_assert_eq(inside.releases, 1);
}

Test(chain, refuses_bad_members)
{
    struct trace trace = {0};
    struct tn_processor *members[2] = {make(&create_ops, &trace), NULL};
    struct tn_processor *chain = NULL;

    cr_assert_eq(tn_processor_new_chain(members, 2, &chain), -EINVAL);
    cr_assert_eq(tn_processor_new_chain(NULL, 1, &chain), -EINVAL);
    cr_assert_eq(tn_processor_new_chain(members, 1, NULL), -EINVAL);
    cr_assert_null(chain);
    tn_processor_unref(members[0]);
    cr_assert_eq(trace.releases, 1);
}

static bool is_create(const struct tn_event *event, void *userdata)
{
    note(userdata, '?');
    return (event->mask & IN_CREATE) != 0;
}

Test(processor_if, ends_the_chain_unless_true)
{
    struct trace trace = {0};
    struct tn_processor *test = NULL;

    cr_assert_eq(tn_processor_new_if(is_create, &trace, on_release, &test), 0);
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){test, make(&default_ops, &trace)}, 2);
    cr_assert_eq(call(chain, IN_CREATE), 0);
    cr_assert_str_eq(trace.letters, "?*");
    cr_assert_eq(call(chain, IN_DELETE), TN_STOP);
    cr_assert_str_eq(trace.letters, "?*?");
    tn_processor_unref(chain);
    cr_assert_eq(trace.releases, 2);
}

Test(processor_if, passing_is_not_handling)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_delete = on_delete};
    struct trace trace = {0};
    struct tn_processor *test = NULL;

    cr_assert_eq(tn_processor_new_if(is_create, &trace, NULL, &test), 0);
    struct tn_processor *chain = chain_of((struct tn_processor *[]){test, make(&ops, &trace)}, 2);
    cr_assert(is_unhandled(chain, IN_CREATE));
    cr_assert_not(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
    cr_assert_eq(tn_processor_new_if(NULL, &trace, NULL, &test), -EINVAL);
    cr_assert_eq(tn_processor_new_if(is_create, &trace, NULL, NULL), -EINVAL);
}
