#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace.h"
#include "workload.h"

enum { TEXT = 24 };

static bool is_installed(const char *tool)
{
    const char *at = getenv("PATH");
    char path[4096];

    for (at = at ? at : "/usr/bin:/bin"; *at; at += strspn(at, ":")) {
        int length = (int)strcspn(at, ":");
        snprintf(path, sizeof(path), "%.*s/%s", length, at, tool);
        if (access(path, X_OK) == 0)
            return true;
        at += length;
    }
    return false;
}

/* Becomes the shell. What the tools complain of is no matter: the writers are in each other's way.
 * With a trace, its commands go there. */
static _Noreturn void become(const char *function, const struct share *share)
{
    char seed[TEXT], writer[TEXT], round[TEXT], count[TEXT];
    int trace = trace_descriptor();
    int errors = trace < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : trace;

    snprintf(seed, sizeof(seed), "%u", (unsigned)(share->random & 0x7fffffff));
    snprintf(writer, sizeof(writer), "%u", share->writer);
    snprintf(round, sizeof(round), "%u", share->round);
    snprintf(count, sizeof(count), "%u", share->operations);
    dup2(errors, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execlp("sh", "sh", trace < 0 ? "-u" : "-ux", TNSTRESS_SCRIPTS, function, seed, writer, round,
           count, (char *)NULL);
    _exit(127);
}

void script_run(const struct workload *workload, const struct share *share)
{
    become(workload->name, share);
}

int script_prepare(const struct workload *workload, uint64_t seed, unsigned entries)
{
    struct share share = {.random = seed, .operations = entries};
    char function[64];
    int status;

    if (workload->tool && !is_installed(workload->tool)) {
        printf("%s: skipped, %s is not installed\n", workload->name, workload->tool);
        return 77;
    }
    snprintf(function, sizeof(function), "prepare_%s", workload->name);
    pid_t child = fork();
    if (child == 0)
        become(function, &share);
    if (child < 0)
        return -errno;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}
