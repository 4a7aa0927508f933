/* Issues KVM's ioctls on a descriptor that is none of KVM's, from threads and children, with signals and job control;
   with the argument kvm, runs a vCPU and watches its own registers. Compiled without red zone, which it tests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN 0xae80
#define SET_REGS 0x4090ae82
#define GET_SREGS 0x8138ae83
#define SET_MSRS 0x4008ae89

static int fd;
static volatile sig_atomic_t taken;

static void take(int signal) {
  (void)signal;
  taken++;
}

static void *work(void *argument) {
  long count = (long)argument;
  unsigned char regs[144], sregs[312];
  struct {
    unsigned count, pad;
    struct {
      unsigned index, pad;
      unsigned long long data;
    } entries[2];
  } msrs = {2, 0, {{0x10, 0, 1}, {0x174, 0, 2}}};
  memset(regs, 0x5a, sizeof regs);
  for (long i = 0; i < count; i++) {
    ioctl(fd, RUN, 0);
    ioctl(fd, SET_REGS, regs);
    ioctl(fd, GET_SREGS, sregs);
    ioctl(fd, SET_MSRS, &msrs);
    ioctl(fd, SET_REGS, (void *)8);
  }
  return 0;
}

static int spin(const char *beats) {
  int to = open(beats, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pthread_t thread;
  pthread_create(&thread, 0, work, (void *)0x7fffffffffffL);
  for (long i = 1;; i++) {
    work((void *)20);
    int status;
    if (i % 64 == 0) {
      pid_t child = vfork();
      if (child == 0) {
        _exit(5);
      }
      waitpid(child, &status, 0);
    }
    pwrite(to, &i, sizeof i, 0);
  }
}

#define CHECK(register, value) "cmp $" value ", " register "; je 1f; inc %%rcx; 1: "

/* KVM_RUN; counts in *lost what a system call must leave alone and this one did not. */
static long run_watched(long vcpu, long *lost) {
  long ret = 16, to = vcpu, request = RUN, argument = 0, changed;
  __asm__ volatile(
      "mov $0x1108, %%r8; mov $0x1109, %%r9; mov $0x1110, %%r10; mov $0x1112, %%r12; mov $0x1113, %%r13;"
      "mov $0x1114, %%r14; mov $0x1115, %%r15; mov $0x1103, %%rbx; movq $0x5a5a, -8(%%rsp); movq $0x5b5b, -128(%%rsp);"
      "stc; syscall; setnc %%cl; movzbq %%cl, %%rcx;"
      CHECK("%%r8", "0x1108") CHECK("%%r9", "0x1109") CHECK("%%r10", "0x1110") CHECK("%%r12", "0x1112")
      CHECK("%%r13", "0x1113") CHECK("%%r14", "0x1114") CHECK("%%r15", "0x1115") CHECK("%%rbx", "0x1103")
      "cmpq $0x5a5a, -8(%%rsp); je 1f; inc %%rcx; 1: cmpq $0x5b5b, -128(%%rsp); je 1f; inc %%rcx; 1:"
      : "+a"(ret), "+D"(to), "+S"(request), "+d"(argument), "=c"(changed)
      :
      : "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
  *lost += changed + (to != vcpu) + (request != RUN) + (argument != 0);
  return ret;
}

/* A vCPU that does nothing but leave for port 0x10. */
static int run_vcpu(const char *beats) {
  int to = open(beats, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
  unsigned char *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memcpy(memory, "\xe6\x10\xeb\xfc", 4); /* 1: out 0x10, al; jmp 1b */
  struct kvm_userspace_memory_region region = {0, 0, 0x1000, 4096, (unsigned long)memory};
  ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
  int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  struct kvm_run *run =
      mmap(0, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  struct kvm_sregs sregs;
  ioctl(vcpu, KVM_GET_SREGS, &sregs);
  sregs.cs.base = sregs.cs.selector = 0;
  ioctl(vcpu, KVM_SET_SREGS, &sregs);
  struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
  ioctl(vcpu, KVM_SET_REGS, &regs);
  long lost = 0;
  for (long i = 1;; i++) {
    if (run_watched(vcpu, &lost) == 0 && (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x10)) {
      return 3;
    }
    if (lost) {
      return 4;
    }
    pwrite(to, &i, sizeof i, 0);
  }
}

static void stop_and_continue(int *stopped, int *continued) {
  taken = 0;
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    while (!taken) {
      usleep(1000);
    }
    _exit(4);
  }
  int status;
  waitpid(child, &status, WUNTRACED);
  *stopped = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
  kill(child, SIGCONT);
  waitpid(child, &status, WCONTINUED);
  *continued = WIFCONTINUED(status);
  kill(child, SIGUSR1);
  waitpid(child, &status, 0);
}

static void say(int signal) {
  if (signal == SIGINT) {
    write(1, "interrupted\n", 12);
    _exit(9);
  }
  write(1, "continued\n", 10);
}

/* Says what the terminal's keys make of it. */
static int keys(void) {
  signal(SIGINT, say);
  signal(SIGCONT, say);
  write(1, "ready\n", 6);
  for (;;) {
    work((void *)1);
    usleep(1000);
  }
}

int main(int argc, char **argv) {
  fd = open("/dev/null", O_RDWR);
  if (argc > 2 && !strcmp(argv[1], "spin")) {
    return spin(argv[2]);
  }
  if (argc > 2 && !strcmp(argv[1], "kvm")) {
    return run_vcpu(argv[2]);
  }
  if (argc > 1 && !strcmp(argv[1], "keys")) {
    return keys();
  }
  if (argc > 1 && !strcmp(argv[1], "child")) {
    work((void *)3);
    return 6;
  }
  signal(SIGUSR1, take);
  signal(SIGALRM, take);
  struct itimerval often = {{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &often, 0);
  pthread_t threads[3];
  for (long i = 0; i < 3; i++) {
    pthread_create(&threads[i], 0, work, (void *)(40 + i));
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], 0);
  }
  memset(&often, 0, sizeof often);
  setitimer(ITIMER_REAL, &often, 0);
  taken = 0;
  for (int i = 0; i < 50; i++) {
    raise(SIGUSR1);
  }
  int signals = taken, status, stopped, continued;
  pid_t child = vfork();
  if (child == 0) {
    execl("/proc/self/exe", argv[0], "child", (char *)0);
    _exit(9);
  }
  waitpid(child, &status, 0);
  stop_and_continue(&stopped, &continued);
  work((void *)2);
  printf("signals %d child %d stopped %d continued %d\n", signals, WEXITSTATUS(status), stopped, continued);
  return 7;
}
