"""What must be in the environment before numpy, numba or a runtime of models is imported?

They read it once, at their first import: one thread each (more make the tail of the latency 10 to 100
times longer on shared cores), and onnxruntime must not report home (its own switch, called after the
import, comes too late). Not in `plugin/__init__.py`: a bot imports `plugin.hosts`, and the threads of
its process are its own business.
"""

import os

for _name, _setting in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_name, _setting)
