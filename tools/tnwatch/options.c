#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tnotify/version.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What is watched without -e: what changes something, but not who only looks. */
#define DEFAULT_EVENTS                                                                             \
    ((uint32_t)(IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE |         \
                IN_DELETE_SELF | IN_MOVE_SELF))
#define EVENTS      ((uint32_t)(IN_ALL_EVENTS | IN_Q_OVERFLOW))
#define WATCH_FLAGS ((uint32_t)(IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ONESHOT))
/* Come without being asked for; allowed in -e, so that all names of events are. */
#define UNASKED ((uint32_t)(IN_IGNORED | IN_UNMOUNT | IN_ISDIR))

/* What comes of one option: go on, end well, or end with a usage error. */
enum verdict { GO_ON, END, WRONG };

static enum verdict take_recursive(struct options *options, const char *argument)
{
    (void)argument;
    options->flags |= TN_WATCH_RECURSIVE;
    return GO_ON;
}

static enum verdict take_auto_add(struct options *options, const char *argument)
{
    (void)argument;
    options->flags |= TN_WATCH_AUTO_ADD;
    return GO_ON;
}

static enum verdict take_verbose(struct options *options, const char *argument)
{
    (void)argument;
    options->verbosity++;
    return GO_ON;
}

static enum verdict take_json(struct options *options, const char *argument)
{
    (void)argument;
    options->json = true;
    return GO_ON;
}

static enum verdict take_events(struct options *options, const char *argument)
{
    uint32_t mask;

    if (tn_mask_parse(argument, &mask) < 0) {
        fprintf(stderr, "tnwatch: unknown event in '%s'\n", argument);
        return WRONG;
    }
    if ((mask & ~(EVENTS | WATCH_FLAGS | UNASKED)) != 0) {
        fprintf(stderr, "tnwatch: '%s' has a flag that cannot be used here\n", argument);
        return WRONG;
    }
    options->mask |= mask;
    return GO_ON;
}

/* Says what is wrong with a pattern that the library did not take. */
static void explain_regex(const char *pattern)
{
    char reason[256] = "it is empty";
    regex_t regex;
    int r = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);

    if (r == 0)
        regfree(&regex);
    else
        regerror(r, &regex, reason, sizeof(reason));
    fprintf(stderr, "tnwatch: bad regular expression '%s': %s\n", pattern, reason);
}

static enum verdict take_exclude(struct options *options, const char *argument)
{
    int r = 0;

    if (options->filter == NULL)
        r = tn_filter_new(&options->filter);
    if (r == 0)
        r = tn_filter_add_regex(options->filter, argument, 0);
    if (r == -EINVAL)
        explain_regex(argument);
    else if (r < 0)
        fprintf(stderr, "tnwatch: %s\n", strerror(-r));
    return r < 0 ? WRONG : GO_ON;
}

static enum verdict take_threads(struct options *options, const char *argument)
{
    char *end;

    errno = 0;
    unsigned long threads = strtoul(argument, &end, 10);
    if (errno != 0 || argument[0] < '0' || argument[0] > '9' || *end != '\0' || threads < 1 ||
        threads > 1024) {
        fprintf(stderr, "tnwatch: the number of threads is 1 to 1024, not '%s'\n", argument);
        return WRONG;
    }
    options->threads = (unsigned)threads;
    return GO_ON;
}

static enum verdict take_order(struct options *options, const char *argument)
{
    static const struct {
        const char *name;
        enum tn_order order;
    } orders[] = {
        {"tree", TN_ORDER_TREE}, {"notifier", TN_ORDER_NOTIFIER}, {"directory", TN_ORDER_DIRECTORY},
        {"path", TN_ORDER_PATH}, {"none", TN_ORDER_NONE},
    };

    for (size_t i = 0; i < COUNT(orders); i++) {
        if (strcasecmp(argument, orders[i].name) == 0) {
            options->order = orders[i].order;
            return GO_ON;
        }
    }
    fprintf(stderr, "tnwatch: unknown order '%s'\n", argument);
    return WRONG;
}

static enum verdict take_version(struct options *options, const char *argument)
{
    (void)options;
    (void)argument;
    printf("tnwatch %s\n", tn_version());
    return END;
}

static enum verdict take_help(struct options *options, const char *argument);

/* One row for each option: parser, help and documentation are made of this table. */
static const struct option_row {
    int letter; /* 0: none */
    const char *name;
    const char *argument; /* NULL: takes none */
    enum verdict (*take)(struct options *options, const char *argument);
    const char *help; /* further lines after \n */
} rows[] = {
    {'r', "recursive", NULL, take_recursive, "watch all directories below, too"},
    {'a', "auto-add", NULL, take_auto_add, "and directories that appear later"},
    {'v', "verbose", NULL, take_verbose,
     "print the library's messages, and counters at the end;\ntwice: more messages"},
    {'e', "events", "EVENTS", take_events,
     "what to watch for, such as create,delete,close_write;\n"
     "may be given again; see below for the names"},
    {'x', "exclude", "REGEX", take_exclude,
     "neither watch nor report paths that match the POSIX\n"
     "extended regular expression; may be given again"},
    {0, "json", NULL, take_json, "print each event as a JSON object on a line"},
    {0, "threads", "N", take_threads, "worker threads, 1 to 1024 (default: one for each CPU)"},
    {0, "order", "ORDER", take_order,
     "which events stay in order: those of one tree (default),\n"
     "notifier, directory or path, or none"},
    {'V', "version", NULL, take_version, "print the version and end"},
    {'h', "help", NULL, take_help, "print this and end"},
};

/* Of long options without a letter. */
#define FIRST_VALUE 256

static void print_row(const struct option_row *row)
{
    char left[64];
    const char *line = row->help;

    snprintf(left, sizeof(left), "  %c%c%c --%s%s%s", row->letter != 0 ? '-' : ' ',
             row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ',' : ' ', row->name,
             row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
    for (;;) {
        size_t length = strcspn(line, "\n");

        printf("%-24s %.*s\n", left, (int)length, line);
        if (line[length] == '\0')
            break;
        line += length + 1;
        left[0] = '\0';
    }
}

static enum verdict take_help(struct options *options, const char *argument)
{
    (void)options;
    (void)argument;
    puts("Usage: tnwatch [OPTION]... [PATH]...\n"
         "Print what happens to files and directories, one event a line, until ^C.\n"
         "Without a PATH the current directory is watched.\n");
    for (size_t i = 0; i < COUNT(rows); i++)
        print_row(&rows[i]);
    puts("\nEvents are those of inotify(7), in any case, with or without IN_:\n"
         "  access modify attrib close_write close_nowrite open moved_from moved_to\n"
         "  create delete delete_self move_self q_overflow ignored unmount\n"
         "  close (both close events)  move (both moved events)  all_events\n"
         "and the flags onlydir dont_follow excl_unlink oneshot. Without -e:\n"
         "  create delete modify close_write attrib move delete_self move_self\n"
         "\nIn a line, what happened comes before the first space and the path after it. In\n"
         "the path, control characters, bytes that are not UTF-8 and backslashes are\n"
         "printed as \\n, \\xNN and \\\\.\n"
         "\nExit status: 0 after ^C or SIGTERM, or when nothing is left to watch; 1 if a path\n"
         "cannot be watched or an event cannot be printed; 2 for wrong usage.");
    return END;
}

/* The tables of getopt_long(3). */
struct getopt_tables {
    char letters[2 * COUNT(rows) + 2];
    struct option names[COUNT(rows) + 1];
};

static void fill_tables(struct getopt_tables *tables)
{
    size_t used = 0;

    memset(tables, 0, sizeof(*tables));
    for (size_t i = 0; i < COUNT(rows); i++) {
        tables->names[i] = (struct option){
            .name = rows[i].name,
            .has_arg = rows[i].argument != NULL ? required_argument : no_argument,
            .val = FIRST_VALUE + (int)i,
        };
        if (rows[i].letter == 0)
            continue;
        tables->letters[used++] = (char)rows[i].letter;
        if (rows[i].argument != NULL)
            tables->letters[used++] = ':';
    }
}

/* The row of what getopt_long(3) returned; NULL if it was an error. */
static const struct option_row *find_row(int value)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (value == FIRST_VALUE + (int)i || value == rows[i].letter)
            return &rows[i];
    return NULL;
}

static void finish(struct options *options)
{
    options->ignored = (options->mask & IN_IGNORED) != 0;
    options->mask &= ~UNASKED;
    if ((options->mask & EVENTS) != 0)
        return;
    /* A watch needs an event; what comes with IN_IGNORED does for that alone. */
    options->mask |= options->ignored ? IN_DELETE_SELF : DEFAULT_EVENTS;
}

static enum verdict parse(struct options *options, int argc, char **argv)
{
    struct getopt_tables tables;
    enum verdict verdict = GO_ON;

    fill_tables(&tables);
    optind = 0;
    while (verdict == GO_ON) {
        int value = getopt_long(argc, argv, tables.letters, tables.names, NULL);

        if (value == -1)
            break;
        const struct option_row *row = find_row(value);
        verdict = row != NULL ? row->take(options, optarg) : WRONG;
    }
    return verdict;
}

bool options_parse(struct options *options, int argc, char **argv, int *ret_status)
{
    static char program[] = "tnwatch";
    static const char *const here[] = {"."};

    *options = (struct options){.paths = here, .path_count = 1};
    if (argc > 0)
        argv[0] = program; /* begins the messages of getopt_long */
    switch (parse(options, argc, argv)) {
    case WRONG:
        fputs("Try 'tnwatch --help' for more information.\n", stderr);
        *ret_status = STATUS_USAGE;
        return false;
    case END:
        *ret_status = STATUS_OK;
        if (fflush(stdout) != 0) {
            fprintf(stderr, "tnwatch: standard output: %s\n", strerror(errno));
            *ret_status = STATUS_FAILED;
        }
        return false;
    default:
        break;
    }
    finish(options);
    if (optind < argc) {
        options->paths = (const char *const *)argv + optind;
        options->path_count = (size_t)(argc - optind);
    }
    return true;
}

void options_done(struct options *options)
{
    options->filter = tn_filter_unref(options->filter);
}
