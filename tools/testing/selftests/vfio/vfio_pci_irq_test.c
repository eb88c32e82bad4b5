// SPDX-License-Identifier: GPL-2.0-only
/* INTx and MSI with edu's own interrupts, and the release request. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "vfio_pci_irq.h"

FIXTURE(edu) {
	struct vfio_dev d;
	int efd;
	int efd2;
};

#define VFIO_FIXTURE edu
#include "vfio_each_mode.h"

FIXTURE_SETUP(edu)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, EDU, variant->mode);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER,
				      PCI_COMMAND_INTX_DISABLE));
	ASSERT_EQ(0, reg_write(&self->d, 0, EDU_IRQ_ACK, ~0u));
	self->efd = vfio_eventfd();
	self->efd2 = vfio_eventfd();
	ASSERT_LE(0, self->efd);
	ASSERT_LE(0, self->efd2);
}

FIXTURE_TEARDOWN(edu)
{
	vfio_dev_close(&self->d);
	close(self->efd);
	close(self->efd2);
}

static int set_unmask_fd(const struct vfio_dev *d, int32_t fd)
{
	return vfio_irq_set(d, EVENTFD | UNMASK, INTX, 0, 1, &fd, sizeof(fd));
}

TEST_F(edu, counts)
{
	struct vfio_irq_info info;

	EXPECT_EQ(1, vfio_irq_count(&self->d, INTX));
	EXPECT_EQ(1, vfio_irq_count(&self->d, MSI));
	EXPECT_EQ(0, vfio_irq_count(&self->d, MSIX));
	EXPECT_EQ(1, vfio_irq_count(&self->d, ERR));
	EXPECT_EQ(1, vfio_irq_count(&self->d, REQ));

	ASSERT_EQ(0, vfio_irq_info(&self->d, INTX, &info));
	EXPECT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
		  VFIO_IRQ_INFO_AUTOMASKED, info.flags);
	ASSERT_EQ(0, vfio_irq_info(&self->d, MSI, &info));
	EXPECT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE |
		  VFIO_IRQ_INFO_AFFINITY, info.flags);
	ASSERT_EQ(0, vfio_irq_info(&self->d, ERR, &info));
	EXPECT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, info.flags);
}

/* A conventional device's errors are those of the bridge above it. */
TEST_F(edu, error_eventfd)
{
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, ERR, 0, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, ERR, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, ERR, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, vfio_irq_disable(&self->d, ERR));
}

TEST_F(edu, intx_automask)
{
	uint64_t count;

	EXPECT_EQ(0, has_line(&self->d, "vfio-intx"));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_EQ(1, has_line(&self->d, "vfio-intx"));
	EXPECT_SILENT(self->efd);

	/* The line stays asserted, and yet there is one event. */
	ASSERT_EQ(0, edu_raise(&self->d));
	ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, &count));
	EXPECT_EQ(1, count);
	EXPECT_SILENT(self->efd);
	EXPECT_EQ(1, reg_read(&self->d, 0, EDU_IRQ_STATUS));

	/* Masked, so a new interrupt has to wait. */
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));
	EXPECT_EQ(0, has_line(&self->d, "vfio-intx"));
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_many)
{
	int i;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, edu_raise(&self->d));
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
		ASSERT_EQ(0, edu_ack(&self->d));
		ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	}
	EXPECT_SILENT(self->efd);
}

TEST_F(edu, intx_unmask_while_asserted)
{
	int i;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
		EXPECT_EVENT(self->efd);
		EXPECT_SILENT(self->efd);
	}
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_mask)
{
	const uint8_t yes = 1, no = 0;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_mask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_irq_mask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);

	/* Masks do not nest. */
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));

	ASSERT_EQ(0, set_bools(&self->d, MASK, INTX, 0, 1, &no));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, set_bools(&self->d, UNMASK, INTX, 0, 1, &yes));

	ASSERT_EQ(0, set_bools(&self->d, MASK, INTX, 0, 1, &yes));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, UNMASK, INTX, 0, 1, &no));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, UNMASK, INTX, 0, 1, &yes));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_unmask_eventfd)
{
	int i;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, set_unmask_fd(&self->d, self->efd2));
	EXPECT_EQ(-EBUSY, set_unmask_fd(&self->d, self->efd2));

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, edu_raise(&self->d));
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
		/* Still asserted: the event comes from the unmasking. */
		ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
		ASSERT_EQ(0, edu_ack(&self->d));
		ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	}
	EXPECT_SILENT(self->efd);
	/* Its events are taken by the kernel. */
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd2));

	ASSERT_EQ(0, set_unmask_fd(&self->d, -1));
	ASSERT_EQ(0, set_unmask_fd(&self->d, -1));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	EXPECT_SILENT(self->efd);
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd2));

	/* One that is signalled already unmasks when it is bound. */
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	ASSERT_EQ(0, set_unmask_fd(&self->d, self->efd2));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));

	/* Closing the eventfd unbinds it. */
	close(self->efd2);
	self->efd2 = vfio_eventfd();
	for (i = 0; i < 100; i++) {
		if (!set_unmask_fd(&self->d, self->efd2))
			break;
		usleep(10000);
	}
	EXPECT_NE(100, i);
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));

	/* Disabling unbinds it, too. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, set_unmask_fd(&self->d, self->efd2));
}

/* Two eventfds in a row are closed, and at once the line is taken down. */
TEST_F(edu, intx_unmask_closed)
{
	uint64_t end = vfio_now_ms() + 1500;
	int i, fd;

	while (vfio_now_ms() < end) {
		ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
		ASSERT_EQ(0, edu_raise(&self->d));
		for (i = 0; i < 2; i++) {
			fd = vfio_eventfd();
			ASSERT_LE(0, fd);
			ASSERT_EQ(0, set_unmask_fd(&self->d, fd));
			ASSERT_EQ(0, vfio_eventfd_signal(fd));
			close(fd);
		}
		ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));
		ASSERT_EQ(0, edu_ack(&self->d));
	}
}

TEST_F(edu, intx_disable_bit)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0));
	EXPECT_TRUE(vfio_cfg_read16(&self->d, PCI_COMMAND) &
		    PCI_COMMAND_INTX_DISABLE);
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);

	/* While it is set neither unmasking nor loopback gets through. */
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, INTX, 0, 1));
	EXPECT_SILENT(self->efd);

	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_INTX_DISABLE));
	EXPECT_EVENT(self->efd);
	EXPECT_FALSE(vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_INTX_DISABLE);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));

	/* Set before the interrupt is: it starts masked. */
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_INTX_DISABLE));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_asserted_before_it_is_set_up)
{
	ASSERT_EQ(0, edu_raise(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	vfio_eventfd_wait(self->efd, NEVER_MS, NULL);

	/* Heard of or not, it is there when the user asks. */
	ASSERT_EQ(0, vfio_irq_mask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_loopback)
{
	const uint8_t yes = 1, no = 0;

	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, INTX, 0, 1, &no));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, INTX, 0, 1, &yes));
	EXPECT_EVENT(self->efd);

	/* It does not mask. */
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, intx_without_eventfd)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, -1));
	EXPECT_EQ(1, has_line(&self->d, "vfio-intx"));
	ASSERT_EQ(0, edu_raise(&self->d));
	usleep(NEVER_MS * 1000);
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, INTX, 0, 1));

	/* It fired and is masked; whoever comes later hears of it. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, -1));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
	EXPECT_EQ(1, has_line(&self->d, "vfio-intx"));
}

TEST_F(edu, intx_replace_eventfd)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd2));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd2);
	EXPECT_SILENT(self->efd);

	/* A refused one leaves the old one in place. */
	EXPECT_EQ(-EBADF, vfio_irq_eventfd(&self->d, INTX, 0, CLOSED_FD));
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, INTX, 0,
					    self->d.device));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd2);
	ASSERT_EQ(0, edu_ack(&self->d));
}

/* The user closes the eventfd and says nothing: the driver's reference holds. */
TEST_F(edu, intx_eventfd_closed)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	close(self->efd);
	ASSERT_EQ(0, edu_raise(&self->d));
	usleep(NEVER_MS * 1000);
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

struct churn {
	const struct vfio_dev *d;
	int fds[2];
	atomic_bool stop;
	int error;
};

/* Change the trigger and bind and unbind the unmask eventfd all the time. */
static void *churn_intx(void *arg)
{
	struct churn *c = arg;
	unsigned int i;
	int ret;

	for (i = 0; !c->stop; i++) {
		ret = vfio_irq_eventfd(c->d, INTX, 0, c->fds[i & 1]);
		if (ret)
			c->error = ret;
		set_unmask_fd(c->d, c->fds[1]);
		vfio_eventfd_signal(c->fds[1]);
		set_unmask_fd(c->d, -1);
	}
	return NULL;
}

TEST_F(edu, intx_races)
{
	struct churn c = { .d = &self->d, .fds = { self->efd, self->efd2 } };
	uint64_t end = vfio_now_ms() + 1500;
	pthread_t thread;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_intx, &c));
	while (vfio_now_ms() < end) {
		edu_raise(&self->d);
		vfio_irq_unmask(&self->d, INTX, 0, 1);
		vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0);
		vfio_cfg_command(&self->d, 0, PCI_COMMAND_INTX_DISABLE);
		edu_ack(&self->d);
		vfio_irq_unmask(&self->d, INTX, 0, 1);
	}
	c.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.error);

	/* And the line still works. */
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	usleep(NEVER_MS * 1000);
	vfio_eventfd_drain(self->efd);
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

struct command_writer {
	const struct vfio_dev *d;
	pthread_barrier_t *barrier;
	int rounds;
	uint8_t high;			/* what to write to COMMAND + 1 */
	int error;
};

static void *write_command(void *arg)
{
	struct command_writer *w = arg;
	int i, ret;

	for (i = 0; i < w->rounds; i++) {
		pthread_barrier_wait(w->barrier);
		ret = vfio_cfg_write8(w->d, PCI_COMMAND + 1, w->high);
		if (ret)
			w->error = ret;
		pthread_barrier_wait(w->barrier);
	}
	return NULL;
}

/* Whichever of two writers is last: the line is as the register says. */
TEST_F(edu, intx_disable_bit_races)
{
	struct command_writer writers[2] = {
		{ .d = &self->d, .rounds = 1000, .high = 0 },
		{ .d = &self->d, .rounds = 1000,
		  .high = PCI_COMMAND_INTX_DISABLE >> 8 },
	};
	pthread_barrier_t barrier;
	int i, hw, differ = 0;
	pthread_t threads[2];
	uint16_t command;

	hw = vfio_pci_config_open(self->d.bdf);
	ASSERT_LE(0, hw);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	pthread_barrier_init(&barrier, NULL, 3);
	for (i = 0; i < 2; i++) {
		writers[i].barrier = &barrier;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, write_command,
					    &writers[i]));
	}
	for (i = 0; i < writers[0].rounds; i++) {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		if (pread(hw, &command, 2, PCI_COMMAND) != 2 ||
		    (command ^ vfio_cfg_read16(&self->d, PCI_COMMAND)) &
		    PCI_COMMAND_INTX_DISABLE)
			differ++;
	}
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, writers[i].error);
	}
	pthread_barrier_destroy(&barrier);
	close(hw);
	EXPECT_EQ(0, differ);
}

TEST_F(edu, msi)
{
	uint64_t count;
	int i;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	EXPECT_EQ(1, has_line(&self->d, "vfio-msi[0]"));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, edu_raise(&self->d));
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, &count));
		ASSERT_EQ(1, count);
	}
	/* The status register is irrelevant to it. */
	EXPECT_EQ(1, reg_read(&self->d, 0, EDU_IRQ_STATUS));

	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSI, 0, 1));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd2));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd2);
	EXPECT_SILENT(self->efd);

	/* Disarmed, but still set up. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, -1));
	EXPECT_EQ(0, has_line(&self->d, "vfio-msi[0]"));
	ASSERT_EQ(0, edu_raise(&self->d));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSI, 0, 1));
	EXPECT_SILENT(self->efd2);
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSI));
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, one_index_at_a_time)
{
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, INTX));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, MSI));

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, MSI, 0, self->efd2));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, MSI));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, MSI, 0, 1));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd2));
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_EQ(-EINVAL, vfio_irq_mask(&self->d, INTX, 0, 1));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, INTX));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd2);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSI));

	/* And INTx is in order after MSI. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, bad_arguments)
{
	const int32_t fd = self->efd, minus = -1, closed = CLOSED_FD;
	const int32_t fds[2] = { fd, fd };
	const uint8_t bools[4] = { 1, 1, 1, 1 };
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .index = REQ, .count = 0,
	};
	const struct {
		uint32_t flags, index, start, count;
		const void *data;
		size_t len;
		int want;
	} calls[] = {
		/* not exactly one kind of data */
		{ TRIGGER, INTX, 0, 1, &fd, 4, -EINVAL },
		{ NONE | BOOL | TRIGGER, INTX, 0, 1, bools, 4, -EINVAL },
		{ NONE | EVENTFD | TRIGGER, INTX, 0, 1, &fd, 4, -EINVAL },
		{ BOOL | EVENTFD | TRIGGER, INTX, 0, 1, &fd, 4, -EINVAL },
		{ 1u << 6 | NONE | TRIGGER, INTX, 0, 1, NULL, 0, -EINVAL },
		{ 1u << 31 | NONE | TRIGGER, INTX, 0, 1, NULL, 0, -EINVAL },
		/* not exactly one action */
		{ NONE, INTX, 0, 1, NULL, 0, -ENOTTY },
		{ NONE | MASK | UNMASK, INTX, 0, 1, NULL, 0, -ENOTTY },
		{ NONE | MASK | TRIGGER, INTX, 0, 1, NULL, 0, -ENOTTY },
		/* not enough data */
		{ BOOL | TRIGGER, INTX, 0, 1, NULL, 0, -EINVAL },
		{ EVENTFD | TRIGGER, INTX, 0, 1, &fd, 3, -EINVAL },
		{ EVENTFD | TRIGGER, INTX, 0, 1, NULL, 0, -EINVAL },
		/* out of range */
		{ EVENTFD | TRIGGER, INTX, 0, 2, fds, 8, -EINVAL },
		{ EVENTFD | TRIGGER, INTX, 1, 1, &fd, 4, -EINVAL },
		{ EVENTFD | TRIGGER, INTX, 1, 0, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, INTX, 0, 2, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, INTX, 0, ~0u, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, INTX, ~0u, 1, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, INTX, ~0u, ~0u, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, INTX, 1, ~0u, NULL, 0, -EINVAL },
		{ EVENTFD | TRIGGER, MSI, 0, 2, fds, 8, -EINVAL },
		{ EVENTFD | TRIGGER, MSI, 1, 1, &fd, 4, -EINVAL },
		{ EVENTFD | TRIGGER, REQ, 0, 2, fds, 8, -EINVAL },
		{ EVENTFD | TRIGGER, REQ, 1, 1, &fd, 4, -EINVAL },
		/* an index that is empty or not there */
		{ EVENTFD | TRIGGER, MSIX, 0, 1, &fd, 4, -EINVAL },
		{ NONE | TRIGGER, MSIX, 0, 0, NULL, 0, -EINVAL },
		{ EVENTFD | TRIGGER, ERR, 0, 2, fds, 8, -EINVAL },
		{ EVENTFD | TRIGGER, ERR, 1, 1, &fd, 4, -EINVAL },
		{ NONE | TRIGGER, VFIO_PCI_NUM_IRQS, 0, 0, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, ~0u, 0, 0, NULL, 0, -EINVAL },
		/* actions that an index does not have */
		{ NONE | MASK, MSI, 0, 1, NULL, 0, -ENOTTY },
		{ NONE | UNMASK, MSI, 0, 1, NULL, 0, -ENOTTY },
		{ NONE | MASK, REQ, 0, 1, NULL, 0, -ENOTTY },
		{ NONE | UNMASK, REQ, 0, 1, NULL, 0, -ENOTTY },
		/* nothing is set up */
		{ NONE | MASK, INTX, 0, 1, NULL, 0, -EINVAL },
		{ NONE | UNMASK, INTX, 0, 1, NULL, 0, -EINVAL },
		{ BOOL | MASK, INTX, 0, 1, bools, 1, -EINVAL },
		{ EVENTFD | MASK, INTX, 0, 1, &fd, 4, -EINVAL },
		{ EVENTFD | UNMASK, INTX, 0, 1, &fd, 4, -EINVAL },
		{ EVENTFD | UNMASK, INTX, 0, 1, &minus, 4, -EINVAL },
		{ NONE | TRIGGER, INTX, 0, 0, NULL, 0, -EINVAL },
		{ BOOL | TRIGGER, INTX, 0, 1, bools, 1, -EINVAL },
		{ BOOL | TRIGGER, INTX, 0, 0, NULL, 0, -EINVAL },
		{ EVENTFD | TRIGGER, INTX, 0, 0, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, MSI, 0, 0, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, MSI, 0, 1, NULL, 0, -EINVAL },
		{ BOOL | TRIGGER, MSI, 0, 1, bools, 1, -EINVAL },
		{ EVENTFD | TRIGGER, MSI, 0, 0, NULL, 0, -ERANGE },
		{ NONE | TRIGGER, REQ, 0, 0, NULL, 0, -EINVAL },
		{ NONE | TRIGGER, REQ, 0, 1, NULL, 0, -EINVAL },
		{ BOOL | TRIGGER, REQ, 0, 0, NULL, 0, -EINVAL },
		{ BOOL | TRIGGER, REQ, 0, 1, bools, 1, 0 },
		{ EVENTFD | TRIGGER, REQ, 0, 0, NULL, 0, -EINVAL },
		/* descriptors */
		{ EVENTFD | TRIGGER, INTX, 0, 1, &closed, 4, -EBADF },
		{ EVENTFD | TRIGGER, INTX, 0, 1, &self->d.device, 4, -EINVAL },
		{ EVENTFD | TRIGGER, MSI, 0, 1, &closed, 4, -EBADF },
		{ EVENTFD | TRIGGER, MSI, 0, 1, &self->d.device, 4, -EINVAL },
		{ EVENTFD | TRIGGER, REQ, 0, 1, &closed, 4, -EBADF },
		{ EVENTFD | TRIGGER, REQ, 0, 1, &self->d.device, 4, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(calls[i].want,
			  vfio_irq_set(&self->d, calls[i].flags,
				       calls[i].index, calls[i].start,
				       calls[i].count, calls[i].data,
				       calls[i].len)) {
			TH_LOG("call %u: flags %#x index %d", i,
			       calls[i].flags, (int)calls[i].index);
		}
	}

	/* The structure itself */
	set.flags = NONE | TRIGGER;
	for (i = 0; i < sizeof(set); i++) {
		set.argsz = i;
		EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_SET_IRQS, &set));
	}
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_SET_IRQS,
				      NULL));

	/* None of it set anything up, and what works still does. */
	EXPECT_EQ(0, has_line(&self->d, "vfio-intx"));
	EXPECT_EQ(0, has_line(&self->d, "vfio-msi[0]"));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_EQ(-ENOTTY, vfio_irq_set(&self->d, EVENTFD | MASK, INTX, 0, 1,
					&fd, 4));
	EXPECT_EQ(-EBADF, set_unmask_fd(&self->d, CLOSED_FD));
	EXPECT_EQ(-EINVAL, set_unmask_fd(&self->d, self->d.device));
	EXPECT_EQ(-EINVAL, vfio_irq_mask(&self->d, INTX, 0, 0));
	EXPECT_EQ(-EINVAL, vfio_irq_unmask(&self->d, INTX, 0, 0));
	EXPECT_EQ(-EINVAL, vfio_irq_set(&self->d, EVENTFD | TRIGGER, INTX, 0, 0,
					NULL, 0));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));
}

/* With everything armed, the last close takes it all down. */
TEST_F(edu, close)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	ASSERT_EQ(0, set_unmask_fd(&self->d, self->efd2));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, has_line(&self->d, "vfio-intx"));

	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, REQ, 0, 1));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, INTX, 0, 1));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, has_line(&self->d, "vfio-msi[0]"));
}

/* The same for a process that is killed in the middle of it. */
TEST(killed)
{
	struct vfio_dev d;
	int status, i;
	pid_t pid;

	VFIO_DEV_OPEN_OR_SKIP(&d, EDU, VFIO_TYPE1v2_IOMMU);
	vfio_dev_close(&d);

	for (i = 0; i < 6; i++) {
		pid = fork();
		if (!pid) {
			int a = vfio_eventfd(), b = vfio_eventfd();

			if (vfio_dev_open(&d, EDU, VFIO_TYPE1v2_IOMMU))
				_exit(1);
			vfio_cfg_command(&d, PCI_COMMAND_MEMORY |
					 PCI_COMMAND_MASTER, 0);
			for (;;) {
				vfio_irq_eventfd(&d, INTX, 0, a);
				set_unmask_fd(&d, b);
				edu_raise(&d);
				vfio_eventfd_signal(b);
				vfio_irq_disable(&d, INTX);
				edu_ack(&d);
				vfio_irq_eventfd(&d, MSI, 0, a);
				edu_raise(&d);
				vfio_irq_disable(&d, MSI);
			}
		}
		ASSERT_LT(0, pid);
		usleep(100000 + i * 13000);
		EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, has_line(&d, "vfio-intx"));
		EXPECT_EQ(0, has_line(&d, "vfio-msi[0]"));
	}

	/* Nothing of it keeps the next one out. */
	ASSERT_EQ(0, vfio_dev_open(&d, EDU, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);
}

static void *unbind(void *arg)
{
	return (void *)(long)vfio_pci_unbind(arg);
}

/* The host wants the device back while it is open. */
TEST_F(edu, request)
{
	const uint8_t yes = 1, no = 0;
	pthread_t thread;
	void *ret;

	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, REQ, 0, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, REQ, 0, 1));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, REQ, 0, 1, &yes));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, REQ, 0, 1, &no));
	EXPECT_SILENT(self->efd);

	/* Only -1 unbinds. */
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, REQ, 0, -2));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, REQ, 0, 1));
	EXPECT_EVENT(self->efd);

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, self->efd2));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, REQ, 0, 1));
	EXPECT_EVENT(self->efd2);
	EXPECT_SILENT(self->efd);

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, -1));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, REQ, 0, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, REQ));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, REQ));

	/* It goes with any of the device's own interrupts. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd2));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, REQ, 0, self->efd));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unbind, self->d.bdf));
	EXPECT_EVENT(self->efd);
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	ASSERT_EQ(0, vfio_pci_bind(self->d.bdf));
}

TEST_HARNESS_MAIN
