// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Take the candidate's comm for glob_matches(). */
static __always_inline bool take_comm(const struct candidate *c)
{
	subject.word[0] = c->comm.low;
	subject.word[1] = c->comm.high;
	subject.length = c->comm_length;
	return true;
}
