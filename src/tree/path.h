/*
 * Paths as text: from the tree's links, joined, normalised.
 */
#ifndef TN_TREE_PATH_H
#define TN_TREE_PATH_H

#include <sys/types.h>

#include "tree/node.h"

/* A root of this name is the current directory, and paths do not name it: "x", not "./x". */
#define TN__PATH_HERE "//"

/*
 * The node's path: names from its root down, joined by "/". As snprintf: the
 * full length; the buffer is filled and terminated as far as it fits, and may
 * be NULL with size 0. For the holder of the lock, and for the reader thread
 * as long as no other thread moves nodes.
 */
ssize_t tn__path_build(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size);

/*
 * The same for every other thread. `id` was found in the read-side section
 * that is open. -EAGAIN: a move overtook it, or the node was freed; the buffer
 * holds anything. Take the lock and look again.
 */
ssize_t tn__path_build_rcu(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size);

/* "a" + "x" = "a/x", "/" + "x" = "/x", "" + "x" = "x". As snprintf. The directory may stand in the
 * buffer. */
size_t tn__path_join(const char *directory, size_t directory_length, const char *name,
                     size_t name_length, char *buffer, size_t size);

/*
 * Collapses "//", "/./" and a trailing "/". ".." stays, and so do "." and a
 * leading "./" of a relative path. The buffer takes strlen(path) + 1 bytes and
 * may be the path itself. The length.
 */
size_t tn__path_normalise(const char *path, char *buffer);

#endif
