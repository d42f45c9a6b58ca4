/*
 * A path is gathered upwards and written downwards. Up to WAY levels the nodes
 * are kept on the stack; deeper ones are walked twice, for the length and then
 * for the text from its end.
 *
 * The links may be torn for a thread that holds no lock (node.c, N1 to N5): each
 * step is safe for memory, and `moves` is compared every WAY levels and at the
 * end.
 *
 * Checked by tests/unit/test_path.c and tests/stress/stress_path.c.
 */
#include "tree/path.h"

#include <errno.h>
#include <string.h>

#include "rcu.h"
#include "tree/name.h"
#include "tree/table.h"

enum {
    WAY = 64,
    TRIES = 3,
    /* What an inline name takes when it is stored as whole words, and the NUL. */
    NAME_ROOM = 25,
};

/*
 * The segment of the last node, which most of its neighbours share. base is
 * where an item 0 would be, so that one multiplication leads to a node.
 */
struct cursor {
    uintptr_t base;
    uint32_t first, span;
};

static inline const struct tn__node *step_to(const struct tn__tree *tree, struct cursor *cursor,
                                             uint32_t id)
{
    if (TN__UNLIKELY(id - cursor->first >= cursor->span)) {
        uint32_t k = tn__store_segment(id);

        cursor->span = (uint32_t)TN__STORE_FIRST << k;
        cursor->first = cursor->span - (TN__STORE_FIRST - 1);
        cursor->base =
            (uintptr_t)tn__node_at(tree, cursor->first) - cursor->first * sizeof(struct tn__node);
    }
    return (const struct tn__node *)(cursor->base + id * sizeof(struct tn__node));
}

/* The part of [at, at + length) that fits. */
static void place(char *buffer, size_t size, size_t at, const char *text, size_t length)
{
    if (at < size)
        memcpy(buffer + at, text, tn__min(length, size - at));
}

static void terminate(char *buffer, size_t size, size_t length)
{
    if (size)
        buffer[tn__min(length, size - 1)] = '\0';
}

/* A root's name without the "/" at its end, as what stands before a child's "/". */
static size_t root_length(const struct tn__name_piece *root)
{
    return root->length - (root->text[root->length - 1] == '/');
}

/* Starts with the root's name. The length. */
static inline size_t begin(const struct tn__node *node, char *buffer, size_t size, bool goes_on)
{
    uint64_t word0 = tn__load(&node->name[0], acquire);
    struct tn__name_piece piece;

    if (TN__LIKELY(tn__name_is_inline(word0) && size >= NAME_ROOM)) {
        size_t length = tn__name_inline_length(word0);

        tn__name_store8(buffer, word0 >> 8);
        tn__name_store8(buffer + 7, tn__load(&node->name[1], acquire));
        tn__name_store8(buffer + 15, tn__load(&node->name[2], acquire));
        return goes_on && buffer[length - 1] == '/' ? length - 1 : length;
    }
    tn__name_read(node, &piece);
    size_t length = goes_on ? root_length(&piece) : piece.length;

    place(buffer, size, 0, piece.text, length);
    return length;
}

/* Appends "/" and the node's name. The new length. */
static inline size_t append(const struct tn__node *node, char *buffer, size_t size, size_t at)
{
    uint64_t word0 = tn__load(&node->name[0], acquire);

    if (TN__LIKELY(tn__name_is_inline(word0) && at + NAME_ROOM <= size)) {
        tn__name_store8(buffer + at, (word0 & ~(uint64_t)0xff) | '/');
        tn__name_store8(buffer + at + 8, tn__load(&node->name[1], acquire));
        tn__name_store8(buffer + at + 16, tn__load(&node->name[2], acquire));
        return at + 1 + tn__name_inline_length(word0);
    }
    struct tn__name_piece piece;

    tn__name_read(node, &piece);
    place(buffer, size, at, "/", 1);
    place(buffer, size, at + 1, piece.text, piece.length);
    return at + 1 + piece.length;
}

/* Below TN__PATH_HERE; what does not fit is measured a little too long. */
static ssize_t leave_out_here(char *buffer, size_t size, ssize_t length)
{
    const size_t here = sizeof(TN__PATH_HERE) - 1;

    if (TN__LIKELY(length < (ssize_t)here || (size_t)length >= size || buffer[0] != '/' ||
                   buffer[1] != '/'))
        return length;
    memmove(buffer, buffer + here, (size_t)length - here + 1);
    return length - (ssize_t)here;
}

/* The length of the path, or -EAGAIN. */
static ssize_t measure(const struct tn__tree *tree, const struct tn__node *node, uint32_t moves)
{
    struct cursor cursor = {0, 0, 0};
    struct tn__name_piece piece;
    size_t total = 0;

    for (size_t level = 1;; level++) {
        uint32_t parent = tn__load(&node->parent, acquire);

        tn__name_read(node, &piece);
        if (!parent)
            return (ssize_t)(total + root_length(&piece));
        total += 1 + piece.length;
        if (parent == TN__NODE_DEAD)
            return -EAGAIN;
        if (level % WAY == 0 && tn__load(&tree->moves, relaxed) != moves)
            return -EAGAIN; /* N4 */
        node = step_to(tree, &cursor, parent);
    }
}

/* For a node that has a parent. */
static ssize_t build_deep(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size,
                          uint32_t moves)
{
    const struct tn__node *node = tn__node_at(tree, id);
    struct cursor cursor = {0, 0, 0};
    ssize_t total = measure(tree, node, moves);
    size_t end = (size_t)total;
    struct tn__name_piece piece;
    uint32_t parent;

    if (total < 0)
        return total;
    /* `end` falls with each level, so this ends whatever the links are. */
    while ((parent = tn__load(&node->parent, acquire)) != 0) {
        tn__name_read(node, &piece);
        if (parent == TN__NODE_DEAD || end < piece.length + 1)
            return -EAGAIN;
        end -= piece.length;
        place(buffer, size, end, piece.text, piece.length);
        place(buffer, size, --end, "/", 1);
        node = step_to(tree, &cursor, parent);
    }
    tn__name_read(node, &piece);
    if (end != root_length(&piece))
        return -EAGAIN;
    place(buffer, size, 0, piece.text, end);
    terminate(buffer, size, (size_t)total);
    return total;
}

static ssize_t build(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size,
                     uint32_t moves)
{
    const struct tn__node *way[WAY];
    struct cursor cursor = {0, 0, 0};
    uint32_t depth = 0, at = id;

    do {
        if (TN__UNLIKELY(depth == WAY))
            return build_deep(tree, id, buffer, size, moves);
        if (TN__UNLIKELY(at == TN__NODE_DEAD))
            return -EAGAIN; /* N5 */
        way[depth] = step_to(tree, &cursor, at);
        at = tn__load(&way[depth++]->parent, acquire);
    } while (at);

    depth--;
    size_t length = begin(way[depth], buffer, size, depth > 0);

    while (depth)
        length = append(way[--depth], buffer, size, length);
    terminate(buffer, size, length);
    return (ssize_t)length;
}

ssize_t tn__path_build(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size)
{
    ssize_t length = build(tree, id, buffer, size, tn__load(&tree->moves, relaxed));

    return leave_out_here(buffer, size, length);
}

ssize_t tn__path_build_rcu(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size)
{
    ssize_t length = -EAGAIN;
    bool good = false;

    tn__rcu_read_lock();
    for (int i = 0; i < TRIES && !good; i++) {
        uint32_t moves = tn__load(&tree->moves, acquire);

        if (tn__sequence_is_open(moves))
            continue;
        length = build(tree, id, buffer, size, moves);
        good = tn__load(&tree->moves, relaxed) == moves; /* N3 */
    }
    tn__rcu_read_unlock();
    return good ? leave_out_here(buffer, size, length) : -EAGAIN;
}

size_t tn__path_join(const char *directory, size_t directory_length, const char *name,
                     size_t name_length, char *buffer, size_t size)
{
    size_t at = directory_length;

    if (directory != buffer)
        place(buffer, size, 0, directory, at);
    if (at && directory[at - 1] != '/')
        place(buffer, size, at++, "/", 1);
    place(buffer, size, at, name, name_length);
    terminate(buffer, size, at + name_length);
    return at + name_length;
}

size_t tn__path_normalise(const char *path, char *buffer)
{
    bool absolute = path[0] == '/';
    size_t out = 0;

    if (absolute)
        buffer[out++] = '/';
    for (const char *part = path; *part;) {
        size_t length = strcspn(part, "/");
        bool first = part == path;

        if (length && (length > 1 || part[0] != '.' || first)) {
            if (out && buffer[out - 1] != '/')
                buffer[out++] = '/';
            memmove(buffer + out, part, length);
            out += length;
        }
        part += length;
        part += *part == '/';
    }
    buffer[out] = '\0';
    return out;
}
