// SPDX-License-Identifier: Apache-2.0
/*
 * A process that holds memory in the ways that OOM policies must tell apart.
 *
 * It takes its oom_score_adj and its name first, waits for a line on standard input where --wait asks for one, takes
 * its memory and says "ready PID [PID…]" on standard output, the processes that it started after its own. Then it
 * holds on until something kills it. Its cgroup, user and nice value are the agent's business.
 *
 * Built statically: in a memory cgroup of a few MiB every shared page counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum mode { PLAIN, LEADER_EXITS, VFORK, FORK_MANY, STUCK };
enum kind { ANON, SHMEM, FILE_BACKED };

static struct {
	enum mode mode;
	enum kind kind;
	size_t size, step;
	long delay_ms, count, threads;
	const char *comm, *file;
} opt = { .count = 1 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "hog: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void usage(void)
{
	fputs("usage: hog [--size N[KMG]] [--step N[KMG]] [--delay-ms N] [--adj N] [--comm NAME] [--wait]\n"
	      "           [--kind anon|shmem|file] [--file PATH] [--threads N]\n"
	      "           [--mode plain|leader-exits|vfork|fork-many|stuck] [--count N]\n", stderr);
	exit(2);
}

static size_t bytes(const char *text)
{
	char *end;
	size_t n = strtoull(text, &end, 10);

	switch (*end) {
	case 'G': n <<= 10; /* fall through */
	case 'M': n <<= 10; /* fall through */
	case 'K': n <<= 10; end++;
	}
	if (*end || end == text)
		usage();
	return n;
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text)
		usage();
	return n;
}

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static _Noreturn void hold(void)
{
	for (;;)
		pause();
}

/* Maps opt.size bytes and touches each page, opt.step bytes at a time. */
static void take(void)
{
	size_t step = opt.step ? opt.step : opt.size;
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	unsigned char *p, sum = 0;

	if (!opt.size)
		return;
	if (opt.kind == SHMEM)
		flags = MAP_SHARED | MAP_ANONYMOUS;
	if (opt.kind == FILE_BACKED) {
		flags = MAP_SHARED;
		fd = open(opt.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, opt.size))
			die(opt.file);
	}
	p = mmap(NULL, opt.size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < opt.size; i += 4096) {
		if (i && i % step == 0 && opt.delay_ms)
			sleep_ms(opt.delay_ms);
		if (opt.kind == FILE_BACKED)
			sum += p[i];
		else
			p[i] = 1 + i / 4096;
	}
	if (sum == 1)		/* never: keeps the reads */
		puts("");
}

static void ready(const pid_t *children, long n)
{
	printf("ready %d", getpid());
	for (long i = 0; i < n; i++)
		printf(" %d", children[i]);
	putchar('\n');
	fflush(stdout);
}

static void *idle(void *unused)
{
	(void)unused;
	hold();
}

static void *take_and_hold(void *unused)
{
	(void)unused;
	/* The leader must be gone first: a thread of a live leader is nothing special. */
	for (char state = 0; state != 'Z'; sleep_ms(1)) {
		char line[256] = "";
		int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, line, sizeof(line) - 1);
		char *end = n > 0 ? strrchr(line, ')') : NULL;

		close(fd);
		if (end)
			state = end[2];
	}
	take();
	ready(NULL, 0);
	hold();
}

static void start_thread(void *(*body)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	errno = pthread_create(&thread, &attr, body, NULL);
	if (errno)
		die("pthread_create");
}

static void fork_many(void)
{
	pid_t *children = calloc(opt.count, sizeof(*children));
	int done[2];
	char byte;

	if (!children || pipe2(done, O_CLOEXEC))
		die("fork-many");
	for (long i = 0; i < opt.count; i++) {
		children[i] = fork();
		if (children[i] < 0)
			die("fork");
		if (!children[i]) {
			/* or the parent could not tell when the last child is gone */
			close(done[0]);
			if (opt.comm && strchr(opt.comm, '%')) {
				char name[64]; /* prctl() cuts it */
				const char *mark = strchr(opt.comm, '%');

				snprintf(name, sizeof(name), "%.*s%ld%s", (int)(mark - opt.comm), opt.comm, i, mark + 1);
				prctl(PR_SET_NAME, name);
			}
			take();
			if (write(done[1], "", 1) != 1)
				_exit(1);
			close(done[1]);
			hold();
		}
	}
	close(done[1]);
	/* A child that was killed never writes: end of file comes when every writer is done or dead. */
	while (read(done[0], &byte, 1) > 0)
		;
	ready(children, opt.count);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	exit(0);
}

static void set_adj(long adj);

/*
 * A child that a kill does not end: it stops in the middle of its exit, its memory still there, until this process,
 * its tracer, dies. The OOM reaper takes the memory two seconds after the kill and marks the mm MMF_OOM_SKIP.
 */
static void stuck(void)
{
	pid_t child = fork();
	int status, spoken = 0;

	if (child < 0)
		die("fork");
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		take();
		raise(SIGSTOP);
		hold();
	}
	prctl(PR_SET_NAME, "tracer");
	set_adj(-1000);
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		if (status >> 16 == PTRACE_EVENT_EXIT) {
			puts("stuck");
			fflush(stdout);
			hold();
		}
		if (WSTOPSIG(status) == SIGSTOP && spoken++)
			ready(&child, 1);
		ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
		ptrace(PTRACE_CONT, child, NULL, NULL);
	}
	exit(1);
}

static void set_adj(long adj)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "we");

	if (!f || fprintf(f, "%ld\n", adj) < 0 || fclose(f))
		die("oom_score_adj");
}

static int one_of(const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(text, names[i]))
			return i;
	usage();
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "plain", "leader-exits", "vfork", "fork-many", "stuck", NULL };
	static const char *const kinds[] = { "anon", "shmem", "file", NULL };
	static const struct option options[] = {
		{ "size", 1, NULL, 's' }, { "step", 1, NULL, 'S' }, { "delay-ms", 1, NULL, 'd' },
		{ "adj", 1, NULL, 'a' }, { "comm", 1, NULL, 'c' }, { "wait", 0, NULL, 'w' },
		{ "kind", 1, NULL, 'k' }, { "file", 1, NULL, 'f' }, { "threads", 1, NULL, 't' },
		{ "mode", 1, NULL, 'm' }, { "count", 1, NULL, 'n' }, { NULL, 0, NULL, 0 },
	};
	int c, wait = 0;
	pid_t child;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': opt.size = bytes(optarg); break;
		case 'S': opt.step = bytes(optarg) & ~4095ul; break;
		case 'd': opt.delay_ms = number(optarg); break;
		case 'a': set_adj(number(optarg)); break;
		case 'c': opt.comm = optarg; break;
		case 'w': wait = 1; break;
		case 'k': opt.kind = one_of(optarg, kinds); break;
		case 'f': opt.file = optarg; break;
		case 't': opt.threads = number(optarg); break;
		case 'm': opt.mode = one_of(optarg, modes); break;
		case 'n': opt.count = number(optarg); break;
		default: usage();
		}
	}
	if (optind != argc || (opt.kind == FILE_BACKED && !opt.file))
		usage();
	/*
	 * Where memory is short, the kernel drops pages of this program, which are read back at once, a block of many for each:
	 * to it that looks like progress, and it goes on so for minutes in place of calling the OOM killer.
	 */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT))
		die("mlockall");
	if (opt.comm && prctl(PR_SET_NAME, opt.comm))
		die("prctl");
	if (wait)
		while ((c = getchar()) != '\n' && c != EOF)
			;
	for (long i = 0; i < opt.threads; i++)
		start_thread(idle);

	switch (opt.mode) {
	case LEADER_EXITS:
		start_thread(take_and_hold);
		syscall(SYS_exit, 0);	/* this thread only; exit() would end the process */
		break;
	case VFORK:
		take();
		child = vfork();
		if (child < 0)
			die("vfork");
		if (!child) {
			/* Here the parent waits inside vfork() and both use one mm. Nothing but system calls. */
			char text[32] = "ready ";
			char *p = text + sizeof(text);
			pid_t ids[2] = { getpid(), getppid() };

			*--p = '\n';
			for (int i = 0; i < 2; i++) {
				for (pid_t n = ids[i]; n; n /= 10)
					*--p = '0' + n % 10;
				*--p = ' ';
			}
			p -= 5;
			memcpy(p, "ready", 5);
			if (write(1, p, text + sizeof(text) - p) < 0)
				_exit(1);
			for (;;)
				syscall(SYS_pause);
		}
		break;
	case FORK_MANY:
		fork_many();
		break;
	case STUCK:
		stuck();
		break;
	case PLAIN:
		take();
		ready(NULL, 0);
		break;
	}
	hold();
}
