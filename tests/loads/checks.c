/* Does what takes capabilities: as root GRANTED times bind to a port below 1024; then as nobody REFUSED times that, and
 * CHROOTS times chroot, which are both refused.
 */
#include "load.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY 65534

/* 0 or why it failed. */
__attribute__((noinline)) int bind_below(int first)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(first)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    int error = bind(fd, (struct sockaddr *)&here, sizeof here) ? errno : 0;
    close(fd);
    return error;
}

int main(int argc, char **argv)
{
    const char *usage = "checks GRANTED REFUSED CHROOTS";
    if (argc != 4) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long granted = number(argv[1], usage), refused = number(argv[2], usage), chroots = number(argv[3], usage);
    long long wall = now_ns(), cpu = cpu_ns(0), wrong = 0;
    for (long long i = 0; i < granted; i++)
        if (bind_below(700 + i % 300) == EACCES)
            wrong++;
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
        fail("become nobody");
    for (long long i = 0; i < refused; i++)
        wrong += bind_below(700) != EACCES;
    for (long long i = 0; i < chroots; i++)
        wrong += chroot("/") != -1 || errno != EPERM;
    char more[80];
    snprintf(more, sizeof more, ", \"wrong\": %lld, \"pid\": %d", wrong, getpid());
    report("checks", granted + refused + chroots, now_ns() - wall, cpu_ns(0) - cpu, more);
    return 0;
}
