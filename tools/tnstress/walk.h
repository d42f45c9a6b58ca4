/* Walks a real tree; symbolic links are not followed, but for the root. */
#ifndef TN_TOOLS_TNSTRESS_WALK_H
#define TN_TOOLS_TNSTRESS_WALK_H

#include <sys/stat.h>

/* For the root and everything below, directories before what is in them. Another result than 0
 * ends the walk. fd is the directory that the name is in; of the root, AT_FDCWD and its path. */
typedef int (*walk_fn)(const char *path, int fd, const char *name, const struct stat *status,
                       void *context);

/* 0, the function's result, or a negative errno. What vanishes meanwhile is left out. */
int walk_tree(const char *root, walk_fn visit, void *context);

/* rm -rf, without complaint. */
void walk_remove(const char *root);

#endif
