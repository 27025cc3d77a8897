/* Sends calls to an RPC server over RabbitMQ, so many at a time, and measures the answers.

   load HOST PORT USER PASSWORD VHOST EXCHANGE ROUTING_KEY BODY CALLS WINDOW

   The file BODY is a request in which @NUMBER@ stands for 8 digits that differ from call to call and @QUEUE@ for the reply queue;
   its _msg_id is PREFIX@NUMBER@, with the prefix below.
   Prints {"seconds", "p50_ms", "p99_ms", "failures"}.  */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char prefix[] = "a1b2c3d4a1b2c3d4a1b2c3d4";

static void die(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static char *contents(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file)
        die("cannot read the body");
    char *text = calloc(1, 1 << 20);
    if (!fread(text, 1, (1 << 20) - 1, file))
        die("the body is empty");
    fclose(file);
    return text;
}

/* The text with each `mark` replaced; to be freed. */
static char *replacing(const char *text, const char *mark, const char *with) {
    char *result = calloc(1, strlen(text) * 2 + 4096), *end = result;
    for (const char *found; (found = strstr(text, mark)); text = found + strlen(mark)) {
        memcpy(end, text, found - text);
        end = stpcpy(end + (found - text), with);
    }
    strcpy(end, text);
    return result;
}

static amqp_connection_state_t connect_to(char **arguments) {
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (amqp_socket_open(socket, arguments[0], atoi(arguments[1])))
        die("cannot connect");
    if (amqp_login(connection, arguments[4], 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, arguments[2], arguments[3]).reply_type
        != AMQP_RESPONSE_NORMAL)
        die("cannot log in");
    amqp_channel_open(connection, 1);
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL)
        die("cannot open a channel");
    return connection;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

int main(int count, char **arguments) {
    if (count != 11)
        die("wants HOST PORT USER PASSWORD VHOST EXCHANGE ROUTING_KEY BODY CALLS WINDOW");
    amqp_connection_state_t connection = connect_to(arguments + 1);
    amqp_queue_declare_ok_t *declared = amqp_queue_declare(connection, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    if (!declared)
        die("cannot declare a reply queue");
    char queue[256] = {0};
    memcpy(queue, declared->queue.bytes, declared->queue.len);
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 1, 1, amqp_empty_table);

    char *body = replacing(contents(arguments[8]), "@QUEUE@", queue);
    int calls = atoi(arguments[9]), window = atoi(arguments[10]), sent = 0, answered = 0, failures = 0;
    double *began = calloc(calls, sizeof *began), *took = calloc(calls, sizeof *took), start = now();
    uint32_t run = (uint32_t)time(NULL) << 16; /* ids differ between runs, too */
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG, .content_type = amqp_cstring_bytes("application/json")};
    while (answered < calls) {
        while (sent < calls && sent - answered < window) {
            char digits[16];
            snprintf(digits, sizeof digits, "%08x", run + sent);
            char *request = replacing(body, "@NUMBER@", digits);
            began[sent++] = now();
            if (amqp_basic_publish(connection, 1, amqp_cstring_bytes(arguments[6]), amqp_cstring_bytes(arguments[7]), 0, 0,
                                   &properties, amqp_cstring_bytes(request)))
                die("cannot publish");
            free(request);
        }
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        struct timeval limit = {60, 0};
        if (amqp_consume_message(connection, &envelope, &limit, 0).reply_type != AMQP_RESPONSE_NORMAL)
            die("no answer for a minute");
        char *reply = strndup(envelope.message.body.bytes, envelope.message.body.len), *found = strstr(reply, prefix);
        if (!found)
            die("an answer without the id of its call");
        uint32_t number = (uint32_t)strtoul((char[]){found[24], found[25], found[26], found[27], found[28], found[29],
                                                     found[30], found[31], 0}, NULL, 16) - run;
        if (number >= (uint32_t)sent)
            die("an answer to a call that was not made");
        took[number] = now() - began[number];
        if (!strstr(reply, "failure\\\": null") && !strstr(reply, "failure\\\":null"))
            failures++;
        answered++;
        free(reply);
        amqp_destroy_envelope(&envelope);
    }
    double seconds = now() - start;
    qsort(took, calls, sizeof *took, ascending);
    printf("{\"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failures\": %d}\n", seconds, took[calls / 2] * 1e3,
           took[calls * 99 / 100] * 1e3, failures);
    return 0;
}
