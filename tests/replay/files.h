/* The file operations of a script, and the scratch directory that they are made in. */
#ifndef TN_TESTS_REPLAY_FILES_H
#define TN_TESTS_REPLAY_FILES_H

#include "script.h"

/* Below TMPDIR; it is the working directory, and removed at exit. */
void files_open(void);

/* Absolute, because a thread of the library may have another working directory; good until the
 * second call after it. */
const char *files_path(const char *path);

void files_mkdir(const struct line *line); /* with its parents */
void files_rmdir(const struct line *line);
void files_create(const struct line *line);
void files_write(const struct line *line);
void files_unlink(const struct line *line);
void files_remove(const struct line *line); /* with all below it */
void files_rename(const struct line *line);
void files_exchange(const struct line *line);
void files_symlink(const struct line *line);
void files_link(const struct line *line);

#endif
