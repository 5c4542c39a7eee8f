/* Puts every file of the folders (or the files) named on the command line to a fuzz target, once each.  A folder
 * that does not exist holds no inputs; the empty input is always tried. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st) < 0) {
        perror(path);
        if (file)
            fclose(file);
        return -1;
    }
    /* Just as large as the input, so that the sanitizer sees a read past its end. */
    uint8_t *data = malloc((size_t)st.st_size);
    size_t size = data ? fread(data, 1, (size_t)st.st_size, file) : 0;
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay_folder(const char *path, int *count)
{
    DIR *folder = opendir(path);
    int rc = 0;
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        rc |= replay_file(name);
        ++*count;
    }
    closedir(folder);
    return rc;
}

int main(int argc, char **argv)
{
    int count = 1, rc = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && !S_ISDIR(st.st_mode)) {
            rc |= replay_file(argv[i]);
            count++;
        } else {
            rc |= replay_folder(argv[i], &count);
        }
    }
    printf("%d inputs replayed\n", count);
    return rc ? 1 : 0;
}
