#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "workload.h"

static void print_help(void)
{
    puts("Usage: tnstress [OPTION]...\n"
         "Changes a watched tree from several processes, keeps a model of it from the events\n"
         "alone, and at rest compares the model and the watches with the tree.\n"
         "\n"
         "  -s, --seed N        of what is done (1)\n"
         "  -o, --operations N  of all writers together (20000)\n"
         "  -p, --writers N     processes that change the tree (2)\n"
         "  -t, --threads N     of the notifier's pool; 0: it is read in the caller's thread,\n"
         "                      now and then (2)\n"
         "  -r, --rest N        operations between two comparisons (2000)\n"
         "  -d, --directory DIR where to make the tree (/tmp)\n"
         "  -w, --workload NAME what is done; \"all\": each in turn (mixer)\n"
         "  -T, --trace FILE    write each operation and each event to FILE\n"
         "  -k, --keep          leave the tree behind\n"
         "  -h, --help          this\n"
         "\n"
         "Ways to make it harder:\n"
         "  -e, --existing      remove the watches and add them again in each round, while the\n"
         "                      tree is changed, with TN_WATCH_EXISTING\n"
         "  -S, --stopped       read nothing until the operations of a round are over\n"
         "  -q, --queue N       of the kernel, in events, so that it overflows (needs root; put\n"
         "                      back at once)\n"
         "  -c, --churn N       threads that add and remove watches of other kinds in the same\n"
         "                      tree; a second watch of it is checked too\n"
         "  -a, --alias         a second watch of the tree, by a symbolic link to it, is checked "
         "too\n"
         "  -n, --snapshot      watch with TN_WATCH_SNAPSHOT: after a gap, too, all is compared;\n"
         "                      else directories alone in a round that had a gap\n"
         "  -F, --forget N      keep each Nth event from the model: a fault must be found\n"
         "\n"
         "Exit status: 0 if nothing was wrong, 1 if something was, 2 for wrong usage or if it\n"
         "could not be run, 77 if it was left out: a program is not installed, the queue can't be\n"
         "set, or it was full where that was not asked for, so that not everything was compared.\n"
         "\n"
         "Workloads:");
    for (const struct workload *workload = workloads; workload->name; workload++)
        printf("  %-9s %s\n", workload->name, workload->help);
}

static int number(const char *text, uint64_t most, uint64_t *ret_value)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > most) {
        fprintf(stderr, "tnstress: not a number from 0 to %llu: %s\n", (unsigned long long)most,
                text);
        return 1;
    }
    *ret_value = value;
    return 0;
}

static int set_number(unsigned *value, unsigned most, const char *text)
{
    uint64_t parsed;

    if (number(text, most, &parsed))
        return 1;
    *value = (unsigned)parsed;
    return 0;
}

static int set(struct options *options, int option, const char *text)
{
    enum { MANY = 1000000000, FEW = 256 };

    switch (option) {
    case 's':
        return number(text, UINT64_MAX, &options->seed);
    case 'o':
        return set_number(&options->operations, MANY, text);
    case 'r':
        return set_number(&options->rest, MANY, text);
    case 'q':
        return set_number(&options->queue, MANY, text);
    case 'F':
        return set_number(&options->forget, MANY, text);
    case 'p':
        return set_number(&options->writers, FEW, text);
    case 't':
        return set_number(&options->threads, FEW, text);
    case 'c':
        return set_number(&options->churn, FEW, text);
    case 'd':
        options->directory = text;
        return 0;
    case 'w':
        options->workload = text;
        return 0;
    case 'T':
        options->trace = text;
        return 0;
    case 'e':
        options->existing = true;
        return 0;
    case 'a':
        options->alias = true;
        return 0;
    case 'S':
        options->stopped = true;
        return 0;
    case 'n':
        options->snapshot = true;
        return 0;
    case 'k':
        options->keep = true;
        return 0;
    case 'h':
        print_help();
        return -1;
    default:
        fputs("Try 'tnstress --help'.\n", stderr);
        return 1;
    }
}

static const struct option known[] = {
    {"seed", required_argument, NULL, 's'},     {"operations", required_argument, NULL, 'o'},
    {"writers", required_argument, NULL, 'p'},  {"threads", required_argument, NULL, 't'},
    {"rest", required_argument, NULL, 'r'},     {"directory", required_argument, NULL, 'd'},
    {"workload", required_argument, NULL, 'w'}, {"trace", required_argument, NULL, 'T'},
    {"existing", no_argument, NULL, 'e'},       {"stopped", no_argument, NULL, 'S'},
    {"queue", required_argument, NULL, 'q'},    {"churn", required_argument, NULL, 'c'},
    {"alias", no_argument, NULL, 'a'},          {"snapshot", no_argument, NULL, 'n'},
    {"forget", required_argument, NULL, 'F'},   {"keep", no_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};

int options_parse(struct options *options, int count, char **arguments)
{
    int option;

    *options = (struct options){.seed = 1,
                                .operations = 20000,
                                .writers = 2,
                                .threads = 2,
                                .rest = 2000,
                                .directory = "/tmp",
                                .workload = "mixer"};
    while ((option = getopt_long(count, arguments, "s:o:p:t:r:d:w:T:eSq:c:anF:kh", known, NULL)) !=
           -1) {
        int result = set(options, option, optarg);
        if (result)
            return result;
    }
    if (optind < count) {
        fprintf(stderr, "tnstress: what is '%s'?\n", arguments[optind]);
        return 1;
    }
    if (!options->writers || !options->rest) {
        fputs("tnstress: --writers and --rest must be at least 1\n", stderr);
        return 1;
    }
    if (options->stopped)
        options->threads = 0;
    return 0;
}
