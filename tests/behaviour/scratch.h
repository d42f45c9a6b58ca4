/*
 * A directory of the test's own, and operations in it that fail the test when
 * they fail.
 */
#ifndef TN_TESTS_SCRATCH_H
#define TN_TESTS_SCRATCH_H

/*
 * The scratch directory is made below TMPDIR and is the working directory; its
 * path has no symbolic link in it. It is removed with everything in it.
 */
void scratch_open(void);
void scratch_close(void);

/* An absolute path in the scratch directory; "" or "." for itself. Valid until scratch_close(). */
const char *scratch(const char *path);
/* The path below the scratch directory, "." for itself; another path as it is. */
const char *scratch_below(const char *path);
/* A path of printf's arguments; good until the thread's eighth after it. */
const char *at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* File operations, in the scratch directory unless the path is absolute. */
void make_dir(const char *path);
void make_dirs(const char *path);
/* Opens to write, closes. */
void make_file(const char *path);
/* That many new ones: the prefix with a number behind it, from 0. */
void make_files(const char *prefix, unsigned count);
/* Opens to write, writes, closes. */
void write_file(const char *path, const char *text);
/* The same at the end of a file that there is. */
void append(const char *path, const char *text);
void move(const char *from, const char *to);
void link_to(const char *target, const char *path);
void remove_file(const char *path);
void remove_dir(const char *path);
void remove_tree(const char *path);
void change_mode(const char *path, unsigned mode);

#endif
