"""The live process: one bar close in, one decision out.

The environment is set here because these runtimes read it once, at their first import: one thread
each (more make the tail of the latency 10 to 100 times longer on shared cores), and onnxruntime must
not report home (its own switch, called after the import, comes too late).
"""

import os

for _name, _setting in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_name, _setting)
