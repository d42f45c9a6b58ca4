/* A directory's entries, listed once: reader/scan.c; and when there is no memory. */
#include "reader/scan.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler.h"
#include "reader/stream.h"
#include "stream_script.h"
#include "tree/crawl.h"

/* The calls that fail, counted from 1. */
static unsigned calls, failing;

static void *faulty_realloc(void *pointer, size_t size)
{
    return ++calls == failing ? NULL : realloc(pointer, size);
}

static void *faulty_calloc(size_t count, size_t size)
{
    return ++calls == failing ? NULL : calloc(count, size);
}

int faulty_scan_read(struct tn__scan *scan, int fd, void *buffer);
int faulty_scan_each(const struct tn__scan *scan,
                     int (*each)(void *context, const char *name, size_t length,
                                 unsigned char type),
                     void *context);
bool faulty_scan_has(struct tn__scan *scan, const char *name);
void faulty_scan_done(struct tn__scan *scan);
void faulty_scan_read_stream(const struct tn__scan *scan, size_t done);

#define tn__scan_read        faulty_scan_read
#define tn__scan_each        faulty_scan_each
#define tn__scan_has         faulty_scan_has
#define tn__scan_done        faulty_scan_done
#define tn__scan_read_stream faulty_scan_read_stream
#define realloc              faulty_realloc
#define calloc               faulty_calloc
#include "reader/scan.c"
#undef tn__scan_read
#undef tn__scan_each
#undef tn__scan_has
#undef tn__scan_done
#undef tn__scan_read_stream
#undef realloc
#undef calloc

static char top[64];
static void *buffer;
static struct tn__scan scan;

static void set_up(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(top, sizeof(top), "%.40s/tn-scan-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(chdir(top), 0);
    buffer = malloc(TN__DIR_BUFFER);
    cr_assert_not_null(buffer);
    memset(&scan, 0, sizeof(scan));
}

static void remove_all(void)
{
    DIR *dir = opendir(top);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        if (unlink(entry->d_name) < 0)
            rmdir(entry->d_name);
    if (dir)
        closedir(dir);
}

static void tear_down(void)
{
    tn__scan_done(&scan);
    free(buffer);
    remove_all();
    cr_expect_eq(chdir("/"), 0);
    cr_expect_eq(rmdir(top), 0);
}

TestSuite(scan, .init = set_up, .fini = tear_down, .timeout = 60);

static void make_file(const char *name)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0);
    close(fd);
}

static int open_top(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

static void read_top(void)
{
    int fd = open_top();

    cr_assert_eq(tn__scan_read(&scan, fd, buffer), 0);
    close(fd);
}

struct walked {
    size_t count, stop_at;
    const char *name; /* whose type is wanted */
    int type;
};

static int walk(void *context, const char *name, size_t length, unsigned char type)
{
    struct walked *walked = context;

    cr_assert_eq(strlen(name), length);
    if (walked->name && strcmp(name, walked->name) == 0)
        walked->type = type;
    return ++walked->count == walked->stop_at ? -ECANCELED : 0;
}

static int type_of(const char *name)
{
    struct walked walked = {.name = name, .type = -1};

    cr_assert_eq(tn__scan_each(&scan, walk, &walked), 0);
    cr_assert_eq(walked.count, scan.count);
    return walked.type;
}

Test(scan, of_an_empty_directory)
{
    read_top();
    cr_expect_eq(scan.count, 0);
    cr_expect_eq(type_of("f"), -1);
    cr_expect_not(tn__scan_has(&scan, "f"));
    cr_expect_not(tn__scan_has(&scan, "."));
    cr_expect_not(tn__scan_has(&scan, ".."));
}

Test(scan, names_and_types)
{
    make_file("file");
    cr_assert_eq(mkdir("dir", 0755), 0);
    cr_assert_eq(symlink("dir", "link"), 0);
    cr_assert_eq(mkfifo("fifo", 0644), 0);
    read_top();
    cr_expect_eq(scan.count, 4);
    cr_expect_eq(type_of("file"), DT_REG);
    cr_expect_eq(type_of("dir"), DT_DIR);
    cr_expect_eq(type_of("link"), DT_LNK, "not what it leads to");
    cr_expect_eq(type_of("fifo"), DT_FIFO);
    cr_expect_eq(type_of("."), -1);
}

Test(scan, has_exactly_the_names_that_are_there)
{
    make_file("name");
    make_file("\xff\x01");
    make_file("~");
    read_top();
    cr_expect(tn__scan_has(&scan, "name"));
    cr_expect(tn__scan_has(&scan, "\xff\x01"));
    cr_expect(tn__scan_has(&scan, "~"));
    cr_expect_not(tn__scan_has(&scan, "nam"));
    cr_expect_not(tn__scan_has(&scan, "names"));
    cr_expect_not(tn__scan_has(&scan, "\xff"));
    cr_expect_not(tn__scan_has(&scan, ""));
}

Test(scan, is_of_the_time_that_it_was_read)
{
    make_file("old");
    read_top();
    make_file("new");
    cr_assert_eq(unlink("old"), 0);
    cr_expect(tn__scan_has(&scan, "old"));
    cr_expect_not(tn__scan_has(&scan, "new"));
}

static void number(unsigned i, char name[256])
{
    int length = snprintf(name, 256, "%u-", i);

    /* Each length that a name can have. */
    memset(name + length, 'x', 255 - (size_t)length);
    name[tn__max((unsigned)length, i % 256)] = 0;
    name[255] = 0;
}

Test(scan, of_many_entries_of_each_length)
{
    enum { MANY = 3000 };
    char name[256];

    for (unsigned i = 0; i < MANY; i++) {
        number(i, name);
        make_file(name);
    }
    read_top();
    cr_expect_eq(scan.count, MANY);
    cr_expect_eq(type_of("nothing"), -1);
    for (unsigned i = 0; i < MANY; i++) {
        number(i, name);
        cr_expect(tn__scan_has(&scan, name));
        name[0] = 'y';
        cr_expect_not(tn__scan_has(&scan, name));
    }
}

Test(scan, each_until_it_is_told_to_end)
{
    struct walked walked = {.stop_at = 2};

    make_file("a");
    make_file("b");
    make_file("c");
    read_top();
    cr_expect_eq(tn__scan_each(&scan, walk, &walked), -ECANCELED);
    cr_expect_eq(walked.count, 2);
}

Test(scan, of_what_can_not_be_listed)
{
    make_file("f");
    int fd = open("f", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(tn__scan_read(&scan, fd, buffer), -ENOTDIR);
    close(fd);
    cr_assert_eq(mkdir("gone", 0755), 0);
    fd = open("gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(rmdir("gone"), 0);
    cr_expect_eq(tn__scan_read(&scan, fd, buffer), -ENOENT);
    close(fd);
    cr_expect_eq(scan.count, 0);
}

Test(scan, without_memory_what_was_read_stays)
{
    char name[256];
    struct walked walked = {.count = 0};
    int fd = open_top();

    for (unsigned i = 0; i < 20; i++) {
        number(255 + i * 256, name);
        make_file(name);
    }
    failing = 2;
    cr_expect_eq(faulty_scan_read(&scan, fd, buffer), -ENOMEM);
    close(fd);
    cr_expect_gt(scan.count, 0);
    cr_expect_lt(scan.count, 20);
    cr_expect_eq(faulty_scan_each(&scan, walk, &walked), 0);
    cr_expect_eq(walked.count, scan.count);
    faulty_scan_done(&scan);
    memset(&scan, 0, sizeof(scan));
}

Test(scan, without_memory_every_name_is_there)
{
    make_file("f");
    read_top();
    failing = 1;
    cr_expect(faulty_scan_has(&scan, "g"), "so that nothing is announced twice");
    cr_expect_not(faulty_scan_has(&scan, "g"), "there is memory again");
    cr_expect(faulty_scan_has(&scan, "f"));
}

/* What is read is kept; an error comes again later. */
Test(scan, a_large_directory_is_listed_while_the_stream_is_read)
{
    struct script script;
    struct tn__stream stream;
    char name[16];

    script_init(&script);
    tn__stream_init(&stream, &script.source);
    script_push(&script, 1, IN_CREATE, 0, "one");
    script_push(&script, 1, IN_CREATE, 0, "two");
    script.chunk = 1;
    for (unsigned i = 0; i < TN__SCAN_READ_EVERY - 1; i++) {
        snprintf(name, sizeof(name), "%u", i);
        make_file(name);
    }
    scan.stream = &stream;
    read_top();
    cr_expect_eq(stream.read, 0);
    tn__scan_done(&scan);
    scan = (struct tn__scan){.stream = &stream};
    make_file("last");
    read_top();
    cr_expect_eq(stream.read, 2 * 32);
    cr_expect_eq(stream.committed, 0);
    cr_expect_eq(scan.count, TN__SCAN_READ_EVERY);
    tn__scan_read_stream(&scan, 1);
    script_push(&script, 1, IN_CREATE, 0, "three");
    tn__scan_read_stream(&scan, 2 * TN__SCAN_READ_EVERY);
    cr_expect_eq(stream.read, 3 * 32);
    tn__stream_done(&stream);
    script_done(&script);
}
