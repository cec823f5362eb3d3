// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The task's memory cgroup: on cgroup v2 the nearest that has the memory
 * controller. The offset is written out, because the index of the controller
 * is only known when the object is loaded.
 */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	struct cgroup_subsys_state **css =
		(void *)task->cgroups + bpf_core_field_offset(struct css_set, subsys) +
		bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(*css);

	return (*css)->cgroup;
}
