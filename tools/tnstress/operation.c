#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"
#include "walk.h"
#include "workload.h"

static unsigned writer;

void operation_begin(const struct share *share)
{
    writer = share->writer;
}

/* Traced before and after: what another process does in between shows. */
static bool done(const char *what, const char *from, const char *to, int result)
{
    if (result >= 0)
        trace_operation(writer, what, from, to);
    return result >= 0;
}

bool make_directory(const char *path)
{
    return done("mkdir", path, NULL, mkdir(path, 0755));
}

void make_directories(char *path)
{
    for (char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        make_directory(path);
        *at = '/';
    }
    make_directory(path);
}

static bool write_file(const char *what, const char *path, int flags)
{
    int fd = open(path, flags | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

    if (fd < 0)
        return false;
    ssize_t written = write(fd, "x\n", 2);
    (void)written;
    close(fd);
    return done(what, path, NULL, 0);
}

bool make_file(const char *path)
{
    return write_file("create", path, O_CREAT);
}

bool append_file(const char *path)
{
    return write_file("append", path, O_APPEND);
}

bool remove_file(const char *path)
{
    return done("unlink", path, NULL, unlink(path));
}

bool remove_directory(const char *path)
{
    return done("rmdir", path, NULL, rmdir(path));
}

void remove_tree(const char *path)
{
    if (trace_is_on())
        trace_operation(writer, "rm -rf", path, NULL);
    walk_remove(path);
}

bool move(const char *from, const char *to)
{
    return done("mv", from, to, rename(from, to));
}

bool exchange(const char *one, const char *other)
{
    return done("exchange", one, other, renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

bool make_symlink(const char *target, const char *path)
{
    return done("symlink", path, NULL, symlink(target, path));
}

bool make_fifo(const char *path)
{
    return done("mkfifo", path, NULL, mkfifo(path, 0644));
}

bool make_link(const char *from, const char *to)
{
    return done("link", from, to, link(from, to));
}
