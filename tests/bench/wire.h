/* What load.c and least.c know of telnet (RFC 854), VMware's option 232 (EN-001415) and our packets. */
#ifndef WIRE_H
#define WIRE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IAC = 255, DONT = 254, DO = 253, WONT = 252, WILL = 251, SB = 250, SE = 240 };
enum { BINARY = 0, SUPPRESS_GO_AHEAD = 3, AUTHENTICATION = 37, COM_PORT = 44, VMWARE_EXT = 232 };
enum {
    KNOWN_SUBOPTIONS_1 = 0,
    KNOWN_SUBOPTIONS_2 = 1,
    VMOTION_BEGIN = 40,
    VMOTION_GOAHEAD = 41,
    VMOTION_NOTNOW = 43,
    VMOTION_PEER = 44,
    VMOTION_PEER_OK = 45,
    VMOTION_COMPLETE = 46,
    DO_PROXY = 70,
    WILL_PROXY = 71,
    WONT_PROXY = 73,
    VM_VC_UUID = 80,
    GET_VM_VC_UUID = 81,
    VM_NAME = 82,
    GET_VM_NAME = 83,
    VM_BIOS_UUID = 84,
    GET_VM_BIOS_UUID = 85,
};

/* Bytes to be sent in one write. */
struct output {
    size_t size;
    unsigned char data[1024];
};

static inline void put(struct output *output, const void *data, size_t size)
{
    if (output->size + size > sizeof output->data) {
        fprintf(stderr, "more to send at once than there is room for\n");
        exit(1);
    }
    memcpy(output->data + output->size, data, size);
    output->size += size;
}

static inline void negotiate(struct output *output, int verb, int option)
{
    put(output, (unsigned char[]){IAC, verb, option}, 3);
}

static inline void suboption(struct output *output, int command, const void *content, size_t size)
{
    const unsigned char *bytes = content;
    put(output, (unsigned char[]){IAC, SB, VMWARE_EXT, command}, 4);
    for (size_t i = 0; i < size; i++) {
        put(output, bytes + i, 1);
        if (bytes[i] == IAC)
            put(output, bytes + i, 1);
    }
    put(output, (unsigned char[]){IAC, SE}, 2);
}

static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

#endif
