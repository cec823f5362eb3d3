// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ancestor of a cgroup at a level, or the cgroup itself where it is not that deep. */
static __always_inline struct cgroup *ancestor_at(struct cgroup *cgroup, int level)
{
	return BPF_CORE_READ(cgroup, level) > level ? ancestor(cgroup, level) : cgroup;
}
