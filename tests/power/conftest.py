from tests.power.lxd_host import lxd_host

__all__ = ["lxd_host"]
