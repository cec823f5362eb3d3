
/*
 * Appended to the C of a policy: the same code over tasks that lie in a map.
 *
 * User space lays out task_structs, cgroups and an oom_control in the map's
 * memory, at the offsets of the running kernel's types and with real addresses,
 * and asks about one task at a time, as the OOM killer would. Nothing is killed.
 */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym;

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[MEMORY_BYTES]);
} memory SEC(".maps");

struct arguments {
	u64 oc;
	u64 task;
	u64 result;
};

u64 synthetic_now, synthetic_invoker;

SEC("syscall")
int synthetic_address(struct arguments *a)
{
	__u32 zero = 0;

	a->result = (u64)bpf_map_lookup_elem(&memory, &zero);
	return 0;
}

SEC("syscall")
int synthetic_start(struct arguments *a)
{
	start_event(bpf_rdonly_cast((void *)a->oc, bpf_core_type_id_kernel(struct oom_control)));
	a->result = event.verdict;
	return 0;
}

SEC("syscall")
int synthetic_evaluate(struct arguments *a)
{
	struct task_struct *task = bpf_rdonly_cast((void *)a->task, bpf_core_type_id_kernel(struct task_struct));
	struct oom_control *oc = bpf_rdonly_cast((void *)a->oc, bpf_core_type_id_kernel(struct oom_control));

	a->result = evaluate(task, oc);
	return 0;
}

SEC("syscall")
int synthetic_end(struct arguments *a)
{
	found_nothing(bpf_rdonly_cast((void *)a->oc, bpf_core_type_id_kernel(struct oom_control)));
	return 0;
}
