/* load: VMs without a hypervisor, as many as are wanted, from one thread.
 *
 *     load PORT boots AT_ONCE SECONDS VMS     VMs boot, AT_ONCE at a time: connect, say who they are, ask, leave
 *     load PORT fleet VMS                     all connect and stay; then commands on standard input, each answered:
 *                                             "ask", all at once; "vmotion RATE SECONDS"; the end of input
 *
 * Each speaks as an ESXi host does for its VM (telnet, option 232), and as a guest of version 1: REQUEST_METADATA,
 * _NETWORKDATA and _USERDATA, one after the other. That METADATA is the VM's own is checked with each. What was
 * measured is printed as JSON, a line for each command; times are in seconds.
 *
 * VMs are called vm-00000, vm-00001, ... They come from 200 addresses of 127.0.0.0/8, since those who close first
 * keep a port for a minute.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

enum { ADDRESSES = 200, DOCUMENTS = 3, CONNECTING_AT_ONCE = 256 };

static const char uri[] = "my-metadata";
static const char *const documents[DOCUMENTS] = {"METADATA", "NETWORKDATA", "USERDATA"};

enum parsing { DATA, COMMAND, OPTION, IN_SUBOPTION, IN_SUBOPTION_COMMAND };

struct vm;

/* A connection of a host for the serial port of a VM. */
struct connection {
    int fd;                                  /* -1: closed */
    struct connection *next_closed;
    struct vm *vm;
    bool answered_authentication, wants_ext, offered_ext, proxied, arriving;
    enum parsing parsing;
    int verb;
    size_t suboption_size;
    unsigned char suboption[64];
    size_t line_size;
    char line[2048]; /* its beginning, if it is longer */
};

struct vm {
    int number;
    int document;                            /* the one it waits for; DOCUMENTS: for none */
    double began;                            /* to boot, to ask, or to move */
    struct connection *at;                   /* the host it runs on */
    struct connection *to;                   /* the one it moves to, if it does */
    size_t token_size;
    unsigned char token[32];                 /* of that vMotion */
};

/* Times that were measured. */
struct times {
    const char *what;
    size_t number, room;
    double *each;
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static int poll_fd;
static struct connection *closed;           /* in this turn */
static bool stay;                            /* VMs do not leave when they have all */
static unsigned long connections, identified, finished, moved, refused;
static struct times boots = {.what = "boot"}, answers = {.what = "metadata"}, goaheads = {.what = "goahead"},
                    moves = {.what = "move"};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fail(const struct vm *vm, const char *what)
{
    fprintf(stderr, "load: vm-%05d: %s\n", vm->number, what);
    exit(1);
}

static void note(struct times *times, double seconds)
{
    if (times->number == times->room) {
        times->room = times->room ? 2 * times->room : 65536;
        times->each = realloc(times->each, times->room * sizeof *times->each);
        if (!times->each)
            die("times");
    }
    times->each[times->number++] = seconds;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Print the percentiles of some times, and forget them. */
static void report(struct times *times)
{
    if (!times->number)
        return;
    qsort(times->each, times->number, sizeof *times->each, compare);
    printf(", \"%s\": {\"p50\": %.6f, \"p99\": %.6f, \"max\": %.6f}", times->what, times->each[times->number / 2],
           times->each[times->number * 99 / 100], times->each[times->number - 1]);
    times->number = 0;
}

/* Connections */

static struct connection *open_connection(struct vm *vm, bool arriving)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (!connection || fd < 0)
        die("a connection");
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(0x7f000101 + (connections++ % ADDRESSES << 8))};
    setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&source, sizeof source))
        die("bind");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        die("connect");
    *connection = (struct connection){.fd = fd, .vm = vm, .arriving = arriving};
    /* The VM's host speaks first: AUTHENTICATION, and holds the rest back until that is answered. */
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLOUT, .data.ptr = connection});
    return connection;
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    connection->next_closed = closed;
    closed = connection;
}

static void send_all(struct connection *connection, const struct output *output)
{
    if (output->size && send(connection->fd, output->data, output->size, MSG_NOSIGNAL) != (ssize_t)output->size)
        fail(connection->vm, "the server does not read, or has gone");
}

static void begin_dialogue(struct connection *connection)
{
    struct output output = {0};
    negotiate(&output, WILL, AUTHENTICATION);
    send_all(connection, &output);
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = connection});
}

/* A guest: documents */

static void request(struct output *output, int document)
{
    char line[64];
    put(output, line, sprintf(line, "!!REQUEST_%s#\n", documents[document]));
}

/* Tell whether a line of base64 holds the name of the VM. */
static bool is_own(const struct vm *vm, const char *base64, size_t size)
{
    static signed char values[256];
    if (!values['B']) {
        const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (int i = 0; i < 64; i++)
            values[(unsigned char)digits[i]] = i;
    }
    char name[16], plain[2048];
    size_t length = 0;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        unsigned bits = 0;
        for (int j = 0; j < 4; j++)
            bits = bits << 6 | values[(unsigned char)base64[i + j]];
        plain[length++] = bits >> 16;
        plain[length++] = bits >> 8;
        plain[length++] = bits;
    }
    return memmem(plain, length, name, sprintf(name, "vm-%05d", vm->number));
}

static bool check_ownership = true;

static void finish(struct vm *vm);

static void receive_line(struct connection *connection, struct output *output)
{
    struct vm *vm = connection->vm;
    char *line = connection->line, code[64];
    size_t size = connection->line_size < sizeof connection->line ? connection->line_size : sizeof connection->line;
    while (size && *line == '\r')
        line++, size--;
    if (!size)
        return;
    if (vm->document == DOCUMENTS)
        fail(vm, "an answer to nothing");
    size_t length = sprintf(code, "!!RESPONSE_%s#", documents[vm->document]);
    if (size <= length || memcmp(line, code, length))
        fail(vm, "another answer than it waits for");
    if (vm->document == 0) {
        if (check_ownership && !is_own(vm, line + length, size - length))
            fail(vm, "the metadata of another");
        note(&answers, now() - vm->began);
    }
    if (++vm->document < DOCUMENTS)
        request(output, vm->document);
    else
        finish(vm);
}

/* A host: telnet and option 232 */

static void say_uuid(struct output *output, int command, const struct vm *vm)
{
    char text[64];
    int size = sprintf(text, "68 4c 91 6c 5f 6c 4c %02x-aa 50 df d6 61 a2 %02x %02x", command, vm->number >> 8 & 255,
                       vm->number & 255);
    suboption(output, command, text, size);
}

static void offer_ext(struct connection *connection, struct output *output)
{
    if (connection->answered_authentication && !connection->offered_ext) {
        connection->offered_ext = true;
        negotiate(output, WILL, VMWARE_EXT);
        if (!connection->wants_ext)
            return;
    }
    if (!connection->offered_ext || !connection->wants_ext || connection->proxied)
        return;
    connection->proxied = true;
    static const unsigned char known[] = {0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 82, 83, 84, 85};
    suboption(output, KNOWN_SUBOPTIONS_1, known, sizeof known);
    if (connection->arriving) {
        suboption(output, VMOTION_PEER, connection->vm->token, connection->vm->token_size);
    } else {
        char content[64];
        suboption(output, DO_PROXY, content, sprintf(content, "C%s", uri));
    }
}

static void receive_negotiation(struct connection *connection, int option, struct output *output)
{
    bool ours = connection->verb == DO || connection->verb == DONT;
    if (option == AUTHENTICATION && ours)
        connection->answered_authentication = true;
    else if (option == VMWARE_EXT && connection->verb == DO)
        connection->wants_ext = true;
    else if (option == BINARY || option == SUPPRESS_GO_AHEAD)
        /* The server asks for these once, and so they are agreed to once. */
        negotiate(output, connection->verb == DO ? WILL : DO, option);
    offer_ext(connection, output);
}

static void receive_suboption(struct connection *connection, struct output *output)
{
    struct vm *vm = connection->vm;
    const unsigned char *content = connection->suboption + 2;
    size_t size = connection->suboption_size - 2;
    char name[16];
    switch (connection->suboption[1]) {
    case GET_VM_VC_UUID:
    case GET_VM_BIOS_UUID:
        say_uuid(output, connection->suboption[1] - 1, vm);
        break;
    case GET_VM_NAME:
        suboption(output, VM_NAME, name, sprintf(name, "vm-%05d", vm->number));
        break;
    case WILL_PROXY:
        identified++;
        negotiate(output, WILL, COM_PORT);
        if (!stay) {
            vm->document = 0;
            request(output, 0);
        }
        break;
    case WONT_PROXY:
        fail(vm, "is refused");
        break;
    case VMOTION_GOAHEAD:
        note(&goaheads, now() - vm->began);
        memcpy(vm->token, content, size);
        vm->token_size = size;
        vm->to = open_connection(vm, true);
        break;
    case VMOTION_NOTNOW:
        refused++;
        break;
    case VMOTION_PEER_OK:
        suboption(output, VMOTION_COMPLETE, content, size);
        close_connection(vm->at);
        vm->at = vm->to;
        vm->to = NULL;
        note(&moves, now() - vm->began);
        moved++;
        break;
    }
}

static void receive(struct connection *connection, const unsigned char *data, size_t size, struct output *output)
{
    const unsigned char *end = data + size;
    while (data < end && connection->fd >= 0) {
        unsigned char byte = *data;
        switch (connection->parsing) {
        case DATA:
            if (byte == IAC) {
                connection->parsing = COMMAND;
            } else {
                const unsigned char *stop = data;
                while (stop < end && *stop != IAC && *stop != '\n')
                    stop++;
                if (connection->line_size < sizeof connection->line) {
                    size_t room = sizeof connection->line - connection->line_size, length = stop - data;
                    memcpy(connection->line + connection->line_size, data, length < room ? length : room);
                }
                connection->line_size += stop - data;
                data = stop;
                if (stop < end && *stop == '\n') {
                    receive_line(connection, output);
                    connection->line_size = 0;
                    data++;
                }
                continue;
            }
            break;
        case COMMAND:
            connection->verb = byte;
            connection->suboption_size = 0;
            connection->parsing = byte == SB ? IN_SUBOPTION : byte >= WILL && byte != IAC ? OPTION : DATA;
            break;
        case OPTION:
            connection->parsing = DATA;
            receive_negotiation(connection, byte, output);
            break;
        case IN_SUBOPTION:
            if (byte == IAC)
                connection->parsing = IN_SUBOPTION_COMMAND;
            else if (connection->suboption_size < sizeof connection->suboption)
                connection->suboption[connection->suboption_size++] = byte;
            break;
        case IN_SUBOPTION_COMMAND:
            connection->parsing = byte == SE ? DATA : IN_SUBOPTION;
            if (byte == SE)
                receive_suboption(connection, output);
            else if (connection->suboption_size < sizeof connection->suboption)
                connection->suboption[connection->suboption_size++] = byte;
            break;
        }
        data++;
    }
}

static void handle(struct connection *connection, unsigned events)
{
    if (connection->fd < 0) /* closed by what came before it in the same turn */
        return;
    if (events & EPOLLOUT) {
        begin_dialogue(connection);
        return;
    }
    unsigned char data[16384];
    ssize_t size = read(connection->fd, data, sizeof data);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0)
        fail(connection->vm, "the server has closed the connection");
    struct output output = {0};
    receive(connection, data, size, &output);
    if (connection->fd >= 0)
        send_all(connection, &output);
}

static void turn(double until)
{
    struct epoll_event events[256];
    double left = until - now();
    int number = epoll_wait(poll_fd, events, 256, left > 0 ? (int)(left * 1000) + 1 : 0);
    for (int i = 0; i < number; i++)
        handle(events[i].data.ptr, events[i].events);
    while (closed) { /* not before: events of this turn may have been of them */
        struct connection *connection = closed;
        closed = connection->next_closed;
        free(connection);
    }
}

/* What is measured */

static double used_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int next_number, most_numbers;

static void boot(struct vm *vm)
{
    vm->number = next_number++ % most_numbers;
    vm->document = DOCUMENTS;
    vm->began = now();
    vm->at = open_connection(vm, false);
}

static void finish(struct vm *vm)
{
    note(&boots, now() - vm->began);
    finished++;
    if (stay)
        return;
    close_connection(vm->at);
    vm->at = NULL;
}

static void measure_boots(int at_once, double seconds)
{
    struct vm *vms = calloc(at_once, sizeof *vms);
    if (!vms)
        die("VMs");
    double began = now(), cpu = used_cpu();
    while (now() < began + seconds) {
        for (int i = 0; i < at_once; i++)
            if (!vms[i].at)
                boot(&vms[i]);
        turn(began + seconds);
    }
    printf("{\"boots\": %lu, \"seconds\": %.3f, \"cpu\": %.3f", finished, now() - began, used_cpu() - cpu);
    answers.number = 0;
    report(&boots);
    printf("}\n");
}

static void ask_all(struct vm *vms, int number)
{
    double began = now();
    finished = 0;
    for (int i = 0; i < number; i++) {
        struct output output = {0};
        vms[i].began = began; /* of all: who is asked last has waited as long */
        vms[i].document = 0;
        request(&output, 0);
        send_all(vms[i].at, &output);
    }
    while (finished < (unsigned long)number)
        turn(now() + 1);
    printf("{\"asked\": %d, \"seconds\": %.3f", number, now() - began);
    report(&answers);
    report(&boots);
    printf("}\n");
}

static void measure_vmotions(struct vm *vms, int number, double rate, double seconds)
{
    double began = now();
    unsigned long begun = 0, most = rate * seconds;
    moved = refused = 0;
    while (moved + refused < most) {
        while (begun < most && now() >= began + begun / rate) {
            struct vm *vm = &vms[begun % number];
            if (vm->to)
                fail(vm, "moves again before it has arrived");
            unsigned sequence = htonl(0xff000001 + begun++);
            struct output output = {0};
            vm->began = now();
            suboption(&output, VMOTION_BEGIN, &sequence, sizeof sequence);
            send_all(vm->at, &output);
        }
        turn(began + begun / rate);
    }
    printf("{\"vmotions\": %lu, \"refused\": %lu, \"seconds\": %.3f", moved, refused, now() - began);
    report(&goaheads);
    report(&moves);
    printf("}\n");
}

static void hold_fleet(int number)
{
    struct vm *vms = calloc(number, sizeof *vms);
    if (!vms)
        die("VMs");
    stay = true;
    double began = now();
    while (identified < (unsigned long)number) {
        while (next_number < number && next_number < (int)identified + CONNECTING_AT_ONCE)
            boot(&vms[next_number]);
        turn(now() + 1);
    }
    printf("{\"held\": %d, \"seconds\": %.3f}\n", number, now() - began);
    fflush(stdout);
    char line[128];
    while (fgets(line, sizeof line, stdin)) {
        double rate, seconds;
        if (!strcmp(line, "ask\n"))
            ask_all(vms, number);
        else if (sscanf(line, "vmotion %lf %lf", &rate, &seconds) == 2)
            measure_vmotions(vms, number, rate, seconds);
        else
            fprintf(stderr, "load: no such command: %s", line);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: load PORT boots AT_ONCE SECONDS VMS | load PORT fleet VMS\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poll_fd = epoll_create1(0);
    if (!strcmp(argv[2], "boots") && argc >= 6) {
        most_numbers = atoi(argv[5]);
        check_ownership = argc == 6; /* a server that does the least says the same to all */
        measure_boots(atoi(argv[3]), atof(argv[4]));
    } else {
        most_numbers = atoi(argv[3]);
        hold_fleet(most_numbers);
    }
    return 0;
}
