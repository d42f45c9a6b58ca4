#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tree_stage.h"

TestSuite(node, .init = set_up, .fini = tear_down);

static uint32_t child(uint32_t parent, const char *name)
{
    return tn__node_child_rcu(&tree, parent, name, strlen(name));
}

static int move(uint32_t id, uint32_t parent, const char *name)
{
    return tn__node_move_locked(&tree, id, parent, name, strlen(name));
}

static const char *name_of(uint32_t id)
{
    static char buffer[8192];

    cr_assert_eq(tn__node_name(&tree, id, buffer, sizeof(buffer)), strlen(buffer));
    return buffer;
}

Test(node, found_by_parent_and_name)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(root, "b"), aa = add(a, "a");

    cr_assert_eq(child(0, "/r"), root);
    cr_assert_eq(child(root, "a"), a);
    cr_assert_eq(child(root, "b"), b);
    cr_assert_eq(child(a, "a"), aa);
    cr_assert_eq(child(b, "a"), 0);
    cr_assert_eq(child(root, "c"), 0);
    cr_assert_eq(child(root, ""), 0);
    cr_assert_eq(child(root, "aa"), 0);
    cr_assert_eq(tn__node_parent(&tree, aa), a);
    cr_assert_eq(tn__node_parent(&tree, root), 0);
    cr_assert_eq(tn__node_count(&tree), 4);
}

/* Lengths on both sides of a word's end and of what fits in the node, with equal beginnings. */
Test(node, names_of_every_length)
{
    enum { LONGEST = 255 };
    uint32_t root = add(0, "/r"), ids[LONGEST + 1], other[LONGEST + 1];
    char text[LONGEST + 2];

    for (size_t length = 1; length <= LONGEST; length++) {
        memset(text, 'x', length);
        ids[length] = tn__node_new_locked(&tree, root, text, length);
        text[length - 1] = (char)0xff;
        other[length] = tn__node_new_locked(&tree, root, text, length);
    }
    for (size_t length = 1; length <= LONGEST; length++) {
        memset(text, 'x', sizeof(text));
        cr_assert_eq(tn__node_child_rcu(&tree, root, text, length), ids[length]);
        text[length] = '\0';
        cr_assert_str_eq(name_of(ids[length]), text);
        text[length - 1] = (char)0xff;
        cr_assert_eq(tn__node_child_rcu(&tree, root, text, length), other[length]);
        cr_assert_str_eq(name_of(other[length]), text);
        text[length - 1] = 'y';
        cr_assert_eq(tn__node_child_rcu(&tree, root, text, length), 0);
        text[length - 1] = 'x';
        if (length > 1) {
            text[0] = 'y';
            cr_assert_eq(tn__node_child_rcu(&tree, root, text, length), 0);
        }
    }
}

Test(node, name_is_cut_like_snprintf)
{
    uint32_t id = add(0, "/some/root");
    char buffer[16] = "??????????";

    cr_assert_eq(tn__node_name(&tree, id, buffer, 0), 10);
    cr_assert_eq(buffer[0], '?');
    cr_assert_eq(tn__node_name(&tree, id, buffer, 6), 10);
    cr_assert_str_eq(buffer, "/some");
    cr_assert_eq(buffer[6], '?');
}

Test(node, root_path_may_be_very_long)
{
    static char path[5001];

    memset(path, 'p', sizeof(path) - 1);
    path[0] = '/';
    uint32_t id = add(0, path);

    cr_assert_eq(child(0, path), id);
    cr_assert_str_eq(name_of(id), path);
}

Test(node, several_roots_of_one_name)
{
    uint32_t a = add(0, "/r"), b = add(0, "/r"), c = add(0, "/r");
    uint32_t seen[4] = {0}, count = 0;

    for (uint32_t id = child(0, "/r"); id && count < 4;
         id = tn__node_child_next_rcu(&tree, id, 0, "/r", 2))
        seen[count++] = id;
    cr_assert_eq(count, 3);
    cr_assert(seen[0] == c && seen[1] == b && seen[2] == a);
    tn__node_unhash_locked(&tree, b);
    cr_assert_eq(tn__node_child_next_rcu(&tree, c, 0, "/r", 2), a);
    cr_assert_eq(tn__node_child_next_rcu(&tree, b, 0, "/r", 2), 0);
    cr_assert_eq(tn__node_child_next_rcu(&tree, c, 0, "/x", 2), 0);
    cr_assert_eq(tn__node_next_sibling(&tree, a), 0);
}

Test(node, move_changes_parent_and_name)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(root, "b"), x = add(a, "x");
    uint32_t below = add(x, "below");
    uint32_t moves = atomic_load(&tree.moves);

    cr_assert_eq(move(x, b, "a name that is longer than fits"), 0);
    cr_assert_eq(atomic_load(&tree.moves), moves + 2);
    cr_assert_eq(child(a, "x"), 0);
    cr_assert_eq(child(b, "a name that is longer than fits"), x);
    cr_assert_eq(child(x, "below"), below);
    cr_assert_eq(tn__node_first_child(&tree, a), 0);
    cr_assert_eq(tn__node_first_child(&tree, b), x);
    cr_assert_eq(move(x, b, "y"), 0);
    cr_assert_eq(child(b, "y"), x);
    cr_assert_eq(move(x, 0, "/own/root"), 0);
    cr_assert_eq(child(0, "/own/root"), x);
    cr_assert_eq(tn__node_first_child(&tree, b), 0);
    cr_assert_eq(tn__node_next_sibling(&tree, x), 0);
    cr_assert_eq(move(x, root, "x"), 0);
    cr_assert_eq(child(root, "x"), x);
    cr_assert_eq(tn__node_first_child(&tree, root), x);
}

Test(node, detached_is_not_found_until_it_moves)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(a, "b");

    tn__node_unhash_locked(&tree, a);
    tn__node_unhash_locked(&tree, a);
    cr_assert_eq(child(root, "a"), 0);
    cr_assert_eq(child(a, "b"), b);
    cr_assert_eq(tn__node_flags(&tree, a), TN__NODE_DETACHED);
    cr_assert_eq(tn__node_first_child(&tree, root), a);
    uint32_t again = add(root, "a");

    cr_assert_eq(child(root, "a"), again);
    cr_assert_eq(move(a, root, "c"), 0);
    cr_assert_eq(child(root, "c"), a);
    cr_assert_eq(tn__node_flags(&tree, a), 0);
    tn__node_unhash_locked(&tree, b);
    tn__node_free_locked(&tree, b);
    tn__node_free_locked(&tree, a);
    cr_assert_eq(child(root, "c"), 0);
    cr_assert_eq(child(root, "a"), again);
}

Test(node, flags_and_watch_stay_beside_the_children)
{
    uint32_t root = add(0, "/r"), a = add(root, "a");

    tn__node_set_watch_locked(&tree, root, 99);
    tn__node_set_flags_locked(&tree, root, TN__NODE_QUEUED | TN__NODE_UNRESOLVED);
    uint32_t b = add(root, "b");

    cr_assert_eq(tn__node_flags(&tree, root), TN__NODE_QUEUED | TN__NODE_UNRESOLVED);
    cr_assert_eq(tn__node_first_child(&tree, root), b);
    tn__node_clear_flags_locked(&tree, root, TN__NODE_QUEUED);
    tn__node_set_flags_locked(&tree, root, TN__NODE_PATH_UNKNOWN);
    tn__node_free_locked(&tree, b);
    tn__node_free_locked(&tree, a);
    cr_assert_eq(tn__node_first_child(&tree, root), 0);
    cr_assert_eq(tn__node_flags(&tree, root), TN__NODE_UNRESOLVED | TN__NODE_PATH_UNKNOWN);
    cr_assert_eq(tn__node_watch(&tree, root), 99);
    cr_assert_eq(move(root, 0, "/s"), 0);
    cr_assert_eq(tn__node_watch(&tree, root), 99);
    cr_assert_eq(tn__node_flags(&tree, root), TN__NODE_UNRESOLVED | TN__NODE_PATH_UNKNOWN);
}

Test(node, reused_slot_starts_anew)
{
    uint32_t root = add(0, "/r"), a = add(root, "a name that is longer than fits");

    tn__node_set_watch_locked(&tree, a, 5);
    tn__node_set_flags_locked(&tree, a, TN__NODE_FLAGS & ~TN__NODE_DETACHED);
    tn__node_free_locked(&tree, a);
    cr_assert_eq(tn__node_watch(&tree, a), 0);
    cr_assert_eq(tn__node_count(&tree), 1);
    tn__rcu_barrier();
    cr_assert_eq(add(root, "b"), a);
    cr_assert_eq(tn__node_watch(&tree, a), 0);
    cr_assert_eq(tn__node_flags(&tree, a), 0);
    cr_assert_eq(tn__node_first_child(&tree, a), 0);
    cr_assert_eq(child(root, "b"), a);
}

Test(node, walks_go_through_a_subtree)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(root, "b");
    uint32_t a1 = add(a, "1"), a2 = add(a, "2"), a21 = add(a2, "1"), count = 0;
    uint32_t pre[] = {a, a2, a21, a1}, post[] = {a21, a2, a1, a};

    for (uint32_t id = a; id; id = tn__node_walk_next_locked(&tree, a, id))
        cr_assert(count < 4 && pre[count++] == id);
    cr_assert_eq(count, 4);
    count = 0;
    for (uint32_t id = tn__node_walk_last_locked(&tree, a), next; id; id = next) {
        next = tn__node_post_next_locked(&tree, a, id);
        cr_assert(count < 4 && post[count++] == id);
        tn__node_free_locked(&tree, id);
    }
    cr_assert_eq(count, 4);
    cr_assert_eq(tn__node_count(&tree), 2);
    cr_assert_eq(tn__node_walk_next_locked(&tree, root, root), b);
    cr_assert_eq(tn__node_walk_next_locked(&tree, root, b), 0);
    cr_assert_eq(tn__node_walk_last_locked(&tree, b), b);
    cr_assert_eq(tn__node_post_next_locked(&tree, b, b), 0);
}

Test(node, below)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(a, "b"), c = add(root, "c");

    cr_assert(tn__node_is_below_locked(&tree, b, root));
    cr_assert(tn__node_is_below_locked(&tree, b, a));
    cr_assert(tn__node_is_below_locked(&tree, b, b));
    cr_assert_not(tn__node_is_below_locked(&tree, a, b));
    cr_assert_not(tn__node_is_below_locked(&tree, b, c));
}

Test(node, many_nodes_are_all_found)
{
    enum { COUNT = 200000 };
    static uint32_t ids[COUNT];
    char name[16];

    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        ids[i] = add(i ? ids[(i - 1) / 10] : 0, name);
    }
    cr_assert_geq(atomic_load(&tree.buckets), COUNT);
    cr_assert_leq(atomic_load(&tree.buckets), COUNT + 64);
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        cr_assert_eq(child(i ? ids[(i - 1) / 10] : 0, name), ids[i]);
    }
}

enum { MODEL = 300 };
static uint32_t model_id[MODEL], model_parent[MODEL]; /* places in the model, 0 the root */
static char model_name[MODEL][64];
static bool model_hashed[MODEL];

static void random_name(char *name)
{
    int length = random() % 4 ? 1 + (int)random() % 8 : 20 + (int)random() % 10;

    for (int i = 0; i < length; i++)
        name[i] = (char)('a' + random() % 3);
    name[length] = '\0';
}

static bool model_taken(uint32_t parent, const char *name)
{
    for (uint32_t i = 1; i < MODEL; i++) {
        if (model_id[i] && model_hashed[i] && model_parent[i] == parent &&
            !strcmp(model_name[i], name))
            return true;
    }
    return false;
}

static void change_one(uint32_t at, uint32_t parent, const char *name)
{
    uint32_t kind = (uint32_t)random() % 4;

    if (!model_id[at]) {
        model_id[at] = add(model_id[parent], name);
    } else if (kind == 0 && !tn__node_first_child(&tree, model_id[at])) {
        tn__node_free_locked(&tree, model_id[at]);
        model_id[at] = 0;
        return;
    } else if (kind == 1) {
        tn__node_unhash_locked(&tree, model_id[at]);
        model_hashed[at] = false;
        return;
    } else if (!tn__node_is_below_locked(&tree, model_id[parent], model_id[at])) {
        cr_assert_eq(move(model_id[at], model_id[parent], name), 0);
    } else {
        return;
    }
    model_parent[at] = parent;
    strcpy(model_name[at], name);
    model_hashed[at] = true;
}

Test(node, random_changes_agree_with_a_model)
{
    srandom(2);
    model_id[0] = add(0, "/r");
    model_hashed[0] = true;
    strcpy(model_name[0], "/r");
    for (int round = 0; round < 30000; round++) {
        uint32_t at = 1 + (uint32_t)random() % (MODEL - 1), parent = (uint32_t)random() % MODEL;
        char name[64];

        random_name(name);
        if (model_id[parent] && !model_taken(parent, name))
            change_one(at, parent, name);
        at = 1 + (uint32_t)random() % (MODEL - 1);
        if (!model_id[at])
            continue;
        uint32_t found = child(model_id[model_parent[at]], model_name[at]);

        cr_assert_str_eq(name_of(model_id[at]), model_name[at]);
        cr_assert_eq(tn__node_parent(&tree, model_id[at]), model_id[model_parent[at]]);
        if (model_hashed[at])
            cr_assert_eq(found, model_id[at]);
        else
            cr_assert_neq(found, model_id[at]);
    }
    uint32_t live = 0, walked = 0;

    for (uint32_t i = 0; i < MODEL; i++)
        live += model_id[i] != 0;
    for (uint32_t id = model_id[0]; id; id = tn__node_walk_next_locked(&tree, model_id[0], id))
        walked++;
    cr_assert_eq(walked, live);
    cr_assert_eq(tn__node_count(&tree), live);
}

static atomic_bool window_is_open, asked, window_is_closed;

static void *hold_window(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&write_lock);
    atomic_fetch_add(&tree.links, 1);
    atomic_store(&window_is_open, true);
    while (!atomic_load(&asked))
        sched_yield();
    for (int i = 0; i < 10000; i++)
        sched_yield();
    atomic_store(&window_is_closed, true);
    atomic_fetch_add(&tree.links, 1);
    pthread_mutex_unlock(&write_lock);
    return NULL;
}

Test(node, lookup_in_a_window_waits_for_the_lock)
{
    uint32_t root = add(0, "/r"), a = add(root, "a");
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, hold_window, NULL), 0);
    while (!atomic_load(&window_is_open))
        sched_yield();
    atomic_store(&asked, true);
    uint32_t found = child(root, "a");

    cr_assert(atomic_load(&window_is_closed));
    cr_assert_eq(found, a);
    pthread_join(thread, NULL);
}

#if !defined(__SANITIZE_ADDRESS__)
Test(node, no_memory_changes_nothing)
{
    static char long_name[200];
    uint32_t root = add(0, "/r"), a = add(root, "a"), id = 0;
    struct rlimit limit;
    int error = 0;

    memset(long_name, 'l', sizeof(long_name) - 1);
    getrlimit(RLIMIT_AS, &limit);
    rlim_t old = limit.rlim_cur;

    limit.rlim_cur = 0;
    setrlimit(RLIMIT_AS, &limit);
    for (int i = 0; i < 10000000; i++) {
        id = tn__node_new_locked(&tree, root, long_name, sizeof(long_name) - 1);
        if (!id)
            break;
    }
    uint32_t count = tn__node_count(&tree), moves = atomic_load(&tree.moves);

    for (int i = 0; i < 10 && !error; i++)
        error = move(a, 0, long_name);
    limit.rlim_cur = old;
    setrlimit(RLIMIT_AS, &limit);

    cr_assert_eq(id, 0);
    cr_assert_eq(error, -ENOMEM);
    cr_assert_eq(atomic_load(&tree.moves), moves);
    cr_assert_eq(tn__node_count(&tree), count);
    cr_assert_eq(child(root, "a"), a);
    cr_assert_eq(tn__node_parent(&tree, a), root);
    cr_assert_neq(tn__node_new_locked(&tree, root, long_name, sizeof(long_name) - 1), 0);
}
#endif
