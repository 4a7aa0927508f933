/* Issues KVM's ioctls on a descriptor that is none of KVM's, from threads and children, with signals and job control. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

static void stop_and_continue(int *stopped, int *continued) {
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    _exit(4);
  }
  int status;
  waitpid(child, &status, WUNTRACED);
  *stopped = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
  kill(child, SIGCONT);
  waitpid(child, &status, WCONTINUED);
  *continued = WIFCONTINUED(status);
  waitpid(child, &status, 0);
}

int main(int argc, char **argv) {
  fd = open("/dev/null", O_RDWR);
  if (argc > 2 && !strcmp(argv[1], "spin")) {
    return spin(argv[2]);
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
