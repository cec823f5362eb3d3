// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static __always_inline s64 oom_kills(struct mem_cgroup *memcg, s64 limit)
{
	s64 count = 0;

	bpf_probe_read_kernel(&count, sizeof(count),
			      (void *)memcg + bpf_core_field_offset(memcg->memory_events) +
			      bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM_KILL) *
				      sizeof(count));
	return minimum(maximum(count, 0), limit);
}
