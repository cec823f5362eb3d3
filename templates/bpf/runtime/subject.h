// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The name that is matched at the moment, and its last bytes in words of their own. */
struct subject {
	u64 before[END_WORDS]; /* read with `end` where the name is shorter */
	u64 word[32];
	u64 end[END_WORDS];
	u64 length;
} subject;

/* What was read is the subject from now on: at most 255 bytes. */
static __always_inline void name_was_read(long size)
{
	u64 length = size > 0 ? size - 1 : 0;

	if (length >= sizeof(subject.word))
		length = sizeof(subject.word) - 1;
	subject.length = length;
	bpf_probe_read_kernel(subject.end, sizeof(subject.end),
			      (void *)subject.word + length - sizeof(subject.end));
}

/* Take a cgroup's name. */
__noinline int take_name(u64 name)
{
	name_was_read(bpf_probe_read_kernel_str(subject.word, sizeof(subject.word), (void *)name));
	return 0;
}
