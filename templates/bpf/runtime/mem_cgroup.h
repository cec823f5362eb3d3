// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the memory controller keeps for a cgroup. */
static __always_inline struct mem_cgroup *mem_cgroup(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)cgroup + bpf_core_field_offset(cgroup->subsys) +
			      bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) *
				      sizeof(css));
	return (void *)css - bpf_core_field_offset(struct mem_cgroup, css);
}
