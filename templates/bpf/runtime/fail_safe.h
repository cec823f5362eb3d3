// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Scopes in which a scan found nothing to kill. The next event there goes to
 * the kernel's own policy: a policy must not leave a machine without a victim.
 */
struct nothing_found {
	u64 count;
	u64 stand_aside;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct nothing_found);
} nothing_found SEC(".maps");

/* Whether the event that begins here is left to the kernel: the last of its scope found nothing. */
static __always_inline bool stands_aside(u64 scope_id)
{
	struct nothing_found *nothing = bpf_map_lookup_elem(&nothing_found, &scope_id);

	if (!nothing || !nothing->stand_aside)
		return false;
	nothing->stand_aside = 0;
	return true;
}

/* A scan ended and nothing was chosen: the next event of this scope is the kernel's. */
static __always_inline void stand_aside_next_time(u64 scope_id)
{
	struct nothing_found first = { .count = 1, .stand_aside = 1 };
	struct nothing_found *nothing = bpf_map_lookup_elem(&nothing_found, &scope_id);

	if (nothing) {
		nothing->count++;
		nothing->stand_aside = 1;
	} else {
		bpf_map_update_elem(&nothing_found, &scope_id, &first, BPF_ANY);
	}
}
