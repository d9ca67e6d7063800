/**
 * What Node and V8 call while they start, compile, collect garbage and talk over pipes, seen by tracing them; nothing
 * else is allowed. Numbers are those of the kernel's headers.
 */

export type Machine = 'x64' | 'arm64';

export interface SyscallRule {
  readonly name: string;
  readonly numbers: readonly [x64: number, arm64: number | undefined];
  /** Answered as if the kernel did not know it. */
  readonly isAbsent?: boolean;
  /** Allowed only where the low half of an argument fits. */
  readonly argument?: {
    readonly index: number;
    readonly hasBit?: number;
    readonly isOneOf?: readonly number[];
  };
}

const CLONE_THREAD = 0x0001_0000;
/** TCGETS, FIONREAD, FIONBIO, FIOCLEX: what libuv asks of a descriptor. No terminal is typed into (TIOCSTI). */
const IOCTLS = [0x5401, 0x541b, 0x5421, 0x5451];
/** F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. */
const FCNTLS = [0, 1, 2, 3, 4, 1_030];
/** PR_SET_NAME, PR_SET_VMA: names of threads and of memory, for whoever debugs. */
const PRCTLS = [15, 0x5356_4d41];

export const SYSCALLS: readonly SyscallRule[] = [
  // Memory. Code is made while it runs, so pages may become executable.
  { name: 'mmap', numbers: [9, 222] },
  { name: 'munmap', numbers: [11, 215] },
  { name: 'mprotect', numbers: [10, 226] },
  { name: 'mremap', numbers: [25, 216] },
  { name: 'madvise', numbers: [28, 233] },
  { name: 'brk', numbers: [12, 214] },
  { name: 'membarrier', numbers: [324, 283] },
  // Files by name are only found where something is mounted, and that is read-only; the rest is pipes.
  { name: 'read', numbers: [0, 63] },
  { name: 'write', numbers: [1, 64] },
  { name: 'readv', numbers: [19, 65] },
  { name: 'writev', numbers: [20, 66] },
  { name: 'pread64', numbers: [17, 67] },
  { name: 'close', numbers: [3, 57] },
  { name: 'fstat', numbers: [5, 80] },
  { name: 'newfstatat', numbers: [262, 79] },
  { name: 'statx', numbers: [332, 291] },
  { name: 'stat', numbers: [4, undefined] },
  { name: 'lstat', numbers: [6, undefined] },
  { name: 'openat', numbers: [257, 56] },
  { name: 'open', numbers: [2, undefined] },
  { name: 'lseek', numbers: [8, 62] },
  { name: 'readlink', numbers: [89, undefined] },
  { name: 'readlinkat', numbers: [267, 78] },
  { name: 'access', numbers: [21, undefined] },
  { name: 'faccessat', numbers: [269, 48] },
  { name: 'faccessat2', numbers: [439, 439] },
  { name: 'getcwd', numbers: [79, 17] },
  { name: 'fcntl', numbers: [72, 25], argument: { index: 1, isOneOf: FCNTLS } },
  { name: 'ioctl', numbers: [16, 29], argument: { index: 1, isOneOf: IOCTLS } },
  { name: 'dup', numbers: [32, 23] },
  { name: 'dup2', numbers: [33, undefined] },
  { name: 'dup3', numbers: [292, 24] },
  { name: 'pipe2', numbers: [293, 59] },
  // Waiting.
  { name: 'epoll_create1', numbers: [291, 20] },
  { name: 'epoll_ctl', numbers: [233, 21] },
  { name: 'epoll_wait', numbers: [232, undefined] },
  { name: 'epoll_pwait', numbers: [281, 22] },
  { name: 'epoll_pwait2', numbers: [441, 441] },
  { name: 'eventfd2', numbers: [290, 19] },
  { name: 'poll', numbers: [7, undefined] },
  { name: 'ppoll', numbers: [271, 73] },
  { name: 'futex', numbers: [202, 98] },
  { name: 'clock_nanosleep', numbers: [230, 115] },
  { name: 'nanosleep', numbers: [35, 101] },
  { name: 'clock_gettime', numbers: [228, 113] },
  { name: 'clock_getres', numbers: [229, 114] },
  { name: 'gettimeofday', numbers: [96, 169] },
  { name: 'sched_yield', numbers: [24, 124] },
  { name: 'restart_syscall', numbers: [219, 128] },
  // The process itself. `execve` is how bubblewrap starts it; there is no program to go on to.
  { name: 'execve', numbers: [59, 221] },
  { name: 'exit', numbers: [60, 93] },
  { name: 'exit_group', numbers: [231, 94] },
  { name: 'wait4', numbers: [61, 260] },
  { name: 'clone', numbers: [56, 220], argument: { index: 0, hasBit: CLONE_THREAD } },
  { name: 'clone3', numbers: [435, 435], isAbsent: true },
  { name: 'prctl', numbers: [157, 167], argument: { index: 0, isOneOf: PRCTLS } },
  { name: 'prlimit64', numbers: [302, 261], argument: { index: 0, isOneOf: [0] } },
  { name: 'set_tid_address', numbers: [218, 96] },
  { name: 'set_robust_list', numbers: [273, 99] },
  { name: 'rseq', numbers: [334, 293] },
  { name: 'gettid', numbers: [186, 178] },
  { name: 'getpid', numbers: [39, 172] },
  { name: 'getppid', numbers: [110, 173] },
  { name: 'getuid', numbers: [102, 174] },
  { name: 'geteuid', numbers: [107, 175] },
  { name: 'getgid', numbers: [104, 176] },
  { name: 'getegid', numbers: [108, 177] },
  { name: 'capget', numbers: [125, 90] },
  { name: 'getrandom', numbers: [318, 278] },
  { name: 'uname', numbers: [63, 160] },
  { name: 'sysinfo', numbers: [99, 179] },
  { name: 'getrusage', numbers: [98, 165] },
  { name: 'getrlimit', numbers: [97, 163] },
  { name: 'sched_getaffinity', numbers: [204, 123] },
  { name: 'sched_getparam', numbers: [143, 121] },
  { name: 'sched_getscheduler', numbers: [145, 120] },
  { name: 'getcpu', numbers: [309, 168] },
  { name: 'arch_prctl', numbers: [158, undefined] },
  { name: 'rt_sigaction', numbers: [13, 134] },
  { name: 'rt_sigprocmask', numbers: [14, 135] },
  { name: 'rt_sigreturn', numbers: [15, 139] },
  { name: 'sigaltstack', numbers: [131, 132] },
];
