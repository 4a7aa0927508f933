/* A small VMM, to be linked statically: three vCPUs on threads of their own, signals, a child that forks and executes itself
   with a VM of its own, and a vCPU that is saved and restored into another VM. What it calls is the same each time. With an
   argument:
   life        tells whether its VM is gone once it has closed all that belongs to it
   unreadable  KVM reads a payload that no other process can
   until FILE  makes large calls until FILE is there
   hang        its guest never leaves
   smm         a second thread pretends in the page of kvm_run that the vCPU is in SMM, which needs no SMM */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define VCPUS 3
#define MSRS 3

static volatile sig_atomic_t taken;

static void take(int signal) {
  (void)signal;
  taken++;
}

struct vm {
  int kvm, fd;
  unsigned char *memory;
};

struct vcpu {
  int fd, id;
  struct kvm_run *run;
  pthread_t thread;
  int exits;
};

/* mov cx, 40; 1: out 0x10, al; loop 1b; hlt */
static const unsigned char code[] = {0xb9, 40, 0, 0xe6, 0x10, 0xe2, 0xfc, 0xf4};

static struct vm new_vm(int kvm) {
  struct vm vm = {kvm, ioctl(kvm, KVM_CREATE_VM, 0), 0};
  vm.memory = mmap(0, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memcpy(vm.memory, code, sizeof code);
  struct kvm_userspace_memory_region region = {0, 0, 0x1000, 0x2000, (unsigned long)vm.memory};
  ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
  return vm;
}

static struct vcpu new_vcpu(struct vm vm, int id) {
  static struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[256];
  } cpuid;
  struct vcpu vcpu = {.fd = ioctl(vm.fd, KVM_CREATE_VCPU, id), .id = id};
  vcpu.run = mmap(0, ioctl(vm.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
  cpuid.head.nent = 256;
  ioctl(vm.kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
  /* The identifier of vCPU 0 for all of them, which is a mistake. */
  for (unsigned i = 0; i < cpuid.head.nent; i++) {
    struct kvm_cpuid_entry2 *entry = &cpuid.entries[i];
    if (entry->function == 1) {
      entry->ebx &= 0xffffff;
    } else if (entry->function == 0xb || entry->function == 0x1f) {
      entry->edx = 0;
    } else if (entry->function == 0x8000001e) {
      entry->eax = 0;
    }
  }
  ioctl(vcpu.fd, KVM_SET_CPUID2, &cpuid);
  return vcpu;
}

static void reset(struct vcpu *vcpu) {
  struct kvm_sregs sregs;
  ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
  sregs.cs.base = sregs.cs.selector = 0;
  ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
  struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
  ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

/* Runs the guest to its hlt. */
static void *run(void *argument) {
  struct vcpu *vcpu = argument;
  struct {
    struct kvm_signal_mask head;
    unsigned char set[8];
  } mask = {{.len = 8}, {0}};
  ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
  reset(vcpu);
  vcpu->run->immediate_exit = 1;
  ioctl(vcpu->fd, KVM_RUN, 0);
  vcpu->run->immediate_exit = 0;
  while (ioctl(vcpu->fd, KVM_RUN, 0) == 0 && vcpu->run->exit_reason == KVM_EXIT_IO) {
    vcpu->exits++;
    if (vcpu->exits % 10 == 0) {
      pthread_kill(pthread_self(), SIGUSR1);
    }
  }
  return 0;
}

/* As a VMM does it: what is read of one vCPU is written to a fresh one in another VM. */
static int move(struct vcpu *from, struct vm to) {
  struct {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[MSRS];
  } msrs = {{.nmsrs = MSRS}, {{.index = 0x10}, {.index = 0x174}, {.index = 0x277}}};
  struct kvm_regs regs;
  struct kvm_sregs sregs;
  struct kvm_vcpu_events events;
  struct kvm_xsave xsave;
  struct kvm_xcrs xcrs;
  struct kvm_debugregs debug;
  struct kvm_mp_state state;
  ioctl(from->fd, KVM_GET_MP_STATE, &state);
  ioctl(from->fd, KVM_GET_REGS, &regs);
  ioctl(from->fd, KVM_GET_SREGS, &sregs);
  ioctl(from->fd, KVM_GET_XSAVE, &xsave);
  ioctl(from->fd, KVM_GET_XCRS, &xcrs);
  ioctl(from->fd, KVM_GET_MSRS, &msrs);
  ioctl(from->fd, KVM_GET_VCPU_EVENTS, &events);
  ioctl(from->fd, KVM_GET_DEBUGREGS, &debug);
  struct vcpu vcpu = new_vcpu(to, 0);
  ioctl(vcpu.fd, KVM_SET_SREGS, &sregs);
  ioctl(vcpu.fd, KVM_SET_REGS, &regs);
  ioctl(vcpu.fd, KVM_SET_XCRS, &xcrs);
  ioctl(vcpu.fd, KVM_SET_XSAVE, &xsave);
  ioctl(vcpu.fd, KVM_SET_MSRS, &msrs);
  ioctl(vcpu.fd, KVM_SET_VCPU_EVENTS, &events);
  ioctl(vcpu.fd, KVM_SET_DEBUGREGS, &debug);
  ioctl(vcpu.fd, KVM_SET_MP_STATE, &state);
  struct kvm_regs again;
  ioctl(vcpu.fd, KVM_GET_REGS, &again);
  return memcmp(&regs, &again, sizeof regs) == 0;
}

static int child(int kvm) {
  struct vm vm = new_vm(kvm);
  struct vcpu vcpu = new_vcpu(vm, 7);
  run(&vcpu);
  close(vcpu.fd);
  close(vm.fd);
  return vcpu.exits == 40 ? 6 : 1;
}

static unsigned long vvar(void) {
  char line[512];
  unsigned long at = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps)) {
    if (strstr(line, "[vvar]")) {
      at = strtoul(line, 0, 16);
    }
  }
  fclose(maps);
  return at;
}

static int unreadable(int kvm) {
  struct vcpu vcpu = new_vcpu(new_vm(kvm), 0);
  reset(&vcpu);
  int done = ioctl(vcpu.fd, KVM_SET_REGS, vvar());
  run(&vcpu);
  printf("set %d exits %d\n", done, vcpu.exits);
  return 5;
}

static int until(int kvm, const char *file) {
  struct vcpu vcpu = new_vcpu(new_vm(kvm), 0);
  long rounds = 0;
  struct kvm_lapic_state noise;
  for (; access(file, F_OK); rounds++) {
    for (unsigned long i = 0; i < sizeof noise; i++) {
      noise.regs[i] = (char)rand();
    }
    ioctl(vcpu.fd, KVM_SET_LAPIC, &noise);
  }
  run(&vcpu);
  printf("exits %d\n", vcpu.exits);
  return 5;
}

/* VMs that the kernel has of this process. */
static int count_vms(void) {
  char prefix[32];
  int count = 0;
  sprintf(prefix, "%d-", getpid());
  DIR *folder = opendir("/sys/kernel/debug/kvm");
  if (folder) {
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
      count += !strncmp(entry->d_name, prefix, strlen(prefix));
    }
    closedir(folder);
  }
  return count;
}

static int life(int kvm) {
  struct vm vm = new_vm(kvm);
  struct vcpu vcpu = new_vcpu(vm, 0);
  run(&vcpu);
  int alive = count_vms();
  munmap(vcpu.run, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
  close(vcpu.fd);
  close(vm.fd);
  printf("alive %d then %d\n", alive, count_vms());
  return 5;
}

static volatile int pretending = 1;

static void *pretend(void *argument) {
  volatile struct kvm_run *run = argument;
  while (pretending) {
    run->flags = 1;
  }
  return 0;
}

/* The save map lies at IA32_SMBASE (0x30000 after a reset) + 0xfe00: bytes that count, in a slot of its own. */
static int smm(int kvm) {
  struct vm vm = new_vm(kvm);
  unsigned char *smram = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 0x10000; i++) {
    smram[i] = i < 0xfe00 ? 0xee : i % 251;
  }
  struct kvm_userspace_memory_region region = {1, 0, 0x30000, 0x10000, (unsigned long)smram};
  ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
  struct vcpu vcpu = new_vcpu(vm, 0);
  pthread_create(&vcpu.thread, 0, pretend, vcpu.run);
  /* The other thread has the processor now and then only: often enough that somebody else sees it as well. */
  int seen = 0;
  for (int rounds = 0; seen < 50 && rounds < 2000; rounds++) {
    reset(&vcpu);
    while (ioctl(vcpu.fd, KVM_RUN, 0) == 0 && vcpu.run->exit_reason == KVM_EXIT_IO) {
      seen += vcpu.run->flags & 1;
    }
  }
  pretending = 0;
  pthread_join(vcpu.thread, 0);
  printf("seen %d\n", seen >= 50);
  return 5;
}

int main(int argc, char **argv) {
  signal(SIGUSR1, take);
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (argc > 1 && !strcmp(argv[1], "child")) {
    return child(kvm);
  }
  if (argc > 1 && !strcmp(argv[1], "unreadable")) {
    return unreadable(kvm);
  }
  if (argc > 1 && !strcmp(argv[1], "life")) {
    return life(kvm);
  }
  if (argc > 1 && !strcmp(argv[1], "smm")) {
    return smm(kvm);
  }
  if (argc > 1 && !strcmp(argv[1], "hang")) {
    struct vm vm = new_vm(kvm);
    struct vcpu vcpu = new_vcpu(vm, 0);
    memcpy(vm.memory, "\xeb\xfe", 2); /* 1: jmp 1b */
    run(&vcpu);
  }
  if (argc > 2 && !strcmp(argv[1], "until")) {
    return until(kvm, argv[2]);
  }
  struct vm vm = new_vm(kvm);
  struct vcpu vcpus[VCPUS];
  for (int i = 0; i < VCPUS; i++) {
    vcpus[i] = new_vcpu(vm, i);
  }
  for (int i = 0; i < VCPUS; i++) {
    pthread_create(&vcpus[i].thread, 0, run, &vcpus[i]);
  }
  int exits = 0, status;
  for (int i = 0; i < VCPUS; i++) {
    pthread_join(vcpus[i].thread, 0);
    exits += vcpus[i].exits;
  }
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      execl("/proc/self/exe", argv[0], "child", (char *)0);
      _exit(9);
    }
    wait(&status);
    _exit(WEXITSTATUS(status));
  }
  waitpid(pid, &status, 0);
  int same = move(&vcpus[1], new_vm(kvm));
  printf("exits %d signals %d child %d same %d\n", exits, taken, WEXITSTATUS(status), same);
  return 7;
}
