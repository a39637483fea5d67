# The front door. Everything here is one command on a fresh machine; CMake does the work.
.DEFAULT_GOAL := help
.PHONY: help deps build quickstart study test test-all bench lint mlflow-ui install uninstall clean

PREFIX ?= /usr/local
BUILD := build/release

help:
	@echo "isobit: MNIST-family training that gives the same bits on every machine"
	@echo
	@echo "  make quickstart   build, get the data, train the CNN, show accuracy, time and hashes"
	@echo "  make test         build with gcc and clang, run every test, sanitizers included"
	@echo "  make test-all     the same with every matrix whole: hours, but what passed is kept for this"
	@echo "                    tree and not repeated; PART=2/6 takes the second of six parts"
	@echo "  make study FILE=experiments/small/container.yaml    a study, from data to report"
	@echo "  make build        build $(BUILD)/isobit"
	@echo "  make bench        measure this machine, and the training step beside PyTorch's"
	@echo "  make mlflow-ui    an MLflow server on this machine that shows runs/"
	@echo "  make lint         clang-tidy, shellcheck, layering"
	@echo "  make install      install below PREFIX ($(PREFIX)); DESTDIR is honoured"
	@echo "  make uninstall    remove what it installed"
	@echo "  make deps         install what building and testing need (ISOBIT_NO_INSTALL=1: only check)"
	@echo "  make clean        remove build/"

deps:
	@scripts/deps.sh test
	@scripts/onnx_venv.sh

build:
	@scripts/deps.sh build
	@scripts/build.sh release --target isobit

quickstart:
	@scripts/quickstart.sh

study:
	@scripts/study.sh $(FILE) $(SET)

test:
	@scripts/deps.sh test
	@scripts/onnx_venv.sh
	@tests/run_tests.sh

test-all:
	@scripts/deps.sh test
	@scripts/onnx_venv.sh
	@python3 tests/run_all.py $(PART)

bench: build
	@bench/run.sh

mlflow-ui: build
	@scripts/mlflow-ui.sh

lint: build
	@scripts/lint.sh

install: build
	@scripts/build.sh release --target isobit_all
	cmake --install $(BUILD) --prefix $(PREFIX)

uninstall:
	cmake -DMANIFEST=$(BUILD)/install_manifest.txt -P cmake/uninstall.cmake

clean:
	rm -rf build
