# The one door for commands. CI calls `make test` and nothing else.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    = -s -w -X github.com/moult-ota/moult/internal/version.Version=$(VERSION)
BUILD      = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM       = $(GO) run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
DEVICES   ?= 30
SEED      ?= 1
FUZZTIME  ?= 60s
ARCHES     = amd64 arm64 arm mipsle riscv64
DEB_ARCHES ?= amd64 arm64 armhf

SHELL      = bash
.DEFAULT_GOAL := help
.PHONY: help build demo test vmtest vm race fuzz bench lint golden size release deb need clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the programs into bin/
	$(BUILD) -o bin/ ./cmd/moult ./cmd/moult-mcu
	cmd/moult-agent/build.sh "$(GO)" '$(LDFLAGS)' bin/
	cmd/moult-gateway/build.sh "$(GO)" '$(LDFLAGS)' bin/
	cmd/moult-sbl/build.sh "$(GO)" '$(LDFLAGS)' bin/

demo: ## update a fleet of virtual devices, visibly (DEVICES=30 SEED=1)
	@$(BUILD) -o bin/ ./cmd/moult
	@./bin/moult demo --devices $(DEVICES) --seed $(SEED)

# What the virtual machines need; kernel, busybox and boot loaders come from
# Debian's packages without being installed.
VM_NEEDS = qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs mkimage:u-boot-tools grub-mkimage:grub-common dfu-util:dfu-util

test: need lint ## everything that must hold; installs what it needs
	$(GO) test -timeout 9m ./...
	@test/need.sh $(VM_NEEDS)
	$(GO) test -tags vm -count=1 -timeout 25m -v ./test/vm
	$(GO) test -tags vm -count=1 -timeout 10m -v ./test/usb
	@set -o pipefail; $(GO) test -v -run 'TestPowerCut' ./internal/boot/register ./internal/agent/agenttest ./internal/install/mcu ./internal/virtualmcu/... | grep -E ' cuts| operations|^(ok|FAIL|---)'
	@$(MAKE) --no-print-directory size

vmtest: ## update virtual machines with each boot loader, well and badly, and cut their power 102 times; most of an hour (VM_SEED=n)
	@test/need.sh $(VM_NEEDS)
	$(GO) test -tags vm -count=1 -timeout 3h -v ./test/vm -args -nightly
	$(GO) test -tags vm -count=1 -timeout 15m -v ./test/sblvm

vm: ## one virtual machine, with its console on the terminal (MACHINE=sbl, uboot or grub)
	@test/need.sh $(VM_NEEDS)
	@$(GO) run ./test/vm $(MACHINE)

race: need ## the tests under the race detector
	$(GO) test -race -timeout 30m ./...

fuzz: ## every fuzz target in turn (FUZZTIME=60s each)
	@test/fuzz.sh $(FUZZTIME)

bench: need ## performance as ratios, side by side in one run
	@test/bench/run.sh

lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$bad" || { echo "gofmt would change: $$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags vm ./test/vm ./test/sblvm ./test/usb
	$(STATICCHECK) ./...

golden: ## rewrite golden files and the committed API description
	$(GO) test ./artifact ./internal/api ./cmd/moult-agent -run 'Golden|OpenAPI|Generated' -args -update

size: ## build the devices' programs for every architecture and check the budgets
	@test/size.sh "$(GO)" '$(LDFLAGS)' $(ARCHES)

release: ## static programs for every architecture, with checksums, in dist/
	@for arch in $(ARCHES); do \
		echo "linux/$$arch"; \
		for program in moult-agent moult-gateway moult-sbl; do \
			GOOS=linux GOARCH=$$arch GOARM=6 GOMIPS=softfloat cmd/$$program/build.sh "$(GO)" '$(LDFLAGS)' dist/linux-$$arch/ || exit 1; \
		done; \
	done
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/linux-$$arch/ ./cmd/moult || exit 1; \
	done
	@cd dist && sha256sum linux-*/* > SHA256SUMS && cat SHA256SUMS

deb: ## Debian packages of agent, server and boot loader, in dist/deb
	@packaging/deb.sh "$(GO)" '$(LDFLAGS)' "$(NFPM)" "$(VERSION)" $(or $(OUT),dist/deb) $(DEB_ARCHES)

need: ## install what the tests need from Debian, or name it
	@test/need.sh mender-artifact:mender-artifact openssl:openssl initdb:postgresql mke2fs:e2fsprogs mender:mender-client unshare:util-linux systemd-analyze:systemd systemd-sysusers:systemd deb-systemd-helper:init-system-helpers fw_setenv:libubootenv-tool mkenvimage:u-boot-tools mosquitto:mosquitto sshd:openssh-server ssh:openssh-client losetup:mount grub-editenv:grub-common grub-emu:grub-emu mkfs.vfat:dosfstools mcopy:mtools

clean: ## remove what was built
	rm -rf bin dist .cache
