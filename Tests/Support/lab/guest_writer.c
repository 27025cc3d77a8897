/* The guest's only program: on every /dev/vdb, vdc, ... it writes numbered, checksummed 512-byte sectors with O_DIRECT,
   round a ring at the start of the disk, and says on the console what the disk has acknowledged:

     W vdb 320          every sector up to number 320 is written
     S vdb 33554432     the disk's size in bytes, when it changes
     E vdb 321 5        a write failed with errno 5; it is tried again
     L vdb 320 w 310 … r 250 …   with MEASURE: the microseconds of the last 32 writes, and of a read after each

   Usage: writer RING_SECTORS DELAY_MICROSECONDS [MEASURE] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, REPORT_EVERY = 32 };

static uint32_t crc32(const unsigned char *bytes, size_t count) {
    uint32_t crc = ~0u;
    while (count--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static void say(const char *line) {
    int console = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    if (console < 0)
        return;
    (void)!write(console, line, strlen(line));
    close(console);
}

static void fill(unsigned char *sector, const char *disk, uint64_t number) {
    memset(sector, 0, SECTOR);
    snprintf((char *)sector, 64, "PVT1 %s %llu", disk, (unsigned long long)number);
    for (int i = 64; i < SECTOR - 4; i++)
        sector[i] = (unsigned char)(number * 131 + i * 7);
    uint32_t crc = crc32(sector, SECTOR - 4);
    memcpy(sector + SECTOR - 4, &crc, 4);
}

static uint64_t size_of(const char *path) {
    uint64_t size = 0;
    int disk = open(path, O_RDONLY);
    if (disk >= 0) {
        ioctl(disk, BLKGETSIZE64, &size);
        close(disk);
    }
    return size;
}

static uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static char *list(char *text, char tag, const unsigned *times) {
    text += sprintf(text, " %c", tag);
    for (int i = 0; i < REPORT_EVERY; i++)
        text += sprintf(text, " %u", times[i]);
    return text;
}

static void say_latencies(const char *disk, uint64_t number, const unsigned *writes, const unsigned *reads) {
    char line[2 * REPORT_EVERY * 12 + 64];
    char *end = line + sprintf(line, "L %s %llu", disk, (unsigned long long)number);
    strcpy(list(list(end, 'w', writes), 'r', reads), "\n");
    say(line);
}

static void write_for_ever(const char *disk, unsigned ring, unsigned delay, int measured) {
    char path[32], line[128];
    unsigned char *sector;
    unsigned writes[REPORT_EVERY], reads[REPORT_EVERY];
    uint64_t size = 0;
    snprintf(path, sizeof path, "/dev/%s", disk);
    int fd = open(path, O_RDWR | O_DIRECT);
    if (fd < 0 || posix_memalign((void **)&sector, 4096, 4096)) {
        snprintf(line, sizeof line, "E %s open %d\n", disk, errno);
        say(line);
        return;
    }
    for (uint64_t number = 1;; number++) {
        fill(sector, disk, number);
        uint64_t began = microseconds();
        while (pwrite(fd, sector, SECTOR, (off_t)(number % ring) * SECTOR) != SECTOR) {
            snprintf(line, sizeof line, "E %s %llu %d\n", disk, (unsigned long long)number, errno);
            say(line);
            usleep(300000);
        }
        if (measured) {
            uint64_t written = microseconds();
            (void)!pread(fd, sector, SECTOR, (off_t)(number * 7919 % ring) * SECTOR);
            writes[number % REPORT_EVERY] = written - began;
            reads[number % REPORT_EVERY] = microseconds() - written;
            if (number % REPORT_EVERY == 0)
                say_latencies(disk, number, writes, reads);
        }
        if (number % REPORT_EVERY == 0) {
            snprintf(line, sizeof line, "W %s %llu\n", disk, (unsigned long long)number);
            say(line);
        }
        if (number % REPORT_EVERY == 1 && size_of(path) != size) {
            size = size_of(path);
            snprintf(line, sizeof line, "S %s %llu\n", disk, (unsigned long long)size);
            say(line);
        }
        usleep(delay);
    }
}

int main(int count, char **arguments) {
    unsigned ring = count > 1 ? atoi(arguments[1]) : 2048, delay = count > 2 ? atoi(arguments[2]) : 2000;
    int measured = count > 3 && atoi(arguments[3]);
    for (char letter = 'b'; letter <= 'z'; letter++) {
        char disk[8], path[16];
        snprintf(disk, sizeof disk, "vd%c", letter);
        snprintf(path, sizeof path, "/dev/%s", disk);
        if (access(path, F_OK))
            break;
        if (!fork()) {
            write_for_ever(disk, ring, delay, measured);
            _exit(1);
        }
    }
    say("GUEST-READY\n");
    for (;;) {
        wait(0);
        sleep(1);
    }
}
