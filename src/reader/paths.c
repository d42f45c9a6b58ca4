/*
 * The path texts that the reader keeps: of the directories that it has told of
 * last, as long as nothing moves.
 */
#include <stdlib.h>
#include <string.h>

#include "reader/reader.h"
#include "tree/path.h"

bool tn__reader_grow_text(char **text, size_t *capacity, size_t size)
{
    if (size <= *capacity)
        return true;
    size_t larger = tn__max(size, *capacity * 2);
    char *grown = realloc(*text, larger);
    if (!grown)
        return false;
    *text = grown;
    *capacity = larger;
    return true;
}

/* Whether a node or one above it has the flag: its path is only the last known one. */
static bool is_below_flag(const struct tn__tree *tree, uint32_t node, uint32_t flag)
{
    while (node && !(tn__node_flags(tree, node) & flag))
        node = tn__node_parent(tree, node);
    return node != 0;
}

const struct tn__path_text *tn__reader_path(struct tn__reader *reader, uint32_t node)
{
    struct tn__path_text *path = &reader->paths[node % TN__READER_PATHS];

    if (TN__LIKELY(path->node == node && path->generation == reader->generation && node))
        return path;
    if (!node)
        return NULL;
    path->node = 0;
    for (;;) {
        ssize_t length = tn__path_build(&reader->registry->tree, node, path->text, path->capacity);
        if (length < 0)
            return NULL;
        path->length = (size_t)length;
        if (path->length < path->capacity)
            break;
        if (!tn__reader_grow_text(&path->text, &path->capacity, path->length + 1))
            return NULL;
    }
    path->unknown = is_below_flag(&reader->registry->tree, node, TN__NODE_PATH_UNKNOWN);
    path->gone = is_below_flag(&reader->registry->tree, node, TN__NODE_DETACHED);
    path->node = node;
    path->generation = reader->generation;
    path->key = ++reader->path_keys;
    return path;
}

void tn__reader_forget_paths(struct tn__reader *reader)
{
    reader->generation++;
}

/* Its children have gone before it, or will not be heard of under their paths again. */
void tn__reader_detach_locked(struct tn__reader *reader, uint32_t node)
{
    if (tn__node_first_child(&reader->registry->tree, node))
        tn__reader_forget_paths(reader);
    reader->paths[node % TN__READER_PATHS].node = 0;
    tn__registry_detach_node_locked(reader->registry, node);
}

size_t tn__reader_source_path(struct tn__reader *reader, uint32_t node, const char *name,
                              size_t length)
{
    const struct tn__path_text *path = tn__reader_path(reader, node);

    if (!path ||
        !tn__reader_grow_text(&reader->source, &reader->source_capacity, path->length + length + 2))
        return 0;
    if (name)
        return tn__path_join(path->text, path->length, name, length, reader->source,
                             reader->source_capacity);
    memcpy(reader->source, path->text, path->length + 1);
    return path->length;
}
