/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the loader expects of an object, on a hook that every kernel has: nobody reads these iterators. */
#include "types.h"

struct turn {
	__u16 in_force;
	__u16 outgoing;
	__u32 claimed_by;
	__u64 claimed;
};
struct event {
	__u64 oc;
};
struct counters {
	__u64 events;
	__u64 guarded[9];
};

const volatile __u32 page_shift = 12;
const volatile __u32 generation = 0;
struct turn turn SEC(".data.turn") = {};
__s64 in_floor SEC(".data.inputs") = 5;
struct event event;
struct counters counters;

struct {
	__uint(type, 1); /* BPF_MAP_TYPE_HASH */
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, int);
} in_priority SEC(".maps");

static __always_inline int count(void)
{
	__u64 none = 0;

	if (turn.in_force != generation || !bpf_map_lookup_elem(&in_priority, &none))
		return 0;
	counters.events += page_shift;
	event.oc = in_floor;
	return 0;
}

SEC("iter/task")
int first(void *ctx)
{
	return count();
}

SEC("iter/task")
int second(void *ctx)
{
	return count();
}

char LICENSE[] SEC("license") = "GPL";
