// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static __always_inline const char *cgroup_name(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, kn, name);
}
