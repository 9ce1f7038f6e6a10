#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Connects to the unix socket argv[1], says "ping", and prints what comes back. */
int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[16];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (argc < 2) return 2;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 3;
    if (write(fd, "ping", 4) != 4) return 4;
    ssize_t got = read(fd, answer, sizeof answer);
    return got > 0 && write(1, answer, (size_t)got) == got ? 0 : 5;
}
