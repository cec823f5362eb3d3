// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Swap of a cgroup: its own counter on v2; on v1 what memory and swap together have over memory. */
static __always_inline s64 swap_bytes(struct cgroup *cgroup, struct mem_cgroup *memcg, u64 limit)
{
	s64 pages;

	if (BPF_CORE_READ(cgroup, root, hierarchy_id) == 0)
		pages = BPF_CORE_READ(memcg, swap.usage.counter);
	else
		pages = BPF_CORE_READ(memcg, memsw.usage.counter) -
			BPF_CORE_READ(memcg, memory.usage.counter);
	return page_bytes(maximum(pages, 0), limit);
}
