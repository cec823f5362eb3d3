// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the kernel looks at the tasks of a memory cgroup: two clock readings
 * for a whole scan, so that measuring costs nothing for a candidate. Scans of
 * mem_cgroup_scan_tasks() that list tasks for the log have to be switched off
 * (vm.oom_dump_tasks): they pass through the same function.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define SCANS 64

/* The OOM killer is serialised by oom_lock. */
struct {
	__u64 began, count, ns[SCANS];
} scans;

SEC("fentry/mem_cgroup_scan_tasks")
int BPF_PROG(scan_begins)
{
	scans.began = bpf_ktime_get_ns();
	return 0;
}

SEC("fexit/mem_cgroup_scan_tasks")
int BPF_PROG(scan_ends)
{
	scans.ns[scans.count++ % SCANS] = bpf_ktime_get_ns() - scans.began;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
