/* The guest's only program: on every /dev/vdb, vdc, ... it writes numbered, checksummed 512-byte sectors with O_DIRECT,
   round a ring at the start of the disk, and says on the console what the disk has acknowledged:

     W vdb 320          every sector up to number 320 is written
     S vdb 33554432     the disk's size in bytes, when it changes
     E vdb 321 5        a write failed with errno 5; it is tried again
     L vdb 320 w 310 … r 250 …   with measure: the microseconds of the last 32 writes, and of a read after each

   In lockstep one sequence of numbers goes to all disks, each number to one after the other.  With measure a disk is also read.

   Usage: writer RING_SECTORS DELAY_MICROSECONDS [lockstep|measure] */
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

struct disk {
    char name[8];
    int fd;
    unsigned char *sector;
    uint64_t size;
    unsigned writes[REPORT_EVERY], reads[REPORT_EVERY];
};

static int open_disk(struct disk *disk) {
    char path[32], line[128];
    snprintf(path, sizeof path, "/dev/%s", disk->name);
    disk->fd = open(path, O_RDWR | O_DIRECT);
    if (disk->fd >= 0 && !posix_memalign((void **)&disk->sector, 4096, 4096))
        return 1;
    snprintf(line, sizeof line, "E %s open %d\n", disk->name, errno);
    say(line);
    return 0;
}

/* Notes how long the write took that began then, and how long a read takes. */
static void measure(struct disk *disk, uint64_t number, unsigned ring, uint64_t began) {
    uint64_t written = microseconds();
    (void)!pread(disk->fd, disk->sector, SECTOR, (off_t)(number * 7919 % ring) * SECTOR);
    disk->writes[number % REPORT_EVERY] = written - began;
    disk->reads[number % REPORT_EVERY] = microseconds() - written;
    if (number % REPORT_EVERY == 0)
        say_latencies(disk->name, number, disk->writes, disk->reads);
}

static void write_one(struct disk *disk, uint64_t number, unsigned ring, int measured) {
    char path[32], line[128];
    fill(disk->sector, disk->name, number);
    uint64_t began = microseconds();
    while (pwrite(disk->fd, disk->sector, SECTOR, (off_t)(number % ring) * SECTOR) != SECTOR) {
        snprintf(line, sizeof line, "E %s %llu %d\n", disk->name, (unsigned long long)number, errno);
        say(line);
        usleep(300000);
    }
    if (measured)
        measure(disk, number, ring, began);
    if (number % REPORT_EVERY == 0) {
        snprintf(line, sizeof line, "W %s %llu\n", disk->name, (unsigned long long)number);
        say(line);
    }
    snprintf(path, sizeof path, "/dev/%s", disk->name);
    if (number % REPORT_EVERY == 1 && size_of(path) != disk->size) {
        disk->size = size_of(path);
        snprintf(line, sizeof line, "S %s %llu\n", disk->name, (unsigned long long)disk->size);
        say(line);
    }
}

/* Each number goes to all these disks, in turn. */
static void write_for_ever(struct disk *disks, int count, unsigned ring, unsigned delay, int measured) {
    for (int i = 0; i < count; i++)
        if (!open_disk(&disks[i]))
            return;
    for (uint64_t number = 1;; number++) {
        for (int i = 0; i < count; i++)
            write_one(&disks[i], number, ring, measured);
        usleep(delay);
    }
}

int main(int count, char **arguments) {
    unsigned ring = count > 1 ? atoi(arguments[1]) : 2048, delay = count > 2 ? atoi(arguments[2]) : 2000;
    int in_lockstep = count > 3 && !strcmp(arguments[3], "lockstep");
    int measured = count > 3 && !strcmp(arguments[3], "measure");
    struct disk disks[25] = {0};
    int found = 0;
    for (char letter = 'b'; letter <= 'z'; letter++) {
        char path[16];
        snprintf(path, sizeof path, "/dev/vd%c", letter);
        if (access(path, F_OK))
            break;
        snprintf(disks[found++].name, sizeof disks[0].name, "vd%c", letter);
    }
    for (int i = 0; i < found; i += in_lockstep ? found : 1) {
        if (!fork()) {
            write_for_ever(&disks[i], in_lockstep ? found : 1, ring, delay, measured);
            _exit(1);
        }
    }
    say("GUEST-READY\n");
    for (;;) {
        wait(0);
        sleep(1);
    }
}
