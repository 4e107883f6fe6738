# What the Debian and the rpm packages hold beside the server's Python modules: one list for both.
# Included by the Makefile; debian/rules and packaging/rpm/*.spec call these targets.

DESTDIR ?=
# A package manager that places units and users itself sets these to nothing.
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
ZSHDIR ?= /usr/share/zsh/site-functions
# The Python whose modules the server's package uses. `install-server` runs the program for its completions.
SYSTEM_PYTHON ?= /usr/bin/python3

GUEST_SHARE := /usr/share/vmw-cloudinit-guest
SERVER_SHARE := /usr/share/vmw-cloudinit-metadata
INSTALL_FILE := install -D -m 0644
INSTALL_PROGRAM := install -D -m 0755

.PHONY: install-guest install-server

# The guest's modules are private, with a codec of their own: one package that installs alone, with the same
# paths whatever the distribution's Python.
install-guest:
	$(INSTALL_PROGRAM) packaging/guest/vmw-cloudinit-guest $(DESTDIR)/usr/bin/vmw-cloudinit-guest
	for module in vmw_cloudinit_guest vmw_cloudinit_wire; do \
	  install -d $(DESTDIR)$(GUEST_SHARE)/$$module && \
	  install -m 0644 guest/$$module/*.py $(DESTDIR)$(GUEST_SHARE)/$$module || exit; \
	done
	$(INSTALL_FILE) -t $(DESTDIR)$(GUEST_SHARE) packaging/guest/zz-vmw-cloudinit-guest.cfg
	for service in vmw-cloudinit-guest vmw-cloudinit-guest-report; do \
	  $(INSTALL_PROGRAM) packaging/guest/$$service.openrc $(DESTDIR)$(GUEST_SHARE)/openrc/$$service || exit; \
	done
	$(INSTALL_FILE) -t $(DESTDIR)/etc packaging/guest/vmw-cloudinit-guest.conf
	$(INSTALL_PROGRAM) packaging/guest/clean.d/vmw-cloudinit-guest \
	  $(DESTDIR)/etc/cloud/clean.d/50-vmw-cloudinit-guest
	$(INSTALL_FILE) -t $(DESTDIR)/usr/lib/systemd/system-preset packaging/guest/80-vmw-cloudinit-guest.preset
	$(if $(UNITDIR),$(INSTALL_FILE) -t $(DESTDIR)$(UNITDIR) packaging/guest/vmw-cloudinit-guest.service \
	  packaging/guest/vmw-cloudinit-guest-report.service)
	install -d $(DESTDIR)/usr/share/man/man1
	scdoc < packaging/man/vmw-cloudinit-guest.1.scd > $(DESTDIR)/usr/share/man/man1/vmw-cloudinit-guest.1

COMPLETIONS := _VMW_CLOUDINIT_METADATA_COMPLETE
PROGRAM := vmw-cloudinit-metadata

install-server:
	install -d -m 0750 $(DESTDIR)/etc/$(PROGRAM)/instances
	install -D -m 0640 -t $(DESTDIR)/etc/$(PROGRAM) packaging/server/config.toml
	$(INSTALL_FILE) -t $(DESTDIR)$(SERVER_SHARE) server/vmw_cloudinit_metadata/definition/definition.schema.json
	$(if $(UNITDIR),$(INSTALL_FILE) -t $(DESTDIR)$(UNITDIR) packaging/server/$(PROGRAM).service \
	  packaging/server/$(PROGRAM).socket)
	$(if $(SYSUSERSDIR),$(INSTALL_FILE) packaging/server/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/$(PROGRAM).conf)
	install -d $(DESTDIR)/usr/share/man/man1 $(DESTDIR)/usr/share/man/man5
	scdoc < packaging/man/$(PROGRAM).1.scd > $(DESTDIR)/usr/share/man/man1/$(PROGRAM).1
	scdoc < packaging/man/$(PROGRAM).5.scd > $(DESTDIR)/usr/share/man/man5/$(PROGRAM).5
	install -d $(DESTDIR)/usr/share/bash-completion/completions $(DESTDIR)$(ZSHDIR) \
	  $(DESTDIR)/usr/share/fish/vendor_completions.d
	$(COMPLETIONS)=bash_source $(SYSTEM_PYTHON) -m vmw_cloudinit_metadata \
	  > $(DESTDIR)/usr/share/bash-completion/completions/$(PROGRAM)
	$(COMPLETIONS)=zsh_source $(SYSTEM_PYTHON) -m vmw_cloudinit_metadata > $(DESTDIR)$(ZSHDIR)/_$(PROGRAM)
	$(COMPLETIONS)=fish_source $(SYSTEM_PYTHON) -m vmw_cloudinit_metadata \
	  > $(DESTDIR)/usr/share/fish/vendor_completions.d/$(PROGRAM).fish
