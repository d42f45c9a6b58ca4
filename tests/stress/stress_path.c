/*
 * Threads build paths and look names and keys up while one thread moves nodes,
 * makes and frees them. For ThreadSanitizer; also run without it.
 *
 * The tree: /r has directories d0 to d7. Node A goes from d<i> to d<i+1> with
 * the name of step i, then node B, MIDDLE levels below it, takes its name of
 * step i. Below B stand a chain of DEEP levels and short-lived nodes. A path
 * through both is true only if it is d<i % 8>/A of i/.../B of i or of i - 1:
 * any mix of two moments shows. Wanderers change their names all the time, to
 * disturb the chains in which the fixed nodes are looked for. In the second
 * half of a round the table grows.
 *
 * stress_path [steps in a round [rounds [readers]]]
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rcu.h"
#include "registry/index.h"
#include "tree/path.h"

enum {
    DIRECTORIES = 8,
    MIDDLE = 50,
    DEEP = 100,
    FIXED = 300, /* nodes that are always there */
    WANDERERS = 300,
    BRIEF = 64, /* short-lived nodes at a time */
    REPEAT = 32,
    READERS_MAX = 16,
    PATHS_MIN = 20000,
    TEXT = 1024,
};

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tn__tree tree;
static struct tn__index keys; /* key -> node: the fixed ones at 1000 * n, the brief ones between */
static uint32_t directory[DIRECTORIES], root, node_a, middle, node_b, deepest, first_deep;
static uint32_t fixed[FIXED], wanderer[WANDERERS];
static char fixed_name[FIXED][16];
static uint64_t step; /* under write_lock */
static bool b_is_behind;
static atomic_bool over;
static _Atomic uint64_t failures, paths, overtaken, dead;
static _Atomic uint64_t newest_brief;

static void fail(const char *what, const char *text)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "stress_path: %s: %s\n", what, text);
}

/* Short and long names by turns; each character says which step. */
static size_t step_name(char *name, char kind, uint64_t i)
{
    size_t length = (size_t)snprintf(name, 40, "%c%" PRIu64 "-", kind, i);
    size_t wanted = length + i * 7 % 40;

    while (length < wanted)
        name[length++] = (char)('a' + i % 26);
    name[length] = '\0';
    return length;
}

static void brief_name(char *name, size_t size, uint64_t key)
{
    snprintf(name, size, "T%" PRIu64 "%s", key, key % 3 ? "" : "-with-a-name-that-does-not-fit");
}

static void check_prefix(const char *path, uint64_t a, uint64_t b)
{
    char name_a[128], name_b[128], expected[TEXT];

    step_name(name_a, 'A', a);
    step_name(name_b, 'B', b);
    size_t length = (size_t)snprintf(expected, 256, "/r/d%d/%s", (int)(a % DIRECTORIES), name_a);

    for (int i = 0; i < MIDDLE; i++) {
        memcpy(expected + length, "/m", 2);
        length += 2;
    }
    length += (size_t)snprintf(expected + length, 256, "/%s", name_b);

    if (strncmp(path, expected, length) || (path[length] && path[length] != '/'))
        fail("torn path", path);
}

/* What stands below B's name; NULL if the path is not well formed. */
static const char *check_path(const char *path)
{
    uint64_t a, b;
    const char *at_a = strstr(path, "/A"), *at_b = strstr(path, "/B");

    if (!at_a || !at_b) {
        fail("torn path", path);
        return NULL;
    }
    a = strtoull(at_a + 2, NULL, 10);
    b = strtoull(at_b + 2, NULL, 10);
    if (b != a && b + 1 != a)
        fail("mix of two moments", path);
    check_prefix(path, a, b);
    at_b = strchr(at_b + 1, '/');
    return at_b ? at_b : "";
}

/* The caller is in a read-side section in which it found `id`. NULL: no path now. */
static const char *build(uint32_t id, char *path)
{
    ssize_t length = tn__path_build_rcu(&tree, id, path, TEXT);

    if (length >= 0) {
        atomic_fetch_add_explicit(&paths, 1, memory_order_relaxed);
        if ((size_t)length != strlen(path))
            fail("length", path);
        return path;
    }
    if (length != -EAGAIN)
        fail("unknown error", "");
    atomic_fetch_add_explicit(&overtaken, 1, memory_order_relaxed);
    return NULL;
}

static void look_at_fixed(uint64_t random)
{
    const char *name = "";
    char path[TEXT];
    uint32_t n = (uint32_t)(random % FIXED);

    tn__rcu_read_lock();
    for (uint32_t i = 0; i < FIXED; i++) {
        n = (n + 1) % FIXED;
        name = fixed_name[n];
        if (tn__node_child_rcu(&tree, root, name, strlen(name)) != fixed[n])
            fail("not found", name);
    }
    if (tn__index_get_rcu(&keys, 1000ull * (n + 1)) != fixed[n])
        fail("key not found", name);
    if (tn__node_child_rcu(&tree, node_b, "1", 1) != first_deep)
        fail("not found", "first deep");
    if (tn__node_child_rcu(&tree, node_b, "none", 4) || tn__index_get_rcu(&keys, 1ull << 40))
        fail("found", "none");
    if (build(fixed[n], path) && (strncmp(path, "/r/", 3) || strcmp(path + 3, name)))
        fail("fixed path", path);
    tn__rcu_read_unlock();
}

/* The same text again is not taken apart again. */
static void look_at_b(void)
{
    char path[2][TEXT] = {"", ""};

    tn__rcu_read_lock();
    for (int i = 0; i < REPEAT; i++) {
        char *now = path[i % 2];

        if (!build(node_b, now))
            now[0] = '\0';
        else if (strcmp(now, path[(i + 1) % 2]))
            check_path(now);
    }
    tn__rcu_read_unlock();
}

static void look_at_deep(void)
{
    char path[TEXT];
    const char *rest;

    tn__rcu_read_lock();
    if (build(deepest, path)) {
        rest = check_path(path);
        for (int i = 1; rest && i <= DEEP; i++) {
            char level[8];
            int length = snprintf(level, sizeof(level), "/%d", i);

            if (strncmp(rest, level, (size_t)length)) {
                fail("deep path", path);
                break;
            }
            rest += length;
        }
        if (rest && *rest)
            fail("deep path's end", path);
    }
    tn__rcu_read_unlock();
}

static void check_brief(uint32_t id, const char *name)
{
    char path[TEXT];

    for (int i = 0; i < REPEAT / 2 && build(id, path); i++) {
        const char *rest = check_path(path);

        if (rest && (rest[0] != '/' || strcmp(rest + 1, name)))
            fail("another node's path", path);
    }
}

/*
 * A brief node is named after its key: a slot that was used again too early
 * shows. The oldest are about to be freed.
 */
static void look_at_brief(uint64_t random)
{
    uint64_t newest = atomic_load_explicit(&newest_brief, memory_order_relaxed);
    uint64_t key = newest - BRIEF + random % 8;
    char name[64];

    if (newest < 2 * BRIEF || key % 1000 == 0)
        return;
    brief_name(name, sizeof(name), key);
    tn__rcu_read_lock();
    uint32_t id = tn__index_get_rcu(&keys, key);

    if (id)
        check_brief(id, name);
    else
        atomic_fetch_add_explicit(&dead, 1, memory_order_relaxed);
    id = tn__node_child_rcu(&tree, node_b, name, strlen(name));
    if (id)
        check_brief(id, name);
    tn__rcu_read_unlock();
}

static void look_at_order(void)
{
    uint64_t key = 0;
    uint32_t value = 0, count = 0;

    tn__rcu_read_lock();
    for (uint64_t least = 0; tn__index_next_rcu(&keys, &key, &value); least = ++key) {
        if (key < least || !value)
            fail("next", "out of order");
        if (key % 1000 == 0) {
            if (value != fixed[key / 1000 - 1])
                fail("next", "another's value");
            count++;
        }
    }
    tn__rcu_read_unlock();
    if (count != FIXED)
        fail("next", "missed a key");
}

static void look_under_the_lock(void)
{
    char path[TEXT];

    pthread_mutex_lock(&write_lock);
    if (tn__path_build(&tree, deepest, path, sizeof(path)) < 0)
        fail("no path", "under the lock");
    check_prefix(path, step, b_is_behind ? step - 1 : step);
    pthread_mutex_unlock(&write_lock);
}

static void *reader(void *argument)
{
    uint64_t random = (uintptr_t)argument * 0x9e3779b97f4a7c15u;

    for (uint64_t i = 0; !atomic_load_explicit(&over, memory_order_acquire); i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        look_at_fixed(random >> 33);
        look_at_b();
        look_at_brief(random >> 40);
        look_at_deep();
        if (i % 64 == 0)
            look_at_order();
        if (i % 16 == 0)
            look_under_the_lock();
    }
    return NULL;
}

static uint32_t add(uint32_t parent, const char *name)
{
    uint32_t id = tn__node_new_locked(&tree, parent, name, strlen(name));

    if (!id)
        fail("no memory", name);
    return id;
}

static void make_tree(void)
{
    char name[128];

    root = add(0, "/r");
    for (int i = 0; i < DIRECTORIES; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        directory[i] = add(root, name);
    }
    for (uint32_t i = 0; i < FIXED; i++) {
        snprintf(fixed_name[i], sizeof(fixed_name[i]), "fixed%u", i);
        fixed[i] = add(root, fixed_name[i]);
        if (tn__index_set_locked(&keys, 1000ull * (i + 1), fixed[i]))
            fail("no memory", fixed_name[i]);
    }
    for (uint32_t i = 0; i < WANDERERS; i++) {
        snprintf(name, sizeof(name), "wanderer%u", i);
        wanderer[i] = add(root, name);
    }
    step_name(name, 'A', 0);
    node_a = add(directory[0], name);
    step_name(name, 'B', 0);
    node_b = node_a;
    for (int i = 0; i < MIDDLE; i++)
        node_b = add(node_b, "m");
    middle = node_b;
    node_b = add(middle, name);
    deepest = node_b;
    for (int i = 1; i <= DEEP; i++) {
        snprintf(name, sizeof(name), "%d", i);
        deepest = add(deepest, name);
        if (i == 1)
            first_deep = deepest;
    }
}

static void move_once(void)
{
    char name[128];
    size_t length;

    pthread_mutex_lock(&write_lock);
    step++;
    b_is_behind = true;
    length = step_name(name, 'A', step);
    if (tn__node_move_locked(&tree, node_a, directory[step % DIRECTORIES], name, length))
        fail("no memory", name);
    pthread_mutex_unlock(&write_lock);

    pthread_mutex_lock(&write_lock);
    length = step_name(name, 'B', step);
    if (tn__node_move_locked(&tree, node_b, middle, name, length))
        fail("no memory", name);
    b_is_behind = false;
    pthread_mutex_unlock(&write_lock);
}

/* Makes the node of the next key, and frees that of the oldest. */
static void renew_brief(uint64_t key)
{
    char name[64];
    uint64_t oldest = key - BRIEF;

    brief_name(name, sizeof(name), key);
    pthread_mutex_lock(&write_lock);
    if (key % 1000) {
        if (tn__index_set_locked(&keys, key, add(node_b, name)))
            fail("no memory", name);
    }
    if (oldest > 0 && oldest < key && oldest % 1000) {
        uint32_t id = tn__index_get_rcu(&keys, oldest);

        tn__index_clear_locked(&keys, oldest);
        if (oldest % 2)
            tn__node_unhash_locked(&tree, id);
        tn__node_free_locked(&tree, id);
    }
    pthread_mutex_unlock(&write_lock);
    atomic_store_explicit(&newest_brief, key, memory_order_relaxed);
}

static void wander(uint64_t i)
{
    char name[64];

    pthread_mutex_lock(&write_lock);
    for (uint64_t k = i * 8; k < i * 8 + 8; k++) {
        int length = snprintf(name, sizeof(name), "wanderer%" PRIu64, k);

        if (tn__node_move_locked(&tree, wanderer[k % WANDERERS], root, name, (size_t)length))
            fail("no memory", name);
    }
    pthread_mutex_unlock(&write_lock);
}

/* Nodes that stay, so that the table goes on growing under the readers. */
static void grow(uint64_t i)
{
    char name[64];

    pthread_mutex_lock(&write_lock);
    for (int k = 0; k < 16; k++) {
        snprintf(name, sizeof(name), "grow%" PRIu64 ".%d", i, k);
        add(directory[i % DIRECTORIES], name);
    }
    pthread_mutex_unlock(&write_lock);
}

static int play_round(uint64_t steps, unsigned long readers)
{
    pthread_t threads[READERS_MAX];
    uint64_t enough = atomic_load(&paths) + PATHS_MIN;

    if (tn__tree_init(&tree, &write_lock))
        return 1;
    tn__index_init(&keys);
    step = 0;
    atomic_store(&newest_brief, 0);
    atomic_store(&over, false);
    make_tree();
    for (uintptr_t i = 0; i < readers; i++) {
        if (pthread_create(&threads[i], NULL, reader, (void *)(i + 1)))
            return 1;
    }
    for (uint64_t i = 1; i <= steps || atomic_load(&paths) < enough; i++) {
        move_once();
        renew_brief(i);
        wander(i);
        if (i > steps / 2 && i < steps)
            grow(i);
    }
    atomic_store_explicit(&over, true, memory_order_release);
    for (unsigned long i = 0; i < readers; i++)
        pthread_join(threads[i], NULL);
    tn__rcu_barrier();
    tn__tree_done(&tree);
    tn__index_done(&keys);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000;
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
    unsigned long readers = argc > 3 ? strtoul(argv[3], NULL, 10) : 3;

    if (readers < 1 || readers > READERS_MAX)
        return 1;
    for (unsigned long i = 0; i < rounds; i++) {
        if (play_round(steps, readers))
            return 1;
    }
    printf("paths %" PRIu64 ", overtaken %" PRIu64 ", dead %" PRIu64 "\n", atomic_load(&paths),
           atomic_load(&overtaken), atomic_load(&dead));
    return atomic_load(&failures) ? 1 : 0;
}
