// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whose turn it is while one policy replaces another and both are attached.
 * The loader numbers the policies that it loads, lets all of them share `turn`,
 * and hands over with one store to its first four bytes. What is attached in
 * another way has the number 0 and a `turn` of its own: it is in force at once.
 */
const volatile __u32 generation = 0;

struct turn {
	__u16 in_force; /* decides all events that begin from now on ... */
	__u16 outgoing; /* ... but for those that it did not see begin, while this one is there */
	__u32 claimed_by;
	u64 claimed; /* the oom_control of the event that `claimed_by` saw begin last */
} turn SEC(".data.turn") = {};

/*
 * Whether this policy decides the event that begins here. Exactly one of those
 * attached does: the kernel runs the newest program first, so the outgoing
 * policy can see whether its successor has claimed the event.
 */
static __always_inline bool claim(struct oom_control *oc)
{
	/* Both in one load: they change in one store. */
	__u32 who = *(volatile __u32 *)&turn.in_force;
	__u32 in_force = who & 0xffff;

	if (in_force == generation) {
		turn.claimed_by = generation;
		turn.claimed = (u64)oc;
		return true;
	}
	return who >> 16 == generation && (turn.claimed_by != in_force || turn.claimed != (u64)oc);
}
