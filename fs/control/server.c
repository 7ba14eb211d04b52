/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that answers; see server.h.
 */
#include "fs/control/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/scope.h"
#include "fs/control/request.h"

/* Events that are taken from the ring at once. */
#define BATCH 64

/* Between attempts to accept, where there is no descriptor to be had. */
#define ACCEPT_PAUSE_US 100000

/**
 * struct control_client - a connection
 * @fd:      -1: a free place
 * @kinds:   what it watches; 0: nothing
 * @lost:    events that it will have to be told of
 * @since_s: CLOCK_MONOTONIC; when it connected or last asked
 */
struct control_client {
	int fd;
	unsigned kinds;
	uint64_t lost;
	int64_t since_s;
};

struct control_server {
	const struct control_view *view;
	struct trace *trace;
	int stop_fd; /* an eventfd: readable at the end */
	bool more;   /* events wait, although the ring's eventfd does not say so */
	pthread_t thread;
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Tells the threads that answer requests what is watched now. */
static void control_update_wanted(struct control_server *server)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		kinds |= server->clients[i].kinds;
	trace_want(server->trace, kinds);
}

static void control_drop(struct control_server *server, struct control_client *client)
{
	bool watched = client->kinds != 0;

	close_fd(&client->fd);
	*client = (struct control_client){.fd = -1};
	if (watched)
		control_update_wanted(server);
}

/* Sends a packet, or does not; never waits. */
static int control_send_packet(struct control_client *client, const char *text, size_t len)
{
	if (send(client->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* Lines for one client, and how many. */
struct control_packet {
	char *text;
	size_t len;
	size_t size;
	unsigned lines;
};

static bool packet_add_line(struct control_packet *packet, struct json_object *object)
{
	const char *text = object ? json_object_to_json_string_ext(
					    object, JSON_C_TO_STRING_NOSLASHESCAPE)
				  : NULL;
	size_t len = text ? strlen(text) : 0;

	if (text && packet->len + len + 1 > packet->size) {
		size_t size = packet->len + len + 1 + CONTROL_PACKET_BYTES;
		char *grown = realloc(packet->text, size);

		if (!grown)
			return false;
		packet->text = grown;
		packet->size = size;
	}
	if (!text)
		return false;
	memcpy(packet->text + packet->len, text, len);
	packet->text[packet->len + len] = '\n';
	packet->len += len + 1;
	packet->lines++;
	return true;
}

/* Takes ownership; NULL when out of memory. */
static int control_send(struct control_client *client, struct json_object *object)
{
	struct control_packet packet = {.len = 0};
	int r = packet_add_line(&packet, object)
			? control_send_packet(client, packet.text, packet.len)
			: -ENOMEM;

	free(packet.text);
	json_object_put(object);
	return r;
}

/* {KEY: TEXT}; NULL when out of memory. */
static struct json_object *control_new_object(const char *key, const char *text)
{
	struct json_object *object = json_object_new_object();

	if (object)
		json_add_text(object, key, text);
	return object;
}

static void control_refuse(struct control_server *server, struct control_client *client,
			   const char *why)
{
	control_send(client, control_new_object("error", why));
	control_drop(server, client);
}

/* ---- connections ---- */

static bool control_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

/* A free place; else that of the one who has been silent longest; NULL: all watch. */
static struct control_client *control_find_place(struct control_server *server)
{
	struct control_client *best = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &server->clients[i];

		if (client->fd < 0)
			return client;
		if (client->kinds == 0 && (!best || client->since_s < best->since_s))
			best = client;
	}
	if (best)
		control_drop(server, best);
	return best;
}

static void control_accept(struct control_server *server)
{
	scope_fd int fd = accept4(server->view->control->listen_fd, NULL, NULL,
				  SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct control_client *client;

	/* Out of descriptors, or of memory: it would be ready again at once. */
	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		usleep(ACCEPT_PAUSE_US);
	if (fd < 0 || !control_is_allowed(fd))
		return;
	client = control_find_place(server);
	if (!client)
		return;
	*client = (struct control_client){.fd = take_fd(&fd), .since_s = clock_coarse_s()};
}

static unsigned control_count_watchers(const struct control_server *server)
{
	unsigned count = 0;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		count += server->clients[i].kinds != 0;
	return count;
}

static void control_begin_trace(struct control_server *server,
				struct control_client *client, bool all)
{
	static const int bytes = 1
				 << 20; /* the kernel takes what net.core.wmem_max allows */

	if (client->kinds == 0 && control_count_watchers(server) >= CONTROL_WATCHERS_MAX) {
		control_refuse(server, client, "there are too many who watch this mount");
		return;
	}
	setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	/* First: who reads "begin" is to see all that comes after. */
	client->kinds = all ? TRACE_DECISION | TRACE_REQUEST : TRACE_DECISION;
	control_update_wanted(server);
	if (control_send(client, control_new_object("event", "begin")) < 0)
		control_drop(server, client);
}

static void control_answer(struct control_server *server, struct control_client *client,
			   const char *text, size_t len)
{
	struct control_request request;
	const char *why = control_request_parse(text, len, &request);

	client->since_s = clock_coarse_s();
	if (why)
		control_refuse(server, client, why);
	else if (request.command == CONTROL_TRACE)
		control_begin_trace(server, client, request.all);
	else if (control_send(client, control_status(server->view)) < 0)
		control_drop(server, client);
}

static void control_hear(struct control_server *server, struct control_client *client)
{
	char text[CONTROL_REQUEST_MAX + 1];
	/* MSG_TRUNC: the length that it had. */
	ssize_t n = recv(client->fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		control_drop(server, client);
	else if ((size_t)n > CONTROL_REQUEST_MAX)
		control_refuse(server, client, "the request is too long");
	else
		control_answer(server, client, text, (size_t)n);
}

/* ---- events ---- */

/* Sends what was lost before, then the lines; or counts them as lost. Empties the packet.
 */
static void control_flush(struct control_server *server, struct control_client *client,
			  struct control_packet *packet)
{
	int r = 0;

	if (client->lost > 0) {
		struct json_object *lost = control_new_object("event", "lost");

		if (lost)
			json_add_number(lost, "lines", (int64_t)client->lost);
		r = control_send(client, lost);
		if (r == 0)
			client->lost = 0;
	}
	if (r == 0 && packet->lines > 0)
		r = control_send_packet(client, packet->text, packet->len);
	if (r < 0)
		client->lost += packet->lines;
	packet->len = 0;
	packet->lines = 0;
	if (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM && r != -EMSGSIZE)
		control_drop(server, client);
}

static void control_hand_to(struct control_server *server, struct control_client *client,
			    const struct trace_event *events,
			    struct json_object *const *objects, size_t count)
{
	struct control_packet packet = {.len = 0};

	for (size_t i = 0; i < count && client->fd >= 0; i++) {
		if (!(events[i].kind & client->kinds))
			continue;
		if (!packet_add_line(&packet, objects[i]))
			client->lost++;
		if (packet.len >= CONTROL_PACKET_BYTES)
			control_flush(server, client, &packet);
	}
	if (client->fd >= 0)
		control_flush(server, client, &packet);
	free(packet.text);
}

/* Hands a batch of events on; false when there were no more. */
static bool control_hand_on(struct control_server *server)
{
	struct json_object *objects[BATCH];
	struct trace_event events[BATCH];
	uint64_t lost;
	size_t count = trace_take(server->trace, events, BATCH, &lost);

	for (size_t i = 0; i < count; i++)
		objects[i] = control_event(&events[i]);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &server->clients[i];

		if (client->kinds == 0)
			continue;
		client->lost += lost;
		control_hand_to(server, client, events, objects, count);
	}
	for (size_t i = 0; i < count; i++) {
		json_object_put(objects[i]);
		trace_event_fini(&events[i]);
	}
	return count == BATCH;
}

/* ---- the thread ---- */

/* Closes connections that ask nothing. Return: milliseconds until the next one, or -1. */
static int control_drop_idle(struct control_server *server)
{
	int64_t now_s = clock_coarse_s();
	int wait_ms = -1;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &server->clients[i];

		if (client->fd < 0 || client->kinds != 0)
			continue;
		if (now_s - client->since_s > CONTROL_IDLE_S)
			control_drop(server, client);
		else
			wait_ms = CONTROL_IDLE_S * 1000;
	}
	return wait_ms;
}

enum { POLL_STOP, POLL_LISTEN, POLL_TRACE, POLL_CLIENTS };

static void control_serve_client(struct control_server *server,
				 struct control_client *client, short events)
{
	struct control_packet nothing = {.len = 0};

	if (client->fd < 0)
		return;
	if (events & POLLOUT)
		control_flush(server, client, &nothing);
	if (client->fd >= 0 && events & (POLLIN | POLLHUP | POLLERR))
		control_hear(server, client);
}

/* Waits, and does what there is to do; false at the end. */
static bool control_turn(struct control_server *server)
{
	struct pollfd fds[POLL_CLIENTS + CONTROL_CLIENTS_MAX] = {
		[POLL_STOP] = {.fd = server->stop_fd, .events = POLLIN},
		[POLL_LISTEN] = {.fd = server->view->control->listen_fd, .events = POLLIN},
		[POLL_TRACE] = {.fd = server->trace->wake_fd, .events = POLLIN},
	};
	int timeout_ms = control_drop_idle(server);

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct control_client *client = &server->clients[i];

		fds[POLL_CLIENTS + i] = (struct pollfd){
			.fd = client->fd,
			.events = (short)(POLLIN | (client->lost ? POLLOUT : 0)),
		};
	}
	if (poll(fds, ARRAY_SIZE(fds), server->more ? 0 : timeout_ms) < 0)
		return errno == EINTR;
	if (server->more || fds[POLL_TRACE].revents)
		server->more = control_hand_on(server);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (fds[POLL_CLIENTS + i].revents)
			control_serve_client(server, &server->clients[i],
					     fds[POLL_CLIENTS + i].revents);
	if (fds[POLL_LISTEN].revents)
		control_accept(server);
	return !fds[POLL_STOP].revents;
}

static void *control_run(void *context)
{
	struct control_server *server = context;

	while (control_turn(server))
		;
	while (control_hand_on(server))
		;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (server->clients[i].fd >= 0)
			control_drop(server, &server->clients[i]);
	return NULL;
}

struct control_server *control_start(const struct control_view *view)
{
	struct control_server *server;

	if (view->control->listen_fd < 0)
		return NULL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->view = view;
	server->trace = &view->front->trace;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		server->clients[i].fd = -1;
	if (server->stop_fd >= 0 &&
	    pthread_create(&server->thread, NULL, control_run, server) == 0)
		return server;
	close_fd(&server->stop_fd);
	free(server);
	return NULL;
}

void control_stop(struct control_server *server)
{
	if (!server)
		return;
	eventfd_write(server->stop_fd, 1);
	pthread_join(server->thread, NULL);
	close_fd(&server->stop_fd);
	free(server);
}
