/* least: a server that does the least there is to do for a VM's boot, to measure others against.
 *
 *     least PORT ANSWERS
 *
 * It knows no VM and checks nothing: what it says to each command and to each request is fixed. ANSWERS is a file
 * with the three lines that answer REQUEST_METADATA, _NETWORKDATA and _USERDATA. It trusts that no command and no
 * request is cut in two, as they are not over loopback.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

enum { LINES = 3 };

static struct {
    const char *request;
    char *line;
    size_t size;
} answers[LINES] = {{"!!REQUEST_METADATA", 0, 0}, {"!!REQUEST_NETWORKDATA", 0, 0}, {"!!REQUEST_USERDATA", 0, 0}};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_answers(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        die(path);
    for (int i = 0; i < LINES; i++) {
        size_t room = 0;
        ssize_t size = getline(&answers[i].line, &room, file);
        if (size < 0)
            die("three lines are needed");
        answers[i].size = size;
    }
    fclose(file);
}

/* Say what one suboption of option 232 asks for. */
static void obey(struct output *output, int command)
{
    if (command == KNOWN_SUBOPTIONS_1) {
        suboption(output, KNOWN_SUBOPTIONS_2, "\x01\x03", 2);
        suboption(output, GET_VM_VC_UUID, "", 0);
        suboption(output, GET_VM_NAME, "", 0);
        suboption(output, GET_VM_BIOS_UUID, "", 0);
    } else if (command == DO_PROXY) {
        suboption(output, WILL_PROXY, "", 0);
    }
}

/* Answer what one read has brought; return the line that answers a request, or -1. */
static int answer(struct output *output, const unsigned char *data, size_t size)
{
    const unsigned char *end = data + size;
    while (data < end && *data == IAC) {
        if (end - data < 3)
            return -1;
        if (data[1] == SB) {
            obey(output, data[3]);
            data = memmem(data, end - data, "\xff\xf0", 2);
            if (!data)
                return -1;
            data += 2;
        } else {
            if (data[1] == WILL)
                negotiate(output, data[2] == VMWARE_EXT ? DO : DONT, data[2]);
            data += 3;
        }
    }
    for (int i = 0; i < LINES; i++) {
        size_t length = strlen(answers[i].request);
        if ((size_t)(end - data) > length && !memcmp(data, answers[i].request, length))
            return i;
    }
    return -1;
}

static void serve(int fd)
{
    unsigned char data[4096];
    struct output output = {0};
    ssize_t size = read(fd, data, sizeof data);
    if (size <= 0) {
        close(fd);
        return;
    }
    int line = answer(&output, data, size);
    struct iovec parts[] = {{output.data, output.size}, {0, 0}};
    if (line >= 0)
        parts[1] = (struct iovec){answers[line].line, answers[line].size};
    if (output.size || line >= 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
            close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: least PORT ANSWERS\n");
        return 2;
    }
    read_answers(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        die("cannot listen");
    socklen_t length = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int poll = epoll_create1(0);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event events[256];
        int number = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < number; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
        }
    }
}
