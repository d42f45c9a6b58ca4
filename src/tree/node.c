/*
 * Nodes are slots of a store: type-stable, and after tn__node_free_locked in
 * quarantine until every reader that may hold one has left. So an id that a
 * reader found in its section leads to a node, never to other memory, and that
 * node does not become another one under the reader's eyes. What it may become
 * is moved or dead. The claims, and what holds them up:
 *
 *   N1  No freed memory is read. Slots are never freed before the tree is. A
 *       long name is reached through word 0 alone, which is one atomic word:
 *       odd, or the address of a text that is freed only after a grace period
 *       (or, when it was replaced, likewise). A mix of one name's word 0 with
 *       another's words 1 and 2 gives a wrong text of a right length, at worst.
 *   N2  A lookup by name terminates and never misreads: table.c, T1 to T4.
 *   N3  A path is one that was true. A move is made within a window of `moves`;
 *       tn__path_build_rcu compares `moves` before and after. Equal and even:
 *       no parent and no name of a live node changed in between, so all that
 *       it read was the tree of that moment.
 *   N4  A walk upwards terminates. While `moves` stands still the links are a
 *       tree's. When it does not, torn links may form a ring; path.c looks at
 *       `moves` every so many levels and gives up.
 *   N5  A dead node has no path: what was its parent may be renamed later. Its
 *       parent reads TN__NODE_DEAD from the free on, and the walk gives up.
 *       Nodes above a live one are live.
 *
 * Order inside a window (N3): begin is a plain store, the changes are release
 * stores, end is a release store. A reader whose acquire load gave it a changed
 * word therefore sees an odd or later sequence when it compares.
 *
 * Checked by tests/unit/test_node.c, test_path.c and tests/stress/stress_path.c.
 */
#include "tree/node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "tree/name.h"
#include "tree/table.h"

/* Names come from whoever may create files, so chains must not be predictable. */
static void make_seed(struct tn__tree *tree)
{
    static const uint64_t odd[3] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0x165667b19e3779f9u};
    struct timespec now;

    if (getrandom(tree->seed, sizeof(tree->seed), GRND_NONBLOCK) != sizeof(tree->seed)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        for (size_t i = 0; i < TN__COUNT(odd); i++)
            tree->seed[i] = (uint64_t)now.tv_nsec * odd[i] ^ (uintptr_t)tree;
    }
    for (size_t i = 0; i < TN__COUNT(odd); i++)
        tree->seed[i] ^= odd[i];
}

int tn__tree_init(struct tn__tree *tree, pthread_mutex_t *write_lock)
{
    memset(tree, 0, sizeof(*tree));
    int error =
        tn__store_init(&tree->nodes, sizeof(struct tn__node), offsetof(struct tn__node, prev));

    if (error)
        return error;
    tree->write_lock = write_lock;
    make_seed(tree);
    return tn__table_init(tree);
}

/* The text of a long name, or NULL. */
static struct tn__node_text *text_of(const struct tn__node *node)
{
    uint64_t word0 = tn__load(&node->name[0], relaxed);

    return tn__name_is_inline(word0) ? NULL : tn__name_text(word0);
}

void tn__tree_done(struct tn__tree *tree)
{
    for (uint32_t id = 1; id < tn__store_end(&tree->nodes); id++) {
        struct tn__node *node = tn__node_at(tree, id);

        if (tn__load(&node->parent, relaxed) != TN__NODE_DEAD)
            free(text_of(node));
    }
    tn__table_done(tree);
    tn__store_done(&tree->nodes);
}

static void free_text(struct tn__rcu_head *head)
{
    free(tn__container_of(head, struct tn__node_text, rcu));
}

static void retire_text(struct tn__node_text *text)
{
    if (text)
        tn__rcu_call(&text->rcu, free_text);
}

/* The words that the node is to hold. 0 or -ENOMEM. */
static int make_words(const struct tn__name *name, uint64_t word[3])
{
    memcpy(word, name->word, 3 * sizeof(*word));
    if (tn__name_is_inline(word[0]))
        return 0;
    if (name->length > UINT32_MAX)
        return -ENOMEM;
    struct tn__node_text *text = malloc(sizeof(*text) + name->length);

    if (!text)
        return -ENOMEM;
    text->length = (uint32_t)name->length;
    memcpy(text->bytes, name->text, name->length);
    word[0] = (uintptr_t)text;
    return 0;
}

static void set_words(struct tn__node *node, uint32_t parent, const uint64_t word[3])
{
    tn__store(&node->parent, parent, release);
    for (size_t i = 0; i < 3; i++)
        tn__store(&node->name[i], word[i], release);
}

static void set_child(struct tn__node *node, uint32_t child)
{
    tn__store(&node->child, (tn__load(&node->child, relaxed) & TN__NODE_FLAGS) | child, release);
}

/* In front of the parent's children; roots have no siblings. */
static void link_sibling(struct tn__tree *tree, uint32_t id, uint32_t parent)
{
    struct tn__node *node = tn__node_at(tree, id);

    node->prev = 0;
    if (!parent) {
        tn__store(&node->next, 0, release);
        return;
    }
    uint32_t first = tn__node_first_child(tree, parent);

    tn__store(&node->next, first, release);
    if (first)
        tn__node_at(tree, first)->prev = id;
    set_child(tn__node_at(tree, parent), id);
}

static void unlink_sibling(struct tn__tree *tree, uint32_t id, uint32_t parent)
{
    struct tn__node *node = tn__node_at(tree, id);
    uint32_t next = tn__load(&node->next, relaxed);

    if (!parent)
        return;
    if (node->prev)
        tn__store(&tn__node_at(tree, node->prev)->next, next, release);
    else
        set_child(tn__node_at(tree, parent), next);
    if (next)
        tn__node_at(tree, next)->prev = node->prev;
}

uint32_t tn__node_new_locked(struct tn__tree *tree, uint32_t parent, const char *name,
                             size_t length)
{
    struct tn__name key;
    uint64_t word[3];

    assert(length);
    tn__name_pack(&key, tree->seed, name, length);
    if (make_words(&key, word))
        return 0;
    uint32_t id = tn__store_alloc_locked(&tree->nodes);

    if (TN__UNLIKELY(!id || id > TN__NODE_MAX)) {
        if (!tn__name_is_inline(word[0]))
            free(tn__name_text(word[0]));
        if (id) {
            tn__store(&tn__node_at(tree, id)->parent, TN__NODE_DEAD, relaxed);
            tn__store_free_locked(&tree->nodes, id);
        }
        return 0;
    }
    struct tn__node *node = tn__node_at(tree, id);

    tn__table_grow_locked(tree);
    set_words(node, parent, word);
    tn__store(&node->watch, 0, relaxed);
    tn__store(&node->child, 0, relaxed);
    link_sibling(tree, id, parent);
    tn__table_insert_locked(tree, id, tn__name_hash(tree->seed, parent, key.word));
    return id;
}

void tn__node_unhash_locked(struct tn__tree *tree, uint32_t id)
{
    struct tn__node *node = tn__node_at(tree, id);

    if (tn__node_flags(tree, id) & TN__NODE_DETACHED)
        return;
    tn__table_remove_locked(tree, id, tn__name_node_hash(tree->seed, node));
    tn__node_set_flags_locked(tree, id, TN__NODE_DETACHED);
}

void tn__node_free_locked(struct tn__tree *tree, uint32_t id)
{
    struct tn__node *node = tn__node_at(tree, id);
    uint32_t parent = tn__load(&node->parent, relaxed);

    assert(parent != TN__NODE_DEAD && !tn__node_first_child(tree, id));
    tn__node_unhash_locked(tree, id);
    unlink_sibling(tree, id, parent);
    tn__store(&node->parent, TN__NODE_DEAD, release); /* N5 */
    tn__store(&node->watch, 0, release);
    retire_text(text_of(node)); /* N1 */
    tn__store_free_locked(&tree->nodes, id);
}

int tn__node_move_locked(struct tn__tree *tree, uint32_t id, uint32_t parent, const char *name,
                         size_t length)
{
    struct tn__node *node = tn__node_at(tree, id);
    uint32_t old_parent = tn__load(&node->parent, relaxed);
    struct tn__node_text *old_text = text_of(node);
    struct tn__name key;
    uint64_t word[3];

    assert(length && id != parent && old_parent != TN__NODE_DEAD);
    tn__name_pack(&key, tree->seed, name, length);
    if (make_words(&key, word))
        return -ENOMEM;
    if (parent != old_parent) {
        unlink_sibling(tree, id, old_parent);
        link_sibling(tree, id, parent);
    }
    tn__table_grow_locked(tree);
    tn__sequence_begin(&tree->moves); /* N3 */
    tn__sequence_begin(&tree->links); /* T3 in table.c */
    if (!(tn__node_flags(tree, id) & TN__NODE_DETACHED))
        tn__table_remove_locked(tree, id, tn__name_node_hash(tree->seed, node));
    set_words(node, parent, word);
    tn__table_insert_locked(tree, id, tn__name_hash(tree->seed, parent, key.word));
    tn__node_clear_flags_locked(tree, id, TN__NODE_DETACHED);
    tn__sequence_end(&tree->links);
    tn__sequence_end(&tree->moves);
    retire_text(old_text);
    return 0;
}

uint32_t tn__node_child_rcu(const struct tn__tree *tree, uint32_t parent, const char *name,
                            size_t length)
{
    return tn__node_child_next_rcu(tree, 0, parent, name, length);
}

uint32_t tn__node_child_next_rcu(const struct tn__tree *tree, uint32_t id, uint32_t parent,
                                 const char *name, size_t length)
{
    struct tn__name key;

    if (!length)
        return 0;
    tn__name_pack(&key, tree->seed, name, length);
    return tn__table_find_rcu(tree, id, parent, &key);
}

size_t tn__node_name(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size)
{
    struct tn__name_piece piece;

    tn__name_read(tn__node_at(tree, id), &piece);
    if (size) {
        size_t fits = tn__min(piece.length, size - 1);

        memcpy(buffer, piece.text, fits);
        buffer[fits] = '\0';
    }
    return piece.length;
}

bool tn__node_is_below_locked(const struct tn__tree *tree, uint32_t id, uint32_t ancestor)
{
    while (id && id != ancestor)
        id = tn__node_parent(tree, id);
    return id != 0;
}

uint32_t tn__node_walk_next_locked(const struct tn__tree *tree, uint32_t root, uint32_t id)
{
    uint32_t next = tn__node_first_child(tree, id);

    while (!next && id != root) {
        next = tn__node_next_sibling(tree, id);
        id = tn__node_parent(tree, id);
    }
    return next;
}

uint32_t tn__node_walk_last_locked(const struct tn__tree *tree, uint32_t root)
{
    uint32_t child;

    while ((child = tn__node_first_child(tree, root)))
        root = child;
    return root;
}

uint32_t tn__node_post_next_locked(const struct tn__tree *tree, uint32_t root, uint32_t id)
{
    if (id == root)
        return 0;
    uint32_t next = tn__node_next_sibling(tree, id);

    return next ? tn__node_walk_last_locked(tree, next) : tn__node_parent(tree, id);
}
