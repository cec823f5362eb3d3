// SPDX-License-Identifier: Apache-2.0
/*
 * Loads an object, attaches its programs (the one that judges candidates last, so that no event lacks its beginning),
 * then obeys lines on standard input, each answered by a line of JSON; end of input detaches everything.
 *
 *	runs			[["PROGRAM", run_time_ns, run_cnt], …], which the kernel counts while kernel.bpf_stats_enabled is 1
 *	value MAP		the first value of a map, in hexadecimal
 *	set MAP ID NUMBER	a cell of an input per memcg
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int judges(const struct bpf_program *program)
{
	return !strncmp(bpf_program__section_name(program), "fmod_ret/", 9);
}

static int runs(struct bpf_object *object)
{
	struct bpf_program *program;
	const char *comma = "[";

	bpf_object__for_each_program(program, object) {
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			return -1;
		printf("%s[\"%s\", %llu, %llu]", comma, bpf_program__name(program),
		       (unsigned long long)info.run_time_ns, (unsigned long long)info.run_cnt);
		comma = ", ";
	}
	puts("]");
	return 0;
}

static int value(struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	uint32_t zero = 0, size = map ? bpf_map__value_size(map) : 0;
	unsigned char *data = calloc(1, size + 1);

	if (!map || !data || bpf_map_lookup_elem(bpf_map__fd(map), &zero, data)) {
		free(data);
		return -1;
	}
	putchar('"');
	for (uint32_t i = 0; i < size; i++)
		printf("%02x", data[i]);
	puts("\"");
	free(data);
	return 0;
}

static int obey(struct bpf_object *object, const char *line)
{
	unsigned long long id;
	char name[64];
	int number;

	if (!strcmp(line, "runs"))
		return runs(object);
	if (sscanf(line, "value %63s", name) == 1)
		return value(object, name);
	if (sscanf(line, "set %63s %llu %d", name, &id, &number) == 3) {
		int fd = bpf_object__find_map_fd_by_name(object, name);
		uint64_t key = id;

		if (fd < 0 || bpf_map_update_elem(fd, &key, &number, BPF_ANY))
			return -1;
		puts("null");
		return 0;
	}
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;
	char line[512];

	setvbuf(stdout, NULL, _IOLBF, 0);
	object = argc == 2 ? bpf_object__open(argv[1]) : NULL;
	if (!object || bpf_object__load(object))
		return 1;
	for (int last = 0; last < 2; last++)
		bpf_object__for_each_program(program, object)
			if (judges(program) == last && !bpf_program__attach(program)) {
				fprintf(stderr, "attach %s: %s\n", bpf_program__name(program), strerror(errno));
				return 1;
			}
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (obey(object, line)) {
			fprintf(stderr, "%s: %s\n", line, strerror(errno));
			return 1;
		}
	}
	return 0;
}
