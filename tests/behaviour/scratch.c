#include "scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Paths that scratch() gave away, freed at the end. */
struct given {
    struct given *next;
    char path[];
};

static char *top;
static struct given *given;

static void check(int result, const char *what, const char *path)
{
    cr_assert(result >= 0, "%s %s: %s", what, path, strerror(errno));
}

void scratch_open(void)
{
    const char *base = getenv("TMPDIR");
    char made[PATH_MAX];

    snprintf(made, sizeof(made), "%s/tnotify-test-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(made), "mkdtemp %s: %s", made, strerror(errno));
    top = realpath(made, NULL);
    cr_assert_not_null(top);
    check(chdir(top), "chdir", top);
}

void scratch_close(void)
{
    if (top && chdir("/") == 0)
        remove_tree(top);
    while (given) {
        struct given *next = given->next;
        free(given);
        given = next;
    }
    free(top);
    top = NULL;
}

const char *scratch(const char *path)
{
    struct given *whole = malloc(sizeof(*whole) + strlen(top) + strlen(path) + 2);

    cr_assert_not_null(whole);
    if (!*path || strcmp(path, ".") == 0)
        strcpy(whole->path, top);
    else
        sprintf(whole->path, "%s/%s", top, path);
    whole->next = given;
    given = whole;
    return whole->path;
}

const char *scratch_below(const char *path)
{
    size_t length = strlen(top);

    if (strncmp(path, top, length) != 0)
        return path;
    if (!path[length])
        return ".";
    return path[length] == '/' ? path + length + 1 : path;
}

const char *at(const char *format, ...)
{
    static _Thread_local char texts[8][256];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 8];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(texts[0]), format, arguments);
    va_end(arguments);
    return text;
}

void make_dir(const char *path)
{
    check(mkdir(path, 0755), "mkdir", path);
}

void make_dirs(const char *path)
{
    char *copy = strdup(path);

    cr_assert_not_null(copy);
    for (char *end = strchr(copy + 1, '/'); end; end = strchr(end + 1, '/')) {
        *end = '\0';
        int result = mkdir(copy, 0755);
        check(result < 0 && errno == EEXIST ? 0 : result, "mkdir", copy);
        *end = '/';
    }
    make_dir(copy);
    free(copy);
}

static void write_with(const char *path, int flags, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);

    check(fd, "open", path);
    if (*text)
        cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text), "write %s", path);
    close(fd);
}

void make_file(const char *path)
{
    write_with(path, O_CREAT, "");
}

void make_files(const char *prefix, unsigned count)
{
    char path[PATH_MAX];

    for (unsigned i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s%u", prefix, i);
        write_with(path, O_CREAT | O_EXCL, "");
    }
}

void write_file(const char *path, const char *text)
{
    write_with(path, O_CREAT, text);
}

void append(const char *path, const char *text)
{
    write_with(path, O_APPEND, text);
}

void move(const char *from, const char *to)
{
    check(rename(from, to), "rename", from);
}

void link_to(const char *target, const char *path)
{
    check(symlink(target, path), "symlink", path);
}

void remove_file(const char *path)
{
    check(unlink(path), "unlink", path);
}

void remove_dir(const char *path)
{
    check(rmdir(path), "rmdir", path);
}

/* By descriptors, so that no path is too long. Each level keeps one open. */
static void empty_dir(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(fd, name, 0) == 0)
            continue;
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == EACCES && fchmodat(fd, name, 0700, 0) == 0)
            next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next >= 0)
            empty_dir(next);
        unlinkat(fd, name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

void remove_tree(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    check(fd, "open", path);
    empty_dir(fd);
    remove_dir(path);
}

void change_mode(const char *path, unsigned mode)
{
    check(chmod(path, (mode_t)mode), "chmod", path);
}
