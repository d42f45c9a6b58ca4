/*
 * Objects that had one key after the other, before the IN_IGNORED of the older
 * ones was read: registry/object.c.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "compiler.h"
#include "registry/registry.h"

enum { OBJECTS = 3, KEY = 5 };

static struct tn__registry registry;
static struct tn__add *add;
static struct tn__policy *policy;
static uint32_t watches[OBJECTS], objects[OBJECTS]; /* from the oldest; 0: it has gone */

static void attach(unsigned i)
{
    const struct tn__attach attached = {
        .policy = policy,
        .node = tn__node_new_locked(&registry.tree, 0, "root", 4),
        .placed = {.key = KEY, .fresh = true},
    };

    cr_assert_neq(attached.node, 0);
    cr_assert_eq(tn__registry_attach_locked(&registry, &attached, &watches[i]), 0);
    objects[i] = tn__load(&tn__registry_watch(&registry, watches[i])->object, relaxed);
}

static void set_up(void)
{
    static const struct tn_watch_options options = {.mask = IN_CREATE};

    cr_assert_eq(tn__registry_init(&registry), 0);
    add = tn__add_new(&options, TN_ORDER_TREE);
    cr_assert_not_null(add);
    policy = tn__policy_new(add, IN_CREATE, 0, NULL, NULL);
    cr_assert_not_null(policy);
    tn__registry_lock(&registry);
    for (unsigned i = 0; i < OBJECTS; i++)
        attach(i);
    tn__registry_unlock(&registry);
}

static void tear_down(void)
{
    tn__policy_unref(policy);
    tn__add_drop(&registry, add);
    tn__registry_done(&registry);
}

TestSuite(object, .init = set_up, .fini = tear_down);

/* The key leads to the newest, and each to the one before it. */
static void expect_chain(void)
{
    uint32_t at = tn__index_get_rcu(&registry.by_key, KEY);

    for (unsigned i = OBJECTS; i-- > 0;) {
        if (!objects[i])
            continue;
        cr_assert_eq(at, objects[i]);
        at = tn__load(&tn__registry_object(&registry, at)->older, relaxed);
    }
    cr_assert_eq(at, 0);
}

static void end(unsigned i)
{
    tn__registry_lock(&registry);
    cr_assert(tn__registry_unlink_locked(&registry, watches[i]), "it was the object's only watch");
    tn__registry_unlock(&registry);
    tn__registry_drop(&registry, watches[i], 1);
    objects[i] = 0;
}

struct order {
    unsigned ends[OBJECTS];
};

ParameterizedTestParameters(object, ends_in_any_order)
{
    static struct order orders[] = {{{0, 1, 2}}, {{0, 2, 1}}, {{1, 0, 2}},
                                    {{1, 2, 0}}, {{2, 0, 1}}, {{2, 1, 0}}};

    return cr_make_param_array(struct order, orders, TN__COUNT(orders));
}

ParameterizedTest(const struct order *order, object, ends_in_any_order)
{
    expect_chain();
    for (unsigned i = 0; i < OBJECTS; i++) {
        end(order->ends[i]);
        expect_chain();
    }
}
