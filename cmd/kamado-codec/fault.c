//go:build codecfault

/* What can go wrong in C, on purpose. */
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#pragma GCC diagnostic ignored "-Winfinite-recursion"
#pragma GCC diagnostic ignored "-Warray-bounds"

static int deeper(volatile char *before)
{
	volatile char here[4096];

	here[0] = *before;
	return deeper(here) + here[0];
}

void kc_fault(const char *kind)
{
	volatile char byte = 1;

	if (!strcmp(kind, "segv"))
		*(volatile int *) 16 = 1;
	if (!strcmp(kind, "abort"))
		abort();
	if (!strcmp(kind, "stack"))
		byte = (char) deeper(&byte);
	if (!strcmp(kind, "memory"))
		for (;;)
			memset(g_malloc(16 << 20), 1, 16 << 20);
#ifdef __x86_64__
	if (!strcmp(kind, "int80")) { /* open("/") by the numbers of 32 bits: i386 5 */
		long answer;
		__asm__ volatile("int $0x80" : "=a"(answer) : "a"(5L), "b"(0L), "c"(0L), "d"(0L) : "memory");
	}
#endif
	if (!strcmp(kind, "loop"))
		while (byte)
			;
}
