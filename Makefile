# make demo                 a street never seen -> bag -> the node over DDS -> figures and a picture
# make demo SEQUENCE=DIR    the same with a KITTI sequence folder
# make test                 the tests
# make model                the default student from nothing: streets, teacher, trust, student, its card
#                           (an hour or two on two cores)
# make flow-l               the more exact student, from the streets of make model (20 minutes more)
# make lint                 ruff
# Each builds .venv first if it is not there; PYTHON=python3.12 names the Python to build it from.

PYTHON ?= python3
VENV   := .venv
# Which ROS 2 the environment was built for: a sourced one, or the wheels.
READY  := $(VENV)/.ready-$(or $(ROS_DISTRO),wheels)
RUN    := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST $(VENV)/bin/python
# How many processes train together: one a core of a small machine, or one a GPU.
PROCESSES ?= 2
TRAIN  := $(RUN) -m torch.distributed.run --standalone --nproc-per-node $(PROCESSES) -m training

.PHONY: demo test model flow-l lint
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@$(RUN) -m training demo $(SEQUENCE)

# Only the plugins named here: those that ROS 2 and colcon bring would load themselves. One thread for each
# process, or they wait for each other's.
test: $(VENV)/.installed
	@OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(RUN) -m pytest -p xdist -n 2 -q $(TESTS)

# Where it was stopped, the same command goes on. With KITTI_ROOT set the card has figures of real roads too.
model: $(VENV)/.installed
	@$(RUN) -m training prepare config/rehearsal_train.yaml --out cache/train
	@$(RUN) -m training prepare config/rehearsal_validation.yaml --strides 1 --out cache/validation
	@$(RUN) -m training prepare config/rehearsal_calibration.yaml --strides 1 --out cache/calibration
	@$(TRAIN) teacher config/teacher.yaml --cache cache/train --validation cache/validation \
	    --out runs/teacher
	@$(RUN) -m training trust config/flow-s.yaml --teacher runs/teacher/teacher.safetensors \
	    --cache cache/train --out runs/trust
	@$(TRAIN) distil config/flow-s.yaml --teacher runs/teacher/teacher.safetensors \
	    --cache cache/train --validation cache/validation --out runs/flow-s
	@$(RUN) -m training calibrate runs/flow-s/flow-s.safetensors --validation cache/calibration
	@$(RUN) -m training card runs/flow-s --validation cache/validation --out distill_vo/models \
	    --results docs/results

flow-l: $(VENV)/.installed
	@$(RUN) -m training prepare config/rehearsal_validation.yaml --strides 1 --front-end fine_flow \
	    --out cache/fine/validation
	@$(RUN) -m training prepare config/rehearsal_calibration.yaml --strides 1 --front-end fine_flow \
	    --out cache/fine/calibration
	@$(TRAIN) distil config/flow-l.yaml --cache cache/train \
	    --validation cache/fine/validation --out runs/flow-l
	@$(RUN) -m training calibrate runs/flow-l/flow-l.safetensors --validation cache/fine/calibration
	@$(RUN) -m training card runs/flow-l --validation cache/fine/validation --out distill_vo/models \
	    --results docs/results

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
