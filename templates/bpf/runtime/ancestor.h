// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ancestor of a cgroup at a level that it has. */
static __always_inline struct cgroup *ancestor(struct cgroup *cgroup, int level)
{
	struct cgroup *found = NULL;

	bpf_probe_read_kernel(&found, sizeof(found),
			      (void *)cgroup + bpf_core_field_offset(cgroup->ancestors) +
			      level * sizeof(found));
	return found;
}
