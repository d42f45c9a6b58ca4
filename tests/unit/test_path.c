#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tree/path.h"
#include "tree_stage.h"

TestSuite(path, .init = set_up, .fini = tear_down);

/* Both builders, for buffers of every size up to a little more than needed. */
static void check_path(uint32_t id, const char *expected)
{
    size_t length = strlen(expected);

    for (size_t size = 0; size <= length + 30; size++) {
        char *buffer = malloc(size + 1);

        memset(buffer, '#', size + 1);
        cr_assert_eq(tn__path_build(&tree, id, buffer, size), (ssize_t)length);
        cr_assert_eq(buffer[size], '#', "written beyond the end");
        if (size) {
            cr_assert_eq(strlen(buffer), tn__min(length, size - 1));
            cr_assert_eq(strncmp(buffer, expected, size - 1), 0);
        }
        memset(buffer, '#', size + 1);
        cr_assert_eq(tn__path_build_rcu(&tree, id, buffer, size), (ssize_t)length);
        cr_assert_eq(buffer[size], '#', "written beyond the end");
        if (size)
            cr_assert_eq(strncmp(buffer, expected, size - 1), 0);
        free(buffer);
    }
    cr_assert_eq(tn__path_build(&tree, id, NULL, 0), (ssize_t)length);
}

Test(path, of_roots_and_below)
{
    static const struct {
        const char *root, *child;
    } cases[] = {
        {"/", "/x"},
        {".", "./x"},
        {"a", "a/x"},
        {"/srv", "/srv/x"},
        {"../up", "../up/x"},
        {"./a", "./a/x"},
        {"/a/root/whose/path/does/not/fit/in/its/node",
         "/a/root/whose/path/does/not/fit/in/its/node/x"},
    };

    for (size_t i = 0; i < TN__COUNT(cases); i++) {
        uint32_t root = add(0, cases[i].root);

        check_path(root, cases[i].root);
        check_path(add(root, "x"), cases[i].child);
    }
}

Test(path, names_short_and_long)
{
    uint32_t id = add(0, "/r");

    id = add(id, "a");
    id = add(id, "exactly twenty-three by");
    id = add(id, "one more than that, 24 b");
    id = add(id, "1234567");
    id = add(id, "12345678");
    id = add(id, "123456789012345");
    id = add(id, "1234567890123456");
    check_path(id, "/r/a/exactly twenty-three by/one more than that, 24 b/1234567/12345678/"
                   "123456789012345/1234567890123456");
}

Test(path, follows_a_move)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(a, "b"), c = add(b, "c");

    cr_assert_eq(tn__node_move_locked(&tree, b, root, "new", 3), 0);
    check_path(c, "/r/new/c");
    tn__node_unhash_locked(&tree, b);
    check_path(c, "/r/new/c");
    cr_assert_eq(tn__node_move_locked(&tree, root, 0, "/elsewhere", 10), 0);
    check_path(c, "/elsewhere/new/c");
    check_path(a, "/elsewhere/a");
}

static void check_depth(const char *root, uint32_t depth)
{
    size_t size = strlen(root) + 256 * (size_t)depth + 1;
    char *expected = malloc(size), *buffer = malloc(size);
    uint32_t id = add(0, root);
    size_t length = strlen(root) == 1 && root[0] == '/' ? 0 : strlen(root);

    memcpy(expected, root, strlen(root) + 1);
    for (uint32_t i = 1; i < depth; i++) {
        char name[256];

        memset(name, 'a' + (int)(i % 26), sizeof(name));
        name[1 + i * 7 % 255] = '\0';
        id = add(id, name);
        expected[length++] = '/';
        memcpy(expected + length, name, strlen(name) + 1);
        length += strlen(name);
    }
    cr_assert_eq(tn__path_build(&tree, id, buffer, size), (ssize_t)length);
    cr_assert_str_eq(buffer, expected);
    cr_assert_eq(tn__path_build_rcu(&tree, id, buffer, size), (ssize_t)length);
    cr_assert_str_eq(buffer, expected);
    cr_assert_eq(tn__path_build(&tree, id, buffer, length / 2), (ssize_t)length);
    expected[length / 2 - 1] = '\0';
    cr_assert_str_eq(buffer, expected);
    cr_assert_eq(tn__path_build(&tree, id, NULL, 0), (ssize_t)length);
    free(expected);
    free(buffer);
}

Test(path, of_every_depth)
{
    static const uint32_t depths[] = {1, 2, 63, 64, 65, 66, 127, 128, 129, 130, 10000};

    for (size_t i = 0; i < TN__COUNT(depths); i++) {
        if (depths[i] > 1) {
            check_depth("/", depths[i]);
            check_depth(".", depths[i]);
        }
        check_depth("/a/root", depths[i]);
    }
}

Test(path, rcu_gives_up_while_a_move_goes_on)
{
    uint32_t root = add(0, "/r"), id = add(root, "a");
    char buffer[64];

    atomic_fetch_add(&tree.moves, 1);
    cr_assert_eq(tn__path_build_rcu(&tree, id, buffer, sizeof(buffer)), -EAGAIN);
    atomic_fetch_add(&tree.moves, 1);
    cr_assert_eq(tn__path_build_rcu(&tree, id, buffer, sizeof(buffer)), 4);
}

Test(path, rcu_gives_up_on_a_dead_node)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(a, "b");
    char buffer[64];

    tn__rcu_read_lock();
    tn__node_free_locked(&tree, b);
    cr_assert_eq(tn__path_build_rcu(&tree, b, buffer, sizeof(buffer)), -EAGAIN);
    cr_assert_eq(tn__path_build_rcu(&tree, a, buffer, sizeof(buffer)), 4);
    tn__rcu_read_unlock();
}

static atomic_bool enough;

static void *keep_moving(void *unused)
{
    (void)unused;
    while (!atomic_load(&enough)) {
        atomic_fetch_add(&tree.moves, 2);
        sched_yield();
    }
    return NULL;
}

/* What a walk may see in the middle of moves: two nodes, each below the other. */
Test(path, rings_of_torn_links_end, .timeout = 20)
{
    uint32_t root = add(0, "/r"), a = add(root, "a"), b = add(a, "b");
    char buffer[64];
    pthread_t thread;

    atomic_store(&tn__node_at(&tree, a)->parent, b);
    cr_assert_eq(pthread_create(&thread, NULL, keep_moving, NULL), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(tn__path_build_rcu(&tree, a, buffer, sizeof(buffer)), -EAGAIN);
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    atomic_store(&tn__node_at(&tree, a)->parent, root);
}

Test(path, join)
{
    char buffer[16];

    cr_assert_eq(tn__path_join("/", 1, "x", 1, buffer, sizeof(buffer)), 2);
    cr_assert_str_eq(buffer, "/x");
    cr_assert_eq(tn__path_join(".", 1, "x", 1, buffer, sizeof(buffer)), 3);
    cr_assert_str_eq(buffer, "./x");
    cr_assert_eq(tn__path_join("abc", 1, "xyz", 2, buffer, sizeof(buffer)), 4);
    cr_assert_str_eq(buffer, "a/xy");
    memset(buffer, '#', sizeof(buffer));
    cr_assert_eq(tn__path_join("/dir", 4, "name", 4, buffer, 7), 9);
    cr_assert_str_eq(buffer, "/dir/n");
    cr_assert_eq(buffer[7], '#');
    cr_assert_eq(tn__path_join("/dir", 4, "name", 4, NULL, 0), 9);
}

Test(path, normalise)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"//", "/"},
        {"///.//", "/"},
        {"/.", "/"},
        {"", ""},
        {".", "."},
        {"./", "."},
        {"./.", "."},
        {"././/x", "./x"},
        {"./x", "./x"},
        {".//x/", "./x"},
        {"a", "a"},
        {"a/", "a"},
        {"a//b", "a/b"},
        {"a/./b/.", "a/b"},
        {"/a/./b//c/", "/a/b/c"},
        {"..", ".."},
        {"../..//x", "../../x"},
        {"a/../b", "a/../b"},
        {"/..", "/.."},
        {".hidden", ".hidden"},
        {"a/.b", "a/.b"},
        {"...", "..."},
        {"a/...", "a/..."},
        {"//a", "/a"},
        {"a/.", "a"},
        {"..//.", ".."},
    };

    for (size_t i = 0; i < TN__COUNT(cases); i++) {
        char buffer[32];

        cr_assert_eq(tn__path_normalise(cases[i][0], buffer), strlen(cases[i][1]));
        cr_assert_str_eq(buffer, cases[i][1], "%s gave %s", cases[i][0], buffer);
        strcpy(buffer, cases[i][0]);
        tn__path_normalise(buffer, buffer);
        cr_assert_str_eq(buffer, cases[i][1], "in place: %s", cases[i][0]);
    }
}

/* A root that paths do not name. */
Test(path, below_here)
{
    char buffer[64];

    uint32_t here = add(0, TN__PATH_HERE);
    uint32_t x = add(here, "x");
    uint32_t y = add(x, "y");
    cr_assert_eq(tn__path_build(&tree, here, buffer, sizeof(buffer)), 0);
    cr_assert_str_eq(buffer, "");
    cr_assert_eq(tn__path_build(&tree, x, buffer, sizeof(buffer)), 1);
    cr_assert_str_eq(buffer, "x");
    cr_assert_eq(tn__path_build_rcu(&tree, y, buffer, sizeof(buffer)), 3);
    cr_assert_str_eq(buffer, "x/y");
    for (size_t size = 0; size <= 5; size++)
        cr_assert_geq(tn__path_build(&tree, y, buffer, size), (ssize_t)size);
    cr_assert_eq(tn__path_build(&tree, y, buffer, 6), 3);
}

Test(path, joined)
{
    char buffer[8];

    cr_assert_eq(tn__path_join("", 0, "f", 1, buffer, sizeof(buffer)), 1);
    cr_assert_str_eq(buffer, "f");
    cr_assert_eq(tn__path_join("/", 1, "f", 1, buffer, sizeof(buffer)), 2);
    cr_assert_str_eq(buffer, "/f");
    cr_assert_eq(tn__path_join("a", 1, "f", 1, buffer, sizeof(buffer)), 3);
    cr_assert_str_eq(buffer, "a/f");
}
