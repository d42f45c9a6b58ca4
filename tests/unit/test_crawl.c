/* Walking directories by descriptor: tree/crawl.c. */
#include "crawl_seen.h"

#include <limits.h>
#include <sys/resource.h>

TestSuite(crawl, .init = set_up, .fini = tear_down);
TestSuite(dir_list, .init = set_up, .fini = tear_down);

struct listing {
    int count, stop_at;
    bool dots, wrong;
    int types[16];
};

static int list_entry(void *context, const char *name, size_t length, unsigned char type)
{
    struct listing *listing = context;

    listing->count++;
    listing->dots |= strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    listing->wrong |= strlen(name) != length;
    listing->types[type & 15]++;
    return listing->count == listing->stop_at ? -EINTR : 0;
}

static _Alignas(8) char buffer[TN__DIR_BUFFER];

Test(dir_list, every_entry_once_with_its_type)
{
    struct listing listing = {0};
    char name[32];
    int fd = open_dir(".");

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        touch(name);
    }
    make("dir");
    make("...");
    make("..x");
    cr_assert_eq(symlink("dir", "link"), 0);
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    cr_assert_eq(tn__dir_list(fd, buffer, 1024, list_entry, &listing), 0, "many reads");
    cr_assert_eq(listing.count, 1005);
    cr_assert_not(listing.dots);
    cr_assert_not(listing.wrong);
    cr_assert_eq(listing.types[DT_REG], 1000);
    cr_assert_eq(listing.types[DT_DIR], 3);
    cr_assert_eq(listing.types[DT_LNK], 1);
    cr_assert_eq(listing.types[DT_FIFO], 1);

    listing = (struct listing){0};
    cr_assert_eq(tn__dir_list(fd, buffer, sizeof(buffer), list_entry, &listing), 0);
    cr_assert_eq(listing.count, 1005, "from the start again");
    close(fd);
}

Test(dir_list, an_entry_can_end_it)
{
    struct listing listing = {.stop_at = 2};
    int fd = open_dir(".");

    touch("a");
    touch("b");
    touch("c");
    cr_assert_eq(tn__dir_list(fd, buffer, sizeof(buffer), list_entry, &listing), -EINTR);
    cr_assert_eq(listing.count, 2);
    close(fd);
}

Test(dir_list, errors)
{
    struct listing listing = {0};
    int fd;

    make("gone");
    fd = open_dir("gone");
    cr_assert_eq(rmdir("gone"), 0);
    cr_assert_eq(tn__dir_list(fd, buffer, sizeof(buffer), list_entry, &listing), -ENOENT);
    close(fd);
    touch("file");
    fd = open("file", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(tn__dir_list(fd, buffer, sizeof(buffer), list_entry, &listing), -ENOTDIR);
    close(fd);
    cr_assert_eq(tn__dir_list(-1, buffer, sizeof(buffer), list_entry, &listing), -EBADF);
}

Test(crawl, an_empty_directory)
{
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories + seen.entries + seen.failures, 0);
}

Test(crawl, every_directory_once_in_its_own_cwd)
{
    char name[64];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        make(name);
        for (int j = 0; j < 20; j++) {
            snprintf(name, sizeof(name), "a%d/b%d", i, j);
            make(name);
            snprintf(name, sizeof(name), "a%d/b%d/file", i, j);
            touch(name);
        }
    }
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 420);
    cr_assert_eq(seen.entries, 820);
    cr_assert_eq(seen.in_cwd, 420);
    assert_all_seen();
}

Test(crawl, symlinks_are_not_followed)
{
    make("a");
    cr_assert_eq(symlink("/", "root"), 0);
    cr_assert_eq(symlink(".", "a/loop"), 0);
    cr_assert_eq(symlink("none", "dangling"), 0);
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 1);
    cr_assert_eq(seen.entries, 4);
    cr_assert_eq(seen.failures, 0);
}

Test(crawl, odd_names)
{
    static const char *const names[] = {"new\nline", "\xff\xfe\x80", "...", "-rf",
                                        " ",         "%s%n",         "*"};
    char longest[NAME_MAX + 1] = {0}, path[2 * NAME_MAX + 2];

    memset(longest, 0xe4, NAME_MAX);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        make(names[i]);
    make(longest);
    snprintf(path, sizeof(path), "%s/%s", longest, longest);
    make(path);
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 9);
    assert_all_seen();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_assert_not_null(find(0, names[i], strlen(names[i])));
    cr_assert_not_null(find(0, longest, NAME_MAX));
}

Test(crawl, ten_thousand_levels)
{
    int before = count_descriptors();

    make_deep(10000, 0);
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 10000);
    cr_assert_eq(seen.failures, 0);
    cr_assert_gt(seen.most_descriptors, before + 32, "the count sees the crawl's");
    cr_assert_leq(seen.most_descriptors, before + BOUND);
    assert_all_seen();
}

Test(crawl, closed_levels_are_found_again)
{
    int before = count_descriptors();

    make_deep(500, 6);
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 3500);
    cr_assert_eq(seen.failures, 0);
    cr_assert_leq(seen.most_descriptors, before + BOUND);
    assert_all_seen();
}

Test(crawl, goes_on_with_few_descriptors)
{
    struct rlimit limit, low;
    int fd = open_dir(".");

    make_deep(40, 3);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)fd + 4;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    int result = tn__crawl_run(fd, 0, &see, NULL);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(result, 0);
    cr_assert_eq(seen.failures, 0);
    cr_assert_eq(seen.directories, 160);
    assert_all_seen();
    close(fd);
}

/* What the op does when it comes to the directory "d" at that level. */
struct disturb {
    int at, level;
    const char *from[2], *to[2];
    bool replace; /* what was moved: another directory stands there then */
};

static int disturb_directory(void *context, uint32_t parent, const char *name, size_t length,
                             int fd, bool in_cwd, uint32_t *ret_id)
{
    struct disturb *disturb = context;

    if (strcmp(name, "d") == 0 && ++disturb->level == disturb->at)
        for (int i = 0; i < 2 && disturb->from[i]; i++) {
            cr_assert_eq(rename(disturb->from[i], disturb->to[i]), 0, "%s", strerror(errno));
            if (disturb->replace)
                make(disturb->from[i]);
        }
    return see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
}

static const struct tn__crawl_ops disturbed = {disturb_directory, see_entry, see_failed, NULL};

/* start/d/d/… */
static char *deep_path(const char *start, int levels, char *path)
{
    strcpy(path, start);
    for (int i = 0; i < levels; i++)
        strcat(path, "/d");
    return path;
}

/* Level 51 moves while the crawl is below: ".." of it is not level 50 any more. */
Test(crawl, a_moved_directory_s_old_parent_is_found_by_name)
{
    char from[512], to[64];
    struct disturb disturb = {.at = 150, .from = {deep_path(directory, 51, from)}, .to = {to}};

    snprintf(to, sizeof(to), "%s/moved", directory);
    make_deep(200, 8);
    cr_assert_eq(crawl(&disturbed, &disturb), 0);
    cr_assert_eq(seen.failures, 0, "%s", strerror(-seen.last_error));
    cr_assert_eq(seen.directories, 1800);
    assert_all_seen();
}

/* And level 20 as well, so that the names from the start lead nowhere, or elsewhere. */
static void lose_level(bool replace)
{
    char from[2][512], to[2][64];
    struct disturb disturb = {
        .at = 150,
        .from = {deep_path(directory, 51, from[0]), deep_path(directory, 20, from[1])},
        .to = {to[0], to[1]},
        .replace = replace,
    };
    int failed = 0;

    snprintf(to[0], sizeof(to[0]), "%s/moved", directory);
    snprintf(to[1], sizeof(to[1]), "%s/away", directory);
    make_deep(200, 8);
    cr_assert_eq(crawl(&disturbed, &disturb), 0);
    assert_all_seen();
    cr_assert_eq(seen.directories + seen.failures, 1800);
    cr_assert_gt(seen.failures, 0);
    cr_assert_leq(seen.failures, 8 * 31);
    cr_assert_eq(seen.last_error, -ESTALE);
    /* Only those of levels 20 to 50. */
    for (uint32_t id = 1; id <= found_count; id++) {
        if (!found[id].failed)
            continue;
        int depth = 0;
        for (uint32_t up = found[id].parent; up; up = found[up].parent)
            depth++;
        cr_assert(depth >= 20 && depth <= 50, "level %d", depth);
        failed++;
    }
    cr_assert_eq(failed, seen.failures);
}

Test(crawl, a_level_that_is_lost_is_told)
{
    lose_level(false);
}

Test(crawl, a_level_that_another_has_replaced_is_lost)
{
    lose_level(true);
}

/* The first branch loses its levels from 20 on; the second, opened after it, only moves. */
static int disturb_branches(void *context, uint32_t parent, const char *name, size_t length, int fd,
                            bool in_cwd, uint32_t *ret_id)
{
    struct disturb *branch = context;
    char from[512], to[64];

    if (parent == 0) {
        *branch = (struct disturb){.at = branch->at + 1};
        cr_assert_eq(chdir(directory), 0);
        cr_assert_eq(chdir(name), 0);
    }
    if (strcmp(name, "d") == 0 && ++branch->level == 150) {
        snprintf(to, sizeof(to), "%s/moved%d", directory, branch->at);
        cr_assert_eq(rename(deep_path(".", 51, from), to), 0);
        snprintf(to, sizeof(to), "%s/away", directory);
        if (branch->at == 1)
            cr_assert_eq(rename(deep_path(".", 20, from), to), 0);
    }
    return see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
}

Test(crawl, what_was_lost_does_not_count_for_the_next_branch)
{
    static const struct tn__crawl_ops ops = {disturb_branches, see_entry, see_failed, NULL};
    struct disturb branch = {0};
    int fd = open_dir(".");

    make("p");
    make("q");
    cr_assert_eq(chdir("p"), 0);
    make_deep(160, 4);
    cr_assert_eq(chdir("../q"), 0);
    make_deep(160, 4);
    cr_assert_eq(tn__crawl_walk(fd, 0, false, &ops, &branch), 0);
    close(fd);
    assert_all_seen();
    cr_assert_eq(seen.directories + seen.failures, 2 + 2 * 800);
    cr_assert_gt(seen.failures, 0);
    for (uint32_t id = 1; id <= found_count; id++) {
        uint32_t top = id;
        while (found[top].parent)
            top = found[top].parent;
        cr_assert(!found[id].failed || top == 1, "only in the first");
    }
}

static int remove_it(void *context, uint32_t parent, const char *name, size_t length, int fd,
                     bool in_cwd, uint32_t *ret_id)
{
    char path[512];

    (void)context;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    cr_assert_eq(rmdir(path), 0);
    return see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
}

Test(crawl, removed_before_it_is_listed)
{
    static const struct tn__crawl_ops ops = {remove_it, see_entry, see_failed, NULL};

    make("a");
    cr_assert_eq(crawl(&ops, NULL), 0);
    cr_assert_eq(seen.failures, 1);
    cr_assert_eq(seen.last_error, -ENOENT);
    cr_assert_eq(seen.last_failed, 1, "its own id");
    cr_assert_eq(seen.last_length, 0);
}

static int replace_entry(void *context, uint32_t parent, const char *name, size_t length,
                         unsigned char type)
{
    int result = see_entry(NULL, parent, name, length, type);
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (result == 1)
        cr_assert_eq(rmdir(path), 0);
    if (result == 1 && context)
        cr_assert_eq(symlink("/", path), 0);
    return result;
}

static const struct tn__crawl_ops replacing = {see_directory, replace_entry, see_failed, NULL};

Test(crawl, removed_before_it_is_opened)
{
    make("a");
    cr_assert_eq(crawl(&replacing, NULL), 0);
    cr_assert_eq(seen.failures, 1);
    cr_assert_eq(seen.last_error, -ENOENT);
    cr_assert_eq(seen.last_failed, 0);
    cr_assert_eq(seen.last_length, 1);
}

Test(crawl, replaced_by_a_symlink_before_it_is_opened)
{
    make("a");
    cr_assert_eq(crawl(&replacing, directory), 0);
    cr_assert_eq(seen.failures, 1);
    cr_assert_eq(seen.last_error, -ENOTDIR);
    cr_assert_eq(seen.directories, 0);
}

/* Without the rights of root. */
Test(crawl, unreadable_directories_are_told)
{
    make("closed");
    make("open");
    make("open/below");
    make("listed");
    make("listed/below");
    cr_assert_eq(chmod(directory, 0755), 0);
    cr_assert_eq(chmod("open", 0755), 0);
    cr_assert_eq(chmod("open/below", 0755), 0);
    cr_assert_eq(chmod("closed", 0), 0);
    cr_assert_eq(chmod("listed", 0444), 0);
    bool root = geteuid() == 0;
    if (root)
        cr_assert_eq(seteuid(65534), 0);
    int result = crawl(&see, NULL);
    if (root)
        cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chmod("listed", 0755), 0);
    cr_assert_eq(result, 0);
    cr_assert_eq(seen.directories, 3);
    cr_assert_eq(seen.in_cwd, 2, "listed may not be entered");
    cr_assert_eq(seen.failures, 2);
    cr_assert_eq(seen.last_error, -EACCES);
    assert_all_seen();
}

/* In which call, and what it answers. */
struct answer {
    int directory, entry, failed;
};

static int answer_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                            bool in_cwd, uint32_t *ret_id)
{
    struct answer *answer = context;

    see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
    return answer->directory;
}

static int answer_entry(void *context, uint32_t parent, const char *name, size_t length,
                        unsigned char type)
{
    struct answer *answer = context;

    see_entry(NULL, parent, name, length, type);
    return answer->entry;
}

static int answer_failed(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    struct answer *answer = context;

    see_failed(NULL, parent, name, length, error);
    return answer->failed;
}

static const struct tn__crawl_ops answering = {answer_directory, answer_entry, answer_failed, NULL};

Test(crawl, what_is_not_wanted_is_left_out)
{
    make("a");
    make("a/b");
    make("c");
    cr_assert_eq(crawl(&answering, &(struct answer){.directory = 0, .entry = 1}), 0);
    cr_assert_eq(seen.directories, 2);
    cr_assert_eq(seen.entries, 2, "nothing is listed");
    cr_assert_eq(crawl(&answering, &(struct answer){.directory = 1, .entry = 0}), 0);
    cr_assert_eq(seen.directories, 2, "nothing is opened");
}

Test(crawl, each_op_can_end_it)
{
    make_deep(100, 2);
    cr_assert_eq(crawl(&answering, &(struct answer){.directory = -ECANCELED, .entry = 1}),
                 -ECANCELED);
    cr_assert_eq(seen.directories, 1);
    cr_assert_eq(crawl(&answering, &(struct answer){.entry = -ENOSPC}), -ENOSPC);
    cr_assert_eq(seen.entries, 4);
}

Test(crawl, a_failure_can_end_it)
{
    static const struct tn__crawl_ops ops = {see_directory, replace_entry, answer_failed, NULL};
    struct answer answer = {.failed = -EXDEV};

    make("a");
    make("b");
    cr_assert_eq(crawl(&ops, &answer), -EXDEV);
    cr_assert_eq(seen.failures, 1);
}

static int stop_deep(void *context, uint32_t parent, const char *name, size_t length, int fd,
                     bool in_cwd, uint32_t *ret_id)
{
    int *left = context;

    see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
    return --*left ? 1 : -ECANCELED;
}

Test(crawl, ending_deep_closes_everything)
{
    static const struct tn__crawl_ops ops = {stop_deep, see_entry, see_failed, NULL};
    int left = 190;

    make_deep(200, 0);
    cr_assert_eq(crawl(&ops, &left), -ECANCELED);
}
