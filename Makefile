# make demo                 a street never seen -> bag -> the node over DDS -> figures and a picture
# make demo SEQUENCE=DIR    the same with a KITTI sequence folder
# make test                 the tests
# make lint                 ruff
# Each builds .venv first if it is not there; PYTHON=python3.12 names the Python to build it from.

PYTHON ?= python3
VENV   := .venv
# Which ROS 2 the environment was built for: a sourced one, or the wheels.
READY  := $(VENV)/.ready-$(or $(ROS_DISTRO),wheels)
RUN    := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST $(VENV)/bin/python

.PHONY: demo test lint
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@$(RUN) -m training demo $(SEQUENCE)

# Only the plugins named here: those that ROS 2 and colcon bring would load themselves.
test: $(VENV)/.installed
	@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(RUN) -m pytest -p xdist -n 2 -q $(TESTS)

lint: $(READY)
	@$(VENV)/bin/ruff check .

# The package itself, editable; what ROS 2 looks for in share/ is copied there.
$(VENV)/.installed: $(READY) setup.py setup.cfg package.xml $(wildcard launch/* config/* distill_vo/models/*)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(READY): requirements.txt requirements-ros.txt tools/set_up.py $(wildcard tools/tf2_msgs/* tools/tf2_msgs/msg/*)
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: Python is missing: \`sudo apt install python3 python3-venv\`." >&2; exit 2; }
	@$(PYTHON) tools/set_up.py $(VENV) $@
