#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tnstress/walk.h"

static char top[PATH_MAX];

static void close_files(void)
{
    if (chdir("/") == 0)
        walk_remove(top);
}

void files_open(void)
{
    const char *base = getenv("TMPDIR");
    char made[PATH_MAX];

    snprintf(made, sizeof(made), "%s/tnotify-replay-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(made) || !realpath(made, top) || chdir(top) < 0) {
        perror(made);
        exit(2);
    }
    atexit(close_files);
}

const char *files_path(const char *path)
{
    static char paths[2][PATH_MAX * 2];
    static unsigned next;
    char *whole = paths[next++ % 2];

    snprintf(whole, sizeof(paths[0]), "%s/%s", top, path);
    return whole;
}

static void check(const struct line *line, int result)
{
    if (result < 0)
        script_fail(line, 1, "%s %s: %s", line->verb->name, line->words[0], strerror(errno));
}

void files_mkdir(const struct line *line)
{
    char path[PATH_MAX * 2];

    snprintf(path, sizeof(path), "%s", files_path(line->words[0]));
    for (char *slash = path + strlen(top) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        check(line, mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0);
        *slash = '/';
    }
    check(line, mkdir(path, 0755));
}

void files_rmdir(const struct line *line)
{
    check(line, rmdir(files_path(line->words[0])));
}

static void open_and_close(const struct line *line, int flags, const char *text)
{
    int fd = open(files_path(line->words[0]), O_WRONLY | O_CLOEXEC | flags, 0644);

    check(line, fd);
    check(line, (int)write(fd, text, strlen(text)));
    close(fd);
}

void files_create(const struct line *line)
{
    open_and_close(line, O_CREAT | O_EXCL, "");
}

void files_write(const struct line *line)
{
    open_and_close(line, O_APPEND, "text\n");
}

void files_unlink(const struct line *line)
{
    check(line, unlink(files_path(line->words[0])));
}

void files_remove(const struct line *line)
{
    struct stat status;

    check(line, lstat(files_path(line->words[0]), &status));
    walk_remove(files_path(line->words[0]));
}

void files_rename(const struct line *line)
{
    check(line, rename(files_path(line->words[0]), files_path(line->words[1])));
}

void files_exchange(const struct line *line)
{
    int result = renameat2(AT_FDCWD, files_path(line->words[0]), AT_FDCWD,
                           files_path(line->words[1]), RENAME_EXCHANGE);

    if (result < 0 && (errno == EINVAL || errno == ENOSYS))
        script_fail(line, 77, "the file system has no RENAME_EXCHANGE");
    check(line, result);
}

void files_symlink(const struct line *line)
{
    check(line, symlink(line->words[0], files_path(line->words[1])));
}

void files_link(const struct line *line)
{
    check(line, link(files_path(line->words[0]), files_path(line->words[1])));
}
