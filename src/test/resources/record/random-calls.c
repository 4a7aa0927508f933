/*
 * Asks the KVM of this machine: makes vCPUs and calls their state ioctls with states that were read and then changed at
 * random places, each followed by the read that shows what became of it. No guest code runs.
 *
 * random-calls SEED CALLS
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_ENTRIES 256
#define MAX_MSRS 1024
#define XSAVE_SIZE 16384

static uint64_t state;

/* xorshift64 */
static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static unsigned below(unsigned n)
{
	return any() % n;
}

static uint64_t bit(void)
{
	return 1ull << below(64);
}

/* Values at which checks tend to change their mind. */
static uint64_t edge(void)
{
	switch (below(8)) {
	case 0: return 0;
	case 1: return 1;
	case 2: return ~0ull;
	case 3: return bit();
	case 4: return any() & 0xff;
	case 5: return any() & 0xffffffff;
	case 6: return 0x800000000000ull >> below(3);
	default: return any();
	}
}

static int kvm, vm = -1, vcpu = -1;
static uint32_t msrs[MAX_MSRS];
static unsigned msr_count;

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_ENTRIES];
};
static struct cpuid supported;

static void enable(int on, uint32_t cap, uint64_t value, uint32_t flags)
{
	struct kvm_enable_cap c = {.cap = cap, .flags = flags, .args = {value}};
	ioctl(on, KVM_ENABLE_CAP, &c);
}

static void set_cpuid(void)
{
	struct cpuid c = supported;
	for (unsigned i = below(4); i > 0 && c.head.nent > 0; i--) {
		struct kvm_cpuid_entry2 *e = &c.entries[below(c.head.nent)];
		uint32_t lacking = ~(uint32_t)(1u << below(32));
		switch (below(4)) {
		case 0: e->ebx &= lacking; break;
		case 1: e->ecx &= lacking; break;
		case 2: e->edx &= lacking; break;
		default:
			if (e->function == 0x80000008)
				e->eax = (e->eax & ~0xffu) | (36 + below(10));
		}
	}
	ioctl(vcpu, KVM_SET_CPUID2, &c);
}

static void create(void)
{
	if (vcpu >= 0)
		close(vcpu);
	if (vm >= 0)
		close(vm);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (below(3))
		ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	if (below(2))
		enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, below(2), 0);
	if (below(2))
		enable(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, below(2), 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	supported.head.nent = MAX_ENTRIES;
	ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &supported);
	if (below(6))
		set_cpuid();
}

static void sregs(void)
{
	struct kvm_sregs s;
	ioctl(vcpu, KVM_GET_SREGS, &s);
	for (unsigned i = 1 + below(3); i > 0; i--)
		switch (below(14)) {
		case 0: s.cr0 ^= 1u << below(32); break;
		case 1: s.cr4 ^= 1u << below(32); break;
		case 2: s.efer ^= 1u << below(16); break;
		case 3: s.cr3 = edge(); break;
		case 4: s.cr8 = below(20); break;
		case 5: s.apic_base ^= bit(); break;
		case 6: s.cs.l ^= 1; break;
		case 7: s.cs.db ^= 1; break;
		case 8: s.cr0 = 0x80000031; s.cr4 |= 0x20; s.efer = 0x500; s.cs.l = 1; s.cs.db = 0; break;
		case 9: s.cr0 = 0x60000010; s.cr4 = 0; s.efer = 0; break;
		case 10: s.interrupt_bitmap[below(4)] = below(3) ? 0 : bit(); break;
		case 11: s.cr0 ^= bit(); break;
		case 12: s.efer = edge(); break;
		default: s.ss.selector = any(); s.tr.type = below(16);
		}
	ioctl(vcpu, KVM_SET_SREGS, &s);
	ioctl(vcpu, KVM_GET_SREGS, &s);
}

static void events(void)
{
	struct kvm_vcpu_events e;
	ioctl(vcpu, KVM_GET_VCPU_EVENTS, &e);
	for (unsigned i = 1 + below(3); i > 0; i--)
		switch (below(16)) {
		case 0: e.exception.injected = below(3); break;
		case 1: e.exception.nr = below(40); break;
		case 2: e.exception.has_error_code = below(2); break;
		case 3: e.exception.pending = below(2); break;
		case 4: e.flags ^= 1u << below(8); break;
		case 5: e.interrupt.injected = below(2); e.interrupt.nr = any(); break;
		case 6: e.interrupt.soft = below(2); break;
		case 7: e.interrupt.shadow = below(4); break;
		case 8: e.nmi.pending = below(3); break;
		case 9: e.nmi.masked = below(2); break;
		case 10: e.nmi.injected = below(2); break;
		case 11: e.smi.smm = below(2); e.smi.pending = below(2); break;
		case 12: e.triple_fault.pending = below(2); break;
		case 13: e.exception_has_payload = below(2); e.exception_payload = any(); break;
		case 14: e.sipi_vector = any(); break;
		default: e.smi.smm_inside_nmi = below(2); e.smi.latched_init = below(2);
		}
	ioctl(vcpu, KVM_SET_VCPU_EVENTS, &e);
	ioctl(vcpu, KVM_GET_VCPU_EVENTS, &e);
}

static void msr(void)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[3];
	} m;
	unsigned n = 1 + below(3);
	memset(&m, 0, sizeof m);
	m.head.nmsrs = n;
	for (unsigned i = 0; i < n; i++)
		m.entries[i].index = below(8) && msr_count ? msrs[below(msr_count)] : (uint32_t)edge();
	ioctl(vcpu, KVM_GET_MSRS, &m);
	for (unsigned i = 0; i < n; i++)
		switch (below(4)) {
		case 0: break;
		case 1: m.entries[i].data ^= bit(); break;
		case 2: m.entries[i].data = edge(); break;
		default: m.entries[i].data = below(8);
		}
	m.head.nmsrs = n;
	ioctl(vcpu, KVM_SET_MSRS, &m);
	ioctl(vcpu, KVM_GET_MSRS, &m);
}

static void regs(void)
{
	struct kvm_regs r;
	ioctl(vcpu, KVM_GET_REGS, &r);
	r.rflags = edge();
	r.rip = edge();
	r.rax = any();
	ioctl(vcpu, KVM_SET_REGS, &r);
	ioctl(vcpu, KVM_GET_REGS, &r);
}

static void debugregs(void)
{
	struct kvm_debugregs d;
	memset(&d, 0, sizeof d);
	ioctl(vcpu, KVM_GET_DEBUGREGS, &d);
	switch (below(4)) {
	case 0: d.dr6 = edge(); break;
	case 1: d.dr7 = edge(); break;
	case 2: d.db[below(4)] = edge(); break;
	default: d.flags = below(2);
	}
	ioctl(vcpu, KVM_SET_DEBUGREGS, &d);
	ioctl(vcpu, KVM_GET_DEBUGREGS, &d);
}

static void xcrs(void)
{
	struct kvm_xcrs x;
	ioctl(vcpu, KVM_GET_XCRS, &x);
	switch (below(4)) {
	case 0: x.xcrs[0].value ^= bit(); break;
	case 1: x.xcrs[0].value = below(16); break;
	case 2: x.nr_xcrs = below(18); break;
	default: x.flags = below(2);
	}
	ioctl(vcpu, KVM_SET_XCRS, &x);
	ioctl(vcpu, KVM_GET_XCRS, &x);
}

static void xsave(void)
{
	static char area[XSAVE_SIZE];
	ioctl(vcpu, KVM_GET_XSAVE, area);
	switch (below(4)) {
	case 0: *(uint64_t *)(area + 512) ^= bit(); break; /* XSTATE_BV */
	case 1: *(uint64_t *)(area + 520) ^= bit(); break; /* XCOMP_BV */
	case 2: *(uint32_t *)(area + 24) ^= 1u << below(32); break; /* MXCSR */
	default: break;
	}
	ioctl(vcpu, KVM_SET_XSAVE, area);
}

static void lapic(void)
{
	struct kvm_lapic_state l;
	memset(&l, 0, sizeof l);
	if (ioctl(vcpu, KVM_GET_LAPIC, &l) == 0 && below(2)) {
		uint32_t value = edge();
		memcpy(l.regs + 16 * below(64), &value, sizeof value);
	}
	ioctl(vcpu, KVM_SET_LAPIC, &l);
	ioctl(vcpu, KVM_GET_LAPIC, &l);
}

static void mp_state(void)
{
	struct kvm_mp_state m = {.mp_state = below(8)};
	ioctl(vcpu, KVM_SET_MP_STATE, &m);
	ioctl(vcpu, KVM_GET_MP_STATE, &m);
}

static void signals(void)
{
	struct kvm_interrupt interrupt = {.irq = below(300)};
	struct kvm_guest_debug debug;
	struct kvm_tpr_access_ctl tpr;
	switch (below(6)) {
	case 0: ioctl(vcpu, KVM_NMI, 0); break;
	case 1: ioctl(vcpu, KVM_INTERRUPT, &interrupt); break;
	case 2: ioctl(vcpu, KVM_SMI, 0); break;
	case 3: ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0); break;
	case 4:
		memset(&debug, 0, sizeof debug);
		debug.control = below(4) ? any() & 0xf0003 : edge();
		ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug);
		break;
	default:
		memset(&tpr, 0, sizeof tpr);
		tpr.enabled = below(2);
		tpr.flags = below(2);
		ioctl(vcpu, KVM_TPR_ACCESS_REPORTING, &tpr);
	}
}

static void others(void)
{
	struct kvm_vapic_addr vapic = {.vapic_addr = edge()};
	uint64_t mce = edge();
	switch (below(5)) {
	case 0:
		ioctl(vcpu, KVM_SET_TSC_KHZ, below(3) * 1000000 + below(3));
		ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
		break;
	case 1: ioctl(vcpu, KVM_SET_VAPIC_ADDR, &vapic); break;
	case 2: ioctl(vcpu, KVM_X86_SETUP_MCE, &mce); break;
	case 3: enable(vcpu, below(120), below(4), below(8) == 0); break;
	default: set_cpuid();
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: random-calls SEED CALLS\n");
		return 2;
	}
	state = 88172645463325252ull ^ (strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull);
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0) {
		perror("/dev/kvm");
		return 1;
	}
	static struct {
		struct kvm_msr_list head;
		uint32_t indexes[MAX_MSRS];
	} list;
	list.head.nmsrs = MAX_MSRS;
	if (ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list) == 0) {
		msr_count = list.head.nmsrs;
		memcpy(msrs, list.indexes, msr_count * sizeof *msrs);
	}
	for (int cap = 0; cap < 250; cap++)
		ioctl(kvm, KVM_CHECK_EXTENSION, cap);
	create();
	for (int left = atoi(argv[2]); left > 0; left--) {
		if (below(40) == 0)
			create();
		switch (below(16)) {
		case 0: case 1: case 2: sregs(); break;
		case 3: case 4: events(); break;
		case 5: case 6: case 7: msr(); break;
		case 8: regs(); break;
		case 9: debugregs(); break;
		case 10: xcrs(); break;
		case 11: mp_state(); break;
		case 12: lapic(); break;
		case 13: signals(); break;
		case 14: others(); break;
		default: xsave();
		}
	}
	return 0;
}
