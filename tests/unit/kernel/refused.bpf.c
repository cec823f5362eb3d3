/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Reads through a pointer that it has not compared with NULL: the verifier refuses it. */
#include "types.h"

struct {
	__uint(type, 1);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, int);
} priorities SEC(".maps");

SEC("iter/task")
int careless(void *ctx)
{
	__u64 key = 1;
	int *value = bpf_map_lookup_elem(&priorities, &key);

	return *value & 1;
}

char LICENSE[] SEC("license") = "GPL";
