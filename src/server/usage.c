// Reads what the process takes of the machine.
// SPDX-License-Identifier: Apache-2.0
#include "server/usage.h"

#include <string.h>

#define NS_PER_S      1000000000ull
#define NS_PER_TICK   10000000ull /* Linux counts hundredths of a second, whatever its clock */
#define TEXT_SIZE_MAX 8192
#define USER_FIELD    11 /* of /proc/self/stat, counted from the one after the name */

static struct slice read_all(struct os *os, const char *path, uint8_t *data, size_t size)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ);
    ssize_t count = fd < 0 ? 0 : os->ops->pread(os, fd, data, size, 0);
    if (fd >= 0)
        os->ops->close(os, fd);
    return slice_make(data, count > 0 ? (size_t)count : 0);
}

static struct slice skip_blanks(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_make(text.data + 1, text.size - 1);
    return text;
}

static struct slice read_number(struct slice text, uint64_t *out)
{
    *out = 0;
    text = skip_blanks(text);
    while (text.size > 0 && text.data[0] >= '0' && text.data[0] <= '9' && *out < UINT64_MAX / 16) {
        *out = *out * 10 + (uint64_t)(text.data[0] - '0');
        text = slice_make(text.data + 1, text.size - 1);
    }
    return text;
}

uint64_t server_usage_cpu_ns(struct slice stat)
{
    uint64_t user;
    uint64_t kernel;
    const uint8_t *end = stat.size > 0 ? memrchr(stat.data, ')', stat.size) : NULL;
    if (!end)
        return 0;
    struct slice rest = slice_make(end + 1, (size_t)(stat.data + stat.size - end - 1));
    for (unsigned i = 0; i < USER_FIELD; i++) {
        rest = skip_blanks(rest);
        while (rest.size > 0 && rest.data[0] != ' ')
            rest = slice_make(rest.data + 1, rest.size - 1);
    }
    rest = read_number(rest, &user);
    (void)read_number(rest, &kernel);
    return (user + kernel) * NS_PER_TICK;
}

uint64_t server_usage_memory_bytes(struct slice status)
{
    static const char key[] = "\nVmRSS:";
    uint64_t kib;
    const uint8_t *at =
        status.size > 0 ? memmem(status.data, status.size, key, sizeof(key) - 1) : NULL;
    if (!at)
        return 0;
    at += sizeof(key) - 1;
    (void)read_number(slice_make(at, (size_t)(status.data + status.size - at)), &kib);
    return kib * 1024;
}

void server_usage_read(struct server_usage *usage, struct os *os, uint64_t now_ns,
                       uint64_t start_ns)
{
    uint8_t text[TEXT_SIZE_MAX];
    uint64_t since_ns = usage->at_ns ? usage->at_ns : start_ns;
    usage->memory_bytes =
        server_usage_memory_bytes(read_all(os, "/proc/self/status", text, sizeof(text)));
    if (now_ns <= since_ns || (usage->at_ns && now_ns - since_ns < NS_PER_S))
        return;
    uint64_t cpu_ns = server_usage_cpu_ns(read_all(os, "/proc/self/stat", text, sizeof(text)));
    uint64_t more_ns = cpu_ns > usage->cpu_ns ? cpu_ns - usage->cpu_ns : 0;
    usage->cpu_percent = (double)more_ns * 100.0 / (double)(now_ns - since_ns);
    usage->cpu_ns = cpu_ns;
    usage->at_ns = now_ns;
}
