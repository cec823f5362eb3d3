// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A comm: two words, its first byte the lowest, zeros behind its end. */
struct comm {
	u64 low, high;
};

#define EVERY_BYTE 0x0101010101010101ULL

/* The bytes of a word before its first NUL, as a mask. */
static __always_inline u64 before_nul(u64 word)
{
	u64 nul = (word - EVERY_BYTE) & ~word & EVERY_BYTE << 7;

	return ((nul & -nul) >> 7) - 1;
}

/* What lies behind the NUL is left over from an older name. */
static __always_inline struct comm read_comm(struct task_struct *task)
{
	u64 *words = (u64 *)task->comm;
	u64 low = words[0], high = words[1];
	u64 mask = before_nul(low);

	return (struct comm){ low & mask, mask + 1 ? 0 : high & before_nul(high) };
}
