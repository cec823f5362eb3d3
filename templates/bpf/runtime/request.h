// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The event to rank the tasks for; user space writes it before it reads the iterator. */
struct request {
	u64 total_pages;
	s64 order;
	u64 scope_id; /* 0: the whole machine */
	u64 scope_level;
	u64 invoker; /* pid of the process whose allocation failed, 0: none */
	char scope_names[16][256]; /* of the scope's path, from the root downwards */
} request SEC(".data.request") = {};
