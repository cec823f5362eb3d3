// SPDX-License-Identifier: Apache-2.0
/*
 * Loads an object, attaches all its programs, then obeys lines on standard input, each answered by a line:
 *
 *	mode N | verdict N | skip-first N | late-name N | comm TEXT | name HEX | priority ID N | counts
 *
 * End of input detaches everything. Exit 1 where the kernel refuses the object, with libbpf's log on standard error.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
	uint32_t mode, verdict, skip_first, late_name, name_size;
	char name[64], comm[16];
};

struct counts {
	uint64_t named, evaluated, selected, nothing;
};

static int map(struct bpf_object *object, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);

	if (fd < 0) {
		fprintf(stderr, "no map %s\n", name);
		exit(1);
	}
	return fd;
}

static int obey(struct bpf_object *object, struct config *c, char *line)
{
	uint32_t zero = 0;
	char word[32] = "", *rest;
	int used = 0;

	sscanf(line, "%31s %n", word, &used);
	rest = line + used;
	if (!strcmp(word, "counts")) {
		struct counts n;

		if (bpf_map_lookup_elem(map(object, "counts"), &zero, &n))
			return -1;
		printf("{\"named\": %lu, \"evaluated\": %lu, \"selected\": %lu, \"nothing\": %lu}\n",
		       n.named, n.evaluated, n.selected, n.nothing);
		return 0;
	}
	if (!strcmp(word, "priority")) {
		char *end;
		uint64_t id = strtoull(rest, &end, 10);
		int value = atoi(end);

		if (bpf_map_update_elem(map(object, "priority"), &id, &value, BPF_ANY))
			return -1;
	} else {
		if (!strcmp(word, "mode"))
			c->mode = atoi(rest);
		else if (!strcmp(word, "verdict"))
			c->verdict = atoi(rest);
		else if (!strcmp(word, "skip-first"))
			c->skip_first = atoi(rest);
		else if (!strcmp(word, "late-name"))
			c->late_name = atoi(rest);
		else if (!strcmp(word, "comm"))
			strncpy(memset(c->comm, 0, sizeof(c->comm)), rest, sizeof(c->comm) - 1);
		else if (!strcmp(word, "name")) {
			memset(c->name, 'X', sizeof(c->name));	/* what must not be printed */
			for (c->name_size = 0; c->name_size < sizeof(c->name); c->name_size++) {
				unsigned int byte;

				if (sscanf(rest + 2 * c->name_size, "%2x", &byte) != 1)
					break;
				c->name[c->name_size] = byte;
			}
		} else
			return -1;
		if (bpf_map_update_elem(map(object, "config"), &zero, c, BPF_ANY))
			return -1;
	}
	puts("ok");
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;
	struct config config = {};
	char line[512];

	setvbuf(stdout, NULL, _IOLBF, 0);
	object = argc == 2 ? bpf_object__open(argv[1]) : NULL;
	if (!object || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (!bpf_program__attach(program)) {
			fprintf(stderr, "attach %s: %s\n", bpf_program__name(program), strerror(errno));
			return 1;
		}
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (obey(object, &config, line))
			printf("error: %s: %s\n", line, strerror(errno));
	}
	return 0;
}
