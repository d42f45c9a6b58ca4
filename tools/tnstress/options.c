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
         "  -e, --existing      remove the watches and add them again in each round, while the\n"
         "                      tree is changed, with TN_WATCH_EXISTING\n"
         "  -k, --keep          leave the tree behind\n"
         "  -h, --help          this\n"
         "\n"
         "Exit status: 0 if nothing was wrong, 1 if something was, 2 for wrong usage or if it\n"
         "could not be run, 77 if the kernel's queue was full, so that nothing can be said.\n"
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

static int set(struct options *options, int option, const char *text)
{
    unsigned *value = option == 'o'   ? &options->operations
                      : option == 'p' ? &options->writers
                      : option == 't' ? &options->threads
                                      : &options->rest;
    uint64_t parsed;

    switch (option) {
    case 's':
        return number(text, UINT64_MAX, &options->seed);
    case 'o':
    case 'p':
    case 't':
    case 'r':
        if (number(text, option == 'o' || option == 'r' ? 1000000000 : 256, &parsed))
            return 1;
        *value = (unsigned)parsed;
        return 0;
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

int options_parse(struct options *options, int count, char **arguments)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},     {"operations", required_argument, NULL, 'o'},
        {"writers", required_argument, NULL, 'p'},  {"threads", required_argument, NULL, 't'},
        {"rest", required_argument, NULL, 'r'},     {"directory", required_argument, NULL, 'd'},
        {"workload", required_argument, NULL, 'w'}, {"trace", required_argument, NULL, 'T'},
        {"existing", no_argument, NULL, 'e'},       {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    int option;

    *options = (struct options){.seed = 1,
                                .operations = 20000,
                                .writers = 2,
                                .threads = 2,
                                .rest = 2000,
                                .directory = "/tmp",
                                .workload = "mixer"};
    while ((option = getopt_long(count, arguments, "s:o:p:t:r:d:w:T:ekh", known, NULL)) != -1) {
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
    return 0;
}
