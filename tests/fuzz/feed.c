/* Feeds the files of the named directories to a fuzz target, in order: feed DIRECTORY|FILE ... */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "input.h"

static int feed_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *bytes = NULL;
    size_t size = 0, capacity = 0;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    do {
        capacity += 65536;
        bytes = realloc(bytes, capacity);
        CHECK(bytes);
        size += fread(bytes + size, 1, capacity - size, file);
    } while (size == capacity);
    fclose(file);
    /* Of exactly that size, so that a read past the end is seen. */
    uint8_t *data = malloc(size + !size);
    CHECK(data);
    memcpy(data, bytes, size);
    free(bytes);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int feed_directory(const char *path, int *fed)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_visible, alphasort);
    int result = 0;

    if (count < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        result |= feed_file(file);
        free(entries[i]);
    }
    free(entries);
    *fed += count;
    return result;
}

int main(int argc, char **argv)
{
    int result = 0, fed = 0;
    struct stat status;

    for (int i = 1; i < argc; i++) {
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            result |= feed_directory(argv[i], &fed);
        } else {
            result |= feed_file(argv[i]);
            fed++;
        }
    }
    if (fed == 0)
        fputs("nothing to feed\n", stderr);
    return result || fed == 0;
}
