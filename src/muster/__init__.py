"""muster: rack it, cable it, power it on: know it.

Start reading at ARCHITECTURE.md, then follow the journey: boot, metadata, agent, lifecycle.
"""

__version__ = "0.1.0"
