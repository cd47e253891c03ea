/* Before the Go runtime starts its threads, this process gives up every
 * capability, and leaves one small helper process behind that has them still:
 * it waits until libraries are loaded, makes an empty directory the root of
 * both, and ends. Rights belong to threads, so dropping them later would need
 * the help of every thread; and loading libraries needs the old root. */
#include "codec.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int helper_socket = -1;
static pid_t helper;

static int empty_root(void)
{
	const char *at = "/proc"; /* exists everywhere; only this mount namespace sees the mount */
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) ||
		mount("none", at, "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") || chdir(at) ||
		/* New and old root on one mount point: pivot_root(2). */
		syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return 1;
	return mount("", "/", "", flags | MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) ? 1 : 0;
}

static void drop(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

static int may_mount(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_ADMIN, 0, 0) == 1;
}

__attribute__((constructor)) static void early(void)
{
	int pair[2];

	/* Ambient rights come from the pool alone; nobody else starts a program
	 * with them, so a hand-started worker keeps what it has. */
	if (!may_mount())
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		helper = fork();
		if (helper == 0) {
			char byte;
			close(pair[0]);
			if (read(pair[1], &byte, 1) != 1)
				_exit(1);
			byte = (char) empty_root();
			if (write(pair[1], &byte, 1) != 1)
				_exit(1);
			_exit(0);
		}
		close(pair[1]);
		if (helper > 0)
			helper_socket = pair[0];
		else
			close(pair[0]);
	}
	drop();
}

int kc_empty_root(void)
{
	char byte = 1;

	if (helper_socket < 0)
		return 1;
	if (write(helper_socket, &byte, 1) != 1 || read(helper_socket, &byte, 1) != 1)
		byte = 1;
	close(helper_socket);
	helper_socket = -1;
	waitpid(helper, NULL, 0);
	return byte;
}
